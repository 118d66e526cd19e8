"""The commands of `microgpt`, a module each, with `configure(parser)` and `run(arguments)`; and what they share.

A command's module is imported only when that command runs, since start-up counts.
"""

import argparse
import math
import os
import re
import shlex
import signal
import sys
import warnings
from contextlib import contextmanager

from microgpt.common.saying import say
from microgpt.common.words import printable, quoted

COMMANDS = {  # in the order in which `microgpt --help` shows them
    "train": "train a model and print samples of it",
    "sample": "print documents that a saved model makes up",
    "eval": "measure a saved model on documents: loss, perplexity, bits per character",
    "sweep": "train with many settings and say which is the best",
    "diff": "say what differs in two runs or models, to the last bit",
    "explore": "write a saved model as a web page to look into it",
    "export": "write a saved model for other programs: a folder for the Hugging Face Hub, or ONNX",
    "plot": "draw the losses of runs",
    "inspect": "look at the data before training on it",
    "run": "run your own microgpt script, compiled",
    "verify": "prove that this installation reproduces the reference",
    "bench": "time the engines against the pure reference",
    "info": "what a saved model is; or version, platform, engines and build",
}


ENDED = {"SIGTERM": "terminated", "SIGHUP": "hung up"}  # how a signal ends a command, in words


class Failure(Exception):
    """A failure that its message explains; exit code 1."""


class Usage(Exception):
    """The command was called wrongly; the message says how to call it. Exit code 2."""


class Stopped(KeyboardInterrupt):
    """A signal ended the command; the message says what that left. Exit code 128 + the signal's number, as in shells."""

    def __init__(self, number, rest):
        super().__init__(f"{ENDED.get(signal.Signals(number).name, 'interrupted')} {rest}")
        self.exit_code = 128 + number


def load(source, documents="lines", arguments=None):
    """load_docs for a command; arguments: with what add_reading added."""
    from microgpt.corpus.loading import load_docs

    with data_notes(), _in_options(arguments):
        return load_docs(source, documents, **_reading(arguments))


def load_lines(source, arguments):
    """As load(source, "lines", arguments), without an object for each: a microgpt.corpus.lines.Lines."""
    from microgpt.corpus.lines import Lines
    from microgpt.corpus.loading import read

    notes = []
    try:
        with _in_options(arguments):
            return Lines(read(source, notes, **_reading(arguments)))
    finally:
        for note in notes:
            say(_as_options(note))


def add_reading(group, what="DATA"):
    """The options that say how data are read."""
    group.add_argument(
        "--encoding",
        type=characters,
        metavar="NAME",
        default="utf-8",
        help=f"of {what}: latin-1, cp1252, utf-16 and others (default: utf-8)",
    )
    group.add_argument(
        "--column", type=characters, metavar="NAME",
        help=f"of {what}, which is a table (CSV, or with tabs), take this column: its name in the first line, or its number where "
        "there is none (default: it is no table)",
    )  # fmt: skip


def _reading(arguments):
    return {} if arguments is None else {"encoding": arguments.encoding, "column": arguments.column}


@contextmanager
def _in_options(arguments):
    """Within it, a DataError names options; arguments: None where the command has none of add_reading's."""
    from microgpt.corpus.loading import DataError

    try:
        yield
    except DataError as error:
        text = re.sub(r"give encoding='[\w-]+', or ", "", str(error)) if arguments is None else _as_options(error)
        raise DataError(text) from None


def _as_options(text):
    """What is said of data, with options in place of keywords."""
    text = re.sub(r"\b(encoding|column)='([\w. -]+)'", lambda found: f"--{found[1]} {shlex.quote(found[2])}", str(text))
    return text.replace("documents 'paragraphs'", "--documents paragraphs").replace("give another encoding", "give another --encoding")


@contextmanager
def data_notes():
    """Within it, a DataWarning is a line on standard error."""
    from microgpt.corpus.loading import DataWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        warnings.showwarning = lambda message, *_: say(_as_options(message))
        yield


def note(text):
    """A passing line on standard error that the next one replaces; nothing where that is no terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{printable(text)}", end="", file=sys.stderr, flush=True)


def for_output(text):
    """Other people's text as it goes to standard output: unchanged, but on a terminal without what that would obey."""
    return printable(text) if sys.stdout.isatty() else text


# ---- Types of options ------------------------------------------------------------------------------------------------

LONGEST_NUMBER = 1000  # digits


def characters(text):
    """UTF-8 whatever the locale says, as in everything else that microgpt reads and prints."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:  # bytes that the locale's encoding does not have
        pass
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"must be text in UTF-8, not {quoted(text)}") from None


def whole(text):
    if len(text) > LONGEST_NUMBER and text.strip().lstrip("+-").isdigit():  # for which int() would have no time, or no sentence
        raise argparse.ArgumentTypeError(f"must have at most {LONGEST_NUMBER} digits, not {quoted(text)}")
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {quoted(text)}") from None


def whole_or_several(text):
    return [whole(part) for part in text.split(",")] if "," in text else whole(text)


def or_word(read, word):
    """The type of an argument that is a number, as whole or number reads it, or this word."""

    def reader(text):
        try:
            return text if text == word else read(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(re.sub("a (whole )?number", rf"\g<0> or {word}", str(error), count=1)) from None

    return reader


SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def duration(text):
    """Seconds, from text such as 90, 90s, 1m or 0.5h."""
    unit = text[-1:] if text[-1:] in SECONDS else ""
    try:
        seconds = float(text.removesuffix(unit)) * SECONDS[unit]
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"must be a time, such as 30s, 5m or 1h, not {quoted(text)}")
    return seconds


def count(text):
    n = whole(text)
    if n < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, not {quoted(n)}")
    return n


def number(text):
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {quoted(text)}") from None
