"""Hostile programs: subclasses that override attributes, code that runs in the middle of an operation, replaced methods,
cyclic graphs. They must behave as with the reference, and nothing may crash."""

import copy
import math

import pytest
from programs import exact, exacts

from microgpt import reference
from microgpt.compiled import fallback, scalar

CORNERS = []


def corner(function):
    """Register a function of a layer. Its results on both layers must be equal."""
    CORNERS.append(function)
    return function


# ---- Subclasses ----


@corner
def reflected_operators_of_a_subclass_that_has_only_the_plain_ones(layer):
    class Named(layer.Value):
        def __add__(self, other):
            return f"{self.data} + {getattr(other, 'data', other)}"

        def __mul__(self, other):
            return f"{self.data} * {getattr(other, 'data', other)}"

    x, named = layer.Value(3.0), Named(1.0)
    return 2 * named, 2 + named, named / 2, -named, named - 1, exacts([x * named, x + named, 1 / named, x - x])


@corner
def reflected_operators_called_by_name(layer):
    class Named(layer.Value):
        def __radd__(self, other):
            return [child.data for child in super().__radd__(other)._children]

        def __rmul__(self, other):
            return [child.data for child in super().__rmul__(other)._children]

    x, named = layer.Value(3.0), Named(1.0)
    swapped = [child.data for child in x.__radd__(layer.Value(4.0))._children + x.__rmul__(layer.Value(4.0))._children]
    return 2 + named, x + named, 2 * named, x * named, swapped


@corner
def subclass_with_its_own_gradient(layer):
    class Logged(layer.Value):
        log = []

        @property
        def grad(self):
            return layer.Value.grad.__get__(self)

        @grad.setter
        def grad(self, gradient):
            self.log.append(gradient)
            layer.Value.grad.__set__(self, min(gradient, 3))

    x = Logged(1.5)
    y = layer.linear([x, layer.Value(2.0)], [[layer.Value(2.0), x]])[0] * 4.0
    y.backward()
    optimizer = layer.Adam([x])
    optimizer.step()
    return Logged.log, exacts([x, y])


@corner
def subclass_with_its_own_data(layer):
    class Clipped(layer.Value):
        @property
        def data(self):
            return max(-1.0, min(1.0, layer.Value.data.__get__(self)))

        @data.setter
        def data(self, data):
            layer.Value.data.__set__(self, data * 2)

    x, y = Clipped(0.25), Clipped(3.0)
    z = x * y + y
    z.backward()
    made = [y.exp(), x**2, y.relu(), x.log(), y.sigmoid(), y.tanh()]
    return exacts([x, y, z, *layer.softmax([x, y]), *layer.rmsnorm([x, y]), *made])


@corner
def subclass_with_its_own_children(layer):
    class Cut(layer.Value):
        @property
        def _children(self):
            return ()

        @_children.setter
        def _children(self, children):
            self.hidden = children

    x = layer.Value(2.0)
    cut = Cut(6.0, (x,), (3.0,))
    (cut * 5.0).backward()
    return exacts([x, cut]), cut.hidden == (x,)


@corner
def subclass_with_its_own_equality(layer):
    class Equal(layer.Value):
        def __eq__(self, other):
            return isinstance(other, Equal) and self.data == other.data

        def __hash__(self):
            return hash(self.data)

    a, b = Equal(1.0), Equal(1.0)
    root = layer.Value(1.0, (Equal(2.0, (a,), (3.0,)), Equal(2.0, (b,), (5.0,))), (1.0, 1.0))
    root.backward()
    return exacts([a, b, root])


@corner
def sigmoid_and_tanh_of_a_subclass_with_its_own_operators(layer):
    class Loud(layer.Value):
        def exp(self):
            log.append("exp")
            return Loud(2.0, (self,), (0.5,))

        def __neg__(self):
            log.append("neg")
            return Loud(-self.data, (self,), (-1.0,))

        def __mul__(self, other):
            log.append("mul")
            return Loud(self.data * other, (self,), (other,))

        def __radd__(self, other):
            log.append("radd")
            return super().__radd__(other)

        def __rtruediv__(self, other):
            log.append("rtruediv")
            return super().__rtruediv__(other)

    log, results = [], []
    for data in (0.75, -0.75):
        for name in ("sigmoid", "tanh"):
            x = Loud(data)
            y = getattr(x, name)()
            y.backward()
            results.append((type(y).__name__, exacts([x, y, *y._children])))
    return log, results


@corner
def subclass_that_becomes_custom_later(layer):
    class Late(layer.Value):
        pass

    first = Late(1.0)
    Late.__hash__ = lambda self: 7
    second = Late(1.0)
    (first * second).backward()
    return exacts([first, second])


