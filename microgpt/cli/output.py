"""What a command says: on standard output, which may be closed or full, and on standard error."""

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


class Screen:
    """Standard output for a command that has more to do than to print.

    goes_on: what for, in words, the command goes on where the output cannot be written, which it then says once; None: it
    does not, and that is an OSError. failed: whether it came to that.
    """

    def __init__(self, goes_on):
        self.stream, self.goes_on, self.failed = sys.stdout, goes_on, False

    def write(self, text):
        self._try(self.stream.write, text)

    def flush(self):
        self._try(self.stream.flush)

    def _try(self, action, *arguments):
        if self.failed:
            return
        try:
            action(*arguments)
        except OSError as error:
            if self.goes_on is None:
                raise
            self.failed = True
            settle(self.stream)
            say(f"the output cannot be written: {error.strerror or error}; training goes on, for {self.goes_on}")

    def __getattr__(self, name):  # isatty, encoding, fileno: what rich asks for
        return getattr(self.stream, name)
