"""Finds softmax, rmsnorm and `[xi.relu() for xi in x]`, and puts the compiled call in front of them.

The body of softmax or rmsnorm gets a first line that returns the compiled function's list if there is one. The compiled functions
return None for anything but plain Values, so the script's own code stays in charge of everything unusual, errors included.
"""

import ast
import copy

from microgpt.run.names import at
from microgpt.run.normal import normal
from microgpt.run.sums import is_pure
from microgpt.run.unify import form

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

_FUNCTIONS = {name: [form(source) for source in sources] for name, sources in FUNCTIONS.items()}


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

