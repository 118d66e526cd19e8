"""Sentences on standard error."""

import os
import sys

from microgpt.common.words import printable


def say(text):
    """A sentence on standard error; where nobody can read it, nothing."""
    if sys.stderr is None:
        return
    try:
        print(f"microgpt: {printable(str(text))}", file=sys.stderr)
    except OSError:  # such as that of a terminal which was closed
        settle(sys.stderr)


def settle(stream):
    """Flush standard output or error; where nobody takes it, drop it, or the interpreter would fail on it as it exits."""
    if stream is None:  # closed before it began
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
