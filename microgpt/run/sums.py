"""Sums of products of Values, however they are written: as an element of a list, alone, in a loop that adds up or appends.

A loop or comprehension over one or two lists, or over an index, is read as: which vectors does it go through? `wi` in
`for wi, xi in zip(row, x)` is an element of `row`; `k[t][j]` in a loop over t is an element of column j of `k`. The product of
two such elements, summed, is a dot product; and a list of those is a matrix times a vector, or an attention head's logits or output.
The compiled call is tried first and gives up unless it finds plain Values; then the script's own line or loop runs.
"""

import ast
import copy
from dataclasses import dataclass

from microgpt.run.names import at

PURE = (
    ast.Name, ast.Constant, ast.Attribute, ast.Subscript, ast.Slice, ast.BinOp, ast.UnaryOp, ast.JoinedStr, ast.FormattedValue,
    ast.expr_context, ast.operator, ast.unaryop,
)  # fmt: skip


def is_pure(node):
    """Nothing but names, numbers, attributes, subscripts and arithmetic: evaluating it twice does what once does."""
    return all(isinstance(part, PURE) for part in ast.walk(node))


@dataclass
class Over:
    """What a loop goes over. items: variable -> the list it is an element of; index, low, high: if it is over a range. sizes: whether
    all these lists have to be of equal size, because zip stops with the shortest."""

    items: dict
    index: str | None = None
    low: str = "0"
    high: str | None = None

    @property
    def variables(self):
        return {*self.items, *([self.index] if self.index else [])}


@dataclass
class Vector:
    """Elements offset, offset + 1, ... of a list (source of an expression), or of a column of a list of rows."""

    source: str
    offset: str = "0"
    column: str | None = None


@dataclass
class Dot:
    """The sum of left[j] * right[j] for j < size; size None: of all, where both have as many. start: as in dot_new, or None if it is
    no constant."""

    left: Vector
    right: Vector
    size: str | None
    start: str


def over(target, iterable, names):
    """The Over of `for target in iterable`, or None."""
    function, arguments = None, []
    if isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Name) and names.is_builtin(iterable.func.id) and not iterable.keywords:
        function, arguments = iterable.func.id, iterable.args
    if function == "zip" and isinstance(target, ast.Tuple) and len(target.elts) == len(arguments) == 2:
        variables = target.elts
    elif function == "range" and isinstance(target, ast.Name) and len(arguments) in (1, 2):
        sizes = [argument.args[0] if is_len(argument, names) else argument for argument in arguments]
        if all(map(is_pure, sizes)):
            low = "0" if len(arguments) == 1 else ast.unparse(arguments[0])
            return Over({}, target.id, low, ast.unparse(arguments[-1]))
        return None
    elif function is None and isinstance(target, ast.Name):
        variables, arguments = [target], [iterable]
    else:
        return None
    if all(isinstance(variable, ast.Name) for variable in variables) and all(map(is_pure, arguments)):
        return Over({variable.id: ast.unparse(argument) for variable, argument in zip(variables, arguments)})
    return None


def is_len(node, names):
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "len" and names.is_builtin("len") and len(node.args) == 1


def uses(source, variables):
    return any(isinstance(part, ast.Name) and part.id in variables for part in ast.walk(ast.parse(source)))


def vector(node, loop):
    """The Vector whose element an expression is in a loop, or None."""
    if isinstance(node, ast.Name) and node.id in loop.items:
        return Vector(loop.items[node.id])
    if not isinstance(node, ast.Subscript) or not is_pure(node):
        return None
    source, index = ast.unparse(node.value), ast.unparse(node.slice)
    offset = offset_of(node.slice, loop)
    if offset is not None and not uses(source, loop.variables):
        return Vector(source, offset)
    if isinstance(node.slice, ast.Slice) or uses(index, loop.variables):
        return None
    rows = vector(node.value, loop)  # element t of a list of rows
    return Vector(rows.source, rows.offset, index) if rows is not None and rows.column is None else None


def offset_of(node, loop):
    """What is added to the loop's index: "0" for j, "o" for o + j; None if it is anything else."""
    if loop.index is None or isinstance(node, ast.Slice):
        return None
    if isinstance(node, ast.Name) and node.id == loop.index:
        return loop.low
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        for one, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(other, ast.Name) and other.id == loop.index and not uses(ast.unparse(one), loop.variables):
                return ast.unparse(one) if loop.low == "0" else f"({ast.unparse(one)}) + ({loop.low})"
    return None