@corner
def copies_of_subclasses(layer):
    class Slots(layer.Value):
        __slots__ = ("label", "unset")

        def __init__(self, label):
            super().__init__(2.0)
            self.label = label

    class Dict(layer.Value):
        def __init__(self, label):
            super().__init__(3.0)
            self.label = label

    copies = [copy.copy(Slots("a")), copy.deepcopy(Slots("b")), copy.copy(Dict("c")), copy.deepcopy(Dict("d"))]
    return [(type(x).__name__, x.label, hasattr(x, "unset"), exact(x.data), exact(x.grad), repr(x)) for x in copies]


@corner
def copy_of_a_cyclic_graph(layer):
    a = layer.Value(1.0)
    b = a * 2.0
    a._children, a._local_grads = (b,), (0.5,)
    twin = copy.deepcopy(b)
    twin.backward()
    return twin._children[0]._children[0] is twin, exacts([twin, *twin._children, a, b])


# ---- Cycles ----


@corner
def cycle_through_a_dot_product(layer):
    w, x = [layer.Value(n) for n in (1.5, 2.0, 2.5)], [layer.Value(n) for n in (3.0, 0.3, 0.7)]
    y = layer.linear(x, [w])[0]
    w[1]._children, w[1]._local_grads = (y,), (0.5,)
    y.backward()
    once = exacts([*w, *x, y])
    y.backward()
    return once, exacts([*w, *x, y, *y._children])


@corner
def own_child(layer):
    a = layer.Value(2.0)
    a._children, a._local_grads = (a, a), (3.0, 5)
    (a * 2).backward()
    return exacts([a])


# ---- Code that runs in the middle ----


@corner
def numbers_that_count_what_is_done_with_them(layer):
    log = []

    class Number(float):
        def logged(name):
            method = getattr(float, name)

            def run(self, *others):
                log.append(name)
                return method(self, *others)

            return run

        for name in ["__gt__", "__lt__", "__ge__", "__add__", "__radd__", "__mul__", "__rmul__", "__pow__", "__float__", "__rtruediv__"]:
            locals()[name] = logged(name)

    x = layer.Value(Number(1.5))
    made = [x.relu(), x.exp(), x.log(), x**2, x + 1, 2.0 * x, x - x, 1 / x, x.sigmoid(), x.tanh()]
    for value in made:
        value.backward()
    return log, [float(v.data) for v in made], float(x.grad)


@corner
def data_that_changes_while_it_is_multiplied(layer):
    class Shy(float):
        def __mul__(self, other):
            x.data = 100.0
            return float(self) * other

        def __pow__(self, other):
            x.data = 3.0
            return float(self) ** other

    x, y = layer.Value(Shy(2.0)), layer.Value(5.0)
    first = x * y
    x.data = Shy(2.0)
    second = x**2
    return exacts([first, second]), first._local_grads, second._local_grads


@corner
def backward_inside_backward(layer):
    class Gradient(float):
        def __add__(self, other):
            if len(log) < 3:
                log.append(float(other))
                y.backward()
            return Gradient(float(self) + other)

        __radd__ = __iadd__ = __add__

    log, x = [], layer.Value(2.0)
    y = layer.linear([x * 1.5, x], [[layer.Value(2.0), x.exp()]])[0]
    x.grad = Gradient(0.25)
    y.backward()
    return log, float(x.grad), exact(y.grad)


@corner
def an_error_in_the_middle_of_backward(layer):
    """Ints too large for a float: gradients added before the error remain, later ones are not added."""
    results = []
    for first in (0, 1, 2):
        x, y, z = (layer.Value(n) for n in (1.0, 2.0, 3.0))
        top = layer.Value(1.0, (x, y), (0.5, 3) if first == 0 else (3, 0.5))
        top = layer.linear([top, z], [[layer.Value(1.0), layer.Value(2.0)]])[0] if first == 2 else top
        for _ in range(30):
            top = layer.Value(1.0, (top,), (2**52,))
        with pytest.raises(OverflowError) as error:
            top.backward()
        results.append((str(error.value), exacts([x, y, z])))
    return results


def replace(value_type, name, function):
    original = getattr(value_type, name)
    setattr(value_type, name, function(original))
    return lambda: setattr(value_type, name, original)


