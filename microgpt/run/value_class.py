"""Finds the class that is the reference's Value, and says what of it the compiled one has to carry.

Operators must be the reference's; subtraction and division may be missing. The methods log, exp, relu and backward may be the
script's own, or missing; these and whatever else the class defines (tanh, __repr__, ...) go on the compiled class as they are.
"""

import ast
import copy
from dataclasses import dataclass, field
from inspect import isfunction

from microgpt import reference
from microgpt.run import closures
from microgpt.run.normal import normal
from microgpt.run.unify import Unifier, form

WRAP = "other = other if isinstance(other, Value) else Value(other)"

OPERATORS = {
    "__add__": [f"def f(self, other):\n {WRAP}\n return Value(self.data + other.data, (self, other), (1, 1))"],
    "__mul__": [f"def f(self, other):\n {WRAP}\n return Value(self.data * other.data, (self, other), (other.data, self.data))"],
    "__pow__": ["def f(self, k): return Value(self.data ** k, (self,), (k * self.data ** (k - 1),))"],
    "__neg__": ["def f(self): return self * -1"],
    "__radd__": ["def f(self, other): return self + other"],
    "__rmul__": ["def f(self, other): return self * other"],
    "__sub__": ["def f(self, other): return self + (-other)"],
    "__rsub__": ["def f(self, other): return other + (-self)", "def f(self, other): return (-self) + other"],
    "__truediv__": ["def f(self, other): return self * other ** -1"],
    "__rtruediv__": ["def f(self, other): return other * self ** -1"],
}

OPTIONAL = ("__sub__", "__rsub__", "__truediv__", "__rtruediv__")  # no other operator is made of these

METHODS = {
    "log": ["def f(self): return Value(math.log(self.data), (self,), (1 / self.data,))"],
    "exp": [
        "def f(self): return Value(math.exp(self.data), (self,), (math.exp(self.data),))",
        "def f(self):\n e = math.exp(self.data)\n return Value(e, (self,), (e,))",
    ],
    "relu": [
        "def f(self): return Value(max(0, self.data), (self,), (float(self.data > 0),))",
        "def f(self): return Value(max(0, self.data), (self,), (1.0 if self.data > 0 else 0.0,))",
    ],
}

# Every method of the reference's that has a name to call it by: a script's class need not have it, and then must not get it.
NAMED = [name for name, thing in vars(reference.Value).items() if isfunction(thing) and not name.startswith("_")]

# The first revision's relu differs in the sign of zero and in 0 being an int, which its closures, that add up gradients in a
# random order, leave no room to notice.
FIRST_RELU = [
    "def f(self): return Value(0 if self.data < 0 else self.data, (self,), ((0 if self.data < 0 else self.data) > 0,))",
    "def f(self): return Value(max(0, self.data), (self,), (max(0, self.data) > 0,))",
    "def f(self): return Value(max(0, self.data), (self,), (float(max(0, self.data) > 0),))",
]

TOPO = """
 def build(node):
  if node not in visited:
   visited.add(node)
   for child in node.{children}:
    build(child)
   topo.append(node)
"""
PROPAGATE = """
 for node in reversed(topo):
  for child, local in zip(node._children, node._local_grads):
   child.grad += local * node.grad
"""
CALL_CLOSURES = """
 for node in reversed(topo):
  node._backward()
"""


def backward_forms(children, loop, one="1"):
    """Every order of the statements whose order does not matter."""
    starts = [" topo = []\n visited = set()", " visited = set()\n topo = []"]
    topo = TOPO.format(children=children)
    ends = [f" build(self)\n self.grad = {one}{loop}", f" self.grad = {one}\n build(self){loop}"]
    return [f"def f(self):\n{start}{topo}{end}" for start in starts for end in ends]


BACKWARD = backward_forms("_children", PROPAGATE)
FIRST_BACKWARD = backward_forms("_prev", CALL_CLOSURES)

FORMS = {
    name: [form(source) for source in sources]
    for name, sources in {
        **OPERATORS, **METHODS, "backward": BACKWARD, "first relu": FIRST_RELU, "first backward": FIRST_BACKWARD,
        "float __add__": [OPERATORS["__add__"][0].replace("(1, 1)", "(1.0, 1.0)")],
        "float backward": backward_forms("_children", PROPAGATE, "1.0"),
        "float first backward": backward_forms("_prev", CALL_CLOSURES, "1.0"),
    }.items()
}

COMPILED_ATTRIBUTES = ("data", "grad", "_children", "_local_grads")

