"""Finds the loops over the parameters that are Adam's or gradient descent's update, whatever their temporaries are called.

The loop's body is evaluated with symbols: what do m[i], v[i], p.data and p.grad hold after it, in terms of what they held before?
If that is the reference's update, the loop is given another iterable, which does the iterations itself and leaves the last one,
and any with an unusual number in it, to the loop.

A symbolic expression is ("old", place), ("fixed", syntax tree) for what the loop does not change, or (operator, left, right).
"""

import ast
import copy

from microgpt.run.vectors import at

OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
FIXED = (
    ast.Name, ast.Constant, ast.Attribute, ast.Subscript, ast.BinOp, ast.UnaryOp, ast.expr_context, ast.operator, ast.unaryop,
)
LEAVES = {None: 0, "0": 1, "0.0": 2}  # GRAD_KEPT, GRAD_INT_ZERO, GRAD_FLOAT_ZERO in src/scalar/script.h


class NotAnUpdate(Exception):
    """The loop does something else; the message says what."""


def compiled_loop(loop, unifier):
    """(what it is, the loop with its new iterable) for an optimizer's loop; raises NotAnUpdate."""
    body = Body(loop, unifier)
    for name, match in (("Adam", adam), ("gradient descent", descent), ("zeroed gradients", zeroed)):
        arguments = match(body)
        if arguments is not None:
            return name, body.rewritten(loop, *arguments)
    raise NotAnUpdate("its update is not the reference's")


def looks_like_update(loop, data):
    """Whether the loop's own statements change the `data` of the loop's variable: what a reader would call an update."""
    variables = {part.id for part in ast.walk(loop.target) if isinstance(part, ast.Name)}
    targets = [
        target for statement in loop.body if isinstance(statement, (ast.Assign, ast.AugAssign))
        for target in getattr(statement, "targets", None) or [statement.target]
    ]
    return any(
        isinstance(target, ast.Attribute) and target.attr == data
        and variables & {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
        for target in targets
    )


class Body:
    """A loop's header and the symbolic outcome of its body."""

    def __init__(self, loop, unifier):
        self.names, attributes = unifier.names, unifier.attributes
        self.data, self.grad = attributes["data"], attributes["grad"]
        self.index = self.param = self.params = None
        self._header(loop)
        self.assigned = {
            part.id for statement in loop.body for part in ast.walk(statement)
            if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)
        }
        if self.assigned & {part.id for part in ast.walk(self.params) if isinstance(part, ast.Name)}:
            raise NotAnUpdate("it changes its own parameters")
        self.state, self.lists, self.fixed = {}, {}, []
        for statement in loop.body:
            self._statement(statement)
        self._check_fixed()

    def _header(self, loop):
        """for i, p in enumerate(params); for i in range(len(params)); for p in params"""
        iterable, target = loop.iter, loop.target
        if isinstance(target, ast.Tuple) and len(target.elts) == 2 and all(isinstance(t, ast.Name) for t in target.elts):
            self.params = self._argument(iterable, "enumerate")
            self.index, self.param = (t.id for t in target.elts)
        elif isinstance(target, ast.Name) and isinstance(iterable, ast.Call):
            self.params = self._argument(self._argument(iterable, "range"), "len")
            self.index = target.id
        elif isinstance(target, ast.Name):
            self.params, self.param = iterable, target.id
        if self.params is None or not self._is_fixed(self.params):
            raise NotAnUpdate("it is not over a list of parameters")

    def _argument(self, call, function):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == function:
            if self.names.is_builtin(function) and len(call.args) == 1 and not call.keywords:
                return call.args[0]
        return None

    def _is_fixed(self, node):
        return all(isinstance(part, FIXED) for part in ast.walk(node))

    # ---- symbolic evaluation -------------------------------------------------------------------------------------------

    def _statement(self, statement):
        if isinstance(statement, ast.Pass) or isinstance(getattr(statement, "value", None), ast.Constant) and isinstance(
            statement, ast.Expr
        ):
            return
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], self._value(statement.value)
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, value = statement.target, self._value(statement.value)
        elif isinstance(statement, ast.AugAssign) and type(statement.op) in OPERATORS:
            target = statement.target
            value = self._operation(statement.op, self._value(load(target)), self._value(statement.value))
        else:
            raise NotAnUpdate(f"line {statement.lineno} is not a plain assignment")
        place = self._place(target)
        if place is None:
            raise NotAnUpdate(f"line {statement.lineno} changes something else")
        self.state[place] = value

    def _place(self, target):
        """What an assignment's target is: "data", "grad", ("list", its source), or ("name", a temporary)."""
        if isinstance(target, ast.Name):
            return ("name", target.id) if target.id not in (self.index, self.param) else None
        if isinstance(target, ast.Attribute) and self._is_param(target.value):
            return {self.data: "data", self.grad: "grad"}.get(target.attr)
        if isinstance(target, ast.Subscript) and self._is_index(target.slice) and self._is_fixed(target.value):
            if self._uses_loop(target.value):
                return None
            source = ast.unparse(target.value)
            self.lists[source] = target.value
            return ("list", source)
        return None

    def _is_index(self, node):
        return isinstance(node, ast.Name) and node.id == self.index

    def _is_param(self, node):
        if isinstance(node, ast.Name):
            return node.id == self.param or self.state.get(("name", node.id)) == "param"
        return isinstance(node, ast.Subscript) and self._is_index(node.slice) and ast.dump(node.value) == ast.dump(self.params)

    def _uses_loop(self, node):
        loop = {self.index, self.param} | self.assigned
        return any(isinstance(part, ast.Name) and part.id in loop for part in ast.walk(node))

    def _value(self, node):
        if self._is_param(node):
            return "param"
        if isinstance(node, ast.Name) and ("name", node.id) in self.state:
            return self.state["name", node.id]
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            place = self._place(load(node))
            if place is not None:
                return self.state.get(place, ("old", place))
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return self._operation(node.op, self._value(node.left), self._value(node.right))
        if isinstance(node, ast.UnaryOp):
            kind, *rest = self._value(node.operand)
            if kind == "fixed":
                return ("fixed", ast.copy_location(ast.UnaryOp(node.op, rest[0]), node))
        elif self._is_fixed(node) and not self._uses_loop(node):
            self.fixed.append(node)
            return ("fixed", node)
        raise NotAnUpdate(f"line {node.lineno} has an expression that is not the reference's")

    def _check_fixed(self):
        """What the loop is taken not to change must not be an element of its lists, nor a number of some parameter."""
        changed = {*self.lists, ast.unparse(self.params)}
        for part in (part for node in self.fixed for part in ast.walk(node)):
            if isinstance(part, ast.Subscript) and ast.unparse(part.value) in changed:
                raise NotAnUpdate(f"line {part.lineno} uses another element of its lists")
            if isinstance(part, ast.Attribute) and part.attr in (self.data, self.grad):
                raise NotAnUpdate(f"line {part.lineno} uses another node's .{part.attr}")

    def _operation(self, operator, left, right):
        if left[0] == right[0] == "fixed":
            return ("fixed", ast.copy_location(ast.BinOp(left[1], operator, right[1]), left[1]))
        return (OPERATORS[type(operator)], left, right)

    # ---- the result ------------------------------------------------------------------------------------------------------

    def outcome(self, place):
        return self.state.get(place, ("old", place))

    def leaves(self):
        """What the loop leaves in p.grad, as LEAVES has it; None if that is nothing it has."""
        left = self.outcome("grad")
        if left == ("old", "grad"):
            return LEAVES[None]
        return LEAVES.get(ast.unparse(left[1])) if left[0] == "fixed" else None

    def rewritten(self, loop, function, *arguments):
        """The loop over what runtime.loop makes of the update `function`: pairs, indices or parameters, as the loop has it."""
        yields = "params" if self.index is None else "indices" if self.param is None else "pairs"
        call = f"__microgpt_loop__({', '.join([repr(function), repr(yields), 'PARAMS', *arguments])})"
        new = copy.copy(loop)
        new.iter = at(loop.iter, ast.parse(call, mode="eval").body)
        new.iter = Parameters(self.params).visit(new.iter)
        return new


