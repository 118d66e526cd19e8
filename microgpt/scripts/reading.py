"""The normal form of a method: the node it returns, or the operators to which it delegates.

Its body is executed with symbols for its arguments, once with a Value as the operand and once with a number; so is the
constructor's body if the method makes a node. The reference's methods are read in the same way, and compared.
"""

import ast
import copy

from microgpt.scripts.arithmetic import BINARY, ONE, ZERO, Unread, is_expression, is_none_test, is_truth, number, parts
from microgpt.scripts.execution import Execution
from microgpt.scripts.symbols import (
    Closure,
    Delegation,
    Fixed,
    Group,
    Made,
    Node,
    Operand,
    Roles,
    Text,
    Wrapped,
    extra,
    is_nothing,
    is_pair,
    merged,
)

GRAD = ("input", "grad")  # of the node that a closure belongs to
MAX_DEPTH = 6  # of calls


class Reader(Execution):
    """Reads the methods of one class. node: its definition; names: those of its module; functions, module_flags: name -> the
    module's own functions, and the first values of its globals that are True or False."""

    def __init__(self, node, names, functions, module_flags=()):
        super().__init__(names)
        self.module_flags = dict(module_flags)
        self.name = node.name
        self.methods = methods_of(node)
        self.functions, self.environment, self.depth, self.constructed = functions, {}, 0, None
        self.flags = {
            target.id: line.value.value for line in node.body if is_flag(line) for target in line.targets if isinstance(target, ast.Name)
        }
        self.guards = set()  # (whether it is a flag of the class, name, value) for the flags on which a result depends
        self.roles = None  # until they are known
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
        if roles.children is None or not (roles.pairs or roles.locals or roles.closure):
            raise Unread("no method makes a node with children and local gradients")
        for name in (roles.children, None if roles.closure else roles.locals):
            kind = roles.kind if name == roles.children else "tuple"
            if name is not None and made.attributes.get(name) != Group(kind, ()):
                raise Unread(f"line {self.methods['__init__'].lineno}: a new node's {name} is not an empty {kind}")
        for name, value in made.attributes.items():
            if name not in roles.compiled():
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
            elif isinstance(value, Group) and value.items and all(map(is_pair, value.items)):
                roles.children, roles.kind, roles.pairs = attribute, value.kind, value.items[0].kind
            elif isinstance(value, Group) and value.items and all(map(is_expression, value.items)):
                roles.locals = attribute
            elif isinstance(value, Closure) and attribute in leaf.attributes:
                roles.closure = attribute
        if roles.closure:
            roles.locals = roles.pairs = None

    # ---- results ---------------------------------------------------------------------------------------------------------

    def form(self, name, other):
        """The Node or Delegation that a method returns. other: whether its operand is a Value; None if it has no operand."""
        result = self._result(self.methods[name], other)
        return self._node(result, self.methods[name]) if isinstance(result, Made) else result

    def _result(self, method, other):
        arguments = [Operand(0)] + ([] if other is None else [Operand(1) if other else ("input", 1)])
        if method.decorator_list or isinstance(method, ast.AsyncFunctionDef):
            raise Unread(f"line {method.lineno}: it has a decorator")
        result = self._call(method, arguments, {})
        if not isinstance(result, (Made, Delegation)):
            raise Unread(f"line {method.lineno}: it does not return a node")
        return result

    def _node(self, made, method):
        roles, attributes = self.roles, dict(made.attributes)
        data = attributes.pop(roles.data)
        if not is_expression(data):
            raise Unread(f"line {method.lineno}: the data of the new node is not a number")
        if roles.converts and data[0] == "float":
            data = data[1]
        children = attributes.pop(roles.children, None)
        closure = attributes.pop(roles.closure, None) if roles.closure else None
        place = f"line {method.lineno}: "
        if attributes.pop(roles.grad) != number(float(roles.zero) if "." in roles.zero else 0):
            raise Unread(place + "the gradient of a new node is not 0")
        if not isinstance(children, Group) or children.kind != roles.kind:
            raise Unread(place + f"the children are not in a {roles.kind}, as in __init__")
        items, factors, flows = children.items, (), None
        if roles.pairs:
            if not all(is_pair(item) and item.kind == roles.pairs for item in items):
                raise Unread(place + "a child is not paired with its local gradient, as it is elsewhere")
            items, factors = [item.items[0] for item in items], tuple(item.items[1] for item in items)
        elif roles.locals:
            group = attributes.pop(roles.locals)
            if not isinstance(group, Group) or group.kind != "tuple" or not all(map(is_expression, group.items)):
                raise Unread(place + "the local gradients are not a tuple of numbers")
            factors = group.items
        else:
            flows = self._flows(closure, items)
            factors = tuple(map(factor_of, flows))
            if None in factors:
                factors = (ZERO,) * len(items)
            else:
                flows = None
        if len(factors) != len(items):
            raise Unread(place + "there is not one local gradient for each child")
        if is_truth(data) or (not roles.closure and any(map(is_truth, factors))):
            raise Unread(place + "a number may be True or False")
        if any(part == GRAD for expression in (data, *factors) for part in parts(expression)):
            raise Unread(place + "the new node depends on a gradient")
        indices = tuple(self._child(child, place) for child in items)
        if flows and not {part[1] for flow in flows for part in parts(flow) if part[0] == "input"} <= {"grad", *indices}:
            raise Unread(place + "the closure uses something other than the children")
        return Node(data, indices, factors, tuple((name, extra(value)) for name, value in sorted(attributes.items())), flows)

    def _child(self, child, place):
        """0 or 1 for an operand, or for a leaf that the constructor makes from an operand that is a number."""
        if isinstance(child, Operand):
            return child.index
        if isinstance(child, Made) and self._is_leaf(child):
            return 1
        raise Unread(place + "a child is neither of the operands")

    def _is_leaf(self, made):
        """Whether it is the leaf that the constructor makes from an operand that is a number."""
        leaf = self._construct(self.methods["__init__"], [("input", 1)], {})
        return {**leaf.attributes, **self._plain(made)} == {**leaf.attributes, **self._plain(leaf)}

    def _plain(self, made):
        return {name: value for name, value in made.attributes.items() if not isinstance(value, Closure)}

    def _flows(self, closure, children):
        """The term that a closure adds to the gradient of each child, as an expression of GRAD and data:

        def _backward():
            self.grad += L * out.grad
        """
        if isinstance(closure, Closure) and is_nothing(closure.node) and not children:
            return ()
        if not isinstance(closure, Closure) or not isinstance(closure.node, ast.FunctionDef) or closure.node.args.args:
            raise Unread("there is no closure for the backward pass")
        flows, outer = [], self.environment
        self.environment = dict(closure.environment)
        try:
            for line in closure.node.body:
                target, value = added_to(line)
                if target is None:
                    self.statement(line)
                    continue
                if not isinstance(target, ast.Attribute) or target.attr != self.roles.grad or len(flows) == len(children):
                    raise self.unread(line)
                owner, child = self.value(target.value), children[len(flows)]
                if owner is not child and (isinstance(owner, Made) or owner != child):
                    raise self.unread(line)
                flows.append(self.number(value))
        finally:
            self.environment = outer
        return tuple(flows)

    # ---- execution -------------------------------------------------------------------------------------------------------

    def _construct(self, init, arguments, keywords):
        """The object that __init__ initializes. This object is the outcome, so branches are merged by merging its attributes."""
        outer, self.constructed = self.constructed, init.args.args[0].arg if init.args.args else ""
        try:
            return self._call(init, [Made(), *arguments], keywords)
        finally:
            self.constructed = outer

    def _call(self, function, arguments, keywords):
        outer, constructed = self.environment, self.constructed
        try:
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise Unread(f"line {function.lineno}: {function.name} calls itself")
            self.environment = self._bound(function, arguments, keywords)
            self.constructed = constructed if function.name == "__init__" else None
            return self.run(function.body)
        finally:
            self.environment, self.constructed = outer, constructed
            self.depth -= 1

    def _bound(self, function, arguments, keywords):
        of = function.args
        positional = [*of.posonlyargs, *of.args]
        if of.vararg or of.kwarg or len(arguments) > len(positional):
            raise Unread(f"line {function.lineno}: {function.name} is called with other arguments than it names")
        self.environment = {}
        defaults = dict(zip([a.arg for a in positional][len(positional) - len(of.defaults) :], of.defaults))
        defaults |= {a.arg: default for a, default in zip(of.kwonlyargs, of.kw_defaults) if default is not None}
        bound = dict(zip([a.arg for a in positional], arguments))
        for name in [a.arg for a in (*positional, *of.kwonlyargs)]:
            if name in keywords and name not in bound:
                bound[name] = keywords[name]
            elif name not in bound and name in defaults:
                bound[name] = self.value(defaults[name])
        if not set(keywords) <= set(bound) or len(bound) < len(positional) + len(of.kwonlyargs):
            raise Unread(f"line {function.lineno}: {function.name} is called with other arguments than it names")
        return bound

    def saved(self):
        return copy.deepcopy(self.environment)

    def restore(self, state):
        self.environment = state

    def outcome(self, line):
        if isinstance(line, ast.Continue):
            raise self.unread(line)
        value = self.value(line.value) if line is not None and line.value is not None else Fixed(None)
        if self.constructed is None:
            return value
        if value != Fixed(None) or not isinstance(self.environment.get(self.constructed), Made):
            raise Unread("__init__ returns a value")
        return self.environment[self.constructed]

    def merged(self, condition, yes, no, line):
        return merged(condition, yes, no, line)

    def statement(self, line):
        if isinstance(line, ast.FunctionDef) and not line.decorator_list:
            self.environment[line.name] = Closure(line, self.environment)
        elif not (isinstance(line, ast.Assert) and self.condition(line.test) is True):
            super().statement(line)

    def assign(self, target, value, line):
        if isinstance(target, ast.Name):
            self.environment[target.id] = value
        elif isinstance(target, ast.Tuple) and isinstance(value, Group) and len(target.elts) == len(value.items):
            for part, item in zip(target.elts, value.items):
                self.assign(part, item, line)
        else:
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
        if isinstance(node, ast.IfExp):
            condition = self.condition(node.test)
            if not isinstance(condition, bool):
                return merged(condition, self.value(node.body), self.value(node.orelse), node)
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
                return (
                    GRAD if owner.attributes[node.attr] in (ZERO, number(0.0)) and self._is_grad(node.attr) else owner.attributes[node.attr]
                )
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
        operands = self._operand(left), self._operand(right)
        if all(is_expression(x) or isinstance(x, (Operand, Wrapped, Delegation)) for x in operands):
            return Delegation(BINARY[type(node.op)], operands)
        raise self.unread(node)

    def _operand(self, thing):
        return Wrapped() if isinstance(thing, Made) and self._is_leaf(thing) else thing

    def unary(self, node, operand):
        if isinstance(self._operand(operand), (Operand, Wrapped, Delegation)) and isinstance(node.op, ast.USub):
            return Delegation("negative", (self._operand(operand),))
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
        """A flag of the class or of the module, assumed to have its first value; see guard_holds in src/scalar/overrides.h."""
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
        owner = None
        if (
            isinstance(function, ast.Attribute)
            and function.attr in self.methods
            and not node.args
            and not keywords
            and not self.names.math(function)
        ):
            owner = self._operand(self.value(function.value))
        result = None
        if helper is not None and not keywords:
            definition, first = helper
            result = self._call(definition, [*first, *map(self.value, node.args)], {})
        if (
            isinstance(owner, (Wrapped, Delegation))
            or owner == Operand(0)
            and (isinstance(result, Delegation) or isinstance(result, Made) and not self._is_leaf(result))
        ):
            return Delegation(function.attr, (owner,))
        return super().call(node) if result is None else result

    def _helper(self, function):
        """(definition, first arguments) of a function of the module or of the class, called by its name."""
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


