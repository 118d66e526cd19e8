"""The scalar graph as a picture: Graphviz's DOT of what a Value was computed from.

A Value knows its operands and its derivative with respect to each of them, but not the operator that made it. A drawing
names an operator only if the numbers prove it: applied to the operands' data, it gives the Value's data and local
gradients, to the bit and of the same type.
"""

import math
from collections.abc import Mapping
from os import PathLike
from typing import Any

from microgpt.common.words import quoted

MAX_NODES = 200
MISSING = "this drawing needs Graphviz's program dot; install Graphviz (Debian: apt-get install graphviz), or use the DOT text"


def draw(
    root: Any,
    *,
    names: Mapping[str, Any] | None = None,
    to: Any = None,
    max_nodes: int = MAX_NODES,
    direction: str = "LR",
) -> "Drawing":
    """A Drawing of the Value `root` and what it was computed from; Jupyter displays it. Drawing changes no Value.

    A box is a Value, with its name, operator, data and gradient; an arrow leads from an operand to the result and is
    labelled with the local gradient, d result / d operand. A Value is a microgpt.Value, a microgpt.reference.Value or
    an object of your own with the attributes data, grad, _children and _local_grads.

    names: name -> Value or (nested) list of Values, such as a state_dict; a Value in a list is called wte[3][5].
    to: a Value that root was computed from; only the shortest paths to it are drawn, and the operands beside them.
    max_nodes: draw at most this many Values, those nearest to the root first; a dashed box says how many of its
    operands are omitted. With `to`, paths are always drawn whole, and only the operands beside them are omitted.
    direction: of the arrows: "LR" (left to right), "TB" (top to bottom), "RL" or "BT".

    Raises ValueError if root was not computed from `to`, TypeError for what is not a Value.
    """
    _check_value("draw takes", root)
    if direction not in ("LR", "TB", "RL", "BT"):
        raise ValueError(f"direction must be one of LR, TB, RL, BT, not {quoted(direction)}")
    if isinstance(max_nodes, bool) or not isinstance(max_nodes, int) or max_nodes < 1:
        raise ValueError(f"max_nodes must be a whole number of at least 1, not {quoted(max_nodes)}")
    names = _names(names or {})
    if to is None:
        drawn: list[Any] = []
        more = 0
        for node in _breadth_first(root):
            if len(drawn) < max_nodes:
                drawn.append(node)
            else:
                more += 1
        caption = f"{len(drawn):,} Values of {len(drawn) + more:,}: … {more:,} more" if more else ""
        marked = {root: None}
    else:
        _check_value("to must be", to)
        marked, caption = _shortest_paths(root, to)
        beside = dict.fromkeys(operand for node in marked for operand in node._children if operand not in marked)
        drawn = [*marked, *list(beside)[: max(0, max_nodes - len(marked))]]
    boxes, edges = _content(drawn, names, marked)
    return Drawing(boxes, edges, caption, direction)


