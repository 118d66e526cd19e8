"""A small graph as SVG without Graphviz: boxes in layers, each box one layer after the last of its operands.

Within a layer, boxes are sorted by the mean position of their neighbours, so that few arrows cross.
"""

from html import escape

LINE, LETTER, PADDING = 15, 6.6, 8  # pixels: height of a line of text, width of a letter, around a box's text
BETWEEN_LAYERS, BETWEEN_BOXES = 70, 16
SWEEPS = 8
COLOURS = {"lightgoldenrod1": "#ffec8b"}  # Graphviz's colours that SVG does not know


def svg(boxes, edges, caption="", direction="LR"):
    """SVG text. boxes: name -> (lines of text, tooltip, colour, whether it is dashed); edges: a list of (from, to, label, whether bold).

    The edges must have no cycle. direction: of the arrows, "LR", "RL", "TB" or "BT".
    """
    layers = _ordered(_layers(boxes, edges), edges)
    sizes = {name: (2 * PADDING + LETTER * max(map(len, lines)), 2 * PADDING + LINE * len(lines)) for name, (lines, *_) in boxes.items()}
    places, width, height = _places(layers, sizes, direction)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height + 2 * LINE:.0f}" font-family="sans-serif" '
        'font-size="11" text-anchor="middle" style="background:white">',  # as in Graphviz's pictures, for dark notebooks
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#666"/></marker></defs>',
    ]
    for start, end, label, bold in edges:
        (x0, y0), (x1, y1) = _ends(places, sizes, start, end, direction)
        parts.append(
            f'<path d="M{x0:.0f} {y0:.0f}L{x1:.0f} {y1:.0f}" stroke="#666" stroke-width="{2 if bold else 1}" marker-end="url(#tip)"/>'
        )
        parts.append(f'<text x="{(x0 + x1) / 2:.0f}" y="{(y0 + y1) / 2 - 3:.0f}" font-size="9">{escape(label)}</text>')
    for name, (lines, tooltip, colour, dashed) in boxes.items():
        (x, y), (w, h) = places[name], sizes[name]
        parts.append(
            f'<g><title>{escape(tooltip)}</title><rect x="{x - w / 2:.0f}" y="{y - h / 2:.0f}" width="{w:.0f}" height="{h:.0f}" rx="6" '
            f'fill="{COLOURS.get(colour, colour)}" stroke="black"{" stroke-dasharray=" + chr(34) + "4" + chr(34) if dashed else ""}/>'
        )
        top = y - h / 2 + PADDING + 11
        parts += [f'<text x="{x:.0f}" y="{top + i * LINE:.0f}">{escape(line)}</text>' for i, line in enumerate(lines)]
        parts.append("</g>")
    if caption:
        parts.append(f'<text x="{width / 2:.0f}" y="{height + LINE:.0f}">{escape(caption)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _layers(boxes, edges):
    """Lists of names: each in the layer after the last one with an edge to it; those without such edges in the layer before their first
    use."""
    layer, left = dict.fromkeys(boxes, 0), dict.fromkeys(boxes, 0)
    after = {name: [] for name in boxes}
    for start, end, *_ in edges:
        after[start].append(end)
        left[end] += 1
    first = [name for name in boxes if not left[name]]
    todo = [*first]
    for name in todo:
        for end in after[name]:
            layer[end] = max(layer[end], layer[name] + 1)
            left[end] -= 1
            if not left[end]:
                todo.append(end)
    for name in first:  # next to the boxes that use them, so that their arrows are short
        layer[name] = min((layer[end] for end in after[name]), default=1) - 1
    return [[name for name in boxes if layer[name] == i] for i in range(max(layer.values()) + 1)]


def _ordered(layers, edges):
    """The layers, each sorted by the mean position of the neighbours of its boxes, in a few sweeps in both directions."""
    beside = {name: [] for layer in layers for name in layer}
    for start, end, *_ in edges:
        beside[start].append(end)
        beside[end].append(start)
    place = {name: (i + 0.5) / len(layer) for layer in layers for i, name in enumerate(layer)}
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 else layers[::-1]:
            layer.sort(key=lambda name: sum(place[other] for other in beside[name]) / len(beside[name]) if beside[name] else place[name])
            place.update((name, (i + 0.5) / len(layer)) for i, name in enumerate(layer))
    return layers


def _places(layers, sizes, direction):
    """(name -> centre of its box, width, height). The layers follow each other along the arrows, and are centred across them."""
    along = 0 if direction in ("LR", "RL") else 1
    across = 1 - along
    spans = [sum(sizes[name][across] + BETWEEN_BOXES for name in layer) for layer in layers]
    places, reached = {}, PADDING
    for layer, span in zip(layers if direction in ("LR", "TB") else layers[::-1], spans if direction in ("LR", "TB") else spans[::-1]):
        depth, at = max(sizes[name][along] for name in layer), (max(spans) - span) / 2 + PADDING
        for name in layer:
            centre = reached + depth / 2, at + sizes[name][across] / 2
            places[name] = centre if along == 0 else centre[::-1]
            at += sizes[name][across] + BETWEEN_BOXES
        reached += depth + BETWEEN_LAYERS
    size = reached - BETWEEN_LAYERS + PADDING, max(spans) + PADDING
    return places, *(size if along == 0 else size[::-1])


def _ends(places, sizes, start, end, direction):
    """The two ends of an arrow: the midpoints of the facing sides of two boxes."""
    along = 0 if direction in ("LR", "RL") else 1
    sign = 1 if direction in ("LR", "TB") else -1
    points = [list(places[start]), list(places[end])]
    points[0][along] += sign * sizes[start][along] / 2
    points[1][along] -= sign * sizes[end][along] / 2
    return points
