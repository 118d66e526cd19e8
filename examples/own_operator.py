"""An operator that Value does not have: put together from others, or as a node with derivatives of its own.

    python examples/own_operator.py

One learns: Value(data, children, local_grads) makes a node; local_grads are the derivatives of data by each child, as
numbers, and backward() does the rest. It is the same with microgpt.reference's Value, in plain Python.
"""

import math
import time

from microgpt import Value

# 1. Put together from operators that are there: nothing to derive


def sigmoid_of_parts(x):
    return 1 / (1 + (-x).exp())


def gelu(x):
    """Hendrycks and Gimpel's approximation, x sigmoid(1.702 x): built on any sigmoid."""
    return x * sigmoid(1.702 * x)


# 2. As a node of its own: the value, the children, and the derivative by each of them


def sigmoid(x):
    s = 1 / (1 + math.exp(-x.data))
    return Value(s, (x,), (s * (1 - s),))


def hypot(x, y):
    """The square root of x^2 + y^2; an operator of two numbers has two derivatives."""
    h = math.hypot(x.data, y.data)
    return Value(h, (x, y), (x.data / h, y.data / h))


# 3. As a method, in a subclass. Operators make plain Values, as in the reference, so the result of a sum has no tanh;
# a function works on every Value, and is what one wants in most cases


class Number(Value):
    def tanh(self):
        t = math.tanh(self.data)
        return Number(t, (self,), (1 - t * t,))


def check(name, function, *numbers):
    """Compare the gradients with measured ones."""
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


# 4. Which is faster? Compiled operators are so quick that several take about as long as one that is written in Python;
# with microgpt.reference's Value, where each of them is, the node of its own wins


def microseconds(function):
    x, started = Value(0.5), time.perf_counter()
    for _ in range(20_000):
        function(x).backward()
    return (time.perf_counter() - started) / 20_000 * 1e6


print(f"sigmoid of parts: {microseconds(sigmoid_of_parts):.2f} us, a node of its own: {microseconds(sigmoid):.2f} us")
