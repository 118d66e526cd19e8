"""Files from other versions: a value that an older version did not save takes its default, an unknown one is refused.

So the default of an option that is added to a class saved here must behave as versions without the option did, or the option states their
behaviour (`before`, see microgpt.common.options).
"""

import re
from dataclasses import MISSING, fields

from microgpt import __version__
from microgpt.common import renamed
from microgpt.common.options import Settings
from microgpt.common.words import quoted


class CheckpointError(ValueError):
    """A saved model or run cannot be used. The message says why."""


class UnknownError(CheckpointError):
    """The file has something that this version does not know. The message continues a sentence about the file: "has ..."."""


def build(kind, given, where, most=None):
    """The dataclass `kind` with the values `given`, a dict from a file, and otherwise the defaults, or the values for older versions.

    most: the largest sensible whole number. Raises CheckpointError for names that are unknown, or missing and without
    a default, and for values that `kind` refuses.
    """
    given = renamed.in_file(given)
    check_known(given, {field.name for field in fields(kind)}, "option", f" in {where}")
    for field in fields(kind):
        if field.default is MISSING and field.name not in given:  # mutant: missing-field
            raise CheckpointError(f"is damaged: {where} lacks {field.name!r}")
    if most is not None and any(isinstance(value, int) and value > most for value in given.values()):
        raise CheckpointError(f"is damaged: {where} describes a model larger than the file")
    try:
        return kind.saved(given) if issubclass(kind, Settings) else kind(**given)
    except (ValueError, TypeError, OverflowError) as error:
        raise CheckpointError(f"is damaged: in {where}, {error}") from None


def check_known(names, known, what, where=""):
    """Raise UnknownError for the first of `names` that is not in `known`. what, where: the words around it in the message."""
    for name in sorted(set(names) - set(known)):
        raise UnknownError(f"has an unknown {what} {quoted(name)}{where}")  # mutant: unknown-field


def blamed(error, version):
    """The CheckpointError of a file, worded for the version of microgpt that saved it.

    version: the one that the file claims, which may be anything.
    """
    if _release(version) > _release(__version__):
        return CheckpointError(
            f"was saved by a newer version of microgpt ({version}); to this one ({__version__}), it {error}; "
            "update with: pip install --upgrade microgpt-cython"
        )
    if isinstance(error, UnknownError):
        return CheckpointError(f"is damaged, or was saved by a newer version of microgpt: it {error}")
    return error


def _release(version):
    """The numbers of a version, such as (0, 1, 0); () if it is not a version."""
    pattern = r"([0-9]{1,6}(?:\.[0-9]{1,6}){0,3})(?:[.+]?[a-z][0-9a-z.]{0,20})?"  # such as 0.1.0, 0.2.0rc1, 0.2.dev1
    match = isinstance(version, str) and re.fullmatch(pattern, version)
    return tuple(map(int, match[1].split("."))) if match else ()
