"""The API of Value, common to the pure and the compiled layer: types, operators, errors, copies."""

import copy
import math
import pickle
import subprocess
import sys

import pytest
from programs import exact, outcome

from microgpt import Value, reference
from microgpt.compiled import scalar


def test_the_public_value_is_the_compiled_one():
    assert Value is scalar.Value
    assert scalar.__file__.endswith((".so", ".pyd"))
    assert repr(Value) == "<class 'microgpt.Value'>"


@pytest.mark.parametrize("block", [*range(3), *(pytest.param(block, marks=pytest.mark.slow) for block in range(3, 20))])
@pytest.mark.parametrize("wild", [False, True], ids=["ordinary", "wild"])
def test_random_programs_equal_the_reference_in_every_bit(block, wild):
    for seed in range(100 * block, 100 * (block + 1)):
        assert outcome(scalar, seed, wild) == outcome(reference, seed, wild), f"seed {seed}"


def test_random_programs_reach_what_they_are_meant_to_reach():
    """Checks the test above: its programs must run backward through large graphs, with ints, errors and unusual edges."""
    lines = [line for seed in range(120) for line in outcome(reference, seed, wild=True)]
    text = "\n".join(map(str, lines))
    for sign in ("OverflowError", "math domain error", "ZeroDivisionError", "grad int 1", "grad float", "-0x0.0p+0", "complex"):
        assert sign in text
    assert sum(len(outcome(reference, seed)) for seed in range(50)) > 5000


def test_a_small_graph_by_hand(layer):
    a, b = layer.Value(2.0), layer.Value(3.0)
    c = (a * b + 1) ** 2
    c.backward()
    assert (c.data, c.grad, a.grad, b.grad) == (49.0, 1, 42.0, 28.0)


def test_numbers_keep_their_types(layer):
    x = layer.Value(2) * 3
    assert exact(x.data) == "int 6" and exact(x.grad) == "int 0"
    x.backward()
    assert exact(x.grad) == "int 1" and exact(x._children[0].grad) == "int 3"
    assert exact((x * 1.0).data) == "float 0x1.8000000000000p+2"
    assert exact(layer.Value(-2.5).relu().data) == "int 0"
    assert exact(layer.Value(2).relu().data) == "int 2"
    assert exact((layer.Value(2) ** 2).data) == "int 4" and exact((layer.Value(2) ** -1).data) == exact(0.5)
    assert exact(layer.Value(True).data) == "bool True"
    assert exact((layer.Value(2**53) + 1).data) == f"int {2**53 + 1}"
    assert exact((layer.Value(10**30) * 10**30).data) == f"int {10**60}"
    assert exact((layer.Value(0) * -1).data) == "int 0"


def test_large_int_gradients_stay_exact(layer):
    x = layer.Value(3)
    y = x * (2**52) * (2**40)
    y.backward()
    assert exact(x.grad) == f"int {2**92}"
    x.grad = 2**53
    (x * 1).backward()
    assert exact(x.grad) == f"int {2**53 + 1}"


@pytest.mark.parametrize("x", [-800.0, -36.5, -2.0, -1e-3, -0.0, 0.0, 1e-9, 0.5, 20.0, 800.0, float("inf"), -float("inf")])
def test_sigmoid_and_tanh_with_their_derivatives(layer, x):
    a, b = layer.Value(x), layer.Value(x)
    s, t = a.sigmoid(), b.tanh()
    s.backward(), t.backward()
    assert s.data == pytest.approx(0.5 * (1 + math.tanh(x / 2)), abs=1e-16)
    assert t.data == pytest.approx(math.tanh(x), abs=1e-15)
    assert a.grad == pytest.approx(s.data * (1 - s.data), abs=1e-15)
    assert b.grad == pytest.approx(1 - t.data**2, abs=1e-15)


@pytest.mark.parametrize(
    "expression, error, text",
    [
        (lambda V: V(0.0).log(), ValueError, None),
        (lambda V: V(-1.0).log(), ValueError, None),
        (lambda V: V(1000.0).exp(), OverflowError, "math range error"),
        (lambda V: V(1e200) ** 2, OverflowError, None),
        (lambda V: V(0) ** -1, ZeroDivisionError, None),
        (lambda V: 1 / V(0.0), ZeroDivisionError, None),
        (lambda V: V(1.0) / 0, ZeroDivisionError, None),
        (lambda V: V(1.0) ** V(2.0), TypeError, "unsupported operand type(s) for ** or pow(): 'float' and 'Value'"),
        (lambda V: 2 ** V(1.0), TypeError, "unsupported operand type(s) for ** or pow(): 'int' and 'Value'"),
        (lambda V: V(1.0) + "a", TypeError, "unsupported operand type(s) for +: 'float' and 'str'"),
        (lambda V: V(1.0) + None, TypeError, "unsupported operand type(s) for +: 'float' and 'NoneType'"),
        (lambda V: [] * V(1.0), TypeError, None),
        (lambda V: V(1.0) < V(2.0), TypeError, "'<' not supported between instances of 'Value' and 'Value'"),
        (lambda V: +V(1.0), TypeError, "bad operand type for unary +: 'Value'"),
        (lambda V: float(V(1.0)), TypeError, None),
        (lambda V: math.sqrt(V(1.0)), TypeError, "must be real number, not Value"),
        (lambda V: len(V(1.0)), TypeError, "object of type 'Value' has no len()"),
        (lambda V: V(1.0).sin(), AttributeError, None),
        (lambda V: V(1j).sigmoid(), TypeError, "'>=' not supported between instances of 'complex' and 'int'"),
        (lambda V: V(None).tanh(), TypeError, "'>=' not supported between instances of 'NoneType' and 'int'"),
        (lambda V: V(-(10**400)).tanh(), OverflowError, "int too large to convert to float"),
        (lambda V: V(10**400).sigmoid(), OverflowError, "int too large to convert to float"),
        (lambda V: V(), TypeError, None),
        (lambda V: V(1j).exp(), TypeError, None),
    ],
)
def test_errors_are_those_of_the_reference(expression, error, text):
    with pytest.raises(error) as pure:
        expression(reference.Value)
    with pytest.raises(error) as compiled:
        expression(Value)
    if error is not AttributeError and "__init__" not in str(pure.value):
        assert str(compiled.value) == str(pure.value)
    if text:
        assert str(compiled.value) == text


