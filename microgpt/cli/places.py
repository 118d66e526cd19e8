"""Checks of output files: before the work begins, that a file can be written, and that no file of the user's own is replaced."""

import os

from microgpt.cli.commands import Failure, Usage
from microgpt.common import files
from microgpt.common.words import quoted_path

FORCE = "also replace a file that microgpt did not write (default: such a file is refused)"


def check(option, path, what, is_ours, force=False, sources=()):
    """Raise Usage or Failure unless the command may write `path`, a file of the kind `what`: "a saved model".

    is_ours: tells whether an existing file, which would be replaced, is of this kind. sources: pairs of a description and the
    path, or None, of the files that the command reads; these are never replaced.
    """
    if path == "":
        raise Usage(f"{option} needs the name of a file; it was given an empty one")
    for name, source in sources:
        if source and same(source, path):
            raise Usage(f"{option}: {quoted_path(path)} is {name}, which would be lost; name another file")
    try:
        if os.path.isdir(path):
            raise Failure(f"{option}: {quoted_path(path)} is a folder; name a file in it")
        for folder in (os.path.dirname(path), os.path.dirname(os.path.realpath(path))):  # the second: that of a link's target
            if folder and not os.path.isdir(folder):
                raise Failure(f"{option}: there is no folder {quoted_path(folder)}; make it first")
        files.check_writable(path)
        if os.path.exists(path) and os.path.getsize(path) and not force and not is_ours(path):
            raise Failure(f"{option}: {quoted_path(path)} exists already and is not {what}; name another file, or replace it with --force")
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise Failure(f"{option}: {quoted_path(path)} cannot be written: {getattr(error, 'strerror', None) or error}") from None


def same(path, other):
    """Whether two names refer to the same file, which need not exist yet."""
    try:
        return os.path.realpath(path) == os.path.realpath(other) or os.path.samefile(path, other)
    except (OSError, ValueError):  # only one of them exists; a name with a NUL
        return False
