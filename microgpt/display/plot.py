"""The losses of runs as a picture, drawn by matplotlib (optional; it brings NumPy)."""

import io
import math
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
UNITS = {"step": "step", "tokens": "tokens trained on", "seconds": "seconds of training"}  # of the horizontal axis
MOST_INSIDE = 8  # runs in a legend inside the axes; a longer legend would cover the curves and is placed beside them
STYLES = {  # legend entry of each kind of curve: how it is drawn
    "losses of single steps": dict(linestyle="", marker="o", markeredgewidth=0, alpha=0.25),
    "mean of the last {} steps": dict(linewidth=1.6),
    "held-out loss": dict(linewidth=1, linestyle="--", marker="o", markersize=5, markeredgecolor="white"),
}


def plot(histories, path, x="step", log_x=False, log_y=False):
    """Draw runs to the file `path` (.png, .svg or .pdf), whole or not at all; the same runs give the same bytes.

    histories: name -> microgpt.display.history.History, or a list of those of several seeds; the names label the legend. A run is drawn
    as faint dots for its losses, a line for their running mean and, if documents were held out, a dashed line with points for the held-out
    losses; several seeds as the means of these, each in a band of one standard deviation (with n - 1) to both sides. x: "step", "tokens"
    or "seconds"; log_x, log_y: whether an axis is logarithmic.

    Raises ImportError without matplotlib, OSError if the file cannot be written, and ValueError if `path` has another ending, there are
    no histories, or one lacks x.
    """
    if not histories:
        raise ValueError("there is nothing to plot; give at least one run")
    write(path, lambda figure: _draw(figure, histories, x, log_x, log_y))


