"""What a command says on standard output, which may be closed or full; on standard error, see microgpt.common.saying."""

import os
import re
import shlex
import sys

from microgpt.common.saying import say, settle
from microgpt.common.words import printable


def as_command(words):
    """A command line that the shell reads as these words."""
    if os.name == "posix":
        return shlex.join(words)
    import subprocess

    return subprocess.list2cmdline(words)


class Documents:
    """Prints documents: on a terminal each character as it is written, otherwise whole documents.

    stream: standard output, or a Screen; kind: GPTConfig.documents. Where that is not "lines" they have line breaks, and blank lines
    between them. prompt: what each begins with.
    """

    def __init__(self, stream, kind, prompt=""):
        self.stream, self.kind, self.prompt = stream, kind, prompt
        self.begun = False  # whether a part of a document is there
        self.between = ""

    def echo(self, character, label=""):
        """Print a character that has just been written; label: what stands in front of its document."""
        if not self.begun:
            self.begun = True
            self.stream.write(self.between + label + self._shown(self.prompt))
        self.stream.write(self._shown(character))
        self.stream.flush()

    def print(self, texts, label="", after=lambda text: ""):
        """Print documents, of one that was echoed what is left to print; after: what follows one in its line."""
        end = "\n" if self.kind == "lines" else "\n\n"
        if self.begun:
            self.stream.write(after(texts[0]) + "\n")
        elif texts:
            self.stream.write(self.between + end[1:].join(f"{label}{self._shown(text)}{after(text)}\n" for text in texts))
        self.begun, self.between = False, end[1:]

    def close(self):
        """End the line of a document that was not finished."""
        if self.begun:
            self.stream.write("\n")

    def _shown(self, text):
        if not self.stream.isatty():
            return text
        return printable(text) if self.kind == "lines" else re.sub("[^\n\t]+", lambda part: printable(part[0]), text)


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
