"""Standard output of a command, which may be closed or full. For standard error, see microgpt.common.saying."""

import os
import re
import shlex
import sys

from microgpt.common.saying import say, settle
from microgpt.common.words import printable


def as_command(words):
    """These words as a command line, quoted for the shell."""
    if os.name == "posix":
        return shlex.join(words)
    import subprocess

    return subprocess.list2cmdline(words)


def print_sizes(run, stream):
    """The lines that the reference prints before it trains."""
    if run.model.config.documents == "text":
        print(f"num characters: {len(run.corpus.tokens)}", file=stream)
    else:
        print(f"num docs: {len(run.corpus)}", file=stream)
    print(f"vocab size: {run.model.tokenizer.vocab_size}", file=stream)
    print(f"num params: {run.model.num_params}", file=stream, flush=True)


class Documents:
    """Prints documents: on a terminal each character as it is generated, otherwise whole documents.

    stream: standard output, or a Screen; kind: GPTConfig.documents. If it is not "lines", documents contain line breaks and are
    separated by blank lines. prompt: the beginning of each document.
    """

    def __init__(self, stream, kind, prompt=""):
        self.stream, self.kind, self.prompt = stream, kind, prompt
        self.begun = False  # whether part of a document has been printed
        self.between = ""

    def echo(self, character, label=""):
        """Print a character that has just been generated; label: text in front of its document."""
        if not self.begun:
            self.begun = True
            self.stream.write(self.between + label + self._shown(self.prompt))
        self.stream.write(self._shown(character))
        self.stream.flush()

    def print(self, texts, label="", after=lambda text: ""):
        """Print documents, or the rest of one that was echoed; after: returns text to add to the line of a document."""
        end = "\n" if self.kind == "lines" else "\n\n"
        if self.begun:
            self.stream.write(after(texts[0]) + "\n")
        elif texts:
            self.stream.write(self.between + end[1:].join(f"{label}{self._shown(text)}{after(text)}\n" for text in texts))
        self.begun, self.between = False, end[1:]

    def close(self):
        """End the line of an unfinished document."""
        if self.begun:
            self.stream.write("\n")

    def _shown(self, text):
        if not self.stream.isatty():
            return text
        return printable(text) if self.kind == "lines" else re.sub("[^\n\t]+", lambda part: printable(part[0]), text)


class Screen:
    """Standard output for a command that does more than print.

    goes_on: the file, in words, for which the command continues if its output cannot be written, after one message; None: it
    does not continue, and OSError is raised. failed: whether the output could not be written.
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
            say(f"the output cannot be written: {error.strerror or error}; training continues, to write {self.goes_on}")

    def __getattr__(self, name):  # isatty, encoding, fileno: used by rich
        return getattr(self.stream, name)
