"""A picture of a study, drawn by matplotlib: each setting that varies against the held-out loss."""

import math

from microgpt.common.options import shown
from microgpt.display import plot
from microgpt.lab import space as spaces

SIDE = 3.2  # inches, the side of the axes of a setting
COLUMNS = 3


def draw(study, path):
    """Write the picture of a Study to the file `path` by microgpt.display.plot.write. Raises ValueError if no trial is complete.

    Each point is a complete trial; the best one is marked. The title is the setting with its importance.
    """
    best, names = study.best, spaces.varied(study.space)
    names.sort(key=lambda name: -study.importance().get(name, 0.0))
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    plot.write(path, lambda figure: _draw(figure.subplots(rows, columns, sharey=True, squeeze=False), study, best, names), (
        columns * SIDE + 0.6, rows * SIDE
    ))  # fmt: skip


def _draw(grid, study, best, names):
    trials, importance = [trial for trial in study.trials if trial.state == "complete"], study.importance()
    losses = [trial.loss for trial in trials]
    for number, axes in enumerate(grid.flat):
        if number >= len(names):
            axes.remove()
            continue
        name = names[number]
        values, option = study.space[name], spaces.OPTIONS[name]
        place = _scale(axes, values)
        axes.plot([place(trial.settings[name]) for trial in trials], losses, "o", color="tab:blue", alpha=0.5, markeredgewidth=0)
        axes.plot([place(best.settings[name])], [best.loss], "o", color="tab:orange", markersize=8, label=f"trial {best.number}, the best")
        axes.set_xlabel(option.flags())
        if name in importance:
            axes.set_title(f"importance {importance[name]:.0%}", fontsize="medium")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for row in grid:
        row[0].set_ylabel("held-out loss (nats per token)")
    grid[0][0].legend(fontsize="small", framealpha=0.8, edgecolor="none")


def _scale(axes, values):
    """Prepare the horizontal axis for a Range or a Choice. Returns a function from a value to its place."""
    if isinstance(values, spaces.Range):
        if values.log:
            axes.set_xscale("log")
        return lambda value: value
    options = values.ends()
    axes.set_xticks(range(len(options)), [shown(value) for value in options])
    axes.set_xlim(-0.5, len(options) - 0.5)
    return options.index
