"""How a notebook shows a Run, a GPT and a Value: small HTML tables and SVG pictures, in the notebook's own colours.

They show the facts of `repr`, and nothing that changes when a notebook runs again, such as seconds.
"""

import math
from html import escape

from microgpt.common.options import in_brief
from microgpt.common.words import counted, shortened
from microgpt.config import SIZES
from microgpt.display import explore, layers
from microgpt.display.drawing import draw
from microgpt.verdict import SMOOTHED_STEPS, smoothed

WIDTH, HEIGHT, MARGIN = 360, 90, 6  # pixels, for the curve
MOST_POINTS = 120  # of the curve; few, because a notebook stores what it shows
MOST_BOXES = 40  # in the graph of a Value


def of_model(model):
    """HTML for a GPT."""
    return _table(_figures(model))


def of_run(run):
    """HTML for a Run: its steps and losses, its model, and the curve of its losses."""
    losses, vocab_size = run.losses, run.model.tokenizer.vocab_size
    rows = {"steps": f"{len(losses):,} of {run.training.num_steps:,}{', stopped early' if run.stopped_early else ''}"}
    if losses:
        mean = counted(min(SMOOTHED_STEPS, len(losses)), "step")
        rows["loss"] = (
            f"{smoothed(losses):.4f}, the mean of the last {mean}; guessing at random among {vocab_size} tokens has "
            f"{math.log(vocab_size):.4f}"
        )
    if run.val_losses:
        step, loss = run.best
        rows["held-out loss"] = f"{run.val_losses[-1][1]:.4f}, the best {loss:.4f} after step {step:,}"
    what = "window" if run.model.config.documents == "text" else "document"
    rows["data"] = f"{counted(len(run.corpus), what)} to train on" + (f", {len(run.held_out):,} held out" if run.held_out else "")
    rows["seed"] = str(run.seed)
    return f"<div>{_table({**rows, **_figures(run.model)})}{curve(losses, run.val_losses)}</div>"


def of_value(value):
    """SVG of the graph of a Value, or of the part nearest to it; None if it was not computed from others."""
    if not value._children:
        return None
    drawing = draw(value, max_nodes=MOST_BOXES)
    return layers.svg(drawing.boxes, drawing.edges, drawing.caption, drawing.direction)


def curve(losses, val_losses=()):
    """SVG of the smoothed losses of a run, over a band that contains most of the individual losses, with held-out losses as dots. "" if
    there is nothing to draw: no loss, or one that is not a number.
    """
    try:
        points = explore.curve(losses, val_losses, most=MOST_POINTS)
    except ValueError:
        return ""
    if points is None or len(points["steps"]) < 2:
        return ""
    steps, means, held_out = points["steps"], points["smoothed"], [pair for pair in points["held_out"] if pair[1] is not None]
    shown = [*points["low"], *points["high"], *(loss for _, loss in held_out)]
    low, high = min(shown), max(shown)

    def at(step, loss):
        x = MARGIN + (WIDTH - 2 * MARGIN) * step / steps[-1]
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * ((loss - low) / ((high - low) or 1))
        return f"{x:.1f},{y:.1f}"

    line = " ".join(map(at, steps, means))
    band = " ".join([*map(at, steps, points["high"]), *reversed([*map(at, steps, points["low"])])])
    dots = "".join('<circle cx="{}" cy="{}" r="2.5"/>'.format(*at(*pair).split(",")) for pair in held_out)
    said = f"Loss of {steps[-1]:,} steps, smoothed: from {means[0]:.4f} to {means[-1]:.4f}, between {low:.2f} and {high:.2f}"
    said += f"; dots: the held-out loss, at the end {held_out[-1][1]:.4f}" if held_out else ""
    return (
        f'<svg role="img" aria-label="{escape(said)}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'style="max-width:100%" fill="currentColor"><title>{escape(said)}</title>'
        f'<polygon points="{band}" opacity="0.2"/>'
        f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="1.5"/>{dots}</svg>'
    )


def _figures(model):
    """Name -> text, for a table."""
    config, tokenizer = model.config, model.tokenizer
    return {
        "model": in_brief(config, SIZES),
        "parameters": f"{model.num_params:,}",
        "characters": f"{counted(len(tokenizer.chars), 'character')}: {shortened(''.join(tokenizer.chars))}",
        "engine": model.engine.name,
    }


def _table(rows):
    cells = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(text)}</td></tr>'
        for name, text in rows.items()
    )
    return f"<table>{cells}</table>"
