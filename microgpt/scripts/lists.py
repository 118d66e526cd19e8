"""Lists and sums of Values, regardless of how they are written: comprehensions, sum(), loops that append or accumulate.

An element of the list, or a term of the sum, is read as a few operators, methods and dot products. Their operands are item i of a
list, the index, or constant in the loop. `wi` in `for wi, xi in zip(row, x)` is an element of `row`; `k[t][j]` in a loop over t is
an element of column j of `k`; the sum of products of two such elements is a dot product, a single node. So a linear layer, an
attention head, softmax, layer norm and a bias are programs of one kind, which src/scalar/lists.h runs. It gives up
unless it finds plain Values; then the script's own line or loop runs.
"""

import ast
from dataclasses import dataclass, field

from microgpt.compiled import scalar
from microgpt.scripts.arithmetic import BINARY, Unread
from microgpt.scripts.names import BUILTINS, at
from microgpt.scripts.symbols import CALLS, DOT, METHOD, STEPS, SUM
from microgpt.scripts.value_class import BITS

PURE = (
    ast.Name, ast.Constant, ast.Attribute, ast.Subscript, ast.Slice, ast.BinOp, ast.UnaryOp, ast.JoinedStr, ast.FormattedValue,
    ast.expr_context, ast.operator, ast.unaryop,
)  # fmt: skip
FIXED, SIZE, ITEM, INDEX = range(4)  # loads, vectors and steps are as in lists.h
WHOLE, ROW, COLUMN, COLUMNS = range(4)
NOTHING = 255


@dataclass
class Over:
    """The iterable of a loop. items: variable -> the source of the list of which it is an element; index, low, high: of a range, or of
    enumerate, which has no high."""

    items: dict
    index: str | None = None
    low: str = "0"
    high: str | None = None

    @property
    def variables(self):
        return {*self.items, *([self.index] if self.index else [])}

    @property
    def size(self):
        return self.high if self.low == "0" or self.high is None else f"({self.high}) - ({self.low})"


@dataclass
class Elements:
    """Elements offset, offset + 1, ... of a list, or of a column of a list of rows; all fields are sources."""

    source: str
    offset: str = "0"
    column: str | None = None


def uses(source, variables):
    return any(isinstance(part, ast.Name) and part.id in variables for part in ast.walk(ast.parse(source)))


def size_of(source):
    """x of `len(x)`, else None."""
    node = ast.parse(source, mode="eval").body
    return ast.unparse(node.args[0]) if isinstance(node, ast.Call) else None


def assigned_name(line):
    if isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name):
        return line.targets[0].id
    if isinstance(line, ast.AnnAssign) and line.value is not None and isinstance(line.target, ast.Name):
        return line.target.id
    return None


