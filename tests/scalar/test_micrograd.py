"""micrograd's interface: its published tests and its demo give micrograd's numbers, to the bit."""

import math
import random

import numpy
import pytest
from micrograd_demo import Plain, demo, plain_mlp

import microgpt
from microgpt.micrograd import nn
from microgpt.micrograd.engine import Value


def sanity_check(V):
    x = V(-4.0)
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    y = h + q + q * x
    y.backward()
    return y.data, x.grad


def more_ops(V):
    a, b = V(-4.0), V(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    return g.data, a.grad, b.grad


def test_the_published_tests():
    assert sanity_check(Value) == sanity_check(Plain) == (-20.0, 46.0)
    assert more_ops(Value) == more_ops(Plain)
    assert more_ops(Value) == pytest.approx((24.704081632653061, 138.83381924198252, 645.5772594752186), abs=1e-12)  # its README's


def test_the_demo():
    assert list(demo(Value, nn.MLP, 2)) == list(demo(Plain, plain_mlp, 2))


def test_what_a_value_is_made_of():
    a, b = Value(2.0), Value(-3.0)
    assert isinstance(a, Value) and isinstance(a * b, Value) and isinstance(a, microgpt.Value) and not isinstance(2.0, Value)
    assert (a * b)._prev == {a, b} and (a + a)._prev == {a} and a._prev == set()
    made = [a, a + b, a * b, a**3, a**-1, a**0.5, b.relu(), a.exp(), a.log()]
    assert [value._op for value in made] == ["", "+", "*", "**3", "**-1", "**0.5", "ReLU", "exp", "log"]
    assert (Value(0.0) ** 2)._op == ""  # left to Python, see docs/micrograd.md
    t = a.tanh()
    t.backward()
    assert t.data == pytest.approx(math.tanh(2.0), abs=1e-15) and a.grad == pytest.approx(1 - math.tanh(2.0) ** 2, abs=1e-15)


def test_numbers_of_numpy_become_python_s():
    value = Value(numpy.float64(0.1)) * Value(0.3)
    assert type(value.data) is float and value.data == 0.1 * 0.3
    assert (numpy.int64(-1) * value).data == -0.1 * 0.3


def test_the_network_s_form():
    random.seed(0)
    model = nn.MLP(2, [3, 1])
    assert repr(model) == "MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2), ReLUNeuron(2)], Layer of [LinearNeuron(3)]]"
    random.seed(0)
    assert len(model.parameters()) == 13 and model.parameters()[0].data == random.uniform(-1, 1)
    model([1.0, 2.0]).backward()
    assert any(p.grad for p in model.parameters())
    model.zero_grad()
    assert not any(p.grad for p in model.parameters())
