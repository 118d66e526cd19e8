"""The commands of `microgpt`, each a module with `configure(parser)` and `run(arguments)`; and what they share.

A command's module is imported only when that command runs, so that start-up is fast.
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
    "sample": "generate documents from a saved model",
    "eval": "measure a saved model on documents: loss, perplexity, bits per character",
    "sweep": "train with many settings and report the best",
    "diff": "show what differs in two runs or models, to the last bit",
    "explore": "write a web page that shows how a saved model works",
    "export": "convert a saved model for other programs: a folder for the Hugging Face Hub, or ONNX",
    "plot": "draw the losses of runs",
    "inspect": "look at the data before training on it",
    "run": "run your own microgpt script, compiled",
    "verify": "prove that this installation reproduces the reference",
    "bench": "time the engines against the pure reference",
    "info": "describe a saved model; or show version, platform, engines and build",
}


ENDED = {"SIGTERM": "terminated", "SIGHUP": "hung up"}  # how a signal ends a command, in words


class Failure(Exception):
    """A failure explained by its message. Exit code 1."""


class Usage(Exception):
    """Wrong usage of a command; the message says how to use it. Exit code 2."""


class Stopped(KeyboardInterrupt):
    """A signal ended the command; the message says what remains. Exit code 128 + the signal's number, as in shells."""

    def __init__(self, number, rest):
        super().__init__(f"{ENDED.get(signal.Signals(number).name, 'interrupted')} {rest}")
        self.exit_code = 128 + number


def load(source, documents="lines", arguments=None):
    """load_docs for a command; arguments: may have the options of add_reading."""
    from microgpt.corpus.loading import load_docs

    with data_notes(), _in_options(arguments):
        return load_docs(source, documents, **_reading(arguments))


def load_lines(source, arguments):
    """Like load(source, "lines", arguments), but without an object for each line: a microgpt.corpus.lines.Lines."""
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
    """Add the options that say how to read data."""
    group.add_argument(
        "--encoding",
        type=characters,
        metavar="NAME",
        default="utf-8",
        help=f"the encoding of {what}: latin-1, cp1252, utf-16 and others (default: utf-8)",
    )
    group.add_argument(
        "--column", type=characters, metavar="NAME",
        help=f"a column of {what}, a table separated by commas or tabs: its name in the first line, or its number if there are no "
        "names (default: not a table)",
    )  # fmt: skip


def _reading(arguments):
    return {} if arguments is None else {"encoding": arguments.encoding, "column": arguments.column}


@contextmanager
def _in_options(arguments):
    """A context in which a DataError names options; arguments: None if the command has none of the options of add_reading."""
    from microgpt.corpus.loading import DataError

    try:
        yield
    except DataError as error:
        text = re.sub(r"give encoding='[\w-]+', or ", "", str(error)) if arguments is None else _as_options(error)
        raise DataError(text) from None


def _as_options(text):
    """A message about data, with options in place of keywords."""
    text = re.sub(r"\b(encoding|column)='([\w. -]+)'", lambda found: f"--{found[1]} {shlex.quote(found[2])}", str(text))
    return text.replace("documents 'paragraphs'", "--documents paragraphs").replace("give another encoding", "give another --encoding")


@contextmanager
def data_notes():
    """A context in which a DataWarning is a line on standard error."""
    from microgpt.corpus.loading import DataWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        warnings.showwarning = lambda message, *_: say(_as_options(message))
        yield


def note(text):
    """A line on standard error that the next one replaces; nothing if standard error is not a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{printable(text)}", end="", file=sys.stderr, flush=True)


def for_output(text):
    """Untrusted text for standard output: unchanged, but on a terminal without control characters."""
    return printable(text) if sys.stdout.isatty() else text


# ---- Types of options ------------------------------------------------------------------------------------------------

LONGEST_NUMBER = 1000  # digits


def characters(text):
    """Text in UTF-8 whatever the locale, like everything else that microgpt reads and prints."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:  # bytes that are not valid in the locale's encoding
        pass
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"must be text in UTF-8, not {quoted(text)}") from None


def whole(text):
    if len(text) > LONGEST_NUMBER and text.strip().lstrip("+-").isdigit():  # int() would take too long, or fail with another message
        raise argparse.ArgumentTypeError(f"must have at most {LONGEST_NUMBER} digits, not {quoted(text)}")
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {quoted(text)}") from None


def whole_or_several(text):
    return [whole(part) for part in text.split(",")] if "," in text else whole(text)


def or_word(read, word):
    """An argument type: a number, read by whole or number, or this word."""

    def reader(text):
        try:
            return text if text == word else read(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(re.sub("a (whole )?number", rf"\g<0> or {word}", str(error), count=1)) from None

    return reader


SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def duration(text):
    """The seconds in text such as 90, 90s, 1m or 0.5h."""
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