# Special methods that nothing in the compiled class asks for, so that they mean what they would on the script's class.
CARRIED = frozenset(
    """__repr__ __str__ __format__ __float__ __int__ __bool__ __abs__ __round__ __pos__ __lt__ __le__ __gt__ __ge__ __call__
    __iadd__ __isub__ __imul__ __itruediv__ __matmul__ __rpow__ __mod__ __floordiv__ __invert__ __doc__ __annotations__
    __getitem__ __len__ __iter__ __contains__ __enter__ __exit__ __rmatmul__ __rmod__ __rfloordiv__ __trunc__ __floor__ __ceil__ __index__ __complex__""".split()
)

ALIASES = {"__radd__": "__add__", "__rmul__": "__mul__"}  # as in `__radd__ = __add__`


class NotTheReference(Exception):
    """The class is not the reference's Value; the message says where it differs."""


@dataclass
class ValueClass:
    """A recognised class. own: what it defines that the compiled class has to carry, as statements of a class body."""

    node: ast.ClassDef
    revision: str
    attributes: dict  # the reference's attribute names -> the script's
    reference: set = field(default_factory=set)  # the names of METHODS and "backward" that are the reference's
    missing: list = field(default_factory=list)  # the reference's methods that are not there at all
    own: list = field(default_factory=list)
    slots: ast.expr | None = None
    floats: list = field(default_factory=lambda: [False, False, False])  # as scalar.script_floats takes them

    @property
    def name(self):
        return self.node.name

    def own_names(self):
        return [statement.name for statement in self.own if isinstance(statement, ast.FunctionDef)]


def looks_like_value(node):
    """Whether somebody would call this class an attempt at Value: it adds, multiplies and goes backward."""
    names = {statement.name for statement in node.body if isinstance(statement, ast.FunctionDef)}
    return {"__init__", "__add__", "__mul__", "backward"} <= names


def recognise(node, names):
    """The ValueClass for a class definition that looks like it; raises NotTheReference."""
    if node.decorator_list or node.keywords or [base for base in node.bases if ast.unparse(base) != "object"]:
        raise NotTheReference("it has a decorator, a metaclass or a base class")
    methods = [statement for statement in node.body if isinstance(statement, ast.FunctionDef)]
    defined = {method.name: method for method in methods}
    for method in methods:
        if method is not defined[method.name] and method.name in (*OPERATORS, *METHODS, "backward", "__init__"):
            raise NotTheReference(f"it defines {method.name} twice")
    attributes, revision, float_grad = constructor(defined["__init__"], names)
    found = ValueClass(node, revision, attributes)
    found.floats[0] = float_grad
    unifier = Unifier(names, node.name, attributes)
    closures_of = closures.Translator(node.name, attributes) if revision == "first" else None
    for statement in node.body:
        _take(found, statement, unifier, closures_of)
    for name in OPERATORS.keys() - OPTIONAL:
        if name not in defined and name not in _aliases(node):
            raise NotTheReference(f"{name} is missing")
    check_room(found)
    found.missing = [name for name in (*NAMED, *OPTIONAL) if name not in defined]
    if revision == "first" and "backward" not in found.reference:
        raise NotTheReference("backward is not the reference's")
    return found


def constructor(init, names):
    """The attributes that __init__ sets, by the reference's names; the revision it is of; whether gradients start as floats."""
    init = normal(init, names)
    arguments = [argument.arg for argument in init.args.args]
    if len(arguments) != 4 or init.args.vararg or init.args.kwarg or init.args.kwonlyargs:
        raise NotTheReference("__init__ does not take the reference's arguments")
    this, data, children, third = arguments
    set_to = {}
    for line in init.body:
        target = line.targets[0] if isinstance(line, ast.Assign) and len(line.targets) == 1 else None
        if not (isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == this):
            raise NotTheReference(f"__init__ does more than set attributes (line {line.lineno})")
        set_to[ast.unparse(line.value).replace("lambda :", "lambda:")] = target.attr  # as Python 3.10 spells it
    if len(set(set_to.values())) < len(init.body):
        raise NotTheReference(f"__init__ (line {init.lineno}) sets an attribute twice")
    defaults = [ast.unparse(default) for default in init.args.defaults][-2:]
    zero = "0.0" if "0.0" in set_to else "0"
    expected = {data: "data", zero: "grad", children: "_children", third: "_local_grads"}
    if len(init.body) == 4 and set_to.keys() == expected.keys() and defaults == ["()", "()"]:
        return {theirs: set_to[value] for value, theirs in expected.items()}, "current", zero == "0.0"
    expected = {data: "data", zero: "grad", "lambda: None": "_backward", f"set({children})": "_prev", third: "_op"}
    if len(init.body) == 5 and set_to.keys() == expected.keys() and defaults == ["()", "''"] and names.is_builtin("set"):
        return {theirs: set_to[value] for value, theirs in expected.items()}, "first", zero == "0.0"
    raise NotTheReference(f"__init__ (line {init.lineno}) does not set what the reference's sets")


