"""The normal form of a method: which node it returns, or which operators it delegates to.

A method's body is executed with symbols for what it is given, the constructor's too where it makes a node, once with a Value as
the operand and once with a number. So it does not matter how the method is written, only what its result is:

    Node        its data and local gradients as expressions (arithmetic.py), its children, its other attributes
    Delegation  operators applied to operands, as in `self + (-other)`
"""

import ast
import copy
from dataclasses import dataclass, field

from microgpt.run.arithmetic import (
    ONE,
    ZERO,
    Arithmetic,
    Unread,
    is_expression,
    is_none_test,
    is_truth,
    number,
    parts,
    select,
)

GRAD = ("input", "grad")  # of the node that a closure belongs to
MAX_DEPTH = 6  # of calls


@dataclass(frozen=True)
class Operand:
    """A Value that the method is given. index: 0 for self, 1 for the other."""

    index: int


@dataclass(frozen=True)
class Delegation:
    operator: str
    operands: tuple


@dataclass
class Made:
    """A node in the making. attributes: name -> what has been assigned to it."""

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
    """An f-string of the number that is the other operand. parts: str, or (conversion, format) for that number."""

    parts: tuple


@dataclass
class Closure:
    node: ast.AST
    environment: dict


@dataclass(frozen=True)
class Node:
    """data, locals: expressions, whose inputs 0 and 1 are the operands' data. children: 0 for self, 1 for the other operand (a
    new leaf, if it is a number). extras: (attribute, Fixed, Text or number) of all others."""

    data: tuple
    children: tuple
    locals: tuple
    extras: tuple = field(compare=False, default=())


@dataclass
class Roles:
    """What a class calls its attributes. `children` and `locals` may be None; kind: of the container of the children."""

    data: str
    grad: str
    zero: str  # a new gradient, as source
    converts: bool  # data is float(data)
    children: str | None = None
    kind: str | None = None
    locals: str | None = None
    closure: str | None = None
    extras: dict = field(default_factory=dict)  # attribute -> its value in a leaf that was made of a number alone

    def names(self):
        return [name for name in (self.data, self.grad, self.children, self.locals, self.closure) if name] + list(self.extras)


