"""The normal form of arithmetic: what an expression computes, regardless of how it is written.

An expression is a tuple: ("input", key), ("number", its repr), ("fixed", its source), or (operation, *expressions), with an
operation of OPERATIONS. Equal expressions give the same bits for all floats and ints. The functions named after
operations make them; `program` translates them for the machine in src/scalar/formula.h.
"""

import ast
import math

FUNCTIONS = ["exp", "log", "sqrt", "tanh", "sin", "cos", "tan", "atan", "sinh", "cosh", "asin", "acos", "log1p", "expm1", "erf"]
OPERATIONS = ["+", "-", "*", "/", "**", "negative", "abs", "<", "<=", "==", "!=", "select", "float", *FUNCTIONS]
COMPARISONS = ("<", "<=", "==", "!=")
BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
MAX_REGISTERS = 96


class Unread(Exception):
    """The code has no normal form; the message gives the line and the reason."""


def number(value):
    return ("number", repr(value))


ZERO, ONE, MINUS_ONE = number(0), number(1), number(-1)


def is_expression(thing):
    return isinstance(thing, tuple)


def operation(name, left, right):
    """left name right, with factors and terms in a fixed order, because they commute to the last bit."""
    if name == "/":  # true division: of two floats, whatever the types of the operands
        left, right = (number(float(eval_number(x))) if x[0] == "number" and abs(eval_number(x)) < 2**53 else x for x in (left, right))
    if name in ("+", "*"):
        left, right = sorted((left, right), key=repr)
    return (name, left, right)


def negative(x):
    """-x, which equals x * -1 for floats and ints."""
    if x[0] == "number" and eval_number(x) != 0:
        return number(-eval_number(x))
    return operation("*", MINUS_ONE, x)


def compare(operator, left, right):
    name = {ast.Lt: "<", ast.Gt: ">", ast.LtE: "<=", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}.get(type(operator))
    if name is None:
        raise Unread("a comparison is not one of numbers")
    return {">": ("<", right, left), ">=": ("<=", right, left)}.get(name, (name, left, right))


def select(condition, yes, no):
    return yes if yes == no else ("select", condition, yes, no)


def largest(first, *others):
    """max(first, ...): the first of the largest ones."""
    for other in others:
        first = select(("<", first, other), other, first)
    return first


def smallest(first, *others):
    for other in others:
        first = select(("<", other, first), other, first)
    return first


def to_float(x):
    if is_float(x):
        return x
    if x[0] == "number":
        return number(float(eval_number(x)))
    return select(x, number(1.0), number(0.0)) if x[0] in COMPARISONS else ("float", x)


def is_none_test(node):
    """`x is None` or `x is not None`"""
    return (
        isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], (ast.Is, ast.IsNot))
        and isinstance(node.comparators[0], ast.Constant) and node.comparators[0].value is None
    )  # fmt: skip


def is_float(x):
    """Whether it is certainly a float, whatever the types of the inputs."""
    kind, *rest = x
    if kind == "number":
        return not rest[0].lstrip("-").isdigit()
    if kind in ("+", "-", "*", "**", "negative", "abs"):
        return any(map(is_float, rest))
    return kind in ("/", "float", *FUNCTIONS) or (kind == "select" and all(map(is_float, rest[1:])))


def is_truth(x):
    """Whether it may be True or False."""
    return x[0] in COMPARISONS or (x[0] == "select" and any(map(is_truth, x[2:])))


def eval_number(x):
    return int(x[1]) if x[1].lstrip("-").isdigit() else float(x[1])


def parts(x):
    yield x
    if x[0] not in ("input", "number", "fixed"):
        for part in x[1:]:
            yield from parts(part)


def replaced(x, what, by):
    if x == what:
        return by
    if x[0] in ("input", "number", "fixed"):
        return x
    new = [replaced(part, what, by) for part in x[1:]]
    return operation(x[0], *new) if len(new) == 2 else (x[0], *new)