class Lists:
    """Finds lists and sums in one file. module: the file; found: the script's ValueClass; survey: that of all files. globals: names
    that no function binds, so that only the module can bind them."""

    def __init__(self, module, found, survey):
        self.globals = module.names.of_module - BUILTINS
        self.names, self.found, self.computed = module.names, found, survey.computed

    def is_pure(self, node):
        """Whether the number of evaluations makes no difference: names, attributes, subscripts, arithmetic."""
        for part in ast.walk(node):
            if not isinstance(part, PURE) and not self.is_len(part):
                return False
            if isinstance(part, ast.Attribute) and self.computed & {part.attr, "__getattr__", "__getattribute__"}:
                return False
            if isinstance(part, ast.Subscript) and "__getitem__" in self.computed:
                return False
        return True

    def is_len(self, node):
        return self.built_in(node, "len") and len(node.args) == 1

    def built_in(self, node, name):
        return (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
            and self.names.is_builtin(name) and not node.keywords
        )  # fmt: skip

    # ---- which code a program may replace --------------------------------------------------------------------------------------

    def listed(self, node):
        """(its kind, the Program) of a list comprehension. Raises Unread if it has none."""
        program = Program(self, self.only_loop(node))
        program.result = program.value(node.elt)
        return program.described()

    def summed(self, node):
        """The same for a call of sum."""
        if not self.built_in(node, "sum") or len(node.args) not in (1, 2):
            raise Unread("no sum")
        items, start = node.args[0], node.args[1] if len(node.args) == 2 else ast.Constant(0)
        if isinstance(items, (ast.GeneratorExp, ast.ListComp)):
            return self.total(items.elt, self.only_loop(items), start)
        if not self.is_pure(items) or isinstance(items, (ast.Constant, ast.BinOp)):
            raise Unread("not a list")
        return self.total(ast.Name("item", ast.Load()), Over({"item": ast.unparse(items)}), start)

    def total(self, term, loop, start):
        """The sum of `term` over a loop, after `start`: a dot product, or one term after the other."""
        program = Program(self, None)
        try:
            program.result = program.dot(term, loop, start)
            return program.described()
        except Unread:
            program = Program(self, loop)
            program.starts(start)
            program.check(SUM)
            program.result = program.value(term)
            return "sum", program

    def accumulated(self, first, loop):
        """(name, term, Over, start) of `name = start` and a loop `for ...: name = name + term`. Raises Unread for anything else."""
        name = assigned_name(first)
        line = loop.body[0] if isinstance(loop, ast.For) and not loop.orelse and len(loop.body) == 1 else None
        if name is None or line is None:
            raise Unread("no loop that adds up")
        if isinstance(line, ast.AugAssign) and isinstance(line.op, ast.Add) and ast.unparse(line.target) == name:
            term = line.value
        elif assigned_name(line) == name and isinstance(line.value, ast.BinOp) and isinstance(line.value.op, ast.Add):
            term = line.value.right if ast.unparse(line.value.left) == name else None
        else:
            term = None
        if term is None or uses(ast.unparse(term), {name}) or uses(ast.unparse(first.value), {name}) or self.found.has("__iadd__"):
            raise Unread("no sum")
        if not isinstance(first.value, (ast.Call, ast.Constant, ast.Name, ast.Attribute, ast.Subscript)):
            raise Unread("a sum that starts with a new node")
        return name, term, self.over(loop.target, loop.iter), first.value

    def appended(self, first, loop):
        """(its kind, name, Program) of `name = []` and a loop whose last line appends to it. Raises Unread for anything else."""
        name = assigned_name(first)
        last = loop.body[-1] if isinstance(loop, ast.For) and not loop.orelse else None
        call = last.value if isinstance(last, ast.Expr) else None
        if name is None or ast.unparse(first.value) not in ("[]", "list()") or not isinstance(call, ast.Call):
            raise Unread("no list")
        if ast.unparse(call.func) != f"{name}.append" or len(call.args) != 1 or call.keywords or not self.names.is_builtin("list"):
            raise Unread("no list")
        program = Program(self, self.over(loop.target, loop.iter))
        program.run(loop.body[:-1])
        if name in program.temporaries:
            raise Unread("no list")
        program.result = program.value(call.args[0])
        return *program.described()[:1], name, program

    def only_loop(self, node):
        [generator, *others] = node.generators
        if others or generator.ifs or generator.is_async:
            raise Unread("a comprehension with more than a loop")
        return self.over(generator.target, generator.iter)

    def over(self, target, iterable):
        """The Over of `for target in iterable`. Raises Unread for any other kind of loop."""
        arguments = iterable.args if isinstance(iterable, ast.Call) else [iterable]
        if not all(map(self.is_pure, arguments)):
            raise Unread("what a loop is over")
        sources, index = list(map(ast.unparse, arguments)), None
        if self.built_in(iterable, "range") and isinstance(target, ast.Name) and len(sources) in (1, 2):
            return Over({}, target.id, "0" if len(sources) == 1 else sources[0], sources[-1])
        if self.built_in(iterable, "enumerate") and isinstance(target, ast.Tuple) and len(target.elts) == 2 and len(sources) == 1:
            [index, variable] = target.elts
            variables = [variable]
        elif self.built_in(iterable, "zip") and isinstance(target, ast.Tuple) and len(target.elts) == len(sources):
            variables = target.elts
        elif isinstance(iterable, ast.Call):
            raise Unread("what a loop is over")
        else:
            variables = [target]
        names = [variable.id for variable in (*variables, *([index] if index else [])) if isinstance(variable, ast.Name)]
        if len(set(names)) < len(variables) + (index is not None):
            raise Unread("the variables of a loop")
        return Over(dict(zip(names, sources)), index and index.id)


