"""linear, softmax, rmsnorm, attention, cross_entropy, matrix and Adam on vectors that do not occur in the model."""

import random
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import exact

from microgpt import reference
from microgpt.compiled import scalar

numbers = st.one_of(st.floats(-1e3, 1e3), st.floats(allow_nan=False), st.integers(-3, 3))


def results(function):
    """The result or error of `function` on each layer, as text."""
    for layer in (reference, scalar):
        try:
            yield function(layer)
        except (ArithmeticError, ValueError, TypeError) as error:
            yield f"{type(error).__name__}: {error}"


def same(function):
    pure, compiled = results(function)
    assert compiled == pure


def after_backward(outputs, inputs):
    """Run backward from every output. Returns all data and gradients."""
    for output in outputs:
        output.backward()
    return [(exact(v.data), exact(v.grad)) for v in (*outputs, *inputs)]


@given(st.lists(numbers, min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_vector_functions(data):
    for name in ("softmax", "rmsnorm"):

        def run(layer):
            x = [layer.Value(number) for number in data]
            return after_backward(getattr(layer, name)(x), x)

        same(run)


@pytest.mark.parametrize("change", ["data", "sign", "kind", "item", "length", "adam"])
def test_a_vector_that_has_changed_since_it_was_multiplied(change):
    """The vector of an existing graph is reused only while it is unchanged."""

    def run(layer):
        x, row = [layer.Value(0.5), layer.Value(-0.5)], [layer.Value(3.0), layer.Value(0.0)]
        before = layer.linear(x, [row, row])
        match change:
            case "data":
                row[1].data = 4.0
            case "sign":
                row[1].data = -0.0
            case "kind":
                row[1].data = 0
            case "item":
                row[1] = layer.Value(0.0)
            case "adam":
                row[0].grad = 0.5
                layer.Adam(row).step()
            case "length":
                row.append(layer.Value(1.0)), x.append(layer.Value(2.0))
        after = layer.linear(x, [row, row])
        total = before[0] * after[0] + before[1] * after[1]
        numbers = after_backward([total], [*x, *row, *before, *after])
        return numbers, [exact(local) for node in after for child in node._children for local in child._local_grads]

    same(run)


@given(st.lists(numbers, min_size=1, max_size=8), st.data())
@settings(max_examples=200, deadline=None)
def test_cross_entropy(data, draw):
    target = draw.draw(st.integers(-len(data), len(data) - 1))

    def run(layer):
        x = [layer.Value(number) for number in data]
        return after_backward([layer.cross_entropy(x, target)], x)

    same(run)


@given(st.integers(0, 6), st.integers(0, 4), st.data())
@settings(max_examples=200, deadline=None)
def test_linear(n_in, n_out, draw):
    xs = draw.draw(st.lists(numbers, min_size=n_in, max_size=n_in))
    rows = draw.draw(st.lists(st.lists(numbers, min_size=0, max_size=7), min_size=n_out, max_size=n_out))

    def run(layer):
        x = [layer.Value(number) for number in xs]
        w = [[layer.Value(number) for number in row] for row in rows]
        y = layer.linear(x, w)
        if any(not isinstance(v, layer.Value) for v in y):
            return [exact(v) if not isinstance(v, layer.Value) else exact(v.data) for v in y]
        return after_backward(y, [*x, *sum(w, [])])

    same(run)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_attention(n_head, head_dim, positions, seed):
    def run(layer):
        rng = random.Random(seed)
        q, *rest = ([layer.Value(rng.gauss(0, 2)) for _ in range(n_head * head_dim)] for _ in range(2 * positions + 1))
        return after_backward(layer.attention(q, rest[:positions], rest[positions:], n_head), [*q, *sum(rest, [])])

    same(run)


@given(st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_matrices_that_share_nodes(seed):
    """Rows and vectors of a few nodes: the same in two places, in two rows, in a row and in the vector, and in other operations."""

    def run(layer):
        rng = random.Random(seed)
        leaves = [layer.Value(rng.choice([rng.gauss(0, 1), rng.gauss(0, 1), rng.gauss(0, 1), 2])) for _ in range(rng.randint(5, 24))]
        size, nodes, seen = rng.randint(1, 4), [*leaves], []
        some = lambda of: rng.sample(of, size) if rng.random() < 0.8 else rng.choices(of, k=size)
        rows = [some(leaves) for _ in range(4)]
        for _ in range(3):
            for _ in range(rng.randint(1, 6)):
                a, b = rng.choice(nodes), rng.choice(nodes)
                made = rng.choice([lambda: layer.linear(some(nodes), rng.sample(rows, 3)), lambda: [a + b, a * b, a.relu()]])()
                nodes += made
            for _ in range(rng.randint(0, 2)):
                leaf = rng.choice(leaves)
                match rng.randrange(4):
                    case 0:
                        leaf.data = rng.gauss(0, 1)
                    case 1:
                        leaf.grad = rng.choice([3, 2**60, -0.0, 0.5])
                    case 2:
                        layer.Adam(rng.sample(leaves, 2)).step()
                    case _:
                        leaf._children, leaf._local_grads = (rng.choice(leaves[:2]),), (0.5,)
            rng.choice(nodes[-3:]).backward()
            seen += [(exact(v.data), exact(v.grad)) for v in nodes]
        return seen

    same(run)


@given(st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_lists_that_are_a_row_here_and_the_vector_there(seed):
    def run(layer):
        rng = random.Random(seed)
        size = rng.randint(1, 4)
        lists = [[layer.Value(rng.gauss(0, 1)) for _ in range(size)] for _ in range(rng.randint(1, 3))]
        leaves, total = sum(lists, []), layer.Value(0.0)
        for _ in range(rng.randint(2, 8)):
            x, rows = rng.choice(lists), [rng.choice(lists) for _ in range(size)]
            lists += [layer.linear(x, rows)] if rng.random() < 0.5 else []
            total = total + layer.linear(x, rows[:1])[0] * rng.gauss(0, 1)
        return after_backward([total], leaves)

    same(run)


def test_shared_nodes_inside_a_dot_product():
    """w[k] depends on x[j] and vice versa, so that contributions interleave with those of whole subgraphs."""

    def run(layer):
        a, b, c = (layer.Value(x) for x in (0.3, -1.7, 2.9))
        d = a * b
        y = layer.linear([a, d, a, d * c], [[b, d.exp(), d, a * c]])[0]
        return after_backward([y * y + d], [a, b, c, d, y])

    same(run)


def test_second_backward_through_a_dot_product():
    def run(layer):
        x, w = ([layer.Value(0.1 * i + start) for i in range(4)] for start in (1.0, -0.3))
        hidden = layer.linear(x, [w, w[::-1]])
        y = layer.linear(hidden, [w[:2]])[0]
        y.backward()
        y.grad = 0.7
        (y * 3).backward()
        inner = [(exact(v.data), exact(v.grad)) for v in (*y._children, *y._children[0]._children)]
        return after_backward([y], [*x, *w, *hidden]) + inner

    same(run)


def test_data_changed_after_the_forward_pass(layer):
    w, x = [layer.Value(2.0), layer.Value(3.0)], [layer.Value(5.0), layer.Value(7.0)]
    y = layer.linear(x, [w])[0]
    w[0].data = 100.0
    y.backward()
    assert (y.data, x[0].grad) == (31.0, 2.0)


def test_a_dot_product_shows_the_reference_s_nodes(layer):
    w, x = [layer.Value(2.0), layer.Value(3.0)], [layer.Value(5.0), layer.Value(7.0)]
    y = layer.linear(x, [w])[0]
    partial, product = y._children
    assert (partial.data, product.data, y._local_grads) == (10.0, 21.0, (1, 1))
    assert product._children == (w[1], x[1]) and product._local_grads == (7.0, 3.0)
    assert [exact(v.data) for v in partial._children] == [exact(10.0), "int 0"]


def test_a_gradient_of_another_kind_on_a_leaf_of_a_dot_product(layer):
    from fractions import Fraction

    w, x = [layer.Value(2.0)], [layer.Value(5.0)]
    y = layer.linear(x, [w])[0]
    w[0].grad = Fraction(1, 2)
    y.backward()
    assert w[0].grad == 5.5
    w[0].grad = None
    with pytest.raises(TypeError):
        layer.linear(x, [w])[0].backward()
    w[0].grad = 0
    layer.linear(x, [w])[0].backward()  # nothing of the failed pass is left behind
    assert w[0].grad == 5


def test_nothing_of_a_pass_that_took_the_slow_path_is_left_behind(layer):
    x, y = layer.Value(2.0), layer.Value(5.0)
    z = layer.linear([x * y, y], [[x, y * 2.0]])[0] + 1
    for value in (x, y, z):
        value.grad = None if value is not z else 0
        with pytest.raises(TypeError):
            z.backward()
            raise TypeError  # (a gradient of the root is not added to)
        value.grad = 0
    for value in (x, y):
        value.grad = 0
    z.backward()
    assert (x.grad, y.grad) != (0, 0)


def test_signs_of_zero_in_a_dot_product():
    def run(layer):
        x, w = [layer.Value(-0.0), layer.Value(0.0)], [layer.Value(1.0), layer.Value(-1.0)]
        y = layer.linear(x, [w, w])
        for value in (*x, *w, y[0]):
            value.grad = -0.0
        layer.Value(1.0, (y[0],), (-0.0,)).backward()
        return [(exact(v.data), exact(v.grad)) for v in (*y, *x, *w, *y[0]._children, *y[0]._children[0]._children)]

    same(run)


def test_matrix_draws_row_by_row(layer):
    rng = random.Random(7)
    rows = layer.matrix(2, 3, 0.5, rng)
    again = random.Random(7)
    assert [[v.data for v in row] for row in rows] == [[again.gauss(0, 0.5) for _ in range(3)] for _ in range(2)]


gradients = st.one_of(st.floats(-1e3, 1e3), st.sampled_from([0, 0.0, -0.0, 1, -5, 1e-200, 1e150, 1e154, -1e155, float("inf")]))


@given(st.lists(st.tuples(numbers, st.lists(gradients, min_size=4, max_size=4)), min_size=1, max_size=5), st.floats(0, 10))
@settings(max_examples=300, deadline=None)
def test_adam(parameters, learning_rate):
    def run(layer):
        values = [layer.Value(data) for data, _ in parameters]
        optimizer = layer.Adam(values, learning_rate=learning_rate)
        lines = []
        for step in range(4):
            for value, (_, grads) in zip(values, parameters):
                value.grad = grads[step]
            optimizer.step(learning_rate * (1 - step / 4))
            lines += [(exact(float(v.data)), exact(v.grad)) for v in values]
        return lines + [exact(float(x)) for x in (*optimizer.m, *optimizer.v)]

    same(run)


HARD = [0.0, -0.0, 0.5, -3.0, 1e-320, 1e16, 1e18, -1e40, 1e51, -1e60, 1e300, float("inf"), float("nan")]


@given(st.integers(0, 2**32), st.sampled_from([False, False, True]))
@settings(max_examples=300, deadline=None)
def test_adam_with_any_settings_and_moments(seed, twice):
    def run(layer):
        rng = random.Random(seed)
        hard = rng.choice([0.0, 0.02, 0.1])
        some = lambda: rng.gauss(0, 1) if rng.random() >= hard else rng.choice(HARD)
        params = [layer.Value(some()) for _ in range(6)]
        params += params[:1] if twice else []
        settings = (
            rng.choice([0.01, some()]),
            rng.choice([0.85, 0.85, 0.85, 0, 1, 1.5, -0.5]),
            rng.choice([0.99, 0.99, 0.99, 0.0, 1, 2]),
            rng.choice([1e-8, 1e-8, 0.0, 1]),
        )
        optimizer, lines = layer.Adam(params, *settings), []
        optimizer.num_steps = rng.choice([0, 0, 7, -1, -3])
        for _ in range(3):
            if rng.random() < 0.5:
                optimizer.m, optimizer.v = [some() for _ in params], [some() if rng.random() < hard else abs(some()) for _ in params]
            for value in params:
                value.grad = rng.choice([some(), some(), some(), 0.0]) if rng.random() >= hard else -1e200
            try:
                optimizer.step()
            except (ArithmeticError, TypeError) as error:
                lines.append(type(error).__name__)
            lines += [(exact(v.data), exact(v.grad)) for v in params]
            lines += [*map(exact, optimizer.m), *map(exact, optimizer.v)]
            if any(type(x) is complex for x in optimizer.v):
                break
        return lines

    same(run)


def test_powers_are_those_of_the_c_library():
    """x*x and 1/x differ from pow(x, 2.0) and pow(x, -1.0) in one of a thousand numbers."""

    def run(layer):
        rng = random.Random(1)
        values = [layer.Value(rng.gauss(0, 1)) for _ in range(10_000)]
        for value in values:
            value.grad = rng.gauss(0, 1)
        optimizer = layer.Adam(values)
        optimizer.step()
        powers = [exact((value**exponent).data) for value in values for exponent in (2, -1, 2.0, -1.0)]
        return [exact(v) for v in optimizer.v], [exact(value.data) for value in values], powers

    same(run)


class Number:
    """A user-defined number that lacks some operations."""

    def __init__(self, x):
        self.x = x

    def __rmul__(self, other):
        return Number(self.x * other) if self.x < 5 else NotImplemented

    def __radd__(self, other):
        return Number(other + self.x)

    def __pow__(self, exponent):
        return self.x**exponent if self.x != 4 else Number(16.0)

    def __truediv__(self, other):
        return self.x / other

    def __repr__(self):
        return f"Number({self.x!r})"


ODD = [True, False, Fraction(1, 3), Decimal("0.5"), 1j, None, "text", [], 10**400, -(10**200), 2**60, Number(2), Number(4), Number(6)]


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("before", [0, 2])
def test_adam_with_gradients_of_any_kind(odd, before):
    """The reference's results and errors, with the same changes before an error, and correct steps with ordinary gradients after it."""

    def run(layer):
        values, seen = [layer.Value(x) for x in (0.5, -1.5, 2.0)], []
        optimizer = layer.Adam(values, learning_rate=0.125)
        for step in range(5):
            for i, value in enumerate(values):
                value.grad = odd if i == 1 and before <= step < before + 2 else 0.25 * (i - step)
            try:
                optimizer.step()
            except Exception as error:
                seen.append(f"{type(error).__name__}: {error}")
            seen.append([exact(x) for value in values for x in (value.data, value.grad)])
            seen.append([exact(x) for moments in (optimizer.m, optimizer.v) for x in moments])
            seen.append(optimizer.num_steps)
        return seen

    assert run(scalar) == run(reference)


def test_adam_with_numpy_s_gradients():
    numpy = pytest.importorskip("numpy")
    for odd in (numpy.float64(0.3), numpy.float32(0.3), numpy.int64(3), numpy.bool_(True), numpy.array([1.0, 2.0])):
        test_adam_with_gradients_of_any_kind(odd, 1)


def test_adam_takes_values_only():
    with pytest.raises(TypeError, match="Values, not float"):
        scalar.Adam([1.0])


@pytest.mark.parametrize("grad", [0.5, 3, 2**70, 0])
def test_adam_with_ints_as_settings(grad):
    results = []
    for layer in (reference, scalar):
        values = [layer.Value(1.5), layer.Value(2)]
        optimizer = layer.Adam(values, 1, 0, 0, 1)
        for step in range(3):
            values[0].grad, values[1].grad = grad, step
            optimizer.step(2 if step == 1 else None)
        settings = optimizer.learning_rate, optimizer.beta1, optimizer.beta2, optimizer.eps, optimizer.num_steps
        results.append(repr((settings, [(v.data, v.grad) for v in values], list(optimizer.m), list(optimizer.v))))
    assert results[0] == results[1]


def test_adam_s_moments_can_be_set():
    optimizer = scalar.Adam([scalar.Value(1.0), scalar.Value(2.0)])
    optimizer.m, optimizer.v, optimizer.num_steps = [0.5, 1.5], [2.5, 3.5], 9
    assert (optimizer.m, optimizer.v, optimizer.num_steps) == ((0.5, 1.5), (2.5, 3.5), 9)
    with pytest.raises(TypeError):
        optimizer.m[0] = 1.0  # would be lost
    with pytest.raises(ValueError, match="2 parameters"):
        optimizer.m = [1.0]
