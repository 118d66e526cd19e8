"""The command line: runs a command, and reports its errors as one sentence and an exit code.

Exit codes: 0; 1 for a failure that the message explains; 2 for wrong usage; 130 after Ctrl-C, 143 after SIGTERM and 129 after
SIGHUP. Only a bug in microgpt shows a traceback.
"""

import argparse
import errno
import importlib
import os
import re
import sys
import textwrap

from microgpt import __version__
from microgpt.cli.commands import COMMANDS, Failure, Stopped, Usage
from microgpt.common import interrupts
from microgpt.common.saying import say, settle
from microgpt.common.words import quoted, quoted_path, shortened
from microgpt.corpus.loading import DataError
from microgpt.engines import EngineError
from microgpt.storage.checkpoint import CheckpointError
from microgpt.training import DivergenceError

HAVE_A_MODEL = ("train", "inspect")  # the commands that have the options of SMALLER
SMALLER = "choose a smaller --n-embd, --n-layer, --block-size or --batch-size, or less data"


def main(argv=None):
    """Run the command line `argv` (a list of strings; None: that of this process). Returns the exit code."""
    if "_ARGCOMPLETE" in os.environ:  # the shell asks for completions
        import argcomplete

        argcomplete.autocomplete(_parser(os.environ["COMP_LINE"].split()))  # answers and ends the process
    argv = sys.argv[1:] if argv is None else list(argv)
    interrupts.received.clear()
    try:
        if argv[:1] == ["run"]:  # a script opens, flushes and closes its streams as it does under Python
            return _run(argv) or 0
        _prepare_streams()
        code = _run(argv)
        sys.stdout.flush()
        if interrupts.received:  # a Ctrl-C whose KeyboardInterrupt was swallowed
            raise KeyboardInterrupt
        return code or 0
    except Usage as error:
        return _fail(error, 2)
    except (Failure, DataError, DivergenceError, CheckpointError) as error:
        return _fail(error, 1)
    except EngineError as error:
        from microgpt.cli.options import in_options

        return _fail(in_options(error), 1)
    except OSError as error:
        if _is_broken_pipe(error):  # nothing reads the output any more, as in `microgpt train | head`
            settle(sys.stdout)
            return 1
        # errors of load_docs are sentences without an errno; an error without a file name is that of standard output (a full disk)
        where = "the output cannot be written" if error.filename is None else quoted_path(error.filename)
        return _fail(error if error.errno is None else f"{where}: {error.strerror}", 1)
    except MemoryError as error:
        from microgpt.cli.options import in_options

        smaller = f"; {SMALLER}" if argv[0] in HAVE_A_MODEL else ""
        return _fail(in_options(error) or f"there is not enough memory{smaller}", 1)
    except Stopped as error:
        return _fail(error, error.exit_code, kind="")
    except KeyboardInterrupt:
        return _fail("interrupted", 130, kind="")


def _run(argv):
    for argument in argv:
        _check(argument)
    rest = []
    if argv[:1] == ["run"]:
        from microgpt.cli.commands.run import split

        own, rest = split(argv[1:])
        argv = ["run", *own]
    try:
        arguments, unknown = _parser(argv).parse_known_args(argv)
    except SystemExit:  # after --help and --version
        return None
    if unknown:
        arguments.parser.refuse(unknown)
    arguments.script_arguments = rest
    interrupts.raise_from_now()
    return arguments.module.run(arguments)


def _check(argument):
    """Raise Usage for an argument that cannot be passed to a program or used as a file name."""
    try:
        if "\0" not in argument and os.fsencode(argument) is not None:
            return
    except UnicodeEncodeError:  # a surrogate: half of a character
        pass
    raise Usage(f"{quoted(argument)} is not a valid argument, because it contains a NUL or half of a character (see microgpt --help)")


