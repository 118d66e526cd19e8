"""The command line: `microgpt train` and `microgpt info`.

Exit codes: 0; 1 for a failure the message explains; 2 for wrong usage; 130 after Ctrl-C. Only an error of microgpt's
own shows a traceback. Modules that only some commands need are imported where they are used: start-up counts.
"""

import argparse
import os
import re
import sys
import warnings
from dataclasses import replace

from microgpt import __version__, engines, progress, sampling
from microgpt.config import ACTIVATIONS, PRESETS
from microgpt.data import DataError, DataWarning, load_docs
from microgpt.training import DivergenceError, start

INFERENCE = {  # what a revision prints above and in front of its samples
    "current": ("--- inference (new, hallucinated names) ---", "sample {:2d}: {}"),
    "first": ("--- inference ---", "sample {}: {}"),
}


class Failure(Exception):
    """A failure that its message explains."""


class Usage(Exception):
    """The command was called wrongly; the message says how to call it."""


def main(argv=None):
    """Run the command line `argv` (a list of strings; None: this process's own). Returns the exit code."""
    _prepare_streams()
    try:
        _run(argv)
        sys.stdout.flush()
        return 0
    except Usage as error:
        return _fail(error, 2)
    except BrokenPipeError:  # the reader has seen enough, as in `microgpt train | head`
        _settle_output()
        return 1
    except (Failure, DataError, DivergenceError) as error:
        return _fail(error, 1)
    except OSError as error:
        # load_docs' errors are sentences without an errno; one that names no file is standard output's (a full disk)
        where = error.filename or "the output cannot be written"
        return _fail(error if error.errno is None else f"{where}: {error.strerror}", 1)
    except MemoryError:
        return _fail("there is not enough memory; choose a smaller --n-embd or --n-layer, or less data", 1)
    except RecursionError:
        return _fail("this model's graph is too deep for Python's recursion; use --engine graph, which has none", 1)
    except KeyboardInterrupt as error:
        return _fail(error.args[0] if error.args else "interrupted", 130, kind="")


def _run(argv):
    try:
        arguments, unknown = _parser().parse_known_args(argv)
    except SystemExit:  # --help and --version have printed all there is to say
        return
    if unknown:
        arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    arguments.command(arguments)


# ---- microgpt train ---------------------------------------------------------------------------------------------


def _train(arguments):
    config, training, temperature = _settings(arguments)
    run = start(_load(arguments.data), config, training, seed=arguments.seed, engine=arguments.engine)
    print(f"num docs: {len(run.corpus)}")
    print(f"vocab size: {run.model.tokenizer.vocab_size}")
    print(f"num params: {run.model.num_params}", flush=True)
    try:
        with progress.display(run, sys.stdout) as shown:
            run.train(progress=shown.update)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted after step {len(run.losses)} of {training.num_steps}") from None
    if arguments.samples:
        _print_samples(run, arguments.samples, temperature, *INFERENCE[arguments.preset])


def _settings(arguments):
    """GPTConfig, TrainConfig and temperature: the preset's, with the fields that options replace."""
    config, training, temperature = PRESETS[arguments.preset]
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    try:
        config = replace(config, **{name: given[name] for name in vars(config) if name in given})
        training = replace(training, **{name: given[name] for name in vars(training) if name in given})
        temperature = given.get("temperature", temperature)
        sampling.check_options(temperature, None)
    except (ValueError, TypeError) as error:  # names fields, where the user knows options
        raise Usage(re.sub(r"\w+", lambda word: OPTIONS.get(word[0], word[0]), str(error))) from None
    return config, training, temperature


def _load(source):
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        warnings.showwarning = lambda message, *_: print(f"microgpt: {message}", file=sys.stderr)
        return load_docs(source)


def _print_samples(run, n, temperature, heading, line):
    import time

    print(f"\n{heading}")
    for i in range(1, n + 1):
        started = time.perf_counter()
        try:
            [text] = run.generate(1, temperature)
        except (ArithmeticError, ValueError) as error:  # the last step's weights are out of range
            raise Failure(
                f"no sample can be drawn: {error}; try a lower --learning-rate or a higher --temperature"
            ) from None
        print(line.format(i, text), flush=time.perf_counter() - started > 0.02)  # a slow one is seen when it is there


# ---- microgpt info ----------------------------------------------------------------------------------------------


def _info(arguments):
    import importlib
    import platform

    facts = {
        "microgpt": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform(),
    }
    available = []
    for name in engines.ENGINES:
        try:
            importlib.import_module(f"microgpt.engines.{name}")
            available.append(name)
        except ImportError:
            pass
    facts["engines"] = ", ".join(available)
    try:
        compiled = importlib.import_module("microgpt._exact").info()
    except ImportError:
        pass
    else:
        facts.update(compiled)
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:{width}}  {fact}")


