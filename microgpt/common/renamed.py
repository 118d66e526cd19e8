"""Names that have changed. The old ones still work: in programs with a DeprecationWarning, in files silently."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from microgpt.common.saying import warn

TODAY = {"graph": "draw", "long": "long_docs"}  # the name in 0.1 -> today's
Function = TypeVar("Function", bound=Callable[..., Any])


def sentence(old: str, form: str) -> str:
    """What is said where the old name is used. form: what has the name, such as "Run.{}"."""
    return f"{form.format(old)} is now {form.format(TODAY[old])}; use that name"


def tell(old: str, form: str) -> None:
    """The sentence as a DeprecationWarning."""
    warn(sentence(old, form), DeprecationWarning)


def argument(old: str) -> Callable[[Function], Function]:
    """A decorator for a function that takes today's keyword: it takes the old one, too."""
    new = TODAY[old]

    def decorated(function: Function) -> Function:
        @wraps(function)
        def accepting(*arguments: Any, **keywords: Any) -> Any:
            if old in keywords:
                if new in keywords:
                    raise TypeError(f"{function.__name__}() has {new} twice, once by its old name {old}; omit {old}")
                tell(old, f"{function.__name__}({{}}=...)")
                keywords[new] = keywords.pop(old)
            return function(*arguments, **keywords)

        return accepting  # type: ignore[return-value]

    return decorated


def attribute(old: str, owner: str) -> Any:
    """The attribute of a class by its old name, to be read. owner: the class's name."""

    def value(self: Any) -> Any:
        tell(old, f"{owner}.{{}}")
        return getattr(self, TODAY[old])

    return property(value, doc=f"The old name of `{TODAY[old]}`.")


def in_file(values: dict[str, Any]) -> dict[str, Any]:
    """What a file has, name -> value, by today's names."""
    return {TODAY.get(name, name): value for name, value in values.items()}