def _parser(argv):
    parser = Parser(
        prog="microgpt",
        description="Karpathy's microgpt, compiled: the same numbers to the last bit, and for more speed an engine in float32.",
        epilog="microgpt COMMAND --help lists the options of a command.",
    )
    version = f"microgpt {__version__}"
    parser.add_argument("--version", action="version", version=version, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name in argv:  # import only the module of this command
            module = importlib.import_module(f"microgpt.cli.commands.{name}")
            command.description = module.DESCRIPTION
            command.set_defaults(module=module, parser=command, argv=list(argv))
            module.configure(command)
    return parser


QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""  # a string as written by repr


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one sentence."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, formatter_class=Help, **options)
        self._negative_number_matcher = re.compile(r"-(\.?\d|inf$|nan$)")  # which arguments are values: also -1e-3, unlike in argparse

    def format_help(self):
        for action in self._actions:
            if hasattr(action, "describe"):
                action.help = action.describe()
        return super().format_help()

    def _print_message(self, message, file=None):
        """Print help or version. argparse would ignore an output that cannot be written."""
        if sys.stdout is not None:  # None: closed, and `run` has not replaced it
            sys.stdout.write(message)
            sys.stdout.flush()

    def error(self, message):
        message = re.sub(QUOTED, lambda value: shortened(value[0]), message.removeprefix("argument "))
        raise Usage(f"{message} (see {self.prog} --help)")

    def refuse(self, unknown):
        """Report a list of unrecognized arguments."""
        options = [name for action in self._actions if action.help != argparse.SUPPRESS for name in action.option_strings]
        meant = similar(unknown[0].partition("=")[0], options) if unknown[0].startswith("-") else ""
        self.error(f"unrecognized arguments: {shortened(' '.join(unknown))}{meant}")

    def _check_value(self, action, value):
        if action.choices is not None and value not in action.choices:
            among = f"{similar(value, action.choices)} (choose from {', '.join(action.choices)})"
            raise argparse.ArgumentError(action, f"invalid choice: {quoted(value)}{among}")

    def _get_values(self, action, arg_strings):
        """Keep a '--' that is a value, as in --prompt=-- and eval MODEL -- --, which argparse before 3.13 drops."""
        if arg_strings == ["--"] and (action.option_strings or action.nargs is None):
            value = self._get_value(action, "--")
            self._check_value(action, value)
            return value if action.nargs is None else [value]
        return super()._get_values(action, arg_strings)


ELSEWHERE = {  # an option's or command's name in other programs -> its name here
    "--epochs": "--steps", "--epoch": "--steps", "--iters": "--steps", "--max-iters": "--steps", "--iterations": "--steps",
    "--hidden": "--n-embd", "--hidden-size": "--n-embd", "--d-model": "--n-embd", "--dim": "--n-embd", "--width": "--n-embd",
    "--depth": "--n-layer", "--context": "--block-size", "--context-length": "--block-size", "--seq-len": "--block-size",
    "--output": "--out", "--save": "--out", "--grad-clip": "--clip-norm", "--min-lr": "--min-learning-rate",
    "--max-tokens": "--length", "--num-samples": "--samples",
    "evaluate": "eval", "test": "eval", "generate": "sample", "compare": "diff", "show": "info", "fit": "train",
}  # fmt: skip


def similar(word, names):
    """The words ", did you mean ...?" for the name of which `word` is a prefix, an abbreviation (--lr), a misspelling or another
    program's word; "" if there is none."""
    import difflib

    def initials(name):
        return "--" + "".join(part[0] for part in name.strip("-").split("-"))

    long = [name for name in names if len(name) > 2]
    meant = [name for name in long if len(word) > 3 and name.startswith(word)] or [name for name in long if initials(name) == word]
    bare = {name.strip("-"): name for name in long}
    meant = meant or [name for name in long if name == ELSEWHERE.get(word.replace("_", "-"))]
    meant = meant or [bare[name] for name in difflib.get_close_matches(word.strip("-")[:60], bare, 1, 0.7)]
    return f", did you mean {meant[0]}?" if meant else ""


class Help(argparse.HelpFormatter):
    """Help whose lines break only between words, because an option or command with a line break in it cannot be copied."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=30)

    def _split_lines(self, text, width):
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text, width, indent):
        return "\n".join(indent + line for line in self._split_lines(text, width - len(indent)))


# ---- Streams ----------------------------------------------------------------------------------------------------


def _prepare_streams():
    """Use UTF-8 whatever the locale, and the reference's line endings. A closed stream is replaced by one that discards everything."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")


def _fail(message, code, kind="error: "):
    settle(sys.stdout)
    say(f"{kind}{message}")
    return code


def _is_broken_pipe(error):
    """Whether it is a broken pipe. Windows may call it an invalid argument: https://github.com/python/cpython/issues/79935"""
    return isinstance(error, BrokenPipeError) or (os.name == "nt" and error.errno == errno.EINVAL and error.filename is None)
