"""Where a command writes: whether the file may be written is found out before the work, and nobody's own file is replaced."""

import os

from microgpt.cli.commands import Failure, Usage
from microgpt.common import files
from microgpt.common.words import quoted_path

FORCE = "replace a file that microgpt did not write, too (default: such a file is refused)"


def check(option, path, what, is_ours, force=False, sources=()):
    """Usage or Failure unless the command may write `path`, which is called `what`: "a saved model".

    is_ours: tells whether the file of that name, which is replaced, is one. sources: pairs of what a file is that the
    command reads, and its path or None; these are not replaced, even by force.
    """
    if path == "":
        raise Usage(f"{option} needs the name of a file; it was given an empty one")
    for name, source in sources:
        if source and same(source, path):
            raise Usage(f"{option}: {quoted_path(path)} is {name}, which would be lost; name another file")
    try:
        if os.path.isdir(path):
            raise Failure(f"{option}: {quoted_path(path)} is a folder; name a file in it")
        for folder in (os.path.dirname(path), os.path.dirname(os.path.realpath(path))):  # the second: a link's
            if folder and not os.path.isdir(folder):
                raise Failure(f"{option}: there is no folder {quoted_path(folder)}; make it first")
        files.check_writable(path)
        if os.path.exists(path) and os.path.getsize(path) and not force and not is_ours(path):
            raise Failure(
                f"{option}: {quoted_path(path)} is there already and is not {what}; name another file, or replace it with --force"
            )
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise Failure(f"{option}: {quoted_path(path)} cannot be written: {getattr(error, 'strerror', None) or error}") from None


def same(path, other):
    """Whether two names are those of one file, which need not be there yet."""
    try:
        return os.path.realpath(path) == os.path.realpath(other) or os.path.samefile(path, other)
    except (OSError, ValueError):  # only one of them is there; a name with a NUL
        return False
