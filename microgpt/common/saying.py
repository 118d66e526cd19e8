"""Sentences on standard error, and warnings."""

import os
import sys
import warnings

from microgpt.common.words import printable


def say(text):
    """Print a sentence on standard error, or nothing if it cannot be written."""
    if sys.stderr is None:
        return
    try:
        print(f"microgpt: {printable(str(text))}", file=sys.stderr)
    except OSError:  # for example after the terminal was closed
        settle(sys.stderr)


def warn(text: str, kind: type[Warning]) -> None:
    """Issue a warning that points at the line which called this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals["__name__"].partition(".")[0] == "microgpt":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, kind, stacklevel=level)


def settle(stream):
    """Flush standard output or error. If it cannot be written, replace it, because the interpreter would fail on it at exit."""
    if stream is None:  # closed before the process started
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
