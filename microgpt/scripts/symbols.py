"""The objects that a method of a class works with when it is executed with symbols, besides numbers (arithmetic.py).

Node        the result of a method: its data and local gradients as expressions, its children, its other attributes
Delegation  operators applied to operands, as in `self + (-other)`
"""

import ast
from dataclasses import dataclass, field

from microgpt.scripts.arithmetic import Unread, is_expression, select

STEPS = ["+", "-", "*", "/", "**", "negative"]  # as in src/scalar/steps.h
METHOD, DOT = 6, 7

# The methods that an operator may call
SUM, PRODUCT = {"__add__", "__radd__"}, {"__mul__", "__rmul__"}
CALLS = {
    "+": SUM, "*": PRODUCT, "**": {"__pow__"}, "negative": {"__neg__"} | PRODUCT,
    "-": {"__sub__", "__rsub__", "__neg__"} | SUM | PRODUCT, "/": {"__truediv__", "__rtruediv__", "__pow__"} | PRODUCT,
}  # fmt: skip


@dataclass(frozen=True)
class Operand:
    """A Value passed to the method. index: 0 for self, 1 for the other operand."""

    index: int


@dataclass(frozen=True)
class Wrapped:
    """The other operand, a number, as a new leaf."""


@dataclass(frozen=True)
class Delegation:
    """operator: one of STEPS, or a method's name. operands: Operand, Wrapped, Delegation or a number."""

    operator: str
    operands: tuple


@dataclass
class Made:
    """A node under construction. attributes: name -> the assigned value."""

    attributes: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """A tuple, list or set."""

    kind: str
    items: tuple


@dataclass(frozen=True)
class Fixed:
    """A constant that is not a number."""

    value: object


@dataclass(frozen=True)
class Text:
    """An f-string of the other operand, a number. parts: str, or (conversion, format) for that number."""

    parts: tuple


@dataclass
class Closure:
    node: ast.AST
    environment: dict


@dataclass(frozen=True)
class Node:
    """data, locals: expressions, whose inputs 0 and 1 are the operands' data. children: 0 for self, 1 for the other operand (a
    new leaf, if it is a number). extras: (attribute, Fixed, Text or number) for all others. flows: if locals do not define them,
    the terms added to the children's gradients, as expressions that also have the node's gradient as an input."""

    data: tuple
    children: tuple
    locals: tuple
    extras: tuple = field(compare=False, default=())
    flows: tuple | None = None


@dataclass
class Roles:
    """The names of a class's attributes. kind: the type of the container of the children. If that has pairs of a child and its local
    gradient, `pairs` is their type and `locals` is None; if there are closures instead, `closure` is the name of their attribute."""

    data: str
    grad: str
    zero: str  # a new gradient, as source
    converts: bool  # data is float(data)
    children: str | None = None
    kind: str | None = None
    pairs: str | None = None
    locals: str | None = None
    closure: str | None = None
    extras: dict = field(default_factory=dict)  # attribute -> its value in a leaf made from a number alone

    def compiled(self):
        """The attributes that have a place in a compiled node."""
        return [name for name in (self.data, self.grad, self.children, self.locals, self.closure) if name]

    def names(self):
        return self.compiled() + list(self.extras)


def is_nothing(node):
    """`lambda: None`"""
    return isinstance(node, ast.Lambda) and isinstance(node.body, ast.Constant) and node.body.value is None


def is_pair(thing):
    """(child, local gradient)"""
    return (
        isinstance(thing, Group) and len(thing.items) == 2 and isinstance(thing.items[0], (Operand, Made)) and is_expression(thing.items[1])
    )


def extra(value):
    """The value of an attribute that does not belong to the graph, if the code determines it."""
    if isinstance(value, (Fixed, Text)) or is_expression(value) and value[0] == "number":
        return value
    if isinstance(value, Group) and not value.items:
        return value
    if isinstance(value, Closure) and is_nothing(value.node):
        return value
    raise Unread("an attribute of the node is computed")


def merged(condition, yes, no, line):
    """The outcome of an if statement with these two outcomes."""
    if is_expression(yes) and is_expression(no):
        return select(condition, yes, no)
    if isinstance(yes, Made) and isinstance(no, Made) and yes.attributes.keys() == no.attributes.keys():
        return Made({name: merged(condition, value, no.attributes[name], line) for name, value in yes.attributes.items()})
    if isinstance(yes, Group) and isinstance(no, Group) and yes.kind == no.kind and len(yes.items) == len(no.items):
        return Group(yes.kind, tuple(merged(condition, a, b, line) for a, b in zip(yes.items, no.items)))
    if isinstance(yes, (Operand, Fixed, Text)) and yes == no:
        return yes
    raise Unread(f"line {line.lineno}: the two branches make different nodes")
