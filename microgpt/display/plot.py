"""The losses of runs as a picture, drawn by matplotlib, which brings NumPy."""

import io
import os
import warnings

from microgpt.common.files import write_atomically
from microgpt.display.history import SMOOTHED_STEPS

FORMATS = (".png", ".svg", ".pdf")
SIZE = 8, 5  # inches
DPI = 150
MOST_POINTS = 1000  # of a curve, about as many as the picture has columns; a longer curve is thinned
MOST_DOTS = 3000  # of single steps, all runs together; more would be a grey block
MOST_INSIDE = 8  # runs, whose names still leave room for curves; the legend of more stands beside them
STYLES = {  # what a curve is: how it is drawn
    "losses of single steps": dict(linestyle="", marker="o", markeredgewidth=0, alpha=0.25),
    "mean of the last {} steps": dict(linewidth=1.6),
    "held-out loss": dict(linewidth=1, linestyle="--", marker="o", markersize=5, markeredgecolor="white"),
}


def plot(histories, path):
    """Draw runs into the file `path`, a .png, .svg or .pdf: all of it or nothing, the same bytes for the same runs.

    histories: name -> microgpt.display.history.History; the names are the legend's. A run has its losses as faint dots, their
    running mean as a line and, where documents were held out, their losses as points on a dashed one. ImportError
    without matplotlib, OSError where the file cannot be written.
    """
    try:
        import matplotlib.style
        from matplotlib.figure import Figure
    except ImportError as error:
        remedy = "install it with: pip install 'microgpt-cython[plot]'"
        raise ImportError(f"a plot needs matplotlib ({error}); {remedy}") from None
    path = os.fsdecode(path)
    kind = os.path.splitext(path)[1]
    if kind not in FORMATS:
        raise ValueError(f"a plot's name must end in {', '.join(FORMATS)}, which says how to write it; not {path!r}")
    if not histories:
        raise ValueError("there is nothing to plot: give at least one run")
    image = io.BytesIO()
    # matplotlib's defaults, whatever the user's settings, and names within an SVG that are no random ones
    with matplotlib.style.context(["default", {"svg.hashsalt": "microgpt"}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a name's letters that no font has are boxes
        figure = Figure(SIZE, DPI, layout="constrained")
        _draw(figure, histories)
        undated = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        figure.savefig(image, format=kind[1:], metadata=undated[kind])
    try:
        write_atomically(path, image.getvalue())
    except OSError as error:
        raise OSError(f"{path!r} cannot be written: {error.strerror or error}") from error


def _draw(figure, histories):
    import numpy as np
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes = figure.add_subplot()
    longest = max(len(history.steps) for history in histories.values())
    window = max(SMOOTHED_STEPS, longest // 100)
    dots, line, points = STYLES.values()
    seen = []  # what the vertical axis has room for; single steps lie so far apart that nothing else would be seen
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
    """Says which colour is which run, and which line what; with a single run, only the latter."""
    from matplotlib.lines import Line2D

    colours, several = _colours(len(histories)), len(histories) > 1
    entries = [(name, Line2D([], [], color=colour, linewidth=3)) for name, colour in zip(histories, colours)] * several
    for what, style in STYLES.items():
        if "alpha" in style:  # one faint dot alone would not be seen
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
        text.set_parse_math(False)  # a dollar sign in a file's name is one
    if not several:
        axes.set_title(*histories, fontsize="medium", parse_math=False)


def _colours(count):
    import matplotlib

    if count <= 10:
        return matplotlib.colormaps["tab10"].colors[:count]
    return matplotlib.colormaps["viridis"]([0.92 * i / (count - 1) for i in range(count)])  # its end is pale on white


def running_mean(numbers, window):
    """At each of an array's numbers the mean of the last `window`, or of all so far. Those not finite are left out."""
    import numpy as np

    known = np.isfinite(numbers)
    sums = np.concatenate([[0], np.cumsum(np.where(known, numbers, 0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    ends = np.arange(1, len(numbers) + 1)
    starts = np.maximum(0, ends - window)
    with np.errstate(invalid="ignore"):
        return (sums[ends] - sums[starts]) / (counts[ends] - counts[starts])


def _thinned(length, most):
    """At most about `most` of the places in an array, evenly, the last one among them: a slice."""
    every = max(1, round(length / max(1, most)))
    return slice((length - 1) % every, None, every)