def methods_of(node):
    """name -> definition, also for aliases, as in `__radd__, __rmul__ = __add__, __mul__`, and for lambdas."""
    methods = {}
    for line in node.body:
        if isinstance(line, ast.FunctionDef):
            methods[line.name] = line
        elif isinstance(line, ast.Assign):
            both = isinstance(line.targets[0], ast.Tuple) and isinstance(line.value, ast.Tuple)
            pairs = zip(line.targets[0].elts, line.value.elts) if both else [(target, line.value) for target in line.targets]
            for target, value in pairs:
                if isinstance(value, ast.Lambda):
                    returned = ast.copy_location(ast.Return(value.body), value)
                    made = ast.FunctionDef(ast.unparse(target), value.args, [returned], [])
                    methods[made.name] = ast.copy_location(made, value)
                elif isinstance(value, ast.Name) and value.id in methods:
                    methods[ast.unparse(target)] = methods[value.id]
    return methods


def is_flag(line):
    """`name = True` or False"""
    return isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, bool)


def added_to(line):
    """(target, value) of `target += value` or `target = target + value`; (None, None) for anything else."""
    if isinstance(line, ast.AugAssign) and isinstance(line.op, ast.Add) and isinstance(line.target, ast.Attribute):
        return line.target, line.value
    if isinstance(line, ast.Assign) and isinstance(line.value, ast.BinOp) and isinstance(line.value.op, ast.Add):
        if isinstance(line.targets[0], ast.Attribute) and ast.unparse(line.value.left) == ast.unparse(line.targets[0]):
            return line.targets[0], line.value.right
    return None, None


def factor_of(flow):
    """L of L * GRAD; None for anything else."""
    if flow == GRAD:
        return ONE
    if flow[0] == "*" and GRAD in flow[1:]:
        factor = flow[2] if flow[1] == GRAD else flow[1]
        return factor if GRAD not in parts(factor) else None
    return None