def test_attributes_can_be_read_and_set(layer):
    a, b = layer.Value(1.0), layer.Value(2.0)
    c = a + b
    c.data, c.grad, c._children, c._local_grads = 5, 0.5, (b, b, a), [1.0, 2.0, 3.0]
    assert (c.data, c.grad, c._children, c._local_grads) == (5, 0.5, (b, b, a), [1.0, 2.0, 3.0])
    c.backward()
    assert (a.grad, b.grad) == (3.0, 3.0)
    with pytest.raises(AttributeError):
        c.label = "c"


@pytest.mark.parametrize("name", ["data", "grad", "_children", "_local_grads"])
def test_attributes_can_be_deleted(layer, name):
    a = layer.Value(3.0)
    node = a * 2.0 + 1.0
    before = getattr(node, name)
    delattr(node, name)
    assert not hasattr(node, name)
    with pytest.raises(AttributeError, match=name):
        getattr(node, name)
    with pytest.raises(AttributeError, match=name):
        delattr(node, name)
    for other in {"data", "grad", "_children", "_local_grads"} - {name}:
        getattr(node, other)
    for twin in (copy.copy(node), copy.deepcopy(node), pickle.loads(pickle.dumps(node))):
        assert not hasattr(twin, name)
    uses = {
        "data": [lambda: node + 1, lambda: node * node, lambda: node.exp(), lambda: node**2, lambda: layer.softmax([a, node])],
        "grad": [lambda: (node + 1).backward(), lambda: (node * node).backward(), lambda: layer.Adam([node]).step()],
        "_children": [node.backward, lambda: (node + 1).backward()],
        "_local_grads": [node.backward, lambda: (node + 1).backward()],
    }
    for use in uses[name]:
        with pytest.raises(AttributeError, match=name):
            use()
    setattr(node, name, before)
    a.grad = node.grad = 0
    (node * 1).backward()
    assert (node.data, a.grad) == (7.0, 2.0)


def test_identity_is_equality(layer):
    a, b = layer.Value(1.0), layer.Value(1.0)
    assert a != b and a == a and len({a, b, a}) == 2


def test_repr(layer):
    assert repr(layer.Value(2.0)) == "Value(data=2.0, grad=0)"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies(duplicate):
    a = Value(2.0)
    b = a * a + 1
    b.backward()
    other = duplicate(b)
    assert other is not b
    assert (other.data, other.grad, other._local_grads) == (5.0, 1, (1, 1))
    other.backward()
    assert a.grad == (12.0 if duplicate is copy.copy else 4.0)


def test_backward_accumulates_from_call_to_call(layer):
    a = layer.Value(2.0)
    b = a * 3.0
    c = b * b
    c.backward()
    c.backward()  # b's gradient of the first pass is propagated again
    assert (b.grad, a.grad) == (24.0, 108.0)


def test_operators_made_by_hand_with_any_number_of_children(layer):
    a, b, c = (layer.Value(x) for x in (1.0, 2.0, 3.0))
    product = layer.Value(a.data * b.data * c.data, (a, b, c), (6.0, 3.0, 2.0))
    (product * 2).backward()
    assert [v.grad for v in (a, b, c)] == [12.0, 6.0, 4.0]


def test_children_that_are_not_values(layer):
    node = layer.Value(1.0, (3.0,), (1.0,))
    with pytest.raises(AttributeError):
        node.backward()


class Tanh(Value):
    """A subclass with its own operator, as users write them."""

    def tanh(self):
        t = math.tanh(self.data)
        return Tanh(t, (self,), (1 - t * t,))

    def __neg__(self):
        return Tanh(-self.data, (self,), (-1.0,))


def test_subclasses():
    a = Tanh(0.5)
    assert type(a + 1) is Value and type(-a) is Tanh and type(1.0 - a) is Value
    b = a.tanh() * 2 + a
    b.backward()
    t = math.tanh(0.5)
    assert a.grad == 2 * (1 - t * t) + 1.0
    a.label = "a"
    twin = copy.deepcopy(a)
    assert (type(twin), twin.label, twin.data, twin.grad) == (Tanh, "a", 0.5, a.grad)
    with pytest.raises(TypeError):
        Value(1.0).__class__ = Tanh


def test_numpy_scalars_work_as_in_the_reference(layer):
    numpy = pytest.importorskip("numpy")
    a = layer.Value(2.0)
    b = a * numpy.float64(1.5)
    assert type(b.data) is numpy.float64
    (b + numpy.float64(1.0)).backward()
    assert a.grad == 1.5


def test_subnormal_numbers_survive_the_import():
    """An object linked with fast-math switches the whole process to flush-to-zero."""
    code = "import microgpt.compiled.scalar, microgpt; x = 2.0**-1070; print(x * 0.5 > 0, x * 0.5 == 2.0**-1071)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True True\n"
