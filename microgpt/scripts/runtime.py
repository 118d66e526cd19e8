"""The functions that a rewritten script calls. They are builtins named `__microgpt_name__`, so that the script's globals contain
only its own names.
"""

import builtins
import time
from collections import Counter
from functools import partial, wraps
from types import CodeType, FunctionType

from microgpt.compiled import scalar
from microgpt.scripts.arithmetic import eval_number, is_expression
from microgpt.scripts.symbols import Fixed, Group, Text
from microgpt.scripts.value_class import BITS, PLACES

NOT_CARRIED = {"__dict__", "__weakref__", "__module__", "__qualname__", "__doc__", "__slots__"}
NOTHING = object()


def install(found):
    """Add these functions to the builtins. found: the ValueClass of the script that starts."""
    builtins.__microgpt_list__ = scalar.script_list if CLOCK.started is None else scalar.script_timed_list(CLOCK.seconds)
    for name in ("each", "largest"):
        function = getattr(scalar, f"script_{name}")
        setattr(builtins, f"__microgpt_{name}__", function if CLOCK.started is None else CLOCK.timed(function))
    for function in (loop, extend, is_sum):
        setattr(builtins, f"__microgpt_{function.__name__}__", function)
    builtins.__microgpt_value__ = partial(value, found)


class Clock:
    """Measures how long compiled functions run, for --explain. Operators that the script calls one at a time count as its own Python.

    seconds: name -> seconds; None -> those of all compiled functions."""

    def __init__(self):
        self.started, self.seconds = None, Counter()

    def timed(self, function, name=None):
        @wraps(function)
        def call(*arguments):
            before = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.seconds[name] += time.perf_counter() - before

        return call

    def iterated(self, items):
        """The same items; the time to get each of them is counted."""
        following = self.timed(iter(items).__next__)
        while True:
            try:
                item = following()
            except StopIteration:
                return
            yield item

    def summary(self):
        whole = max(time.perf_counter() - self.started, 1e-9)
        share = self.seconds[None] / whole
        own = ", ".join(f"{seconds / whole:.0%} in {name}" for name, seconds in self.seconds.most_common() if name is not None)
        return (
            f"microgpt run: {share:.0%} of the time was spent in compiled functions, {1 - share:.0%} in the script's own Python "
            "and the operators it calls one at a time" + (f"; of that, {own}" if own else "")
        )


CLOCK = Clock()


def measure():
    """Start the clock."""
    CLOCK.started = time.perf_counter()


def loop(yields, number, params, lists, fixed):
    """The iterable of a loop over parameters: the remaining iterations, in the form that the loop takes."""
    if type(params) is not list or yields == "zip" and any(type(items) is not list or len(items) != len(params) for items in lists):
        return {"pairs": enumerate, "indices": lambda items: range(len(items)), "params": iter, "zip": lambda items: zip(items, *lists)}[
            yields
        ](params)
    pairs = scalar.script_update(number, params, lists, fixed)
    if CLOCK.started is not None:
        pairs = CLOCK.iterated(pairs)
    if yields == "pairs":
        return pairs
    if yields == "zip":
        return ((p, *(items[i] for items in lists)) for i, p in pairs)
    return (i for i, _ in pairs) if yields == "indices" else (p for _, p in pairs)


def extend(items, more):
    """Append the result of a compiled call, if there is one. Returns whether there is."""
    if more is not None and type(items) is list:
        items.extend(more)
        return True
    return False


def is_sum(total, start=None):
    """Whether a compiled call has computed the sum. If not, the sum is still its start: a number, a new leaf, or `start`."""
    return type(total) is scalar.Value and total is not start and scalar.script_made_by(total) != 0


# ---- The class ---------------------------------------------------------------------------------------------------------------


def value(found, made):
    """The decorator of the script's Value: returns the compiled class, to which it adds what the script's class defines.

    It changes the compiled class itself, not a subclass, because results of operators must have the script's methods too. The
    process belongs to the script, so nothing else is affected. A second class of a script remains unchanged.
    """
    compiled, defined = scalar.Value, vars(made)
    if found.used:
        return made
    found.used = True
    for name in found.missing():
        if name in vars(compiled):
            delattr(compiled, name)
    put_attributes(compiled, found, defined)
    for name, thing in defined.items():
        if CLOCK.started is not None and name in found.own and isinstance(thing, FunctionType):
            thing = CLOCK.timed(thing, f"{made.__name__}.{name}")
        if name in found.formulas:
            with_operand, values, numbers = found.formulas[name]
            setattr(compiled, name, scalar.script_formula(name, with_operand, values, numbers) or thing)
        elif name not in NOT_CARRIED and not is_compiled(found, name):
            setattr(compiled, name, thing)
    if "__repr__" not in defined:
        compiled.__repr__ = object.__repr__
    if found.slots:
        compiled.__slots__ = made.__slots__
    compiled.__doc__ = made.__doc__
    compiled.__name__, compiled.__qualname__, compiled.__module__ = made.__name__, made.__qualname__, made.__module__
    if CLOCK.started is not None and is_compiled(found, "backward"):
        compiled.backward = CLOCK.timed(compiled.backward)
    standard = sum(1 << BITS[name] for name in found.standard)
    missing = sum(1 << bit for name, bit in BITS.items() if not found.has(name))
    own = {name: thing for name, thing in defined.items() if isinstance(thing, FunctionType)}
    scalar.script_class(standard, missing, found.floats, found.order, own)
    scalar.script_places(found.places)
    for of_class, name, first in found.reader.guards:
        scalar.script_guard(None if of_class else made.__init__.__globals__, name, first)
    scalar.script_accept_attributes()  # the operators keep their meaning
    return compiled


