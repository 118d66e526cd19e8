"""The long way, in Python: what the compiled layer does with numbers and containers it has no fast path for.

It is Python and not Cython on purpose. Arithmetic on objects must be the interpreter's own here; Cython's shortcuts differ from
it in the sign of zero (0 + -0.0).
"""

from types import FunctionType

from microgpt import reference
from microgpt.compiled import scalar
from microgpt.reference import attention, cross_entropy, linear, rmsnorm, softmax

__all__ = ["attention", "cross_entropy", "linear", "rmsnorm", "softmax"]

_names = {**vars(reference), "Value": scalar.Value}  # the reference's methods find the compiled Value under this name


def _compiled(method):
    return FunctionType(method.__code__, _names, method.__name__, method.__defaults__)


add, mul, pow, log, exp, relu, init = (
    _compiled(getattr(reference.Value, name))
    for name in ("__add__", "__mul__", "__pow__", "log", "exp", "relu", "__init__")
)


def backward(root):
    """reference.Value.backward for any objects, without recursion."""
    topo, visited = [], {root}
    stack = [(root, iter(root._children))]
    while stack:
        node, children = stack[-1]
        for child in children:
            if child not in visited:
                visited.add(child)
                stack.append((child, iter(child._children)))
                break
        else:
            topo.append(node)
            stack.pop()
    root.grad = 1
    for node in reversed(topo):
        for child, local_grad in zip(node._children, node._local_grads):
            child.grad += local_grad * node.grad


# ---- One parameter's step as in reference.Adam; c1 and c2 are its bias corrections ----

def first_moment(m, p, beta1):
    return beta1 * m + (1 - beta1) * p.grad


def second_moment(v, p, beta2):
    return beta2 * v + (1 - beta2) * p.grad**2


def adam_update(p, m, v, lr, eps, c1, c2):
    p.data -= lr * (m / c1) / ((v / c2) ** 0.5 + eps)
    p.grad = 0
