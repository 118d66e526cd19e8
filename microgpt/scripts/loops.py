"""Finds loops over the parameters whose body is arithmetic: Adam in all its forms, momentum, weight decay, clipping.

The body is executed with symbols. This gives formulas for the new values of p.data, p.grad, m[i] and v[i] in terms of the old
ones. The loop gets another iterable, which does the iterations itself, but leaves the last one, and any with an unusual number,
to the loop. A comprehension over parameters, as in `sum(p.grad**2 for p in params)`, is a formula too.
"""

import ast
import copy

from microgpt.compiled import scalar
from microgpt.scripts.arithmetic import Unread, is_expression, is_none_test, parts, program, select
from microgpt.scripts.execution import Execution
from microgpt.scripts.names import at

PURE = (
    ast.Name, ast.Constant, ast.Attribute, ast.Subscript, ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Call,
    ast.expr_context, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
PURE_CALLS = ("max", "min", "abs", "float", "len")
PARAM, INDEX = object(), object()  # the meanings of the loop's variables


def compiled_loop(loop, names, roles):
    """The loop with its new iterable. Raises Unread if it is anything but arithmetic on each parameter."""
    if loop.orelse:
        raise Unread(f"line {loop.orelse[0].lineno}: the loop has an else")
    body = Body(loop, names, roles)
    state = body.run(loop.body)
    outputs = {place: value for place, value in state.items() if place[0] != "name" and value != ("input", place)}
    if not outputs:
        raise Unread(f"line {loop.lineno}: the loop changes no parameter")
    call = body.replacement("loop", outputs, [repr(body.yields)])
    new = copy.copy(loop)
    new.iter = at(loop.iter, call)
    return new


def compiled_comprehension(node, names, roles):
    """The expression for the list of a comprehension's elements, or None if Python must compute it."""
    [generator] = node.generators
    if generator.ifs or generator.is_async:
        raise Unread(f"line {node.lineno}: a comprehension with if")
    body = Body(ast.copy_location(ast.For(generator.target, generator.iter, [], []), node), names, roles)
    value = body.number(node.elt)
    if not any(part[0] == "input" for part in parts(value)):
        raise Unread(f"line {node.lineno}: an element that is no number of a parameter")
    return at(node, body.replacement("each", {"element": value}, []))


def looks_like_update(loop, roles):
    """Whether the loop's statements change the `data` of the loop's variable by its `grad`, or by its entry in a list: what a
    reader would call an update."""
    variables = {part.id for part in ast.walk(loop) if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)}
    reads = any(isinstance(part, ast.Attribute) and part.attr == roles.grad and isinstance(part.ctx, ast.Load) for part in ast.walk(loop))
    targets = [
        target for statement in own_statements(loop.body) if isinstance(statement, (ast.Assign, ast.AugAssign))
        for target in getattr(statement, "targets", None) or [statement.target]
    ]  # fmt: skip
    return reads and any(
        isinstance(target, ast.Attribute) and target.attr == roles.data
        and variables & {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
        for target in targets
    )  # fmt: skip


def own_statements(body):
    """The statements of a loop, including those under its conditions, but not those of inner loops."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from own_statements([*statement.body, *statement.orelse])


class Body(Execution):
    """A loop's header, and the execution of its body.

    A place is ("data",), ("grad",), ("list", its source) or ("name", a temporary). yields: how the loop takes its items, as
    runtime.loop has it.
    """

    def __init__(self, loop, names, roles):
        super().__init__(names)
        self.attributes = {roles.data: ("data",), roles.grad: ("grad",)}
        self.variables, self.lists, self.state = {}, {}, {}
        self._header(loop)
        self.assigned = {
            part.id
            for statement in loop.body
            for part in ast.walk(statement)
            if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)
        }
        header = {part.id for node in (self.params, *self.lists.values()) for part in ast.walk(node) if isinstance(part, ast.Name)}
        if self.assigned & (header | set(self.variables)):
            raise Unread(f"line {loop.lineno}: the loop assigns to its own variables")

    def _header(self, loop):
        """for p in params; for i, p in enumerate(params); for i in range(len(params)); for p, mi in zip(params, m)"""
        target, iterable = loop.target, loop.iter
        variables = [target] if isinstance(target, ast.Name) else list(getattr(target, "elts", ()))
        function, arguments = self._built_in(iterable)
        if not all(isinstance(variable, ast.Name) for variable in variables) or not variables:
            raise Unread(f"line {loop.lineno}: the loop's variables are not plain names")
        first, *others = [variable.id for variable in variables]
        if function == "enumerate" and len(arguments) == 1 and len(others) == 1:
            self.yields, self.params, self.variables = "pairs", arguments[0], {first: INDEX, others[0]: PARAM}
        elif function == "range" and len(arguments) == 1 and not others and self._built_in(arguments[0])[0] == "len":
            [self.params] = self._built_in(arguments[0])[1]
            self.yields, self.variables = "indices", {first: INDEX}
            self._check_pure(self.params)
        elif function == "zip" and len(arguments) == len(variables) > 1:
            self.yields, self.params, self.variables = "zip", arguments[0], {first: PARAM}
            for name, node in zip(others, arguments[1:]):
                self._check_pure(node)
                self.variables[name] = ("list", ast.unparse(node))
                self.lists[ast.unparse(node)] = node
        elif not others and function not in ("range", "zip", "enumerate"):
            self.yields, self.params, self.variables = "params", iterable, {first: PARAM}
        else:
            raise Unread(f"line {loop.lineno}: the loop is not over a list of parameters")

    def _built_in(self, node):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and self.names.is_builtin(node.func.id) and not node.keywords:
            return node.func.id, node.args
        return None, []

    def _is_pure(self, node):
        """Whether evaluating it once, before the loop, is the same as evaluating it in each iteration."""
        for part in ast.walk(node):
            if not isinstance(part, PURE):
                return False
            if isinstance(part, ast.Call) and self.names.math(part.func) is None and self._built_in(part)[0] not in PURE_CALLS:
                return False
        return True

    def _check_pure(self, node):
        if not self._is_pure(node) or any(isinstance(part, ast.Call) for part in ast.walk(node)):
            raise Unread(f"line {node.lineno}: what the loop runs over may change in it")

    # ---- execution ---------------------------------------------------------------------------------------------------------

    def saved(self):
        return dict(self.state)

    def restore(self, state):
        self.state = state

    def outcome(self, line):
        """The contents of the places."""
        if isinstance(line, ast.Return):
            raise self.unread(line)
        return dict(self.state)

    def merged(self, condition, yes, no, line):
        return {
            place: select(condition, yes.get(place, ("input", place)), no.get(place, ("input", place)))
            for place in {**yes, **no} if place[0] != "name" or (place in yes and place in no)
        }  # fmt: skip

    def assign(self, target, value, line):
        place = ("name", target.id) if isinstance(target, ast.Name) else self.place(target)
        if place is None or not (is_expression(value) or place[0] == "name"):
            raise self.unread(line)
        self.state[place] = value

    def place(self, node):
        """The place that an attribute or a subscript means, if it is a number of this iteration's parameter."""
        if isinstance(node, ast.Attribute) and self._is_param(node.value):
            return self.attributes.get(node.attr)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Name) and self._variable(node.slice) is INDEX:
            if (
                not self._is_pure(node.value)
                or self._uses_loop(node.value)
                or any(isinstance(part, ast.Call) for part in ast.walk(node.value))
            ):
                raise self.unread(node)
            if ast.unparse(node.value) == ast.unparse(self.params):
                return None
            self.lists[ast.unparse(node.value)] = node.value
            return ("list", ast.unparse(node.value))
        return None

    def _variable(self, node):
        if isinstance(node, ast.Name):
            return self.variables.get(node.id) or self.state.get(("name", node.id))
        return None

    def _is_param(self, node):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Name) and self._variable(node.slice) is INDEX:
            return ast.unparse(node.value) == ast.unparse(self.params)
        return self._variable(node) is PARAM

    def _uses_loop(self, node):
        loop = set(self.variables) | self.assigned
        return any(isinstance(part, ast.Name) and part.id in loop for part in ast.walk(node))

    # ---- expressions -------------------------------------------------------------------------------------------------------

    def value(self, node):
        if not isinstance(node, (ast.Constant, ast.Compare, ast.IfExp)) and self._is_pure(node) and not self._uses_loop(node):
            return self._fixed(node)
        return super().value(node)

    def _fixed(self, node):
        """Raise Unread if what the loop should not change may be an element of its lists or a number of a parameter."""
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute) and part.attr in self.attributes:
                raise Unread(f"line {part.lineno}: the loop uses another node's .{part.attr}")
        return ("fixed", ast.unparse(node))

    def binary(self, node, left, right):
        return self._folded(node, "({}) {} ({})", left, right) or super().binary(node, left, right)

    def _folded(self, node, template, left, right):
        """Fold arithmetic on what the loop does not change, so that it is done once."""
        if is_expression(left) and is_expression(right) and left[0] in ("fixed", "number") and right[0] in ("fixed", "number"):
            symbol = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}[type(node.op)]
            return ("fixed", template.format(left[1], symbol, right[1]))
        return None

    def unary(self, node, operand):
        if is_expression(operand) and operand[0] == "fixed" and isinstance(node.op, ast.USub):
            return ("fixed", f"-({operand[1]})")
        return super().unary(node, operand)

    def condition(self, node):
        if is_none_test(node) and self.number(node.left)[0] == "input":
            return isinstance(node.ops[0], ast.IsNot)
        return super().condition(node)

    def leaf(self, node):
        if isinstance(node, ast.Name):
            variable = self._variable(node)
            if isinstance(variable, tuple) and variable[0] == "list":
                return self.state.get(variable, ("input", variable))
            if variable is not None:
                return variable
        elif isinstance(node, (ast.Attribute, ast.Subscript)):
            place = self.place(node)
            if place is not None:
                return self.state.get(place, ("input", place))
            if self._is_param(node):
                return PARAM
        raise self.unread(node)

    # ---- the result --------------------------------------------------------------------------------------------------------

    def replacement(self, function, outputs, first):
        """The call of a `function` of runtime.py that computes these outputs. first: its first arguments."""
        lists = list(self.lists)
        everything = dict.fromkeys(part for value in outputs.values() for part in parts(value))
        inputs = dict.fromkeys(part[1] for part in everything if part[0] == "input")
        inputs.update(dict.fromkeys(place for place in outputs if place[0] == "list"))  # so that only numbers are replaced
        fixed = [part[1] for part in everything if part[0] == "fixed"]
        changed = {ast.dump(node) for node in (*self.lists.values(), self.params)}
        for source in fixed:
            for part in ast.walk(ast.parse(source)):
                if isinstance(part, ast.Subscript) and ast.dump(part.value) in changed:
                    raise Unread(f"line {self.params.lineno}: the loop uses other elements of its lists")
        slots = {("data",): 0, ("grad",): 1, **{("list", source): 2 + i for i, source in enumerate(lists)}}
        places = [slots[place] for place in inputs] + [slots[place] for place in outputs if place in slots]
        try:
            number = scalar.script_loop(program(list(inputs), fixed, list(outputs.values())), places)
        except TypeError:
            raise Unread(f"line {self.params.lineno}: a number is not a float") from None
        sources = [*first, repr(number), "PARAMS", group(lists), f"lambda: {group(fixed)}" if fixed else "None"]
        call = ast.parse(f"__microgpt_{function}__({', '.join(sources)})", mode="eval").body
        call.args = [self.params if isinstance(argument, ast.Name) and argument.id == "PARAMS" else argument for argument in call.args]
        return call


def group(sources):
    return f"({''.join(f'({source}), ' for source in sources)})"