def without_type_check(method):
    """Without `assert isinstance(other, (int, float))`: what that refuses, the arithmetic refuses too, with a TypeError."""
    method = copy.deepcopy(method)
    method.body = [line for line in method.body if not (isinstance(line, ast.Assert) and "isinstance(" in ast.unparse(line))]
    return method


def check_room(found):
    """The compiled class keeps its own attributes under the reference's names, which the script cannot have for something else."""
    for theirs, ours in found.attributes.items():
        if ours != theirs and ours in COMPILED_ATTRIBUTES:
            raise NotTheReference(f"{ours} is not what the reference calls {ours}")
    taken = {*COMPILED_ATTRIBUTES, *found.attributes.values()}
    for statement in found.own:
        targets = [statement.name] if isinstance(statement, ast.FunctionDef) else map(ast.unparse, getattr(statement, "targets", []))
        for name in taken.intersection(targets):
            raise NotTheReference(f"the class defines {name} (line {statement.lineno}), which is an attribute of its nodes")


def _aliases(node):
    """Names bound by lines such as `__radd__ = __add__` that mean the reference's operator."""
    return {
        statement.targets[0].id
        for statement in node.body
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name)
        and isinstance(statement.value, ast.Name) and ALIASES.get(statement.targets[0].id) == statement.value.id
    }


def _take(found, statement, unifier, closures_of):
    """Sorts one statement of the class body: the reference's, to be carried, or a reason to leave the class alone."""
    if isinstance(statement, ast.FunctionDef):
        _take_method(found, statement, unifier, closures_of)
    elif isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets):
        name = statement.targets[0].id
        if name == "__slots__":
            _take_slots(found, statement)
        elif name in ALIASES and name in _aliases(found.node):
            pass
        elif any(target.id.startswith("__") and target.id not in CARRIED for target in statement.targets):
            raise NotTheReference(f"{name} (line {statement.lineno}) is not the reference's")
        elif any(isinstance(part, ast.Name) and part.id in FORMS for part in ast.walk(statement.value)):
            raise NotTheReference(f"line {statement.lineno} gives a method another name")
        else:
            found.own.append(statement)
    elif isinstance(statement, (ast.Pass, ast.Expr)) and not isinstance(getattr(statement, "value", None), ast.Call):
        if statement is found.node.body[0]:
            found.own.append(statement)  # the docstring
    elif isinstance(statement, ast.AnnAssign) and statement.value is None:
        found.own.append(statement)
    else:
        raise NotTheReference(f"line {statement.lineno} is not of a kind that the compiled class can carry")


def _take_slots(found, statement):
    try:
        slots = ast.literal_eval(statement.value)
        slots = [slots] if isinstance(slots, str) else list(slots)
    except (ValueError, TypeError):
        slots = []
    if sorted(slots) != sorted(found.attributes.values()):
        raise NotTheReference(f"__slots__ (line {statement.lineno}) has other attributes")
    found.slots = statement.value


def _take_method(found, method, unifier, closures_of):
    name = method.name
    if name == "__init__":
        return
    if any(isinstance(part, ast.Name) and part.id in ("super", "__class__") for part in ast.walk(method)):
        raise NotTheReference(f"{name} (line {method.lineno}) uses super() or __class__")
    own = method
    if name == "__pow__":
        own = without_type_check(method)
    if closures_of is not None and name != "backward":
        own = closures_of.translate(own)
        if own is None:
            raise NotTheReference(f"{name} (line {method.lineno}) has a _backward that cannot be translated")
    code = normal(own, unifier.names)
    first = closures_of is not None and f"first {name}" in FORMS
    forms = [*FORMS.get(name, []), *(FORMS[f"first {name}"] if first else [])]
    floats = FORMS.get(f"float first {name}" if first else f"float {name}", [])
    if any(unifier.matches(f, code) for f in floats):
        found.floats[1 if name == "backward" else 2] = True
        forms = floats
    if forms and not method.decorator_list and any(unifier.matches(f, code) for f in forms):
        if name not in OPERATORS:
            found.reference.add(name)
    elif name in OPERATORS or (name.startswith("__") and name.endswith("__") and name not in CARRIED):
        raise NotTheReference(f"{name} (line {method.lineno}) is not the reference's")
    else:
        found.own.append(own)
