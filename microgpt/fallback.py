"""The long way, in Python: what the compiled layer does with numbers and containers it has no fast path for.

It is Python and not Cython on purpose. Arithmetic on objects must be the interpreter's own here; Cython's shortcuts differ from
it in the sign of zero (0 + -0.0).
"""

from microgpt.reference import attention, cross_entropy, linear, rmsnorm, softmax

__all__ = ["adam_update", "attention", "backward", "cross_entropy", "linear", "rmsnorm", "softmax"]


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


def adam_update(p, m, v, lr, beta1, beta2, eps, c1, c2):
    """One parameter's step as in reference.Adam, c1 and c2 being its bias corrections. Returns the new moments."""
    m = beta1 * m + (1 - beta1) * p.grad
    v = beta2 * v + (1 - beta2) * p.grad**2
    p.data -= lr * (m / c1) / ((v / c2) ** 0.5 + eps)
    p.grad = 0
    return m, v
