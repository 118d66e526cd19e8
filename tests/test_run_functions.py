"""The compiled lines and loops behind `microgpt run`, on random programs: to the bit what the lines themselves do."""

import ast
import math
import types

import pytest
from programs import outcome

from microgpt import reference
from microgpt.compiled import scalar
from microgpt.run.arithmetic import Arithmetic, number, operation, program
from microgpt.run.names import Names

DATA, GRAD, M, V = (("input", name) for name in "dgmv")


def adam_formula(fixed):
    """Adam's update as `microgpt run` reads it from a loop: in and out go the parameter's data, its gradient, m and v."""
    beta1, rest1, beta2, rest2, c1, c2, lr, eps = (("fixed", name) for name in fixed)
    m = operation("+", operation("*", beta1, M), operation("*", rest1, GRAD))
    v = operation("+", operation("*", beta2, V), operation("*", rest2, ("**", GRAD, number(2))))
    step = ("/", operation("*", lr, ("/", m, c1)), operation("+", ("**", ("/", v, c2), number(0.5)), eps))
    return program("dgmv", fixed, [("-", DATA, step), number(0), m, v])


ADAM = adam_formula("abcdefgh")
DESCENT = program("dg", "a", [("-", DATA, operation("*", ("fixed", "a"), GRAD)), number(0.0)])


def adam(params, m, v, hyper):
    return scalar.script_update(params, (m, v), (0, 1, 2, 3, 0, 1, 2, 3), ADAM, lambda: hyper)


def attention(q, keys, values, n_head):
    """As scripts write it, line by line."""
    head_dim = len(q) // n_head
    out = []
    for start in range(0, n_head * head_dim, head_dim):
        q_h = q[start : start + head_dim]
        k_h = [k[start : start + head_dim] for k in keys]
        v_h = [v[start : start + head_dim] for v in values]
        logits = scalar.script_rows(q_h, 0, k_h, 0, head_dim, 1, 0, head_dim**0.5) or [
            sum(q_h[j] * k_h[t][j] for j in range(head_dim)) / head_dim**0.5 for t in range(len(k_h))
        ]
        weights = softmax(logits)
        out += scalar.script_mix(weights, v_h, 0, head_dim, len(v_h), 0, 0) or [
            sum(weights[t] * v_h[t][j] for t in range(len(v_h))) for j in range(head_dim)
        ]
    return out


def softmax(logits):
    probs = scalar.script_softmax(logits)
    return reference.softmax(logits) if probs is None else probs


def rmsnorm(x):
    y = scalar.script_rmsnorm(x)
    return reference.rmsnorm(x) if y is None else y


class Adam(reference.Adam):
    def step(self):
        lr, beta1, beta2, eps, m, v, t = self.learning_rate, self.beta1, self.beta2, self.eps, self.m, self.v, self.num_steps + 1
        for i, p in adam(self.params, m, v, (beta1, 1 - beta1, beta2, 1 - beta2, 1 - beta1**t, 1 - beta2**t, lr, eps)):
            m[i] = beta1 * m[i] + (1 - beta1) * p.grad
            v[i] = beta2 * v[i] + (1 - beta2) * p.grad**2
            p.data -= lr * (m[i] / (1 - beta1**t)) / ((v[i] / (1 - beta2**t)) ** 0.5 + eps)
            p.grad = 0
        self.num_steps = t


LINES = types.SimpleNamespace(
    Value=scalar.Value, softmax=softmax, rmsnorm=rmsnorm, attention=attention, Adam=Adam,
    linear=lambda x, w: scalar.script_rows(x, 0, w, 0, None, 0, 0) or reference.linear(x, w),
    cross_entropy=lambda logits, target: -softmax(logits)[target].log(),
)


@pytest.mark.parametrize("wild", [False, True])
def test_random_programs(wild):
    for seed in range(1000):
        assert outcome(LINES, seed, wild) == outcome(reference, seed, wild), f"seed {seed}"


@pytest.mark.parametrize("numbers", [(1.0, -2.0), (0.0, -0.0), (3, 1.5), (1e200, -1e200), (float("inf"), 1.0)])
def test_elements(numbers):
    results = []
    for layer in (reference, scalar):
        x, y = [layer.Value(n) for n in numbers], [layer.Value(-n) for n in reversed(numbers)]
        compiled = layer is scalar
        total = compiled and scalar.script_add(x, y) or [a + b for a, b in zip(x, y)]
        positive = compiled and scalar.script_map(total, 'relu') or [a.relu() for a in total]
        try:
            square = compiled and scalar.script_map(total, 'relu', 2) or [a.relu() ** 2 for a in total]
        except OverflowError as error:
            results.append(str(error))
            continue
        for root in (*positive, *square):
            root.backward()
        results.append([repr((node.data, node.grad)) for node in (*x, *y, *total, *positive, *square)])
    assert results[0] == results[1]


