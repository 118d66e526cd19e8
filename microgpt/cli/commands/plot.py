"""microgpt plot: draw the losses of runs in one picture."""

import os
import re

from microgpt.cli import places
from microgpt.cli.commands import Failure, Usage, characters, for_output
from microgpt.common.words import counted, printable, quoted_path, sized
from microgpt.display import history, plot

DESCRIPTION = (
    "Draw the losses of one or more runs in one picture: of single steps, smoothed, and held-out. LOG is a file written by microgpt train "
    "--log or --out. Logs of train --seeds are drawn as one curve, the mean of the seeds, with a band of one standard deviation. Needs "
    "matplotlib: pip install 'microgpt-cython[plot]'"
)
SEED = re.compile(r"-seed--?\d+(\.\w+)$")  # in the names of files written by train --seeds
LONGEST_NAME = 40  # in the legend


def configure(parser):
    parser.add_argument("logs", metavar="LOG", nargs="+", help="a log (.csv or .jsonl) or a saved run")
    parser.add_argument("-o", "--out", metavar="FILE", required=True, help=f"the picture: {', '.join(plot.FORMATS)}")
    parser.add_argument(
        "--label", type=characters, metavar="NAME", action="append",
        help="name of a curve in the legend; once for each curve, in the order of the logs (default: the names of the logs)",
    )  # fmt: skip
    parser.add_argument("--x", choices=plot.UNITS, default="step", help="the horizontal axis (default: step)")
    parser.add_argument("--log-x", action="store_true", help="make the horizontal axis logarithmic (default: not)")
    parser.add_argument("--log-y", action="store_true", help="make the vertical axis logarithmic (default: not)")
    parser.add_argument("--force", action="store_true", help=places.FORCE)


def run(arguments):
    logs, out = arguments.logs, arguments.out
    if not out.endswith(plot.FORMATS):
        raise Usage(f"--out must end in {', '.join(plot.FORMATS)}, which determines its format; not {quoted_path(out)}")
    for i, log in enumerate(logs):
        if any(places.same(log, other) for other in logs[:i]):
            raise Usage(f"{quoted_path(log)} is given twice")
    places.check("--out", out, "a picture of microgpt plot", plot.is_plot, arguments.force, [("one of the logs", log) for log in logs])
    curves = curves_of(logs)
    if arguments.label is not None:
        if len(arguments.label) != len(curves) or len(set(arguments.label)) < len(curves):
            raise Usage(
                f"--label must be given once for each of {counted(len(curves), 'curve')}, in their order; it was given "
                f"{len(arguments.label)} times"
            )
        curves = dict(zip(arguments.label, curves.values()))
    try:
        histories = {name: [history.read(log) for log in found] for name, found in curves.items()}
        plot.plot(histories, out, arguments.x, arguments.log_x, arguments.log_y)
    except (ValueError, ImportError) as error:
        raise Failure(error) from None
    print(f"{for_output(out)}: {counted(len(logs), 'run')}, {sized(os.path.getsize(out))}")


def curves_of(logs):
    """Name in the legend -> the logs of one curve: one log, or those of several seeds of the same training, see microgpt.cli.repeats."""
    found = {}
    for log in logs:
        found.setdefault(SEED.sub(r"\1", log), []).append(log)
    alone = [common if len(group) > 1 else group[0] for common, group in found.items()]
    ends = [f", {len(group)} seeds" if len(group) > 1 else "" for group in found.values()]
    return {name + end: group for name, end, group in zip(short_names(alone), ends, found.values())}


def short_names(paths):
    """Names for a legend: each path with as many folders as make the names unique, and with its ending if needed."""
    parts = [os.path.abspath(path).split(os.sep) for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        for ends in (lambda name: os.path.splitext(name)[0], lambda name: name):
            names = [ends(os.sep.join(path[-depth:])) for path in parts]
            if len(set(map(_printable, names))) == len(names):
                return [_printable(name) for name in names]
    return [f"{i}: {_printable(name)}" for i, name in enumerate(names, 1)]  # the names differ only in bytes that cannot be shown


def _printable(name):
    """A name without invalid characters, and shortened in the middle if it is long."""
    name = printable(os.fsencode(name).decode("utf-8", "replace"))
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"