class Drawing:
    """A picture of a graph. dot: its text in Graphviz's language, DOT; num_nodes: how many Values are drawn.

    boxes, edges: see microgpt.display.layers.
    """

    def __init__(self, boxes: dict[str, Any], edges: list[Any], caption: str, direction: str) -> None:
        self.boxes, self.edges, self.caption, self.direction = boxes, edges, caption, direction
        self.dot, self.num_nodes = _dot(boxes, edges, caption, direction), len(boxes)

    def svg(self) -> str:
        """The picture as SVG text: by Graphviz, or where that is not installed a plainer one, of at most MAX_NODES Values."""
        import shutil

        if self.num_nodes <= MAX_NODES and shutil.which("dot") is None:
            from microgpt.display import layers

            return layers.svg(self.boxes, self.edges, self.caption, self.direction)
        return self._run("svg").decode("utf-8")

    def save(self, path: str | PathLike[str]) -> None:
        """Write the graph as .dot, .svg or .png, whichever `path` ends in: the whole file or none."""
        import os

        from microgpt.common.files import write_atomically

        suffix = os.path.splitext(os.fspath(path))[1]
        if suffix not in (".dot", ".svg", ".png"):
            raise ValueError(f"a graph is saved as .dot, .svg or .png, which the path must end in, not in {quoted(suffix)}")
        forms = {".dot": lambda: self.dot.encode("utf-8"), ".svg": lambda: self.svg().encode("utf-8"), ".png": lambda: self._run("png")}
        write_atomically(path, forms[suffix]())

    def _run(self, form: str) -> bytes:
        import shutil
        import subprocess

        program = shutil.which("dot")
        if program is None:
            raise FileNotFoundError(MISSING)
        done = subprocess.run([program, f"-T{form}"], input=self.dot.encode("utf-8"), capture_output=True)
        if done.returncode:
            raise RuntimeError(f"Graphviz could not draw the graph: {done.stderr.decode('utf-8', 'replace').strip()}")
        return done.stdout

    def _repr_mimebundle_(self, include=None, exclude=None):
        try:
            return {"image/svg+xml": self.svg(), "text/plain": repr(self)}
        except (OSError, RuntimeError) as error:
            return {"text/plain": f"{self!r}\n{error}:\n\n{self.dot}"}

    def __repr__(self):
        return f"<Drawing of {self.num_nodes:,} Values>"


# ---- Which Values ----------------------------------------------------------------------------------------------------


def _breadth_first(root):
    """Root and all Values it was computed from, those nearest to the root first."""
    seen, level = {root}, [root]
    while level:
        yield from level
        below = dict.fromkeys(child for node in level for child in node._children if child not in seen)
        seen.update(below)
        level = list(below)


def _shortest_paths(root, to):
    """(a dict whose keys are the Values on the shortest paths from root to `to`, nearest first; a caption for them)"""
    above, level = {root: []}, [root]  # above: Value -> the Values one level up that have it as an operand
    while level and to not in above:
        found = {}
        for node in level:
            for child in node._children:
                if child not in above:
                    found.setdefault(child, []).append(node)
        above |= found
        level = list(found)
    if to not in above:
        raise ValueError("there is no path: the root was not computed from the Value `to`; choose one that it was")
    levels = [[to]]
    while levels[-1] != [root]:
        levels.append(list(dict.fromkeys(parent for node in levels[-1] for parent in above[node])))
    levels.reverse()
    (number, share), edges = _share(levels), len(levels) - 1
    caption = "shortest path" if number == 1 else f"{number:,} shortest paths"
    caption += f" of {edges:,} {'edge' if edges == 1 else 'edges'}; product of the local gradients: {_short(share)}"
    return dict.fromkeys(node for level in levels for node in level), caption


def _share(levels):
    """(number of paths through the levels; their share of d first / d last: the sum of their products)"""
    paths = {levels[0][0]: (1, 1)}
    for level in levels[1:]:
        below = dict.fromkeys(level, (0, 0))
        for node, (number, product) in paths.items():
            for child, local in zip(node._children, node._local_grads):
                if child in below:
                    below[child] = below[child][0] + number, below[child][1] + product * local
        paths = below
    return paths[levels[-1][0]]


# ---- What the boxes say ----------------------------------------------------------------------------------------------


def _names(given):
    """Value -> name, from name -> Value or nested lists of Values."""
    names, todo = {}, list(given.items())
    while todo:
        name, value = todo.pop()
        if isinstance(value, (list, tuple)):
            todo.extend((f"{name}[{i}]", item) for i, item in enumerate(value))
        else:
            _check_value(f"{quoted(name)} in names must be", value)
            names[value] = str(name)
    return names


def _check_value(what, value):
    if not all(hasattr(value, name) for name in ("data", "grad", "_children", "_local_grads")):
        raise TypeError(f"{what} a Value, not {type(value).__name__}")