def is_compiled(found, name):
    """Whether the compiled class already has this."""
    if name == "__init__":
        return found.plain_constructor()
    if name == "backward":
        return name not in found.own
    return name in found.standard or name in found.places or name in found.roles.names()


def put_attributes(compiled, found, defined):
    """Give the compiled class the script's attribute names, and places for attributes that it lacks."""
    roles = found.roles
    for place, name in zip(PLACES, (roles.data, roles.grad, roles.children, roles.locals)):
        if place == "_children" and roles.pairs:
            setattr(compiled, name, Pairs(vars(compiled)[place], vars(compiled)["_local_grads"], roles))
        elif place == "_children" and roles.kind != "tuple":
            setattr(compiled, name, Children(vars(compiled)[place], roles.kind))
        elif name not in (None, place):
            setattr(compiled, name, vars(compiled)[place])
    for name in found.places:
        default = defined.get(name, NOTHING) if not found.slots else NOTHING
        setattr(compiled, name, Attribute(name, {made_by: extras.get(name) for made_by, extras in found.made_by.items()}, default))
    if roles.closure:
        setattr(compiled, roles.closure, Contribution(roles.closure, defined["__init__"]))


CONTAINERS = {"tuple": tuple, "list": list, "set": set}


class Children:
    """The children of a node in the form of the script's class: a set or a list."""

    def __init__(self, edges, kind):
        self.edges, self.kind = edges, CONTAINERS[kind]

    def __get__(self, node, owner=None):
        return self if node is None else self.kind(self.edges.__get__(node))

    def __set__(self, node, children):
        self.edges.__set__(node, tuple(children) if type(children) is self.kind else children)


class Pairs:
    """The children of a node with their local gradients, in the form of the script's class: pairs in a tuple or list. If the script
    assigns anything else, it keeps that, and the script's own method does the backward pass."""

    def __init__(self, edges, locals, roles):
        self.edges, self.locals, self.kind, self.pair = edges, locals, CONTAINERS[roles.kind], CONTAINERS[roles.pairs]

    def __get__(self, node, owner=None):
        if node is None:
            return self
        own = scalar.script_own_attributes(node) or {}
        if self in own:
            return own[self]
        return self.kind(self.pair(both) for both in zip(self.edges.__get__(node), self.locals.__get__(node)))

    def __set__(self, node, pairs):
        (scalar.script_own_attributes(node) or {}).pop(self, None)
        plain = type(pairs) is self.kind and all(type(pair) is self.pair and len(pair) == 2 for pair in pairs)
        if not plain:
            scalar.script_own_attributes(node, True)[self] = pairs
        self.edges.__set__(node, tuple(child for child, _ in pairs) if plain else None)
        self.locals.__set__(node, tuple(local for _, local in pairs) if plain else None)


class Attribute:
    """An attribute without a place in a compiled node. made_by: operation that made a node -> the attribute's value, from reading.py."""

    def __init__(self, name, made_by, default):
        self.name, self.default = name, default
        self.made_by = {made: constant(thing) for made, thing in made_by.items() if thing is not None}

    def __get__(self, node, owner=None):
        if node is None:
            if self.default is NOTHING:
                raise AttributeError(f"type object '{owner.__name__}' has no attribute '{self.name}'")
            return self.default
        own = scalar.script_own_attributes(node) or {}
        if self.name in own:
            thing = own[self.name]
        else:
            thing = self.made_by.get(scalar.script_made_by(node), self.default)
            if isinstance(thing, Text):
                return "".join(part if isinstance(part, str) else conversion(part[0])(own[None]) for part in thing.parts)
            if isinstance(thing, type):
                thing = scalar.script_own_attributes(node, True)[self.name] = thing()
        if thing is NOTHING:
            raise AttributeError(f"'{type(node).__name__}' object has no attribute '{self.name}'")
        return thing

    def __set__(self, node, thing):
        own = scalar.script_own_attributes(node)
        if own is None and thing is self.made_by.get(scalar.script_made_by(node), NOTHING):
            return
        scalar.script_own_attributes(node, True)[self.name] = thing

    def __delete__(self, node):
        self.__get__(node)
        scalar.script_own_attributes(node, True)[self.name] = NOTHING


def constant(thing):
    """The object that reading.py found, or a new empty container of its type."""
    if isinstance(thing, Fixed):
        return thing.value
    if isinstance(thing, Group):
        return () if thing.kind == "tuple" else CONTAINERS[thing.kind]
    if is_expression(thing):
        return eval_number(thing)
    return thing if isinstance(thing, Text) else nothing


def conversion(code):
    return {-1: format, 115: str, 114: repr, 97: ascii}[code]


def nothing():
    """The closure of a leaf, which does nothing in the backward pass."""


class Contribution:
    """The closure of a node for the backward pass. That of a compiled node uses its local gradients. If the script assigns another
    one, the script's own method does the backward pass."""

    def __init__(self, name, init):
        constants = init.__code__.co_consts if isinstance(init, FunctionType) else ()
        self.name, self.codes = name, {code for code in constants if isinstance(code, CodeType)}

    def __get__(self, node, owner=None):
        if node is None:
            raise AttributeError(f"type object '{owner.__name__}' has no attribute '{self.name}'")
        own = scalar.script_own_attributes(node) or {}
        return own[self.name] if self.name in own else partial(scalar.script_propagate, node)

    def __set__(self, node, closure):
        if getattr(closure, "__code__", None) not in self.codes:
            scalar.script_own_attributes(node, True)[self.name] = closure
            scalar.Value._local_grads.__set__(node, None)
