"""microgpt sweep: try many settings, on all processes and machines that join the study, and report the best."""

import argparse
import re
import sys

from microgpt.cli import places
from microgpt.cli.commands import Failure, Usage, add_reading, characters, data_notes, duration, for_output, load, whole
from microgpt.cli.options import (
    EVALUATION,
    FLAGS,
    MODEL,
    TRAINING,
    add,
    add_preset,
    as_words,
    complete,
    described,
    engine_notes,
    in_options,
    settings,
    threads_of,
)
from microgpt.cli.output import as_command
from microgpt.cli.trials import display
from microgpt.common.extras import require
from microgpt.common.saying import say
from microgpt.common.words import counted, quoted_path, shortened
from microgpt.corpus.documents import LONG_DOCS
from microgpt.corpus.loading import file_of
from microgpt.display import plot
from microgpt.engines import ENGINE, THREADS
from microgpt.lab import picture
from microgpt.lab import space as spaces
from microgpt.lab.sweep import HELD_OUT, SAMPLERS, TRIALS, WORKERS, sweep
from microgpt.training import SEED

DESCRIPTION = (
    "Train with many settings and compare their held-out losses. Any option of the model, the training and the held-out loss may be a "
    "range, such as --learning-rate 1e-4..1e-1 (logarithmic if its end is at least 10 times its beginning), or a list, such as --n-embd "
    "16,32,64. The same command, on any machine with access to the study, joins it, or continues it after an interruption."
)


def configure(parser):
    parser.add_argument("data", metavar="DATA", nargs="?", help="a text file, '-', 'names' or 'shakespeare', as for train")
    group = parser.add_argument_group("the study")
    group.add_argument(
        "--study", type=characters, metavar="FILE",
        help="where the trials are kept: a file, the URL of a database, or redis://HOST:PORT (default: nowhere, only in this command)",
    )  # fmt: skip
    group.add_argument(
        "--trials",
        type=whole,
        metavar="N",
        help=f"{TRIALS.text} (default: {TRIALS.default}; every combination of a grid; no limit with --time)",
    )
    group.add_argument("--time", type=duration, metavar="TIME", help="time after which no trial begins: 90s, 10m, 1h (default: no limit)")
    group.add_argument(
        "--sampler", choices=SAMPLERS, default="tpe",
        help="how settings are chosen: tpe learns from the trials so far, random does not, grid tries every combination (default: tpe)",
    )  # fmt: skip
    group.add_argument("--workers", type=whole, metavar="N", default=WORKERS.default, help=f"{WORKERS.text} (default: 1)")
    group.add_argument(
        "--plot", metavar="FILE",
        help=f"at the end, draw each setting against the held-out loss, with matplotlib: {', '.join(plot.FORMATS)} (default: no picture)",
    )  # fmt: skip
    group.add_argument("--force", action="store_true", help=places.FORCE)
    group = parser.add_argument_group("every run")
    add_preset(group)
    add(group, [SEED, ENGINE, THREADS, LONG_DOCS])
    add_reading(parser.add_argument_group("the data"), "DATA and --val")
    model = parser.add_argument_group("the model: for each option a value, a range or a list")
    _add_varied(model, MODEL)
    _add_varied(parser.add_argument_group("the training (Adam), likewise"), TRAINING)
    measured = parser.add_argument_group("the held-out loss, likewise")
    _add_varied(measured, EVALUATION)
    measured.add_argument(
        "--val", metavar="FILE", help="measure on these documents, given like DATA, instead of holding some out (default: none)"
    )


def _add_varied(group, options):
    for option in options:
        if option.name not in spaces.OPTIONS:
            add(group, [option])
            continue
        action = group.add_argument(option.flags(), dest=option.name, metavar="VALUES", help=option.text)
        note = f"{HELD_OUT} without --val" if option.name == "val_fraction" else "; ".join(engine_notes(option)) or None
        action.describe = lambda option=option, note=note: described(option, note)


