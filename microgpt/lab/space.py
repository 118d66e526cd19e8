"""The values that a sweep tries: for each option of microgpt.config a range, such as 1e-4..1e-1, or a list, such as 16,32,64."""

import itertools
import math
from dataclasses import dataclass, replace

from microgpt.common.options import options_of, shown
from microgpt.common.words import quoted, shortened
from microgpt.config import EvalConfig, GPTConfig, TrainConfig

OPTIONS = {
    name: option for kind in (GPTConfig, TrainConfig, EvalConfig) for name, option in options_of(kind).items() if name != "documents"
}  # not `documents`, because the documents are read before the sweep starts
MOST = 100_000  # combinations of a grid
BOOLS = {"yes": True, "no": False}


@dataclass(frozen=True)
class Range:
    """All numbers from low to high, both included, on a logarithmic scale if high is at least 10 times low."""

    low: float
    high: float

    @property
    def log(self):
        return self.low > 0 and 10 * self.low <= self.high

    def ends(self):
        return [self.low, self.high]

    def suggest(self, trial, name):
        ask = trial.suggest_int if OPTIONS[name].kind is int else trial.suggest_float
        return ask(name, self.low, self.high, log=self.log)

    def values(self, name):
        """All values, for a grid."""
        if OPTIONS[name].kind is not int or self.high - self.low >= MOST:
            raise ValueError(
                f"a grid cannot contain every number of the range {self} of {name}; give {name} a list, such as {self.low!r},{self.high!r}"
            )
        return [*range(self.low, self.high + 1)]

    def __str__(self):
        return f"{self.low!r}..{self.high!r}"


@dataclass(frozen=True)
class Choice:
    """Each of a few values. A single value is a setting of all trials."""

    options: tuple

    def ends(self):
        return list(self.options)

    def suggest(self, trial, name):
        return trial.suggest_categorical(name, self.options) if len(self.options) > 1 else self.options[0]

    def values(self, name):
        return list(self.options)

    def __str__(self):
        return ",".join(map(shown, self.options))


def parse(option, text):
    """The Range or Choice that a text means for an Option. Raises ValueError."""
    low, dots, high = text.partition("..")
    if dots:
        return _range(option, _value(option, low), _value(option, high), text)
    return _choice(option, [_value(option, part) for part in text.split(",")])


def read(space):
    """Name -> Range or Choice, from name -> text as for `parse`, (low, high), a list of values, or one value.

    Raises ValueError or TypeError.
    """
    if not isinstance(space, dict):
        raise TypeError(f"space must be a dict of options, such as {{'learning_rate': '1e-4..1e-1'}}, not {quoted(space)}")
    found = {}
    for name, values in space.items():
        option = OPTIONS.get(name)
        if option is None:
            raise ValueError(f"a sweep cannot vary {quoted(name)}; it can vary {', '.join(OPTIONS)}")
        if isinstance(values, (Range, Choice)):
            found[name] = values
        elif isinstance(values, str):
            found[name] = parse(option, values)
        elif isinstance(values, tuple) and len(values) == 2:
            found[name] = _range(option, *map(option.check, values), values)
        else:
            found[name] = _choice(option, [option.check(value) for value in (values if isinstance(values, (list, tuple)) else [values])])
    return found


def _range(option, low, high, given):
    if option.kind not in (int, float) or low is None or high is None:
        raise ValueError(f"{option.name} cannot have a range such as {quoted(given)}; give a list of values: {option.bounds()}")
    if not low < high:
        raise ValueError(f"the range {quoted(given)} of {option.name} must begin below its end; swap the two, or give one value")
    return Range(low, high)


def _choice(option, values):
    if not values or len(set(values)) < len(values):
        raise ValueError(f"{option.name} needs distinct values, not {shortened(','.join(map(shown, values))) or 'none'}; omit repetitions")
    return Choice(tuple(values))


def _value(option, text):
    text = text.strip()
    if text == "none" and option.default is None:
        return None
    try:
        if option.kind is bool:
            return BOOLS[text]
        if len(text) > 1000:
            raise ValueError
        value = option.kind(text)
    except (ValueError, KeyError):
        kind = {int: "whole numbers", float: "numbers", bool: "yes or no"}[option.kind]
        example = {int: "1..4 or 1,2,4", float: "0.001..0.1 or 0.001,0.01", bool: "yes,no"}[option.kind]
        raise ValueError(f"{option.name} takes {kind}, such as {example}, not {quoted(text)}") from None
    return option.check(value)


# ---- Settings --------------------------------------------------------------------------------------------------------


def varied(space):
    """The names of the options that have more than one value."""
    return [name for name, values in space.items() if len(values.ends()) > 1]


def suggest(space, trial):
    """Name -> value, as an Optuna trial draws them."""
    return {name: values.suggest(trial, name) for name, values in space.items()}


def grid(space):
    """Every combination, each a dict of the options that vary. Raises ValueError if there are too many or infinitely many."""
    names = varied(space)
    lists = [space[name].values(name) for name in names]
    if math.prod(map(len, lists)) > MOST:
        raise ValueError(f"the grid has more than {MOST:,} combinations; give shorter lists, or choose the sampler tpe or random")
    return [dict(zip(names, values)) for values in itertools.product(*lists)]


def applied(parts, values):
    """GPTConfig, TrainConfig and EvalConfig with these values. Raises ValueError or TypeError if they contradict each other."""
    return tuple(replace(part, **{name: value for name, value in values.items() if name in options_of(part)}) for part in parts)


def example(space, parts):
    """`applied` with the first allowed combination of list values and ends of ranges. If there is none, raises the error of the first."""
    first = None
    for values in itertools.islice(itertools.product(*(values.ends() for values in space.values())), 1000):
        try:
            return applied(parts, dict(zip(space, values)))
        except ValueError as error:
            first = first or error
    raise first