def write(path, draw, size=SIZE):
    """The picture that draw(figure) makes, as a file: whole or not at all, and with equal bytes for equal pictures. size: in inches.

    Raises ImportError without matplotlib, OSError if it cannot be written, and ValueError if `path` has another ending than FORMATS.
    """
    require("matplotlib", "a plot", "plot")
    import matplotlib.style
    from matplotlib.figure import Figure

    path = os.fsdecode(path)
    kind = os.path.splitext(path)[1]
    if kind not in FORMATS:
        raise ValueError(f"a plot's name must end in {', '.join(FORMATS)}, which determines its format; not {quoted_path(path)}")
    image = io.BytesIO()
    # matplotlib's defaults, whatever the user's settings; a fixed salt, so that ids in an SVG are not random
    with matplotlib.style.context(["default", {"svg.hashsalt": "microgpt"}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # letters missing from all fonts become boxes
        figure = Figure(size, DPI, layout="constrained")
        draw(figure)
        figure.savefig(image, format=kind[1:], metadata=METADATA[kind])
    try:
        write_atomically(path, image.getvalue())
    except OSError as error:
        raise OSError(f"{quoted_path(path)} cannot be written: {error.strerror or error}") from error


def of_run(run):
    """A figure of the losses of a Run, which a notebook shows. Raises ImportError without matplotlib, ValueError if no step was done."""
    require("matplotlib", "a plot", "plot")
    import matplotlib.figure
    import matplotlib.style

    if not run.losses:
        raise ValueError("there is nothing to plot, because the run has done no step yet; train it first")

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


def _draw(figure, histories, x="step", log_x=False, log_y=False):
    import numpy as np
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes = figure.add_subplot()
    groups = [history if isinstance(history, list) else [history] for history in histories.values()]
    longest = max(len(history.steps) for group in groups for history in group)
    window = max(SMOOTHED_STEPS, longest // 100)
    dots, line, points = STYLES.values()
    seen = []  # what the vertical axis must show; single steps scatter so widely that they would flatten the rest
    for colour, group in zip(_colours(len(groups)), groups):
        curves, held_out = [], []
        for history in group:
            at, losses = _places(history, x), np.array(history.losses)
            curves.append((history.steps, at, running_mean(losses, window)))
            if history.val_losses:
                steps, measured = np.array(history.val_losses).T
                held_out.append((steps, at[np.searchsorted(history.steps, steps)], measured))
            if len(group) == 1:
                some = _thinned(len(at), MOST_DOTS // len(groups))
                axes.plot(at[some], losses[some], color=colour, markersize=2 if longest > 300 else 4, **dots)
        for runs, style in ((curves, line), (held_out, points)):
            if len(runs) == len(group):
                at, mean, sd = _together(runs)
                some = _log_thinned(len(at), MOST_POINTS) if log_x else _thinned(len(at), MOST_POINTS)
                more = {"markevery": max(1, len(at) // 40)} if style is points else {}
                axes.plot(at[some], mean[some], color=colour, zorder=3 + (style is points), **style, **more)
                seen.append(mean[some])
                if sd is not None:
                    axes.fill_between(at[some], (mean - sd)[some], (mean + sd)[some], color=colour, alpha=0.2, linewidth=0)
                    seen += [(mean - sd)[some], (mean + sd)[some]]
    seen = np.concatenate(seen)
    seen = seen[np.isfinite(seen) & ((seen > 0) | (not log_y))]
    if len(seen):
        margin = 0.15 * (seen.max() - seen.min()) or 0.1
        axes.set_ylim(max(seen.min() - margin, 0.9 * seen.min() if log_y else -math.inf), seen.max() + margin)
    last = max(_places(history, x)[-1] for group in groups for history in group)
    axes.set_xlabel(UNITS[x])
    axes.set_ylabel("loss (nats per token)")
    if log_x:
        axes.set_xscale("log")
        axes.set_xlim(right=1.05 * last)
    else:
        axes.set_xlim(0, 1.01 * last)
        axes.xaxis.set_major_locator(MaxNLocator(integer=x != "seconds", min_n_ticks=1))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}" if x != "seconds" else "{x:,g}"))
    if log_y:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(figure, axes, [*histories], groups, window)


def _places(history, x):
    """Where the steps of a History are on the horizontal axis: an array."""
    import numpy as np

    found = history.steps if x == "step" else getattr(history, x)
    if found is None:
        raise ValueError(f"a run has no {x}, as in saved runs and logs of version 0.1; give a log written by this version, or plot by step")
    return np.array(found)


def _together(runs):
    """One curve from several (steps, places, numbers): at the steps common to all, the mean place, and the mean and standard
    deviation (None for a single curve) of the numbers."""
    import numpy as np

    common = sorted(set.intersection(*(set(steps) for steps, _, _ in runs)))
    if not common:
        raise ValueError("the runs of a curve have no step in common; plot them as separate curves")
    rows = [np.searchsorted(steps, common) for steps, _, _ in runs]
    places, numbers = (np.array([run[part][row] for run, row in zip(runs, rows)]) for part in (1, 2))
    return places.mean(axis=0), numbers.mean(axis=0), numbers.std(axis=0, ddof=1) if len(runs) > 1 else None


def _legend(figure, axes, names, groups, window):
    """Add a legend for the curves of these names, each of a list of runs: the colour of each curve, unless there is only one, and the
    meaning of each style of line."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    colours, several = _colours(len(names)), len(names) > 1
    entries = [(name, Line2D([], [], color=colour, linewidth=3)) for name, colour in zip(names, colours)] * several
    bands = max(map(len, groups)) > 1
    for what, style in STYLES.items():
        if "single" in what and all(len(group) > 1 for group in groups):
            continue
        if "alpha" in style:  # a single faint dot would be invisible
            style = {**style, "alpha": 0.6, "markersize": 4}
        if "held-out" not in what or any(history.val_losses for group in groups for history in group):
            line = Line2D([], [], color="0.4" if several else colours[0], **style)
            entries.append((what.format(f"{window:,}"), line))
    if bands:
        entries.append(("± one standard deviation over the seeds", Patch(color="0.4" if several else colours[0], alpha=0.2, linewidth=0)))
    texts, lines = zip(*entries)
    options = dict(fontsize="small", framealpha=0.8, edgecolor="none")
    if len(names) > MOST_INSIDE:
        legend = figure.legend(lines, texts, loc="outside right upper", **options)
    else:
        legend = axes.legend(lines, texts, loc="upper right", **options)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a dollar sign in a file's name does not start a formula
    if not several:
        axes.set_title(*names, fontsize="medium", parse_math=False)


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


def _log_thinned(length, most):
    """Likewise for a logarithmic axis: its places, the first and the last included."""
    import numpy as np

    return np.unique(np.geomspace(1, length, most).round().astype(int)) - 1
