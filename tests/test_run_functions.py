"""The compiled lines and loops behind `microgpt run`, on random programs: to the bit what the lines themselves do."""

import types

import pytest
from programs import outcome

from microgpt import reference
from microgpt.compiled import scalar


def attention(q, keys, values, n_head):
    """As scripts write it, line by line."""
    head_dim = len(q) // n_head
    out = []
    for start in range(0, n_head * head_dim, head_dim):
        q_h = q[start : start + head_dim]
        k_h = [k[start : start + head_dim] for k in keys]
        v_h = [v[start : start + head_dim] for v in values]
        logits = scalar.script_logits(q_h, k_h, head_dim, head_dim**0.5) or [
            sum(q_h[j] * k_h[t][j] for j in range(head_dim)) / head_dim**0.5 for t in range(len(k_h))
        ]
        weights = softmax(logits)
        out += scalar.script_mix(weights, v_h, head_dim) or [
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
        for i, p in scalar.script_adam(
            self.params, m, v, lambda: (beta1, 1 - beta1, beta2, 1 - beta2, 1 - beta1**t, 1 - beta2**t, lr, eps), 1
        ):
            m[i] = beta1 * m[i] + (1 - beta1) * p.grad
            v[i] = beta2 * v[i] + (1 - beta2) * p.grad**2
            p.data -= lr * (m[i] / (1 - beta1**t)) / ((v[i] / (1 - beta2**t)) ** 0.5 + eps)
            p.grad = 0
        self.num_steps = t


LINES = types.SimpleNamespace(
    Value=scalar.Value, softmax=softmax, rmsnorm=rmsnorm, attention=attention, Adam=Adam,
    linear=lambda x, w: scalar.script_linear(x, w) or reference.linear(x, w),
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
        positive = compiled and scalar.script_relu(total) or [a.relu() for a in total]
        try:
            square = compiled and scalar.script_relu(total, 2) or [a.relu() ** 2 for a in total]
        except OverflowError as error:
            results.append(str(error))
            continue
        for root in (*positive, *square):
            root.backward()
        results.append([repr((node.data, node.grad)) for node in (*x, *y, *total, *positive, *square)])
    assert results[0] == results[1]


def test_descent_stops_where_numbers_are_not_plain():
    Value = scalar.Value
    params = [Value(1.0), Value(2), Value(3.0), Value(4.0)]
    for p in params:
        p.grad = 0.5
    left = list(scalar.script_descent(params, lambda: 0.1, 2))
    assert left == [(1, params[1]), (3, params[3])]  # an int, and the last one
    assert [p.data for p in params] == [0.95, 2, 2.95, 4.0]
    assert [p.grad for p in params] == [0.0, 0.5, 0.0, 0.5]
    assert list(scalar.script_descent([], lambda: 0.1, 1)) == []
    assert [i for i, _ in scalar.script_descent(params, lambda: "no number", 1)] == [0, 1, 2, 3]


def test_adam_gives_up_lists_that_are_one():
    params, m = [scalar.Value(1.0) for _ in range(3)], [0.0] * 3
    hyper = (0.9, 0.1, 0.9, 0.1, 0.5, 0.5, 0.1, 1e-8)
    assert [i for i, _ in scalar.script_adam(params, m, m, lambda: hyper, 1)] == [0, 1, 2]
    assert [i for i, _ in scalar.script_adam(params, m, [0.0], lambda: hyper, 1)] == [0, 1, 2]


def test_shared_floats_stay_what_they_are():
    m, v = [0.0] * 3, [0.0] * 3
    params = [scalar.Value(1.0) for _ in range(3)]
    hyper = (0.9, 0.1, 0.9, 0.1, 0.5, 0.5, 0.1, 1e-8)
    for _ in range(2):
        kept = list(m)
        seen = [x.hex() for x in kept]
        for p in params:
            p.grad = 1.0
        list(scalar.script_adam(params, m, v, lambda: hyper, 0))
        assert [x.hex() for x in kept] == seen and m[:2] != kept[:2]