class Parameters(ast.NodeTransformer):
    def __init__(self, params):
        self.params = params

    def visit_Name(self, node):
        return self.params if node.id == "PARAMS" else node


def load(target):
    target = copy.copy(target)
    target.ctx = ast.Load()
    return target


# ---- The updates: each returns the compiled iterable's name and arguments as source, or None ----------------------------------


def match(pattern, value, found):
    """Whether a symbolic expression is `pattern`, its names in capitals standing for what the loop does not change (kept in
    `found`). Factors and terms may be swapped: on floats that gives the same bits."""
    if isinstance(pattern, str):
        if value[0] != "fixed":
            return False
        known = found.setdefault(pattern, value[1])
        return ast.dump(known) == ast.dump(value[1])
    if pattern[0] in ("old", "is"):
        return value == (pattern if pattern[0] == "old" else pattern[1])
    if pattern[0] == "number":
        return value[0] == "fixed" and ast.unparse(value[1]) in pattern[1:]
    if value[0] != pattern[0] or len(value) != 3:
        return False
    orders = [(value[1], value[2])] + ([(value[2], value[1])] if value[0] in "+*" else [])
    for left, right in orders:
        attempt = dict(found)
        if match(pattern[1], left, attempt) and match(pattern[2], right, attempt):
            found.update(attempt)
            return True
    return False


GRAD, DATA = ("old", "grad"), ("old", "data")


def adam(body):
    places = [place for place in body.state if place[0] == "list"]
    if len(places) != 2 or body.leaves() is None:
        return None
    for m, v in (places, places[::-1]):
        found = {}
        new_m, new_v = body.state[m], body.state[v]
        square = ("**", GRAD, ("number", "2", "2.0"))
        root = ("**", ("/", ("is", new_v), "CORRECTION2"), ("number", "0.5"))
        step = ("/", ("*", "LR", ("/", ("is", new_m), "CORRECTION1")), ("+", root, "EPS"))
        if (
            match(("+", ("*", "BETA1", ("old", m)), ("*", "REST1", GRAD)), new_m, found)
            and match(("+", ("*", "BETA2", ("old", v)), ("*", "REST2", square)), new_v, found)
            and match(("-", DATA, step), body.outcome("data"), found)
        ):
            order = ("BETA1", "REST1", "BETA2", "REST2", "CORRECTION1", "CORRECTION2", "LR", "EPS")
            hyper = ", ".join(ast.unparse(found[name]) for name in order)
            return "adam", m[1], v[1], f"lambda: ({hyper})", str(body.leaves())
    return None


def descent(body):
    found = {}
    if any(place[0] == "list" for place in body.state) or body.leaves() is None:
        return None
    if match(("-", DATA, ("*", "LR", GRAD)), body.outcome("data"), found):
        return "descent", f"lambda: {ast.unparse(found['LR'])}", str(body.leaves())
    if match(("+", DATA, ("*", "LR", GRAD)), body.outcome("data"), found):
        return "descent", f"lambda: -({ast.unparse(found['LR'])})", str(body.leaves())
    return None


def zeroed(body):
    if set(body.state) == {"grad"} and body.leaves():
        return "descent", "None", str(body.leaves())
    return None
