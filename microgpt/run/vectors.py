"""Finds the lines and functions on vectors of Values that have a compiled counterpart, and puts it in front of them.

A list comprehension becomes `compiled(...) or [the comprehension]`, and the body of softmax or rmsnorm gets a first line that
returns the compiled function's list if there is one. The compiled functions return None for anything but plain Values, so the
script's own code stays in charge of everything unusual, errors included.
"""

import ast
import copy

from microgpt.run.names import at
from microgpt.run.normal import Normalizer, normal, restored
from microgpt.run.unify import form, is_pure

# What is shown -> (compiled function, the arguments it is called with, forms). D, N: sizes; S: a divisor.
COMPREHENSIONS = {
    "linear": ("linear", "X, W", [
        "[sum(wi * xi for wi, xi in zip(row, X)) for row in W]",
        "[sum(wi * xi for xi, wi in zip(X, row)) for row in W]",
        "[sum(row[i] * X[i] for i in range(len(X))) for row in W]",
        "[sum(W[o][i] * X[i] for i in range(len(X))) for o in range(len(W))]",
    ]),
    "attention": ("logits", "Q, K, D, S", [
        "[sum(Q[j] * K[t][j] for j in range(D)) / S for t in range(len(K))]",
        "[sum(Q[j] * k[j] for j in range(D)) / S for k in K]",
    ]),
    "attention ": ("logits", "Q, K, None, S", [
        "[sum(qi * ki for qi, ki in zip(Q, k)) / S for k in K]",
        "[sum(qi * ki for ki, qi in zip(k, Q)) / S for k in K]",
        "[sum(Q[j] * k[j] for j in range(len(Q))) / S for k in K]",
        "[sum(Q[j] * K[t][j] for j in range(len(Q))) / S for t in range(len(K))]",
    ]),
    "attention  ": ("mix", "A, V, D", [
        "[sum(A[t] * V[t][j] for t in range(len(V))) for j in range(D)]",
        "[sum(A[t] * V[t][j] for t in range(len(A))) for j in range(D)]",
        "[sum(a * v[j] for a, v in zip(A, V)) for j in range(D)]",
    ]),
    "vector add": ("add", "X, Y", ["[a + b for a, b in zip(X, Y)]"]),
}

FUNCTIONS = {
    "softmax": [
        """
def f(logits):
    largest = max(logit.data for logit in logits)
    exps = [(logit - largest).exp() for logit in logits]
    total = sum(exps)
    return [e / total for e in exps]
""",
    ],
    "rmsnorm": [
        """
def f(x):
    scale = (sum(xi * xi for xi in x) / len(x) + 1e-5) ** -0.5
    return [xi * scale for xi in x]
""",
    ],
}

_COMPREHENSIONS = [
    (shown.strip(), compiled, arguments, form(source))
    for shown, (compiled, arguments, sources) in COMPREHENSIONS.items() for source in sources
]
_FUNCTIONS = {name: [form(source) for source in sources] for name, sources in FUNCTIONS.items()}


def compiled_comprehension(node, unifier, methods):
    """(what it is, the expression to put in its place) for a list comprehension that has a counterpart, else None.

    methods: those of the class that are compiled.
    """
    mapped = mapping(node)
    if mapped is not None and mapped[0] in methods:
        return mapped[0], ast.copy_location(ast.BoolOp(ast.Or(), [at(node, mapped[1]), node]), node)
    code = None
    for shown, compiled, arguments, pattern in _COMPREHENSIONS:
        if code is None:
            code = Normalizer(unifier.names).visit(copy.deepcopy(node))
        if unifier.matches(pattern, code):
            call = at(node, ast.parse(f"__microgpt_{compiled}__({arguments})", mode="eval").body)
            expressions = {name: restored(expression) for name, expression in unifier.expressions.items()}
            call.args = [expressions.get(getattr(argument, "id", None), argument) for argument in call.args]
            return shown, ast.copy_location(ast.BoolOp(ast.Or(), [call, node]), node)
    return None


def mapping(node):
    """(name of the method, the call) for [xi.method() for xi in X], with or without ** 2, else None."""
    [generator, *others], element, exponent = node.generators, node.elt, ""
    if others or generator.ifs or generator.is_async or not isinstance(generator.target, ast.Name) or not is_pure(generator.iter):
        return None
    if isinstance(element, ast.BinOp) and isinstance(element.op, ast.Pow) and ast.unparse(element.right) == "2":
        element, exponent = element.left, ", 2"
    if not isinstance(element, ast.Call) or element.args or element.keywords or not isinstance(element.func, ast.Attribute):
        return None
    if ast.unparse(element.func.value) != generator.target.id:
        return None
    return element.func.attr, ast.parse(f"__microgpt_map__({ast.unparse(generator.iter)}, {element.func.attr!r}{exponent})", mode="eval").body


def compiled_function(node, unifier):
    """(what it is, its definition with the compiled function tried first) for softmax and rmsnorm, else None."""
    if len(node.args.args) + len(node.args.posonlyargs) != 1:
        return None
    code = normal(node, unifier.names)
    for name, patterns in _FUNCTIONS.items():
        if any(unifier.matches(pattern, code) for pattern in patterns):
            [argument] = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            start = 1 if ast.get_docstring(node, clean=False) is not None else 0
            first = f"if (__microgpt__ := __microgpt_{name}__({argument})) is not None: return __microgpt__"
            changed = copy.copy(node)
            changed.body = [*node.body[:start], at(node.body[start], ast.parse(first).body[0]), *node.body[start:]]
            return name, changed
    return None


def is_linear(node, unifier):
    """Whether the function is nothing but linear's comprehension."""
    last = node.body[-1]
    if not (isinstance(last, ast.Return) and isinstance(last.value, ast.ListComp)):
        return False
    code = Normalizer(unifier.names).visit(copy.deepcopy(last.value))
    return any(shown == "linear" and unifier.matches(pattern, code) for shown, _, _, pattern in _COMPREHENSIONS)

