"""An option: all facts about it, stated once.

Checks, `--help`, `help(TrainConfig)`, the tables in the docs, the page's panel and the files of saved models take what they
need from here. The options themselves are in microgpt.config; those of engines and documents are in their modules.
"""

import dataclasses
import math
import operator
from collections.abc import Collection
from dataclasses import dataclass, field
from inspect import cleandoc
from typing import Any, TypeVar

from microgpt.common.words import quoted


@dataclass(frozen=True)
class Option:
    """name: its name in Python; kind: int, float, bool or str; text: a phrase that says what it is; unit: the unit of a number.

    least, above, below, most: bounds of a number; digits: the most digits of a whole number, so that products of a few fit into a float;
    choices: the values of a str; since: the version that added it; before: the value that means the behaviour of versions without it
    (...: the default); flag: its name on the command line if that differs. None is allowed if it is the default, which switches the
    option off, or the value of `before`.
    """

    name: str
    kind: type
    default: Any
    text: str
    unit: str = ""
    least: float = -math.inf
    above: float = -math.inf
    below: float = math.inf
    most: float = math.inf
    digits: int = 100
    choices: Collection = ()
    since: str = "0.1"
    before: object = ...
    flag: str = ""

    def check(self, value):
        """The value as an int, float, bool, str or None; numbers of other types (NumPy's) are converted.

        Raises ValueError or TypeError, with the option's name and bounds, if the value is not allowed.
        """
        if value is None and None in (self.default, self.before):
            return None
        off = "; otherwise omit it" if self.default is None else ""
        if self.kind is bool:
            if not isinstance(value, bool):
                raise TypeError(f"{self.name} must be True or False, not {quoted(value)}")
        elif self.kind is str:
            if not isinstance(value, str) or value not in self.choices:
                raise ValueError(f"{self.name} must be one of {', '.join(self.choices)}, not {quoted(value)}")
        else:
            try:
                number = self._number(value)
            except TypeError:
                what = "a whole number" if self.kind is int else "a number"
                raise TypeError(f"{self.name} must be {what}, not {quoted(value)}{off}") from None
            except OverflowError:  # an int beyond the range of floats
                number = math.inf
            if not self.allows(number):
                raise ValueError(f"{self.name} must be {self.bounds()}, not {quoted(value)}{off}")
            if self.kind is int and abs(number) >= 10**self.digits:
                raise ValueError(f"{self.name} must have at most {self.digits} digits, not {quoted(value)}")
            return number
        return value

    def _number(self, value):
        if type(value).__name__ in ("bool", "bool_"):  # Python's, or NumPy's under either of its names
            raise TypeError
        if self.kind is float:
            if isinstance(value, (float, int)):
                return float(value)
            import numbers  # NumPy's, or a Fraction

            if isinstance(value, numbers.Real):
                return float(value)
        return self.kind(operator.index(value))

    def allows(self, number):
        """Whether an int or a float is within the bounds."""
        return self.least <= number <= self.most and self.above < number < self.below

    def unsaved(self):
        """The value that it has for a file that does not contain it."""
        return self.default if self.before is ... else self.before

    def bounds(self):
        """The allowed values, in words: "at least 1", "more than 0 and at most 1"."""
        if self.kind is bool:
            return "true or false"
        if self.choices:
            return ", ".join(self.choices)
        low = high = ""
        if self.least > -math.inf and self.least > self.above:
            low = f"at least {_short(self.least)}"
        elif self.above > -math.inf:
            low = f"more than {_short(self.above)}"
        if self.most < math.inf and self.most < self.below:
            high = f"at most {_short(self.most)}"
        elif self.below < math.inf:
            high = f"less than {_short(self.below)}"
        elif self.kind is float:
            high = "finite"
        return " and ".join(filter(None, (low, high))) or "any whole number"

    def values(self):
        """Its unit and bounds."""
        return f"{self.unit}, {self.bounds()}" if self.unit else self.bounds()

    def flags(self):
        """Its name on the command line."""
        return "--" + (self.flag or self.name).replace("_", "-")


def shown(value):
    """An option's value as users write it."""
    return {True: "yes", False: "no", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)


def _short(number):
    return f"{number:g}" if float(f"{number:g}") == number else f"{number:.10g}"


# ---- Dataclasses of options -------------------------------------------------------------------------------------


def option(default: Any, text: str, kind: type | None = None, **facts: Any) -> Any:
    """A dataclass field that is an option; kind: the type, if the default does not show it; facts: see Option."""
    return field(default=default, metadata={"option": Option("", kind or type(default), default, text, **facts)})


def options_of(settings):
    """Name -> Option for each field of a dataclass or of an instance."""
    return {f.name: dataclasses.replace(f.metadata["option"], name=f.name) for f in dataclasses.fields(settings)}


def in_brief(settings, always=()):
    """The options named in `always`, and all others that differ from their defaults: n_layer=1, ..."""
    options = options_of(settings).values()
    values = [(option, getattr(settings, option.name)) for option in options]
    return ", ".join(f"{option.name}={value!r}" for option, value in values if option.name in always or value != option.default)


class Settings:
    """The base class of a frozen dataclass of options. Its objects are checked when they are made."""

    def __post_init__(self) -> None:
        for name, option in options_of(self).items():
            object.__setattr__(self, name, option.check(getattr(self, name)))
        self.check_together()
        idle = self.idle()
        if idle:
            raise ValueError(idle)

    def check_together(self) -> None:
        """Raise ValueError if values contradict each other."""

    def idle(self) -> str | None:
        """A sentence about a value that has no effect together with the others, or None."""

    @classmethod
    def saved(cls, values):
        """The object with these values, a dict from a file. Values without effect are allowed, because 0.1 accepted them.

        Raises ValueError or TypeError for any other wrong value."""
        made = object.__new__(cls)
        for name, option in options_of(cls).items():
            object.__setattr__(made, name, option.check(values.get(name, option.unsaved())))
        made.check_together()
        return made


T = TypeVar("T")


def documented(cls: type[T]) -> type[T]:
    """Add the list of a dataclass's options to its docstring."""
    lines = [f"    {o.name} = {o.default!r}: {o.text} ({o.values()})" for o in options_of(cls).values()]
    if cls.__doc__:  # not under python -OO
        cls.__doc__ = "\n\n".join([cleandoc(cls.__doc__), "Checked when made (ValueError, TypeError):", "\n".join(lines)])
    return cls


def table(options):
    """The options as a Markdown table."""
    rows = ["| option | default | values | meaning | since |", "|---|---|---|---|---|"]
    rows += (f"| `{o.name}`, `{o.flags()}` | {shown(o.default)} | {o.values()} | {o.text} | {o.since} |" for o in options)
    return "\n".join(rows) + "\n"
