"""The slow path: what the compiled layer does, in Python, with numbers and containers that it has no fast path for.

This is Python and not Cython on purpose: arithmetic on arbitrary objects must be the interpreter's own, and Cython's
shortcuts differ from it in the sign of zero (0 + -0.0).
"""

from types import FunctionType

from microgpt import reference
from microgpt.compiled import scalar
from microgpt.reference import attention, cross_entropy, linear, rmsnorm, softmax

__all__ = ["attention", "cross_entropy", "linear", "methods", "rmsnorm", "softmax"]


def backward(root):
    """reference.Value.backward without recursion."""
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


# The methods of reference.Value by name. They run on compiled Values: their global name Value is the compiled class.
_names = {**vars(reference), "Value": scalar.Value}
methods = {
    name: FunctionType(method.__code__, _names, name, method.__defaults__)
    for name, method in vars(reference.Value).items()
    if isinstance(method, FunctionType)
} | {"backward": backward}


# ---- The update of one parameter as in reference.Adam; c1 and c2 are the bias corrections 1 - beta**step -------------


def first_moment(m, p, beta1):
    return beta1 * m + (1 - beta1) * p.grad


def second_moment(v, p, beta2):
    return beta2 * v + (1 - beta2) * p.grad**2


def adam_update(p, m, v, lr, eps, c1, c2):
    p.data -= lr * (m / c1) / ((v / c2) ** 0.5 + eps)
    p.grad = 0