@pytest.mark.parametrize("name", ["__add__", "__mul__", "__pow__", "__neg__", "exp", "log"])
def test_a_replaced_operator_is_used_everywhere(name):
    """Value is an ordinary class: a user may count or change what its operators do."""

    def run(layer):
        log = []

        def counting(original):
            def run(self, *others):
                log.append(name)
                return original(self, *others)

            return run

        restore = replace(layer.Value, name, counting)
        try:
            x, y = [layer.Value(n) for n in (0.5, 2.0, 3.0)], [layer.Value(n) for n in (1.5, 0.25, 1.0)]
            made = [*layer.linear(x, [y, x]), *layer.softmax(x), *layer.rmsnorm(y), layer.cross_entropy(x, 1)]
            made += [*layer.attention(x, [x, y], [y, x], 3), 2 * x[0], 1 + x[1], x[0] - 1, 1 / x[2]]
            made += [value.sigmoid() for value in (x[0], -x[0])] + [value.tanh() for value in (x[0], -x[0])]
        finally:
            restore()
        return log, exacts(made)

    assert run(scalar) == run(reference)


def test_ordinary_vectors_never_take_the_slow_path(monkeypatch):
    for name in ("linear", "softmax", "rmsnorm", "attention", "cross_entropy"):
        monkeypatch.setattr(fallback, name, None)
    for name in fallback.methods:
        monkeypatch.setitem(fallback.methods, name, None)
    for more in (False, True):
        if more:  # added methods change nothing
            monkeypatch.setattr(scalar.Value, "sinh", lambda self: (self.exp() - (-self).exp()) / 2, raising=False)
            assert scalar.Value(0.5).sinh().data == pytest.approx(math.sinh(0.5))
        x, y = [scalar.Value(n) for n in (0.5, 2.0)], [scalar.Value(n) for n in (1.5, -0.25)]
        x = scalar.linear(x, [y, x]) + scalar.softmax(x) + scalar.rmsnorm(y) + [v.relu() for v in x]
        x += [v.sigmoid() for v in (*y, scalar.Value(-3))] + [v.tanh() for v in (*y, scalar.Value(3))]
        scalar.cross_entropy(scalar.attention(x, [x, x], [x, x], 2), 1).backward()


@corner
def arguments_of_every_kind(layer):
    x, results = [layer.Value(0.5), layer.Value(2.0)], []
    for function in (
        lambda: layer.cross_entropy(x, 0.0),
        lambda: layer.cross_entropy(x, 10**30),
        lambda: layer.cross_entropy(x, -3),
        lambda: layer.cross_entropy(x, True).data,
        lambda: layer.cross_entropy(x, None),
        lambda: layer.softmax(()),
        lambda: layer.attention(x, [x], [x], None),
        lambda: layer.attention(x, [x], [x], 0),
        lambda: pow(x[0], 2, 5),
        lambda: layer.attention(x, [x], [x], 2.0),
        lambda: layer.attention(x, [x], [x[:1]], 1),
        lambda: layer.rmsnorm([]),
        lambda: layer.linear((v for v in x), [x, x]),
        lambda: layer.linear(x, (row for row in [x, x])),
        lambda: layer.linear(3, [x]),
        lambda: layer.linear(x, [3]),
        lambda: layer.softmax(v for v in x),
        lambda: layer.linear(dict.fromkeys(x), [x]),
        lambda: x[0] ** None,
        lambda: x[0] ** [],
        lambda: x[0].label,
    ):
        try:
            results.append(str(function()))
        except Exception as error:
            results.append(f"{type(error).__name__}: {error}")
    return results


@corner
def sigmoid_and_tanh_of_numbers_of_every_kind(layer):
    from decimal import Decimal
    from fractions import Fraction

    results = []
    numbers = [3, -3, True, False, 2**53, -(2**60), 10**400, Fraction(-1, 3), Decimal("0.5"), 1j, "0", None, layer.Value(1.0)]
    numbers += [0.0, -0.0, 5e-324, 1e-200, 36.5, -745.5, 1e308, float("inf"), -float("inf"), float("nan")]
    for number in numbers:
        for name in ("sigmoid", "tanh"):
            x = layer.Value(number)
            try:
                y = getattr(x, name)()
                y.backward()
                results.append((exacts([x, y, *y._children, *y._children[1]._children]), [exact(g) for g in y._local_grads]))
            except Exception as error:
                results.append((f"{type(error).__name__}: {error}", exact(x.grad)))
    return results


@corner
def gradients_of_adam_that_cannot_be_squared(layer):
    p, q = layer.Value(1.0), layer.Value(2.0)
    p.grad = q.grad = 1e200
    optimizer = layer.Adam([p, q])
    with pytest.raises(OverflowError):
        optimizer.step()
    return list(optimizer.m), list(optimizer.v), optimizer.num_steps, exacts([p, q])


@pytest.mark.parametrize("function", CORNERS, ids=lambda function: function.__name__)
def test_corner(function):
    assert function(scalar) == function(reference)