class Reader(Arithmetic):
    """Reads the methods of one class. node: its definition; names: of its module; functions, module_flags: name -> the
    module's own functions, and first values of its globals that are True or False."""

    def __init__(self, node, names, functions, module_flags=()):
        super().__init__(names)
        self.module_flags = dict(module_flags)
        self.name = node.name
        self.methods = {line.name: line for line in node.body if isinstance(line, ast.FunctionDef)}
        for line in node.body:
            if isinstance(line, ast.Assign) and isinstance(line.value, ast.Name) and line.value.id in self.methods:
                self.methods.update({t.id: self.methods[line.value.id] for t in line.targets if isinstance(t, ast.Name)})
        self.functions, self.environment, self.depth, self.inlined = functions, {}, 0, set()
        self.flags = {target.id: line.value.value for line in node.body if is_flag(line) for target in line.targets if isinstance(target, ast.Name)}
        self.guards = set()  # (whether it is the class's, name, value) of flags that a result depends on
        self.roles = None  # while they are being found out
        self.roles = self._roles()

    # ---- roles -----------------------------------------------------------------------------------------------------------

    def _roles(self):
        if "__init__" not in self.methods:
            raise Unread("it has no __init__")
        made = self._construct(self.methods["__init__"], [("input", 1)], {})
        data = [name for name, value in made.attributes.items() if value in (("input", 1), ("float", ("input", 1)))]
        zeros = [name for name, value in made.attributes.items() if value in (ZERO, number(0.0))]
        grads = [name for name in zeros if name == "grad"] or zeros
        if len(data) != 1 or len(grads) != 1:
            raise Unread(f"line {self.methods['__init__'].lineno}: __init__ does not set data and a gradient of 0")
        [data], [grad] = data, grads
        roles = Roles(data, grad, made.attributes[grad][1], made.attributes[data][0] == "float")
        for name in ("__add__", "__mul__", "exp", "log", "relu", "tanh", *self.methods):
            if name in self.methods and roles.children is None:
                self._edges(name, made, roles)
        if roles.children is None or (roles.locals is None and roles.closure is None):
            raise Unread("no method makes a node with children and local gradients")
        for name, value in made.attributes.items():
            if name not in (roles.data, roles.grad, roles.children, roles.locals, roles.closure):
                roles.extras[name] = extra(value)
        return roles

    def _edges(self, name, leaf, roles):
        try:
            node = self._result(self.methods[name], True)
        except Unread:
            return
        for attribute, value in node.attributes.items() if isinstance(node, Made) else ():
            if isinstance(value, Group) and value.items and all(isinstance(item, Operand) for item in value.items):
                roles.children, roles.kind = attribute, value.kind
            elif isinstance(value, Group) and value.items and all(map(is_expression, value.items)):
                roles.locals = attribute
            elif isinstance(value, Closure) and attribute in leaf.attributes:
                roles.closure = attribute
        if roles.closure:
            roles.locals = None

    # ---- results ---------------------------------------------------------------------------------------------------------

    def form(self, name, other):
        """The Node or Delegation that a method returns. other: whether its operand is a Value; None if it has none."""
        result = self._result(self.methods[name], other)
        return self._node(result, self.methods[name]) if isinstance(result, Made) else result

    def _result(self, method, other):
        arguments = [Operand(0)] + ([] if other is None else [Operand(1) if other else ("input", 1)])
        if method.decorator_list or isinstance(method, ast.AsyncFunctionDef):
            raise Unread(f"line {method.lineno}: a decorator")
        result = self._call(method, arguments, {})
        if not isinstance(result, (Made, Delegation)):
            raise Unread(f"line {method.lineno}: it does not return a node")
        return result

    def _node(self, made, method):
        roles, attributes = self.roles, dict(made.attributes)
        data = attributes.pop(roles.data)
        if roles.converts and data[0] == "float":
            data = data[1]
        children = attributes.pop(roles.children, None)
        closure = attributes.pop(roles.closure, None) if roles.closure else None
        place = f"line {method.lineno}: "
        if attributes.pop(roles.grad) != number(float(roles.zero) if "." in roles.zero else 0):
            raise Unread(place + "a gradient that is not 0")
        if not isinstance(children, Group) or children.kind != roles.kind:
            raise Unread(place + "its children are of another kind")
        if roles.locals:
            group = attributes.pop(roles.locals)
            if not isinstance(group, Group) or group.kind != "tuple" or not all(map(is_expression, group.items)):
                raise Unread(place + "its local gradients are of another kind")
            factors = group.items
        else:
            factors = self._factors(closure, made, children)
        if len(factors) != len(children.items):
            raise Unread(place + "not one local gradient for each child")
        if is_truth(data) or (roles.locals and any(map(is_truth, factors))):
            raise Unread(place + "a number that may be True or False")
        if any(part == GRAD for expression in (data, *factors) for part in parts(expression)):
            raise Unread(place + "a node that depends on a gradient")
        indices = tuple(self._child(child, place) for child in children.items)
        return Node(data, indices, factors, tuple((name, extra(value)) for name, value in sorted(attributes.items())))

    def _child(self, child, place):
        """0 or 1 for an operand, or for a leaf that the constructor makes of the number that is the operand."""
        if isinstance(child, Operand):
            return child.index
        if isinstance(child, Made):
            leaf = self._construct(self.methods["__init__"], [("input", 1)], {})
            if {**leaf.attributes, **self._plain(child)} == {**leaf.attributes, **self._plain(leaf)}:
                return 1
        raise Unread(place + "a child that is neither operand")

    def _plain(self, made):
        return {name: value for name, value in made.attributes.items() if not isinstance(value, Closure)}

    def _factors(self, closure, made, children):
        """The factor of out.grad for each child in a closure like

            def _backward():
                self.grad += L * out.grad
        """
        if isinstance(closure, Closure) and is_nothing(closure.node) and not children.items:
            return ()
        if not isinstance(closure, Closure) or not isinstance(closure.node, ast.FunctionDef) or closure.node.args.args:
            raise Unread("no closure for the backward pass")
        factors, outer = [], self.environment
        self.environment = dict(closure.environment)
        try:
            for line in closure.node.body:
                if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) or isinstance(line, ast.Pass):
                    continue
                if isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name):
                    self.environment[line.targets[0].id] = self.value(line.value)
                    continue
                factors.append(self._contribution(line, made, children.items, len(factors)))
        finally:
            self.environment = outer
        return tuple(factors)

    def _contribution(self, line, made, children, i):
        """L of `child.grad += L * out.grad`, child being the i-th"""
        target, value = None, None
        if isinstance(line, ast.AugAssign) and isinstance(line.op, ast.Add):
            target, value = line.target, line.value
        elif isinstance(line, ast.Assign) and isinstance(line.value, ast.BinOp) and isinstance(line.value.op, ast.Add):
            if ast.unparse(line.value.left) == ast.unparse(line.targets[0]):
                target, value = line.targets[0], line.value.right
        if not isinstance(target, ast.Attribute) or target.attr != self.roles.grad or i >= len(children):
            raise self.unread(line)
        child = self.value(target.value)
        if child is not children[i] and (isinstance(child, Made) or child != children[i]):
            raise self.unread(line)
        product = self.number(value)
        if product == GRAD:
            return ONE
        if product[0] == "*" and GRAD in product[1:]:
            factor = product[2] if product[1] == GRAD else product[1]
            if GRAD not in parts(factor):
                return factor
        raise self.unread(line)

    # ---- execution -------------------------------------------------------------------------------------------------------

    def _construct(self, init, arguments, keywords):
        made = Made()
        if self._call(init, [made, *arguments], keywords) != Fixed(None):
            raise Unread(f"line {init.lineno}: __init__ returns something")
        return made

    def _call(self, function, arguments, keywords):
        outer, self.depth = self.environment, self.depth + 1
        try:
            if self.depth > MAX_DEPTH:
                raise Unread(f"line {function.lineno}: {function.name} calls itself")
            self.environment = self._bound(function, arguments, keywords)
            return self._run(function.body)
        finally:
            self.environment, self.depth = outer, self.depth - 1

    def _bound(self, function, arguments, keywords):
        of = function.args
        positional = [*of.posonlyargs, *of.args]
        if of.vararg or of.kwarg or len(arguments) > len(positional):
            raise Unread(f"line {function.lineno}: the arguments of {function.name}")
        self.environment = {}
        defaults = dict(zip([a.arg for a in positional][len(positional) - len(of.defaults):], of.defaults))
        defaults |= {a.arg: default for a, default in zip(of.kwonlyargs, of.kw_defaults) if default is not None}
        bound = dict(zip([a.arg for a in positional], arguments))
        for name in [a.arg for a in (*positional, *of.kwonlyargs)]:
            if name in keywords and name not in bound:
                bound[name] = keywords[name]
            elif name not in bound and name in defaults:
                bound[name] = self.value(defaults[name])
        if not set(keywords) <= set(bound) or len(bound) < len(positional) + len(of.kwonlyargs):
            raise Unread(f"line {function.lineno}: the arguments of {function.name}")
        return bound

    def _run(self, body):
        for i, line in enumerate(body):
            if isinstance(line, ast.Return):
                return Fixed(None) if line.value is None else self.value(line.value)
            if isinstance(line, ast.If):
                condition, rest = self.condition(line.test), body[i + 1 :]
                if isinstance(condition, bool):
                    return self._run([*(line.body if condition else line.orelse), *rest])
                other = copy.deepcopy(self.environment)
                yes = self._run([*line.body, *rest])
                self.environment = other
                return merged(condition, yes, self._run([*line.orelse, *rest]), line)
            self._statement(line)
        return Fixed(None)

    def _statement(self, line):
        if isinstance(line, ast.Pass) or isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant):
            return
        if isinstance(line, ast.Import) and all(alias.name == "math" for alias in line.names):
            return
        if isinstance(line, ast.FunctionDef) and not line.decorator_list:
            self.environment[line.name] = Closure(line, self.environment)
        elif isinstance(line, ast.Assert) and self.condition(line.test) is True:
            return
        elif isinstance(line, ast.Assign):
            value = self.value(line.value)
            for target in line.targets:
                self._assign(target, value, line)
        elif isinstance(line, ast.AnnAssign):
            if line.value is not None:
                self._assign(line.target, self.value(line.value), line)
        elif isinstance(line, ast.AugAssign) and isinstance(line.target, ast.Name):
            both = ast.copy_location(ast.BinOp(ast.Name(line.target.id, ast.Load()), line.op, line.value), line)
            value = self.value(ast.fix_missing_locations(both))
            if not is_expression(value):
                raise self.unread(line)
            self.environment[line.target.id] = value
        else:
            raise self.unread(line)

    def _assign(self, target, value, line):
        if isinstance(target, ast.Name):
            self.environment[target.id] = value
            return
        if isinstance(target, ast.Tuple) and isinstance(value, Group) and len(target.elts) == len(value.items):
            for part, item in zip(target.elts, value.items):
                self._assign(part, item, line)
            return
        owner = self.value(target.value) if isinstance(target, ast.Attribute) else None
        if not isinstance(owner, Made):
            raise self.unread(line)
        owner.attributes[target.attr] = value

    # ---- expressions -----------------------------------------------------------------------------------------------------

    def value(self, node):
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) and len(node.values) == 2:
            first = self.value(node.values[0]) if isinstance(node.values[0], ast.Name) else None
            if isinstance(first, (Group, Fixed)):
                return first if (first.items if isinstance(first, Group) else first.value) else self.value(node.values[1])
        return super().value(node)

    def leaf(self, node):
        if isinstance(node, ast.Name):
            if node.id in self.environment:
                return self.environment[node.id]
            if node.id == self.name:
                return Fixed(self.name)
        elif isinstance(node, ast.Constant):
            return Fixed(node.value)
        elif isinstance(node, (ast.Tuple, ast.List)) and isinstance(node.ctx, ast.Load):
            return Group(type(node).__name__.lower(), tuple(map(self.value, node.elts)))
        elif isinstance(node, ast.Lambda):
            return Closure(node, self.environment)
        elif isinstance(node, ast.JoinedStr):
            return self._text(node)
        elif isinstance(node, ast.Attribute):
            owner = self.value(node.value)
            if isinstance(owner, Operand):
                return self._of_operand(owner, node)
            if isinstance(owner, Made) and node.attr in owner.attributes:
                return GRAD if owner.attributes[node.attr] in (ZERO, number(0.0)) and self._is_grad(node.attr) else owner.attributes[node.attr]
        raise self.unread(node)

    def _is_grad(self, name):
        return name == (self.roles.grad if self.roles else "grad")

    def _of_operand(self, operand, node):
        data = self.roles.data if self.roles else None
        if data is None or node.attr == data:
            return ("input", operand.index)
        raise self.unread(node)

    def _text(self, node):
        found = []
        for part in node.values:
            if isinstance(part, ast.Constant):
                found.append(part.value)
            elif self.value(part.value) == ("input", 1) and part.format_spec is None:
                found.append((part.conversion, ""))
            else:
                raise self.unread(node)
        return Text(tuple(found))

    def binary(self, node, left, right):
        if is_expression(left) and is_expression(right):
            return super().binary(node, left, right)
        operator = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}[type(node.op)]
        if all(is_expression(x) or isinstance(x, (Operand, Delegation)) for x in (left, right)):
            return Delegation(operator, (left, right))
        raise self.unread(node)

    def unary(self, node, operand):
        if isinstance(operand, (Operand, Delegation)) and isinstance(node.op, ast.USub):
            return Delegation("negative", (operand,))
        return super().unary(node, operand)

    def condition(self, node):
        flag = self._flag(node)
        if flag is not None:
            self.guards.add(flag)
            return flag[2]
        if is_none_test(node):
            return (self.value(node.left) == Fixed(None)) == isinstance(node.ops[0], ast.Is)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and self.names.is_builtin(node.func.id):
            if node.func.id == "isinstance" and len(node.args) == 2:
                return self._isinstance(node, *node.args)
            if node.func.id == "hasattr" and len(node.args) == 2 and isinstance(node.args[1], ast.Constant):
                thing = self.value(node.args[0])
                if is_expression(thing) or isinstance(thing, Operand):
                    return isinstance(thing, Operand) and node.args[1].value in self.methods or self._has(thing, node)
        if isinstance(node, ast.Name):
            value = self.value(node)
            if isinstance(value, (Fixed, Group)):
                return bool(value.value if isinstance(value, Fixed) else value.items)
        return super().condition(node)

    def _flag(self, node):
        """A flag of the class or of the module, which is taken to have its first value; see guard_holds in src/scalar/overrides.h."""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == self.name and node.attr in self.flags:
            return True, node.attr, self.flags[node.attr]
        if isinstance(node, ast.Name) and node.id not in self.environment and node.id in self.module_flags:
            return False, node.id, self.module_flags[node.id]
        return None

    def _has(self, thing, node):
        if is_expression(thing) and not hasattr(0, node.args[1].value) and not hasattr(0.0, node.args[1].value):
            return False
        if isinstance(thing, Operand) and self.roles and node.args[1].value in self.roles.names():
            return True
        raise self.unread(node)

    def _isinstance(self, node, thing, kinds):
        value = self.value(thing)
        kinds = {ast.unparse(kind) for kind in (kinds.elts if isinstance(kinds, ast.Tuple) else [kinds])}
        if not all(kind == self.name or self.names.is_builtin(kind) for kind in kinds):
            raise self.unread(node)
        if isinstance(value, (Operand, Made)):
            return bool(kinds & {self.name, "object"})
        if is_expression(value) and ("object" in kinds or {"int", "float"} <= kinds):
            return True
        if is_expression(value) and not kinds & {"int", "float", "complex"}:
            return False
        raise self.unread(node)

    def call(self, node):
        function, keywords = node.func, {k.arg: k.value for k in node.keywords}
        if None in keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self.unread(node)
        if isinstance(function, ast.Name) and function.id == self.name and function.id not in self.environment:
            init = self.methods["__init__"]
            return self._construct(init, list(map(self.value, node.args)), {k: self.value(v) for k, v in keywords.items()})
        if isinstance(function, ast.Name) and function.id in ("tuple", "list", "set") and self.names.is_builtin(function.id):
            groups = list(map(self.value, node.args))
            if not keywords and len(groups) < 2 and all(isinstance(group, Group) for group in groups):
                return Group(function.id, groups[0].items if groups else ())
        if isinstance(function, ast.Name) and function.id in ("isinstance", "hasattr"):
            return self.condition(node)
        helper = self._helper(function)
        if helper is not None and not keywords:
            definition, first = helper
            self.inlined.add(definition.name)
            return self._call(definition, [*first, *map(self.value, node.args)], {})
        return super().call(node)

    def _helper(self, function):
        """(definition, first arguments) of a function of the module or of the class that is called by its name."""
        if self.names.math(function):
            return None
        if isinstance(function, ast.Name) and function.id not in self.environment:
            definition = self.functions.get(function.id)
            return (definition, []) if definition is not None and not definition.decorator_list else None
        if isinstance(function, ast.Attribute) and function.attr in self.methods and isinstance(function.value, ast.Name):
            definition, owner = self.methods[function.attr], self.value(function.value)
            decorators = [ast.unparse(decorator) for decorator in definition.decorator_list]
            if decorators == ["staticmethod"] and owner in (Operand(0), Fixed(self.name)):
                return definition, []
            if decorators == [] and owner == Operand(0):
                return definition, [owner]
        return None


def is_flag(line):
    """`name = True` or False"""
    return isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, bool)


def is_nothing(node):
    """`lambda: None`"""
    return isinstance(node, ast.Lambda) and isinstance(node.body, ast.Constant) and node.body.value is None


def extra(value):
    """What an attribute that has nothing to do with the graph is set to, if it can be told from the code."""
    if isinstance(value, (Fixed, Text)) or is_expression(value) and value[0] == "number":
        return value
    if isinstance(value, Group) and not value.items:
        return value
    if isinstance(value, Closure) and is_nothing(value.node):
        return value
    raise Unread("an attribute that is computed")


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