def test_an_update_stops_where_numbers_are_not_plain():
    Value = scalar.Value
    params = [Value(1.0), Value(2), Value(1j), Value(3.0), Value(4.0)]
    for p in params:
        p.grad = 0.5

    def descend(lr):
        return [i for i, _ in scalar.script_update(params, (), (0, 1, 0, 1), DESCENT, lambda: (lr,))]

    assert descend(0.1) == [2, 4]  # a complex number, and the last one
    assert [p.data for p in params] == [0.95, 1.95, 1j, 2.95, 4.0]
    assert [p.grad for p in params] == [0.0, 0.0, 0.5, 0.0, 0.5]
    assert list(scalar.script_update([], (), (0, 1, 0, 1), DESCENT, lambda: (0.1,))) == []
    assert descend("no number") == descend(10**40) == [0, 1, 2, 3, 4]


def test_an_update_gives_up_lists_that_are_one():
    params, m = [scalar.Value(1.0) for _ in range(3)], [0.0] * 3
    hyper = (0.9, 0.1, 0.9, 0.1, 0.5, 0.5, 0.1, 1e-8)
    assert [i for i, _ in adam(params, m, m, hyper)] == [0, 1, 2]
    assert [i for i, _ in adam(params, m, [0.0], hyper)] == [0, 1, 2]
    assert [i for i, _ in adam(params, m, params, hyper)] == [0, 1, 2]


def test_a_parameter_that_is_there_twice_is_updated_twice():
    results = []
    for compiled in (False, True):
        a, b = scalar.Value(1.0), scalar.Value(2.0)
        a.grad, b.grad = 0.5, 0.25
        params, m, v = [a, b, a, a, b, b], [0.0] * 6, [0.0] * 6
        hyper = beta1, rest1, beta2, rest2, c1, c2, lr, eps = (0.9, 0.1, 0.9, 0.1, 0.5, 0.5, 0.1, 1e-8)
        for i, p in adam(params, m, v, hyper) if compiled else enumerate(params):
            m[i] = beta1 * m[i] + rest1 * p.grad
            v[i] = beta2 * v[i] + rest2 * p.grad**2
            p.data -= lr * (m[i] / c1) / ((v[i] / c2) ** 0.5 + eps)
            p.grad = 0
        results.append((a.data, b.data, m, v))
    assert results[0] == results[1]


def test_shared_floats_stay_what_they_are():
    m, v = [0.0] * 3, [0.0] * 3
    params = [scalar.Value(1.0) for _ in range(3)]
    hyper = (0.9, 0.1, 0.9, 0.1, 0.5, 0.5, 0.1, 1e-8)
    for _ in range(2):
        kept = list(m)
        seen = [x.hex() for x in kept]
        for p in params:
            p.grad = 1.0
        list(adam(params, m, v, hyper))
        assert [x.hex() for x in kept] == seen and m[:2] != kept[:2]


NUMBERS = [0, 1, -3, 2**40, 0.0, -0.0, 1.5, -2.25, 1e-160, 1e300, -1e300, 5e-324, float("inf"), float("-inf"), float("nan")]
EXPRESSIONS = [
    "a + b", "a - b", "a * b", "a / b", "a ** b", "a ** 2", "a ** 0.5", "a ** -1", "-a", "abs(a)", "max(a, b)", "min(a, 0)", "max(0, a, b)",
    "a if a > b else b", "1.0 if a <= b else 0", "float(a)", "float(a > b)", "a if 0 < a < 2 else 0.5", "a * (b != 2)", "math.exp(a)", "math.tanh(a)",
    "math.log(a)", "math.sqrt(a)", "0.5 * a * (1 + math.tanh(0.8 * (a + 0.04 * a ** 3)))", "1 / (1 + math.exp(-a))", "b if not a == b else a",
    "a if a > 0 and b > 0 else -b", "a if a > 0 or b > 0 else -b", "math.fabs(a)", "math.erf(a)",
]  # fmt: skip


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_a_formula_is_python_s_arithmetic(source):
    """For each pair of numbers: the same type and bits, or no result where Python raises or the number is out of range."""
    expression = Symbols(Names(ast.parse("import math"))).value(ast.parse(source, mode="eval").body)
    formula = program("ab", [], [expression])
    for a in NUMBERS:
        for b in NUMBERS:
            params, out = [scalar.Value(a), scalar.Value(a)], []
            params[0].grad = b
            values = scalar.script_each(params[:1], (), (0, 1), formula, tuple)
            if source == "a ** b" and abs(b) > 100:
                continue  # an int of as many digits would take Python forever
            try:
                expected = eval(source, {"math": math, "a": a, "b": b})
            except (ArithmeticError, ValueError):
                assert values is None, (a, b)
                continue
            if values is not None:
                out = values[0]
                assert type(out) is type(expected) or type(expected) is bool, (a, b)
                assert repr(out) == repr(expected) or out == expected == (expected is True), (a, b, out)


class Symbols(Arithmetic):
    def leaf(self, node):
        return ("input", node.id)