def program(inputs, fixed, outputs):
    """(number of inputs, number of fixed sources, constants, code, outputs) for expressions of these, for set_formula in script.pxi.

    Raises Unread if the program is too long."""
    registers = {("input", key): i for i, key in enumerate(inputs)}
    for source in fixed:
        registers["fixed", source] = len(registers)
    constants = dict.fromkeys(part for output in outputs for part in parts(output) if part[0] == "number")
    for constant in constants:
        registers[constant] = len(registers)
    code = bytearray()

    def register(x):
        if x not in registers:
            operands = [register(part) for part in x[1:]]
            if len(registers) >= MAX_REGISTERS:
                raise Unread("the formula is too long")
            code.extend([OPERATIONS.index(x[0]), *operands, *[0] * (3 - len(operands))])
            registers[x] = len(registers)
        return registers[x]

    places = bytes([register(output) for output in outputs])
    return len(inputs), len(fixed), tuple(map(eval_number, constants)), bytes(code), places


class Arithmetic:
    """Reads expressions of a syntax tree. A subclass defines in `leaf` the meaning of names, attributes and subscripts.

    names: the Names of the script.
    """

    def __init__(self, names):
        self.names = names

    def value(self, node):
        """The normal form of an expression, or the result of `leaf` or `call` if it is not a number."""
        if isinstance(node, ast.Constant):
            return number(node.value) if type(node.value) in (int, float) else self.leaf(node)
        if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
            return self.binary(node, self.value(node.left), self.value(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            return self.unary(node, self.value(node.operand))
        if isinstance(node, (ast.Compare, ast.BoolOp)) or isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self.condition(node)
        if isinstance(node, ast.IfExp):
            condition = self.condition(node.test)
            if isinstance(condition, bool):
                return self.value(node.body if condition else node.orelse)
            return select(condition, self.number(node.body), self.number(node.orelse))
        if isinstance(node, ast.Call):
            return self.call(node)
        if self.names.math(node) in ("pi", "e", "tau"):
            return number(getattr(math, self.names.math(node)))
        return self.leaf(node)

    def number(self, node):
        value = self.value(node)
        if not is_expression(value):
            raise self.unread(node)
        return value

    def binary(self, node, left, right):
        if is_expression(left) and is_expression(right):
            return operation(BINARY[type(node.op)], left, right)
        raise self.unread(node)

    def unary(self, node, operand):
        if not is_expression(operand):
            raise self.unread(node)
        return negative(operand) if isinstance(node.op, ast.USub) else operand

    def condition(self, node):
        """A condition: an expression that is 0 or not, or True or False if it is known."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            condition = self.condition(node.operand)
            return not condition if isinstance(condition, bool) else ("==", condition, ZERO)
        if isinstance(node, ast.BoolOp):
            return self._both_or_either(isinstance(node.op, ast.And), map(self.condition, node.values))
        if isinstance(node, ast.Compare):
            operands = [self.number(operand) for operand in (node.left, *node.comparators)]
            pairs = zip(node.ops, operands, operands[1:])
            return self._both_or_either(True, (compare(operator, left, right) for operator, left, right in pairs))
        value = self.value(node)
        if isinstance(value, bool) or is_expression(value):
            return value
        raise self.unread(node)

    def _both_or_either(self, both, conditions):
        result = both
        for condition in conditions:
            if isinstance(result, bool):
                if result is not both:
                    return result
                result = condition
            elif isinstance(condition, bool):
                result = result if condition is both else condition
            else:
                result = select(result, condition, ZERO) if both else select(result, ONE, condition)
        return result

    def call(self, node):
        function = self.names.math(node.func)
        if function is None and isinstance(node.func, ast.Name) and self.names.is_builtin(node.func.id):
            function = f"built-in {node.func.id}"
        if node.keywords or function is None or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self.unread(node)
        arguments = [self.number(argument) for argument in node.args]
        if function in FUNCTIONS and len(arguments) == 1:
            return (function, *arguments)
        if function in ("built-in max", "built-in min") and len(arguments) > 1:
            return (largest if function == "built-in max" else smallest)(*arguments)
        if function in ("built-in abs", "fabs") and len(arguments) == 1:
            return to_float(("abs", *arguments)) if function == "fabs" else ("abs", *arguments)
        if function == "built-in float" and len(arguments) == 1:
            return to_float(*arguments)
        raise self.unread(node)

    def leaf(self, node):
        raise self.unread(node)

    def unread(self, node):
        source = ast.unparse(node).splitlines()[0]
        return Unread(f"line {node.lineno}: {source if len(source) < 60 else source[:57] + '...'}")