# ---- Options ----------------------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one sentence."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, formatter_class=Help, **options)

    def error(self, message):
        raise Usage(f"{message.removeprefix('argument ')} (see {self.prog} --help)")


class Help(argparse.HelpFormatter):
    def __init__(self, prog):
        super().__init__(prog, max_help_position=30)


def _whole(text):
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None


def _count(text):
    number = _whole(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, not {number}")
    return number


def _number(text):
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None


FLAG = argparse.BooleanOptionalAction
MODEL = [  # option, what argparse must know of it, help
    ("--n-layer", dict(type=_whole, metavar="N"), "transformer blocks"),
    ("--n-embd", dict(type=_whole, metavar="N"), "width of the residual stream"),
    ("--n-head", dict(type=_whole, metavar="N"), "attention heads; must divide --n-embd"),
    ("--block-size", dict(type=_whole, metavar="N"), "longest context, in tokens; longer documents are cut"),
    ("--activation", dict(choices=ACTIVATIONS), "of the MLP: relu, or relu2 for relu squared"),
    ("--init-std", dict(type=_number, metavar="X"), "standard deviation of the initial weights"),
    ("--zero-init-out", dict(action=FLAG), "start attn_wo and mlp_fc2 at zero"),
    ("--bos-first", dict(action=FLAG), "make the document boundary token 0, not the last one"),
]
OPTIMIZER = [
    ("--steps", dict(type=_whole, metavar="N", dest="num_steps"), "training steps, one document each"),
    ("--learning-rate", dict(type=_number, metavar="X"), "at the first step; falls linearly to 0"),
    ("--beta1", dict(type=_number, metavar="X"), "decay of Adam's mean of the gradients"),
    ("--beta2", dict(type=_number, metavar="X"), "decay of Adam's mean of their squares"),
    ("--eps", dict(type=_number, metavar="X"), "keeps Adam's division finite"),
]
SAMPLING = [
    ("--temperature", dict(type=_number, metavar="X"), "below 1 likelier characters, above 1 rarer ones; 0: greedy"),
]
OPTIONS = {  # field -> option
    more.get("dest", option[2:].replace("-", "_")): option for option, more, _ in MODEL + OPTIMIZER + SAMPLING
}


def _parser():
    parser = Parser(prog="microgpt", description="Karpathy's microgpt, compiled: the same numbers to the last bit.")
    version = f"microgpt {__version__}"
    parser.add_argument("--version", action="version", version=version, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    text = "Train a new model on a text file, one document a line, and print documents that it makes up."
    train = commands.add_parser("train", help="train a model and print samples of it", description=text)
    train.set_defaults(command=_train, parser=train)
    train.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        help="a text file (UTF-8), '-' for standard input, or 'names' for the reference's list of names "
        "(default: input.txt in the current folder where there is one, else names)",
    )
    run = train.add_argument_group("the run")
    run.add_argument(
        "--preset",
        choices=PRESETS,
        default="current",
        help="the reference's revision that sets the defaults below (default: %(default)s)",
    )
    run.add_argument(
        "--seed", type=_whole, metavar="S", default=42, help="of all random numbers (default: %(default)s)"
    )
    run.add_argument(
        "--engine",
        choices=engines.ENGINES,
        default=engines.DEFAULT,
        help="what computes; the results are the same (default: %(default)s)",
    )
    _add(train.add_argument_group("the model"), MODEL)
    _add(train.add_argument_group("the optimizer (Adam)"), OPTIMIZER)
    samples = train.add_argument_group("the samples")
    samples.add_argument(
        "--samples", type=_count, metavar="N", default=20, help="how many to print (default: %(default)s)"
    )
    _add(samples, SAMPLING)

    text = "Say which version this is, on what it runs and what it was built with."
    info = commands.add_parser("info", help="version, platform, engines and build", description=text)
    info.set_defaults(command=_info, parser=info)
    return parser


def _add(group, options):
    """Options whose default is the preset's; the help shows it for each preset where they differ."""
    for option, more, text in options:
        field = more.get("dest", option[2:].replace("-", "_"))
        defaults = {}
        for name, (config, training, temperature) in PRESETS.items():
            defaults[name] = {**vars(config), **vars(training), "temperature": temperature}[field]
        if len(set(defaults.values())) == 1:
            shown = _show(defaults["current"])
        else:
            shown = ", ".join(f"{_show(value)} in {name}" for name, value in defaults.items())
        group.add_argument(option, help=f"{text} (default: {shown})", default=None, **more)


def _show(value):
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value}"


# ---- Streams ----------------------------------------------------------------------------------------------------


def _prepare_streams():
    """UTF-8 whatever the locale says, and lines that end as the reference's do. A closed stream takes and drops all."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")


def _fail(message, code, kind="error: "):
    _settle_output()
    print(f"microgpt: {kind}{message}", file=sys.stderr)
    return code


def _settle_output():
    """Flush standard output; where nobody takes it, drop it, or the interpreter would fail on it again as it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
