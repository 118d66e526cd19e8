"""Sentences on standard error."""

import os
import sys

from microgpt.common.words import printable


def say(text):
    """Print a sentence on standard error, or nothing if it cannot be written."""
    if sys.stderr is None:
        return
    try:
        print(f"microgpt: {printable(str(text))}", file=sys.stderr)
    except OSError:  # for example after the terminal was closed
        settle(sys.stderr)


def settle(stream):
    """Flush standard output or error. If it cannot be written, replace it, because the interpreter would fail on it at exit."""
    if stream is None:  # closed before the process started
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
