"""The losses of runs as a picture, drawn by matplotlib (optional; it brings NumPy)."""

import io
import os
import warnings

from microgpt.common.extras import require
from microgpt.common.files import write_atomically
from microgpt.common.words import quoted_path
from microgpt.display.history import History
from microgpt.verdict import SMOOTHED_STEPS

FORMATS = (".png", ".svg", ".pdf")
METADATA = {  # without the time; and with what tells that the file is ours
    ".png": {"Software": "microgpt"},
    ".svg": {"Creator": "microgpt", "Date": None},
    ".pdf": {"Creator": "microgpt", "CreationDate": None},
}
MARKS = b"Software\0microgpt", b"<dc:title>microgpt</dc:title>", b"/Creator (microgpt)"
SIZE = 8, 5  # inches
DPI = 150
MOST_POINTS = 1000  # of a curve: about the picture's width in pixels; longer curves are thinned
MOST_DOTS = 3000  # for single steps, over all runs; more would merge into a grey block
MOST_INSIDE = 8  # runs in a legend inside the axes; a longer legend would cover the curves and stands beside them
STYLES = {  # legend entry of each kind of curve: how it is drawn
    "losses of single steps": dict(linestyle="", marker="o", markeredgewidth=0, alpha=0.25),
    "mean of the last {} steps": dict(linewidth=1.6),
    "held-out loss": dict(linewidth=1, linestyle="--", marker="o", markersize=5, markeredgecolor="white"),
}


def plot(histories, path):
    """Draw runs to the file `path` (.png, .svg or .pdf), whole or not at all; the same runs give the same bytes.

    histories: name -> microgpt.display.history.History; the names label the legend. A run is drawn as faint dots for
    its losses, a line for their running mean and, if documents were held out, a dashed line with points for the
    held-out losses. Raises ImportError without matplotlib, OSError if the file cannot be written, and ValueError if
    `path` has another ending or there are no histories.
    """
    require("matplotlib", "a plot", "plot")
    import matplotlib.style
    from matplotlib.figure import Figure

    path = os.fsdecode(path)
    kind = os.path.splitext(path)[1]
    if kind not in FORMATS:
        raise ValueError(f"a plot's name must end in {', '.join(FORMATS)}, which says how to write it; not {quoted_path(path)}")
    if not histories:
        raise ValueError("there is nothing to plot: give at least one run")
    image = io.BytesIO()
    # matplotlib's defaults, whatever the user's settings; a fixed salt, so that ids in an SVG are not random
    with matplotlib.style.context(["default", {"svg.hashsalt": "microgpt"}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # letters missing from all fonts become boxes
        figure = Figure(SIZE, DPI, layout="constrained")
        _draw(figure, histories)
        figure.savefig(image, format=kind[1:], metadata=METADATA[kind])
    try:
        write_atomically(path, image.getvalue())
    except OSError as error:
        raise OSError(f"{quoted_path(path)} cannot be written: {error.strerror or error}") from error


def of_run(run):
    """A figure of the losses of a Run, which a notebook shows. ImportError without matplotlib, ValueError where no step was done."""
    require("matplotlib", "a plot", "plot")
    import matplotlib.figure
    import matplotlib.style

    if not run.losses:
        raise ValueError("there is nothing to plot: the run has done no step yet")

    class Figure(matplotlib.figure.Figure):
        def _repr_png_(self):  # a figure without pyplot has none
            image = io.BytesIO()
            self.savefig(image, format="png", metadata=METADATA[".png"])
            return image.getvalue(), {"width": SIZE[0] * DPI // 2, "height": SIZE[1] * DPI // 2}

    with matplotlib.style.context("default"):
        figure = Figure(SIZE, DPI, layout="constrained")
        _draw(figure, {"": History(range(1, len(run.losses) + 1), run.losses, run.val_losses)})
    return figure


def is_plot(path):
    """Whether `plot` wrote this file. Raises OSError if it cannot be read."""
    with open(path, "rb") as file:
        contents = file.read()
    return any(mark in contents for mark in MARKS)


def _draw(figure, histories):
    import numpy as np
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes = figure.add_subplot()
    longest = max(len(history.steps) for history in histories.values())
    window = max(SMOOTHED_STEPS, longest // 100)
    dots, line, points = STYLES.values()
    seen = []  # what the vertical axis must show; single steps scatter so widely that they would flatten the rest
    for colour, history in zip(_colours(len(histories)), histories.values()):
        steps, losses = np.array(history.steps), np.array(history.losses)
        means = running_mean(losses, window)
        some = _thinned(len(steps), MOST_DOTS // len(histories))
        axes.plot(steps[some], losses[some], color=colour, markersize=2 if longest > 300 else 4, **dots)
        some = _thinned(len(steps), MOST_POINTS)
        axes.plot(steps[some], means[some], color=colour, zorder=3, **line)
        seen.append(means[some])
        if history.val_losses:
            at, measured = np.array(history.val_losses).T
            axes.plot(at, measured, color=colour, zorder=4, markevery=max(1, len(at) // 40), **points)
            seen.append(measured)
    seen = np.concatenate(seen)
    seen = seen[np.isfinite(seen)]
    if len(seen):
        margin = 0.15 * (seen.max() - seen.min()) or 0.1
        axes.set_ylim(seen.min() - margin, seen.max() + margin)
    axes.set_xlim(0, 1.01 * max(history.steps[-1] for history in histories.values()))
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats a token)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(figure, axes, histories, window)


def _legend(figure, axes, histories, window):
    """Add a legend: the colour of each run, unless there is only one, and the meaning of each style of line."""
    from matplotlib.lines import Line2D

    colours, several = _colours(len(histories)), len(histories) > 1
    entries = [(name, Line2D([], [], color=colour, linewidth=3)) for name, colour in zip(histories, colours)] * several
    for what, style in STYLES.items():
        if "alpha" in style:  # a single faint dot would be invisible
            style = {**style, "alpha": 0.6, "markersize": 4}
        if "held-out" not in what or any(history.val_losses for history in histories.values()):
            line = Line2D([], [], color="0.4" if several else colours[0], **style)
            entries.append((what.format(f"{window:,}"), line))
    names, lines = zip(*entries)
    options = dict(fontsize="small", framealpha=0.8, edgecolor="none")
    if len(histories) > MOST_INSIDE:
        legend = figure.legend(lines, names, loc="outside right upper", **options)
    else:
        legend = axes.legend(lines, names, loc="upper right", **options)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a dollar sign in a file's name does not start a formula
    if not several:
        axes.set_title(*histories, fontsize="medium", parse_math=False)


def _colours(count):
    import matplotlib

    if count <= 10:
        return matplotlib.colormaps["tab10"].colors[:count]
    return matplotlib.colormaps["viridis"]([0.92 * i / (count - 1) for i in range(count)])  # the rest is too pale


def running_mean(numbers, window):
    """For each number of an array, the mean of the last `window` numbers, or of all so far; omits those not finite."""
    import numpy as np

    known = np.isfinite(numbers)
    sums = np.concatenate([[0], np.cumsum(np.where(known, numbers, 0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    ends = np.arange(1, len(numbers) + 1)
    starts = np.maximum(0, ends - window)
    with np.errstate(invalid="ignore"):
        return (sums[ends] - sums[starts]) / (counts[ends] - counts[starts])


def _thinned(length, most):
    """A slice that takes about `most` evenly spaced places of an array, the last one included."""
    every = max(1, round(length / max(1, most)))
    return slice((length - 1) % every, None, every)
