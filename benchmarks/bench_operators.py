"""Single operators and functions of the scalar layer, pure against compiled.

pytest benchmarks/bench_operators.py --benchmark-group-by=func,param:name
"""

import random

import pytest

from microgpt import reference

OPERATORS = {
    "a + b": lambda a, b: a + b,
    "a * b": lambda a, b: a * b,
    "a - b": lambda a, b: a - b,
    "a / b": lambda a, b: a / b,
    "a + 1.5": lambda a, b: a + 1.5,
    "2 * a": lambda a, b: 2 * a,
    "a ** 2": lambda a, b: a**2,
    "log": lambda a, b: a.log(),
    "exp": lambda a, b: a.exp(),
    "relu": lambda a, b: a.relu(),
}
FUNCTIONS = {
    "linear 16x16": lambda layer, x, w: layer.linear(x, w),
    "softmax 16": lambda layer, x, w: layer.softmax(x),
    "rmsnorm 16": lambda layer, x, w: layer.rmsnorm(x),
    "attention 4 heads, 16 positions": lambda layer, x, w: layer.attention(x, w, w, 4),
    "cross_entropy 16": lambda layer, x, w: [layer.cross_entropy(x, 3)],
}


def vectors(layer):
    rng = random.Random(1)
    x, *w = ([layer.Value(rng.gauss(0, 1)) for _ in range(16)] for _ in range(17))
    return x, w


def gradients(loss, leaves):
    loss.backward()
    return [leaf.grad for leaf in leaves]


@pytest.mark.parametrize("name", OPERATORS)
def bench_operator(benchmark, layer, name):
    operate = OPERATORS[name]
    a, b = layer.Value(1.25), layer.Value(0.75)
    pure = operate(reference.Value(1.25), reference.Value(0.75))
    assert operate(a, b).data == pure.data

    def many():
        for _ in range(1000):
            operate(a, b)

    benchmark(many)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("direction", ["forward", "and backward"])
def bench_function(benchmark, layer, name, direction):
    function = FUNCTIONS[name]
    x, w = vectors(layer)
    pure_x, pure_w = vectors(reference)
    pure = gradients(sum(function(reference, pure_x, pure_w)), pure_x)
    assert gradients(sum(function(layer, x, w)), x) == pure
    if direction == "forward":
        benchmark(function, layer, x, w)
    else:
        benchmark(lambda: sum(function(layer, x, w)).backward())


def bench_adam(benchmark, layer):
    rng = random.Random(1)
    values = [layer.Value(rng.gauss(0, 1)) for _ in range(1000)]
    for value in values:
        value.grad = rng.gauss(0, 1)
    optimizer = layer.Adam(values)
    optimizer.step()
    rng = random.Random(1)
    pure = [reference.Value(rng.gauss(0, 1)) for _ in range(1000)]
    for value in pure:
        value.grad = rng.gauss(0, 1)
    reference.Adam(pure).step()
    assert [v.data for v in values] == [v.data for v in pure]
    benchmark(optimizer.step)