def run(arguments):
    if arguments.plot is not None:
        if not arguments.plot.endswith(plot.FORMATS):
            raise Usage(f"--plot must end in {', '.join(plot.FORMATS)}, which determines its format; not {quoted_path(arguments.plot)}")
        try:
            require("matplotlib", "--plot", "plot")  # before the sweep, not hours later
        except ImportError as error:
            raise Failure(error) from None
        read = [("the study", arguments.study), ("the training data", file_of(arguments.data)), ("the file of --val", arguments.val)]
        places.check("--plot", arguments.plot, "a picture of microgpt plot", plot.is_plot, arguments.force, read)
    complete(arguments)
    base = argparse.Namespace(**{name: None if name in spaces.OPTIONS else value for name, value in vars(arguments).items()})
    base.resume = base.init = None
    texts = {name: value for name in spaces.OPTIONS if (value := getattr(arguments, name)) is not None}
    try:
        space = {name: spaces.parse(spaces.OPTIONS[name], text) for name, text in texts.items()}
        trials = arguments.trials if arguments.trials is None else TRIALS.check(arguments.trials)
        workers = WORKERS.check(arguments.workers)
        seed = SEED.default if arguments.seed is None else SEED.check(arguments.seed)
    except ValueError as error:
        raise Usage(_in_options(error)) from None
    val = arguments.val is not None
    config, training, evaluation, _ = settings(base)
    if arguments.data == arguments.val == "-":
        raise Usage("standard input can be read only once; give a file for DATA or to --val")
    docs = load(arguments.data, config.documents, arguments)
    val_docs = load(arguments.val, config.documents, arguments) if val else None
    try:
        with data_notes(), display(sys.stdout, spaces.varied(space), arguments.time, _in_options) as showing:
            study = sweep(
                docs, space, config, training, evaluation=evaluation, val_docs=val_docs, seed=seed, engine=arguments.engine,
                threads=threads_of(arguments), long_docs=arguments.long_docs, study=arguments.study, trials=trials, seconds=arguments.time,
                sampler=arguments.sampler, workers=workers, callback=showing.tell, progress=showing.look,
            )  # fmt: skip
    except KeyboardInterrupt:
        if arguments.study:
            say("the study is kept; the same command continues it")
        raise
    except (ValueError, ImportError, RuntimeError) as error:
        raise Failure(_in_options(error)) from None
    _conclude(study, arguments, (config, training, evaluation))


def _in_options(error):
    return shortened(re.sub("^(trials|workers)(?= must)", r"--\1", in_options(error)), 360)


def _conclude(study, arguments, base):
    ended = [trial for trial in study.trials if trial.state != "running"]
    pruned = sum(trial.state == "pruned" for trial in ended)
    print(f"\n{counted(len(ended), 'trial')}, {pruned} of them pruned")
    try:
        best = study.best
    except ValueError as error:
        raise Failure(_in_options(error)) from None
    print(f"best: trial {best.number}, held-out loss {best.loss:.4f}")
    if arguments.plot:
        picture.draw(study, arguments.plot)
        print(f"plot: {for_output(arguments.plot)}")
    importance = study.importance()
    if importance:
        print("importance: " + ", ".join(f"{FLAGS[name]} {share:.0%}" for name, share in importance.items()))
    print(f"repeat the best run with:\n{as_command(_command(study.settings(best), arguments, base))}")


def _command(found, arguments, base):
    """The words of the `microgpt train` command for the run with the settings `found`: a GPTConfig, a TrainConfig and an EvalConfig.

    base: the settings of `microgpt train` with only those options of `arguments` that are not settings.
    """
    words = ["microgpt", "train", *([] if arguments.data is None else [arguments.data])]
    for name in ("preset", "documents", "engine", "seed", "threads", "long_docs", "column", "val"):
        value = getattr(arguments, name)
        if value is not None:
            words += as_words(f"--{name.replace('_', '-')}", value)
    if arguments.encoding != "utf-8":
        words += as_words("--encoding", arguments.encoding)
    for part, usual in zip(found, base):
        for name, value in vars(part).items():
            if value != getattr(usual, name):
                words += as_words(spaces.OPTIONS[name].flags(), value)
    return words