def dot(element, loop, start):
    """The Dot of the products that `element` is in a loop, or None."""
    if loop is None or start is None or not isinstance(element, ast.BinOp) or not isinstance(element.op, ast.Mult):
        return None
    left, right = vector(element.left, loop), vector(element.right, loop)
    if left is None or right is None:
        return None
    size = None
    if loop.index is not None:
        size = loop.high if loop.low == "0" else f"({loop.high}) - ({loop.low})"
    return Dot(left, right, size, start)


def start_of(node, names, class_name):
    """The flags of a sum's first term in src/scalar/node.h, as source; None if it is no constant 0."""
    first = 0
    if isinstance(node, ast.Call) and ast.unparse(node.func) == class_name and len(node.args) == 1 and not node.keywords:
        node, first = node.args[0], 1
    if isinstance(node, ast.Constant) and type(node.value) in (int, float) and repr(node.value) in ("0", "0.0"):
        return repr((0x20000 if first else 0) | (0x40000 if type(node.value) is float else 0))
    return None


class Sums:
    """Finds sums in one file. names: its Names; class_name: what it calls its Value."""

    def __init__(self, names, class_name):
        self.names, self.class_name = names, class_name

    # ---- expressions -------------------------------------------------------------------------------------------------------

    def of_sum(self, node):
        """The Dot of a call of sum, or None."""
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sum" and self.names.is_builtin("sum")):
            return None
        if len(node.args) not in (1, 2) or node.keywords or not isinstance(node.args[0], (ast.GeneratorExp, ast.ListComp)):
            return None
        [generator, *others] = node.args[0].generators
        start = start_of(node.args[1], self.names, self.class_name) if len(node.args) == 2 else "0"
        if others or generator.ifs or generator.is_async:
            return None
        return dot(node.args[0].elt, over(generator.target, generator.iter, self.names), start)

    def alone(self, node):
        """(what it is, the expression) for sum(...), or None."""
        found = self.of_sum(node)
        if found is None:
            return None
        call = self.call(node, found)
        either = ast.BoolOp(ast.Or(), [call, ast.Tuple([node], ast.Load())])
        return "dot product", at_all(node, ast.Subscript(either, ast.Constant(0), ast.Load()), node)

    def call(self, place, found):
        """The call of script_dot for a Dot."""
        left, right = (
            f"__microgpt_column__({v.source}, {v.offset}, {v.column}, {found.size}), 0" if v.column else f"{v.source}, {v.offset}"
            for v in (found.left, found.right)
        )
        return at(place, ast.parse(f"__microgpt_dot__({left}, {right}, {found.size}, {found.start})", mode="eval").body)

    def elements(self, element, target, iterable, place):
        """(what it is, the call that makes the list) for the list of `element` for target in iterable, or None."""
        loop, divisor = over(target, iterable, self.names), None
        if loop is None:
            return None
        if isinstance(element, ast.BinOp) and isinstance(element.op, ast.Add) and len(loop.items) == 2:
            if [ast.unparse(element.left), ast.unparse(element.right)] == list(loop.items):
                return "vector add", self._parsed(place, f"__microgpt_add__({', '.join(loop.items.values())})")
        if isinstance(element, ast.BinOp) and isinstance(element.op, ast.Div) and is_pure(element.right):
            element, divisor = element.left, ast.unparse(element.right)
        found = element if isinstance(element, Dot) else self.of_sum(element)
        if found is None or divisor is not None and uses(divisor, loop.variables):
            return None
        if loop.index is not None and (found.left.column or found.right.column) and divisor is None:
            return self._columns(found, loop, place)
        return self._rows(found, loop, divisor, place)

    def _rows(self, found, loop, divisor, place):
        """[dot(row, X) for row in W], either way round; and divided by something"""
        if found.left.column or found.right.column:
            return None
        for x, row, reverse in ((found.right, found.left, 0), (found.left, found.right, 1)):
            rows = self._rows_of(row.source, loop)
            outside = [x.source, x.offset, row.offset, found.size or "0"]
            if rows is None or any(uses(source, loop.variables) for source in outside if not self._is_own_size(source, row)):
                continue
            size = "None" if found.size is None or self._is_own_size(found.size, row) else found.size
            arguments = f"{x.source}, {x.offset}, {rows}, {row.offset}, {size}, {reverse}, {found.start}, {divisor}"
            return "attention" if divisor else "linear", self._parsed(place, f"__microgpt_rows__({arguments})")
        return None

    def _is_own_size(self, source, row):
        """range(len(row)), which has to be the size of the other vector too."""
        return source == f"len({row.source})" and row.offset == "0"

    def _rows_of(self, source, loop):
        """The list of rows of which `source` is the one of this iteration."""
        if source in loop.items:
            return loop.items[source] if len(loop.items) == 1 else None
        node = ast.parse(source, mode="eval").body
        if loop.index is not None and isinstance(node, ast.Subscript) and ast.unparse(node.slice) == loop.index and loop.low == "0":
            rows = ast.unparse(node.value)
            return rows if loop.high == f"len({rows})" and not uses(rows, loop.variables) else None
        return None

    def _columns(self, found, loop, place):
        """[sum(A[t] * V[t][j] for t in ...) for j in range(...)], either way round"""
        weights, column, reverse = (found.left, found.right, 0) if found.right.column else (found.right, found.left, 1)
        if weights.column is not None or column.offset != "0" or weights.offset != "0":
            return None
        first = offset_of(ast.parse(column.column, mode="eval").body, loop)
        if first is None or any(uses(source, loop.variables) for source in (weights.source, column.source, found.size or "0")):
            return None
        count = loop.high if loop.low == "0" else f"({loop.high}) - ({loop.low})"
        arguments = f"{weights.source}, {column.source}, {first}, {count}, {found.size}, {reverse}, {found.start}"
        return "attention", self._parsed(place, f"__microgpt_mix__({arguments})")

    def _parsed(self, place, source):
        return at(place, ast.parse(source, mode="eval").body)

    # ---- loops ---------------------------------------------------------------------------------------------------------------

    def accumulated(self, first, loop):
        """(name, Dot) of `name = 0` and a loop `for ...: name = name + a * b`, or None."""
        name = assigned_name(first)
        if name is None or not isinstance(loop, ast.For) or loop.orelse or len(loop.body) != 1:
            return None
        start, line = start_of(first.value, self.names, self.class_name), loop.body[0]
        if isinstance(line, ast.AugAssign) and isinstance(line.op, ast.Add) and ast.unparse(line.target) == name:
            term = line.value
        elif assigned_name(line) == name and isinstance(line.value, ast.BinOp) and isinstance(line.value.op, ast.Add):
            term = line.value.right if ast.unparse(line.value.left) == name else None
        else:
            return None
        found = dot(term, over(loop.target, loop.iter, self.names), start)
        return None if found is None or any(uses(v.source, {name}) for v in (found.left, found.right)) else (name, found)

    def appended(self, first, loop, place):
        """(what it is, name of the list, the call) of `out = []` and a loop that appends to it, or None."""
        name = assigned_name(first)
        if name is None or ast.unparse(first.value) not in ("[]", "list()") or not isinstance(loop, ast.For) or loop.orelse:
            return None
        *lines, last = loop.body
        call = last.value if isinstance(last, ast.Expr) else None
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != f"{name}.append" or len(call.args) != 1 or call.keywords:
            return None
        element = self._inlined(lines, call.args[0])
        found = None if element is None else self.elements(element, loop.target, loop.iter, place)
        return None if found is None else (found[0], name, found[1])

    def _inlined(self, lines, element):
        """The element with what the lines before it compute: a sum, in one line or two."""
        if not lines:
            return element
        name = assigned_name(lines[0])
        if len(lines) == 2:
            both = self.accumulated(*lines)
            found = both[1] if both else None
        else:
            found = self.of_sum(lines[0].value) if name and len(lines) == 1 else None
        if found is None:
            return None
        if ast.unparse(element) == name:
            return found
        if isinstance(element, ast.BinOp) and isinstance(element.op, ast.Div) and ast.unparse(element.left) == name:
            element = copy.copy(element)
            element.left = found
            return element
        return None


def assigned_name(line):
    if isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name):
        return line.targets[0].id
    if isinstance(line, ast.AnnAssign) and line.value is not None and isinstance(line.target, ast.Name):
        return line.target.id
    return None


def at_all(place, node, *old):
    """A new node around old ones, which keep their places."""
    kept = {id(part) for one in old for part in ast.walk(one)}
    for part in ast.walk(node):
        if id(part) not in kept and "lineno" in part._attributes:
            ast.copy_location(part, place)
    return node
