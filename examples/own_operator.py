"""An operator that Value does not have: composed of other operators, or as a node with its own derivatives.

    python examples/own_operator.py

What you learn: Value(data, children, local_grads) makes a node; local_grads are the derivatives of data with respect to each
child, as numbers, and backward() does the rest. The Value of microgpt.reference, in plain Python, works in the same way.
"""

import math
import time

from microgpt import Value

# 1. Composed of existing operators: no derivative needed


def sigmoid_of_parts(x):
    return 1 / (1 + (-x).exp())


def gelu(x):
    """Hendrycks and Gimpel's approximation, x sigmoid(1.702 x): built on any sigmoid."""
    return x * sigmoid(1.702 * x)


# 2. As a node of its own: the value, the children, and the derivative with respect to each of them


def sigmoid(x):
    s = 1 / (1 + math.exp(-x.data))
    return Value(s, (x,), (s * (1 - s),))


def hypot(x, y):
    """The square root of x^2 + y^2; an operator of two numbers has two derivatives."""
    h = math.hypot(x.data, y.data)
    return Value(h, (x, y), (x.data / h, y.data / h))


# 3. As a method, in a subclass. Operators make plain Values, as in the reference, so the result of a sum lacks the method.
# A function works on every Value, and is usually the better choice


class Number(Value):
    def tanh(self):
        t = math.tanh(self.data)
        return Number(t, (self,), (1 - t * t,))


def check(name, function, *numbers):
    """Compare the gradients with finite differences."""
    inputs = [Number(number) for number in numbers]
    result = function(*inputs)
    result.backward()
    for i, x in enumerate(inputs):
        above, below = ([Number(n + sign * 1e-6 * (j == i)) for j, n in enumerate(numbers)] for sign in (1, -1))
        measured = (function(*above).data - function(*below).data) / 2e-6
        print(f"{name:18} at {numbers}: {result.data:.6f}, gradient {x.grad:.6f}, measured {measured:.6f}")
        assert abs(x.grad - measured) < 1e-7


check("sigmoid of parts", sigmoid_of_parts, 0.5)
check("sigmoid", sigmoid, 0.5)
check("gelu", gelu, -0.7)
check("hypot", hypot, 3.0, 4.0)
check("tanh", lambda x: (x.tanh() * 2 + 1) ** 2, 0.3)


# 4. Which is faster? Compiled operators are so fast that several of them take about as long as one written in Python. With the
# Value of microgpt.reference, where all operators are written in Python, the node of its own is faster


def microseconds(function):
    x, started = Value(0.5), time.perf_counter()
    for _ in range(20_000):
        function(x).backward()
    return (time.perf_counter() - started) / 20_000 * 1e6


print(f"sigmoid of parts: {microseconds(sigmoid_of_parts):.2f} us, a node of its own: {microseconds(sigmoid):.2f} us")