@dataclass
class Program:
    """A program for lists.h under construction. A register is the number of a load, or ~ the number of a step.

    inputs: sources; result: the register of an element; first: the input that a sum starts with; temporaries: name -> register.
    """

    lists: Lists
    loop: Over | None
    inputs: list = field(default_factory=list)
    loads: list = field(default_factory=list)
    vectors: list = field(default_factory=list)
    steps: list = field(default_factory=list)
    methods: list = field(default_factory=list)
    temporaries: dict = field(default_factory=dict)
    needs: set = field(default_factory=set)
    result: int = 0
    first: int = NOTHING

    def input(self, source):
        """The number of an input. Raises Unread if it changes from element to element."""
        if source is None or source == "0":
            return NOTHING
        if self.loop is not None and uses(source, {*self.loop.variables, *self.temporaries}):
            raise Unread("an input that changes")
        return self._input(source)

    def _input(self, source):
        if source not in self.inputs:
            self.inputs.append(source)
        return self.inputs.index(source)

    def check(self, methods):
        """Raise Unread if one of them stays in Python, where it could notice an attempt that is given up."""
        if methods & self.lists.found.own.keys():
            raise Unread("an operator in Python")

    def starts(self, node):
        """Let the sum start with this expression, which may be a new Value of a number."""
        wrapped = self._wrapped(node)
        if wrapped is None and not self.lists.is_pure(node):
            raise Unread("what a sum starts with")
        self.first = self._input(ast.unparse(node))

    def _wrapped(self, node):
        """The number of `Value(number)`, else None."""
        if isinstance(node, ast.Call) and ast.unparse(node.func) == self.lists.found.name and len(node.args) == 1 and not node.keywords:
            return node.args[0] if isinstance(node.args[0], ast.Constant) and type(node.args[0].value) in (int, float) else None
        return None

    # ---- expressions -------------------------------------------------------------------------------------------------------

    def value(self, node):
        """The register of an expression."""
        if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
            return self._operator(BINARY[type(node.op)], self.value(node.left), self.value(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
            operand = self.value(node.operand)
            return self._operator("negative", operand, operand)
        if isinstance(node, ast.Name) and node.id in self.temporaries:
            return self.temporaries[node.id]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args and not node.keywords:
            return self._method(node.func)
        if self.lists.built_in(node, "sum") and len(node.args) in (1, 2) and isinstance(node.args[0], (ast.GeneratorExp, ast.ListComp)):
            start = node.args[1] if len(node.args) == 2 else ast.Constant(0)
            return self.dot(node.args[0].elt, self.lists.only_loop(node.args[0]), start)
        return self._load(node)

    def run(self, lines):
        """Execute lines that compute temporaries of an element."""
        i = 0
        while i < len(lines):
            name = assigned_name(lines[i])
            if name is None or name in self.temporaries or self.loop is None or name in self.loop.variables:
                raise Unread("a line that is no temporary")
            if i + 1 < len(lines) and isinstance(lines[i + 1], ast.For):
                _, term, loop, start = self.lists.accumulated(lines[i], lines[i + 1])
                self.temporaries[name] = self.dot(term, loop, start)
                i += 1
            else:
                self.temporaries[name] = self.value(lines[i].value)
            i += 1

    def _operator(self, operator, a, b):
        self.check(CALLS[operator])
        return self._step(STEPS.index(operator), a, b)

    def _step(self, kind, a, b, size=NOTHING, start=NOTHING, wraps=0):
        invariant = kind < METHOD and all(self.loads[r][0] < ITEM if r >= 0 else self.steps[~r][6] for r in (a, b))
        self.steps.append((kind, a, b, size, start, wraps, int(invariant)))
        return ~(len(self.steps) - 1)

    def _method(self, function):
        found = self.lists.found
        if function.attr not in found.formulas and not (function.attr in found.standard and not function.attr.startswith("__")):
            raise Unread("a method in Python")
        if function.attr in found.formulas and found.formulas[function.attr][0]:
            raise Unread("a method with an operand")
        operand = self.value(function.value)
        if function.attr not in self.methods:
            self.methods.append(function.attr)
        return self._step(METHOD, operand, self.methods.index(function.attr))

    def _load(self, node):
        loop = self.loop
        if loop is not None and isinstance(node, ast.Name) and node.id in loop.items:
            load = (ITEM, self._input(loop.items[node.id]), NOTHING)
        elif loop is not None and isinstance(node, ast.Name) and node.id == loop.index:
            load = (INDEX, NOTHING, self.input(loop.low))
        elif not self.lists.is_pure(node) or isinstance(node, (ast.BinOp, ast.JoinedStr, ast.Slice)):
            raise Unread("an expression that is no Value's")
        elif loop is not None and isinstance(node, ast.Subscript) and self._offset(node.slice, loop) is not None:
            load = (ITEM, self.input(ast.unparse(node.value)), self.input(self._offset(node.slice, loop)))
        elif self.lists.is_len(node):
            load = (SIZE, self.input(ast.unparse(node.args[0])), NOTHING)
        else:
            source = ast.unparse(node)
            load = (FIXED, self.input(source if source != "0" else "(0)"), NOTHING)
        if load not in self.loads:
            self.loads.append(load)
        return self.loads.index(load)

    # ---- dot products ------------------------------------------------------------------------------------------------------

    def dot(self, term, loop, start):
        """The register of the sum of `term` over an inner loop, if that is a product of elements of two vectors."""
        found, reads = self.lists.found, {"__add__", "__mul__"}
        if not isinstance(term, ast.BinOp) or not isinstance(term.op, ast.Mult):
            raise Unread("no products")
        left, right = self._elements(term.left, loop), self._elements(term.right, loop)
        wrapped, register = self._wrapped(start), NOTHING
        if wrapped is not None:
            register = self._load(wrapped)
        elif ast.unparse(start) != "0":
            register = self.value(start)
        if wrapped is None:
            reads |= {"__radd__"}
        if not reads <= found.standard:
            raise Unread("another sum or product")
        self.needs |= reads
        size = None if loop.index is None else loop.size
        if loop.index is not None and loop.items:  # enumerate
            size = f"len({next(iter(loop.items.values()))})"
        if size == "0":
            raise Unread("a sum of nothing")
        if any(size == f"len({one.source})" and one.offset == "0" for one in (left, right)):
            size = None
        vectors = [self._vector(left), self._vector(right)]
        return self._step(DOT, *vectors, self.input(size), register, int(wrapped is not None))

    def _offset(self, node, loop):
        """The offset added to a loop's index: "0" for j, "o" for o + j; None for anything else."""
        if loop.index is None or isinstance(node, ast.Slice):
            return None
        if isinstance(node, ast.Name) and node.id == loop.index:
            return loop.low
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if isinstance(other, ast.Name) and other.id == loop.index and not uses(ast.unparse(one), loop.variables):
                    return ast.unparse(one) if loop.low == "0" else f"({ast.unparse(one)}) + ({loop.low})"
        return None

    def _elements(self, node, loop):
        """The Elements that an expression refers to in a loop."""
        if isinstance(node, ast.Name) and node.id in loop.items:
            return Elements(loop.items[node.id])
        if not isinstance(node, ast.Subscript) or not self.lists.is_pure(node):
            raise Unread("no element of a list")
        source, index, offset = ast.unparse(node.value), ast.unparse(node.slice), self._offset(node.slice, loop)
        if offset is not None and not uses(source, loop.variables):
            return Elements(source, offset)
        if isinstance(node.slice, ast.Slice) or uses(index, loop.variables):
            raise Unread("no element of a list")
        rows = self._elements(node.value, loop)  # element t of a list of rows
        if rows.column is not None:
            raise Unread("no element of a list")
        return Elements(rows.source, rows.offset, index)

    def _vector(self, elements):
        """The number of the vector of these Elements, as seen from the enclosing loop."""
        source, outer = ast.parse(elements.source, mode="eval").body, self.loop
        offset = self.input(elements.offset)
        if elements.column is not None:
            across = None if outer is None else self._offset(ast.parse(elements.column, mode="eval").body, outer)
            kind, column = (COLUMN, elements.column) if across is None else (COLUMNS, across)
            made = (kind, self.input(elements.source), offset, self.input(column))
        elif outer is not None and isinstance(source, ast.Name) and source.id in outer.items:
            made = (ROW, self._input(outer.items[source.id]), offset, NOTHING)
        elif outer is not None and isinstance(source, ast.Subscript) and self._offset(source.slice, outer) == "0":
            made = (ROW, self.input(ast.unparse(source.value)), offset, NOTHING)
        else:
            made = (WHOLE, self.input(elements.source), offset, NOTHING)
        self.vectors.append(made)
        return len(self.vectors) - 1

    # ---- the result --------------------------------------------------------------------------------------------------------

    def described(self):
        """(its kind, itself)"""
        if not self.steps:
            raise Unread("nothing is computed")
        dots = any(step[0] == DOT for step in self.steps)
        return ("list" if not dots else "dot product" if self.loop is None else "linear"), self

    def call(self, place, sure):
        """The call of script_list for it. sure: names that are bound; other inputs are evaluated where an error can be caught."""
        count = counts_items = NOTHING
        zipped = []
        if self.loop is not None and self.loop.items:
            count, counts_items = self._input(next(iter(self.loop.items.values()))), 1
            zipped = [self._input(source) for source in self.loop.items.values()][1:]
        elif self.loop is not None:
            of = size_of(self.loop.size)  # the list of this length
            count, counts_items = self.input(of or self.loop.size), int(of is not None)
        if self.loop is not None and count == NOTHING:
            raise Unread("a program without a size")

        def register(r):
            return r if r >= 0 else len(self.loads) + ~r

        steps = [
            (kind, a, b, size, start if start == NOTHING else register(start), wraps, fixed) if kind == DOT
            else (kind, register(a), b if kind == METHOD else register(b), size, start, wraps, fixed)
            for kind, a, b, size, start, wraps, fixed in self.steps
        ]  # fmt: skip
        needs = sum(1 << BITS[name] for name in self.needs)
        counts = (count, 0 if counts_items == NOTHING else counts_items, self.first, register(self.result))
        globals = [source if source in self.lists.globals else None for source in self.inputs]
        number = scalar.script_program(counts, needs, self.loads, self.vectors, steps, zipped, self.methods, globals)
        if number is None:
            raise Unread("a program that is too long")
        inputs = "".join(f"{None if source in self.lists.globals else source}, " for source in self.inputs)
        node = ast.parse(f"({inputs})", mode="eval").body
        plain = all(isinstance(part, ast.Constant) or isinstance(part, ast.Name) and part.id in sure for part in node.elts)
        call = f"__microgpt_list__({number}, {inputs})" if plain else f"__microgpt_list__({~number}, lambda: ({inputs}))"
        return at(place, ast.parse(call, mode="eval").body)
