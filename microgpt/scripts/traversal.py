"""The normal form of a backward method: the order in which it accumulates gradients.

Whether it is recursive, or uses a stack, or one loop or two, makes no difference; only the order does. So the method is run on
small graphs of nodes whose numbers are formulas, and the resulting gradients are compared with those of the compiled backward
pass. This is done only with methods that consist of lists, sets, loops and the numbers 0 and 1, so that the result depends only
on the shape of the graph.
"""

import ast
import builtins
import collections
import copy
import random
import textwrap

BUILTINS = {"set", "list", "dict", "tuple", "len", "range", "reversed", "enumerate", "zip", "iter", "next", "id", "sorted", "any", "all", "float", "isinstance", "object", "TypeError", "int"}  # fmt: skip
METHODS = {"append", "add", "pop", "reverse", "extend", "insert", "appendleft", "popleft", "update", "get", "setdefault"}
STATEMENTS = (
    ast.FunctionDef, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For, ast.While, ast.If, ast.Expr, ast.Return, ast.Pass, ast.Continue,
    ast.Break, ast.Nonlocal,
)  # fmt: skip
FORBIDDEN = (ast.Lambda, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.JoinedStr, ast.Starred)
NUM_GRAPHS, MAX_GRAPH = 80, 24
ORDERS = ["first child", "last child", "last of those ready", "first of those ready"]  # see src/scalar/backward.h
IMPORTED = {f"collections.{name}": getattr(collections, name) for name in ("deque", "defaultdict", "Counter")}


def order_of(method, methods, roles, names, equality):
    """(one of ORDERS, the initial gradient of the root) for a backward method that the compiled one can replace, else None.

    methods: those of the class by name; roles: the names of its attributes; equality: lines that define when nodes are equal.
    """
    used = plain_methods(method, methods, roles, names)
    if used is None or len(method.args.args) != 1 or method.args.defaults or method.args.vararg or method.args.kwarg:
        return None
    program = compiled_class(used, equality, names)
    answers = [(order, root) for order in ORDERS for root in ("1", "1.0")]
    for seed in range(NUM_GRAPHS):
        outcome = gradients(program, method.name, roles, seed)
        answers = [answer for answer in answers if outcome is not None and expected(roles, seed, *answer) == outcome]
        if not answers:
            return None
    return answers[0]


# ---- Which methods can be tested -----------------------------------------------------------------------------------------------


def plain_methods(method, methods, roles, names):
    """The method and those it calls, by name; None if one of them does anything besides traversing the graph."""
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
        return part.id in bound or part.id in BUILTINS and names.is_builtin(part.id) or names.imported.get(part.id) in IMPORTED
    if isinstance(part, ast.Attribute):
        return part.attr in attributes or part.attr in METHODS or part.attr in methods
    return True


def compiled_class(methods, lines, names):
    """A class with only these methods and lines."""
    texts = [*map(ast.unparse, methods.values()), *lines]
    source = "class Asked:\n" + textwrap.indent("\n".join(texts), "    ")
    space = {"__builtins__": {name: getattr(builtins, name) for name in (*BUILTINS, "__build_class__")}, "__name__": "asked"}
    space |= {name: IMPORTED[source] for name, source in names.imported.items() if source in IMPORTED}
    exec(compile(source, "<backward>", "exec", dont_inherit=True), space)
    return space["Asked"]


class WithoutAnnotations(ast.NodeTransformer):
    """Removes annotations, which may use names that do not exist here."""

    def visit_FunctionDef(self, node):
        node = self.generic_visit(node)
        node.returns = None
        return node

    def visit_arg(self, node):
        return ast.copy_location(ast.arg(node.arg, None), node)

    def visit_AnnAssign(self, node):
        return ast.fix_missing_locations(ast.copy_location(ast.Assign([node.target], node.value) if node.value else ast.Pass(), node))


# ---- Testing ------------------------------------------------------------------------------------------------------------------------


class Trace:  # noqa: PLW1641 - never in a set
    """A number that records how it was computed, as a hash. Sums and products ignore the order of their two operands."""

    def __init__(self, *made_of):
        self.key = hash(made_of)

    def __add__(self, other):
        return Trace("+", *sorted((self.key, key_of(other))))

    def __mul__(self, other):
        return Trace("*", *sorted((self.key, key_of(other))))

    __radd__, __rmul__ = __add__, __mul__
    __hash__, __bool__ = None, None  # a method that inspects a number depends on more than the shape of the graph

    def __eq__(self, other):
        raise TypeError("a number is looked at")


def key_of(number):
    return number.key if isinstance(number, Trace) else hash(repr(number))


def graph(roles, seed, make):
    """Nodes, each after its children, with the root last; some children occur twice, some nodes are not reached."""
    rng, nodes = random.Random(seed), []
    back = rng.choice([4, 7, MAX_GRAPH])  # the greatest distance to a child: gives deep graphs and wide ones
    for i in range(1 + seed % MAX_GRAPH if seed < MAX_GRAPH else MAX_GRAPH):
        node, count = make(), rng.choice([0, 1, 1, 2, 2, 2, 2, 3, 3]) if i else 0
        children = tuple(rng.choice(nodes[-back:]) for _ in range(count))
        factors = tuple(Trace("local", i, k) for k in range(count))
        setattr(node, roles.grad, Trace("grad", i))
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
    """Those after a call of the method; None if it fails, returns something, or changes another attribute of a node."""
    nodes = graph(roles, seed, program)
    before = [dict(vars(node)) for node in nodes]
    try:
        if getattr(nodes[-1], name)() is not None or changed(nodes, before, roles.grad):
            return None
        return [key_of(getattr(node, roles.grad)) for node in nodes]
    except Exception:
        return None


def changed(nodes, before, grad):
    """Whether nodes have other objects as attributes than before, besides their gradients."""
    return any(value is not old.get(name) for node, old in zip(nodes, before) for name, value in vars(node).items() if name != grad)


class Plain:
    pass


def expected(roles, seed, order, root):
    """The gradients that the compiled backward pass computes."""
    nodes = graph(roles, seed, Plain)
    topo, visited = [], set()

    def visit(node):
        if node not in visited:
            visited.add(node)
            for child in node.edges[0][::-1] if order == "last child" else node.edges[0]:
                visit(child)
            topo.append(node)

    visit(nodes[-1])
    setattr(nodes[-1], roles.grad, float(root) if "." in root else int(root))
    for node in reversed(topo) if "child" in order else by_degrees(nodes[-1], topo, order):
        propagate(node, roles.grad)
    return [key_of(getattr(node, roles.grad)) for node in nodes]


def by_degrees(root, nodes, order):
    """Order in which each node comes after all that have it as a child."""
    degrees, ready = collections.Counter(child for node in nodes for child in node.edges[0]), [root]
    while ready:
        node = ready.pop() if order.startswith("last") else ready.pop(0)
        yield node
        for child in node.edges[0]:
            degrees[child] -= 1
            if degrees[child] == 0:
                ready.append(child)