def _operator(node):
    """The operator that made a Value; "f" if the numbers do not prove one, "" for a leaf."""
    operands = [child.data for child in node._children]
    if not operands:
        return ""
    made = node.data, tuple(node._local_grads)
    for symbol, compute in _OPERATORS.get(len(operands), ()):
        if _agrees(made, compute, operands):
            return symbol
    if len(operands) == 1:
        for k in _exponents(operands[0], *made):
            if _agrees(made, lambda a: (a**k, (k * a ** (k - 1),)), operands):
                return f"** {_short(k)}"
    return "f"


_OPERATORS = {  # number of operands -> (symbol, function from the operands' data to (data, local gradients)) of each
    1: (
        ("relu", lambda a: (max(0, a), (float(a > 0),))),
        ("exp", lambda a: (math.exp(a), (math.exp(a),))),
        ("log", lambda a: (math.log(a), (1 / a,))),
    ),
    2: (
        ("+", lambda a, b: (a + b, (1, 1))),
        ("×", lambda a, b: (a * b, (b, a))),
    ),
}


def _agrees(made, compute, operands):
    try:
        data, local_grads = compute(*operands)
    except (ArithmeticError, ValueError, TypeError):
        return False
    return _same(made[0], data) and len(made[1]) == len(local_grads) and all(map(_same, made[1], local_grads))


def _same(x, y):
    return type(x) is type(y) and (x == y or (x != x and y != y))


def _exponents(a, data, local_grads):
    """Candidates for k in data = a**k, local_grads = (k * a**(k - 1),)."""
    try:
        k = local_grads[0] * a / data
        rounded = float(f"{k:.12g}")
        if abs(rounded) > 1000:  # a power of ints may take forever
            return []
        return [int(rounded), rounded, k] if rounded.is_integer() else [rounded, k]
    except (ArithmeticError, ValueError, TypeError, IndexError):
        return []


def _content(drawn, names, marked):
    """(boxes, edges) of these Values, as microgpt.display.layers takes them."""
    ids, boxes, edges = {node: f"n{i}" for i, node in enumerate(drawn)}, {}, []
    for node, name in ids.items():
        title = ": ".join(filter(None, (names.get(node), _operator(node))))
        missing = sum(child not in ids for child in node._children)
        text = [title, f"data {_short(node.data)}", f"grad {_short(node.grad)}", missing and f"… {missing:,} more"]
        color = "lightgoldenrod1" if node in marked else "lightblue" if node in names else "white"
        exact = f"data {_long(node.data)}, grad {_long(node.grad)}"
        boxes[name] = [_printable(line) for line in text if line], _printable(exact), color, bool(missing)
        local_grads = [_short(local) for local in node._local_grads]
        for i, child in enumerate(node._children):
            if child in ids:
                label = _printable(local_grads[i]) if i < len(local_grads) else ""
                edges.append((ids[child], name, label, node in marked and child in marked))
    return boxes, edges


def _printable(text):
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# ---- DOT -------------------------------------------------------------------------------------------------------------


def _dot(boxes, edges, caption, direction):
    lines = [
        "digraph {",
        f'  graph [rankdir={direction}, label="{_escaped(caption)}", fontname="sans-serif"]',
        '  node [shape=box, style="rounded,filled", fillcolor=white, fontname="sans-serif", fontsize=11]',
        '  edge [fontname="sans-serif", fontsize=9, color=gray40]',
    ]
    for name, (text, exact, color, dashed) in boxes.items():
        label = r"\n".join(map(_escaped, text))
        style = "rounded,filled,dashed" if dashed else "rounded,filled"
        lines.append(f'  {name} [label="{label}", tooltip="{_escaped(exact)}", style="{style}", fillcolor={color}]')
    for start, end, label, bold in edges:
        lines.append(f'  {start} -> {end} [label="{_escaped(label)}"{", penwidth=2" if bold else ""}]')
    return "\n".join([*lines, "}"]) + "\n"


def _escaped(text):
    """Text for a quoted label, in which DOT interprets backslashes and HTML entities."""
    return text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def _short(number):
    """A number with four significant digits; anything else by the name of its type."""
    try:
        return f"{number:.4g}"
    except (TypeError, ValueError, OverflowError):
        return type(number).__name__


def _long(number):
    return repr(number) if type(number) is float else _short(number)
