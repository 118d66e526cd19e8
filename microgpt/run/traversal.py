"""The normal form of a backward method: in which order it adds what to which gradient.

Recursive, with a stack, with two loops or one: what counts is the order. So the method is run, on small graphs of nodes whose
numbers are formulas, and what it leaves in the gradients is compared with what the compiled backward pass would. That is
done only with methods that consist of lists, sets, loops and the numbers 0 and 1, whose outcome therefore cannot depend on
anything but the shape of the graph.
"""

import ast
import builtins
import copy
import random
import textwrap

BUILTINS = {"set", "list", "dict", "tuple", "len", "range", "reversed", "enumerate", "zip", "iter", "next", "id", "sorted", "any", "all", "float", "isinstance", "object", "TypeError"}
METHODS = {"append", "add", "pop", "reverse", "extend", "insert", "appendleft", "popleft", "update", "get", "setdefault"}
STATEMENTS = (
    ast.FunctionDef, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For, ast.While, ast.If, ast.Expr, ast.Return, ast.Pass, ast.Continue,
    ast.Break, ast.Nonlocal,
)  # fmt: skip
FORBIDDEN = (ast.Lambda, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.JoinedStr, ast.Starred)
MAX_GRAPH = 9


def order_of(method, methods, roles, names, equality):
    """(whether the last child is visited first, what the root's gradient is set to) for a backward method that the compiled
    one can stand for, else None.

    methods: name -> those of the class; roles: what its attributes are called; equality: lines that define when nodes are equal.
    """
    used = plain_methods(method, methods, roles, names)
    if used is None or len(method.args.args) != 1 or method.args.defaults or method.args.vararg or method.args.kwarg:
        return None
    program = compiled_class(used, equality)
    answers = [(last_first, root) for last_first in (False, True) for root in ("1", "1.0")]
    for seed in range(60):
        outcome = gradients(program, method.name, roles, seed)
        answers = [answer for answer in answers if outcome is not None and expected(roles, seed, *answer) == outcome]
        if not answers:
            return None
    return answers[0]


# ---- Which methods can be asked ------------------------------------------------------------------------------------------------


def plain_methods(method, methods, roles, names):
    """The method and those it calls, by name; None if one of them does anything that is not about the graph."""
    found, waiting = {}, [method]
    attributes = {name for name in (roles.grad, roles.children, roles.locals, roles.closure) if name}
    while waiting:
        one = waiting.pop()
        if one.name in found:
            continue
        found[one.name] = one = WithoutAnnotations().visit(copy.deepcopy(one))
        inner = {part.name for part in ast.walk(one) if isinstance(part, ast.FunctionDef)}
        bound = inner | {part.id for part in ast.walk(one) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
        bound |= {part.arg for part in ast.walk(one) if isinstance(part, ast.arg)}
        for part in ast.walk(one):
            if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute):
                called = part.func.attr
                if called in methods and called not in (roles.closure, *METHODS):
                    waiting.append(methods[called])
                elif called not in METHODS and called != roles.closure:
                    return None
            if not is_plain(part, bound, attributes, methods, names):
                return None
    return found


def is_plain(part, bound, attributes, methods, names):
    if isinstance(part, FORBIDDEN) or (isinstance(part, ast.stmt) and not isinstance(part, STATEMENTS)):
        return False
    if isinstance(part, ast.FunctionDef):
        return not part.decorator_list
    if isinstance(part, ast.Constant):
        return isinstance(part.value, (str, bool)) or part.value is None or part.value in (0, 1, 2, -1)
    if isinstance(part, ast.Name):
        return part.id in bound or part.id in BUILTINS and names.is_builtin(part.id)
    if isinstance(part, ast.Attribute):
        return part.attr in attributes or part.attr in METHODS or part.attr in methods
    return True


def compiled_class(methods, lines):
    """A class with these methods and lines alone."""
    texts = [*map(ast.unparse, methods.values()), *lines]
    source = "class Asked:\n" + textwrap.indent("\n".join(texts), "    ")
    space = {"__builtins__": {name: getattr(builtins, name) for name in (*BUILTINS, "__build_class__")}, "__name__": "asked"}
    exec(compile(source, "<backward>", "exec", dont_inherit=True), space)
    return space["Asked"]


class WithoutAnnotations(ast.NodeTransformer):
    """Annotations may be of names that are not there."""

    def visit_FunctionDef(self, node):
        node = self.generic_visit(node)
        node.returns = None
        return node

    def visit_arg(self, node):
        return ast.copy_location(ast.arg(node.arg, None), node)

    def visit_AnnAssign(self, node):
        return ast.fix_missing_locations(ast.copy_location(ast.Assign([node.target], node.value) if node.value else ast.Pass(), node))


# ---- Asking ------------------------------------------------------------------------------------------------------------------------


class Trace:
    """A number that remembers how it was computed. Sums and products know no order of their two operands."""

    def __init__(self, text):
        self.text = text

    def __add__(self, other):
        return Trace("(" + " + ".join(sorted((self.text, text_of(other)))) + ")")

    def __mul__(self, other):
        return Trace("(" + " * ".join(sorted((self.text, text_of(other)))) + ")")

    __radd__, __rmul__ = __add__, __mul__
    __hash__, __bool__ = None, None  # whoever looks at a number decides by more than the shape of the graph

    def __eq__(self, other):
        raise TypeError("a number is looked at")


def text_of(number):
    return number.text if isinstance(number, Trace) else repr(number)


def graph(roles, seed, make):
    """Nodes with children before them, the root last; some children occur twice, some nodes are not reached."""
    rng, nodes = random.Random(seed), []
    for i in range(rng.randint(1, MAX_GRAPH)):
        node, count = make(), rng.choice([0, 1, 2, 2, 2, 3]) if i else 0
        children = tuple(rng.choice(nodes[-4:]) for _ in range(count))
        factors = tuple(Trace(f"L{i}.{k}") for k in range(count))
        setattr(node, roles.grad, Trace(f"G{i}"))
        setattr(node, roles.children, tuple(zip(children, factors)) if roles.pairs else children)
        if roles.locals:
            setattr(node, roles.locals, factors)
        node.edges = (children, factors)
        if roles.closure:
            setattr(node, roles.closure, lambda node=node: propagate(node, roles.grad))
        nodes.append(node)
    return nodes


def propagate(node, grad):
    for child, factor in zip(*node.edges):
        setattr(child, grad, getattr(child, grad) + factor * getattr(node, grad))


def gradients(program, name, roles, seed):
    nodes = graph(roles, seed, program)
    try:
        getattr(nodes[-1], name)()
        return [text_of(getattr(node, roles.grad)) for node in nodes]
    except Exception:
        return None


class Plain:
    pass


def expected(roles, seed, last_first, root):
    """What the compiled backward pass leaves in the gradients."""
    nodes = graph(roles, seed, Plain)
    topo, visited = [], set()

    def visit(node):
        if node not in visited:
            visited.add(node)
            for child in node.edges[0][::-1] if last_first else node.edges[0]:
                visit(child)
            topo.append(node)

    visit(nodes[-1])
    setattr(nodes[-1], roles.grad, float(root) if "." in root else int(root))
    for node in reversed(topo):
        propagate(node, roles.grad)
    return [text_of(getattr(node, roles.grad)) for node in nodes]
