"""The compiled lines and loops of `microgpt run`, on random programs: they equal the original lines in every bit."""

import ast
import inspect
import math
import types

import pytest
from programs import outcome

from microgpt import reference
from microgpt.compiled import scalar
from microgpt.scripts import runtime
from microgpt.scripts.arithmetic import Arithmetic, number, operation, program
from microgpt.scripts.names import Module, Names, Survey
from microgpt.scripts.report import Report
from microgpt.scripts.rewrite import find_value, rewrite

DATA, GRAD, M, V = (("input", name) for name in "dgmv")


def adam_formula(fixed):
    """Adam's update as `microgpt run` reads it from a loop: inputs and outputs are the parameter's data, its gradient, m and v."""
    beta1, rest1, beta2, rest2, c1, c2, lr, eps = (("fixed", name) for name in fixed)
    m = operation("+", operation("*", beta1, M), operation("*", rest1, GRAD))
    v = operation("+", operation("*", beta2, V), operation("*", rest2, ("**", GRAD, number(2))))
    step = ("/", operation("*", lr, ("/", m, c1)), operation("+", ("**", ("/", v, c2), number(0.5)), eps))
    return scalar.script_loop(program("dgmv", fixed, [("-", DATA, step), number(0), m, v]), (0, 1, 2, 3, 0, 1, 2, 3))


ADAM = adam_formula("abcdefgh")
DESCENT = scalar.script_loop(program("dg", "a", [("-", DATA, operation("*", ("fixed", "a"), GRAD)), number(0.0)]), (0, 1, 0, 1))


def adam(params, m, v, hyper):
    return scalar.script_update(ADAM, params, (m, v), lambda: hyper)


def rewritten(source, *names):
    """Functions from a source, rewritten like a script with the reference's class, on the compiled Value."""
    with open(reference.__file__, encoding="utf-8") as file:
        text = file.read()
    module = Module.of("script.py", text[: text.index("class Config")] + source)
    survey, report = Survey([module]), Report(module.path)
    found = find_value(survey, report)
    rewrite(module, found, report, survey)
    module.tree.body = [line for line in module.tree.body if line is not found.node]
    called = {
        "list": scalar.script_list,
        "each": scalar.script_each,
        "largest": scalar.script_largest,
        "is_sum": runtime.is_sum,
        "loop": runtime.loop,
        "extend": runtime.extend,
    }
    space = {"Value": scalar.Value, **{f"__microgpt_{name}__": function for name, function in called.items()}}
    exec(compile(module.tree, "script.py", "exec"), space)
    return types.SimpleNamespace(Value=scalar.Value, **{name: space[name] for name in names})


FUNCTIONS = ("linear", "softmax", "rmsnorm", "attention", "cross_entropy", "Adam")
LINES = rewritten("".join(inspect.getsource(getattr(reference, name)) + "\n" for name in FUNCTIONS), *FUNCTIONS)


@pytest.mark.parametrize("wild", [False, True])
def test_random_programs(wild):
    for seed in range(150):
        assert outcome(LINES, seed, wild) == outcome(reference, seed, wild), f"seed {seed}"


ELEMENTS = """
def elements(x, y, bias):
    total = [a + b for a, b in zip(x, y)]
    positive = [a.relu() for a in total]
    square = [a.relu() ** 2 - b / 3 for a, b in zip(total, y)]
    shifted = sum((a * b for a, b in zip(x, y)), bias)
    out = 0.5
    for i in range(len(x)):
        out = out + x[i] * y[i]
    return total + positive + square + [shifted, out, sum(x), sum(y, bias), sum((a - bias) * 2 for a in x)]
"""


@pytest.mark.parametrize("numbers", [(1.0, -2.0), (0.0, -0.0), (3, 1.5), (1e200, -1e200), (float("inf"), 1.0)])
def test_elements(numbers):
    """Among others, sums that start with a node or a number; each root is used twice, which reveals intermediate nodes."""
    results, pure = [], {}
    exec(ELEMENTS, pure)
    for layer, elements in ((reference, pure["elements"]), (scalar, rewritten(ELEMENTS, "elements").elements)):
        x, y, bias = [layer.Value(n) for n in numbers], [layer.Value(-n) for n in reversed(numbers)], layer.Value(0.25) * 3
        try:
            roots = elements(x, y, bias)
        except OverflowError as error:
            results.append(str(error))
            continue
        for root in (*roots, *roots):
            root.backward()
        results.append([repr((node.data, node.grad)) for node in (*x, *y, bias, *roots, *roots[-5]._children, *roots[-4]._children)])
    assert results[0] == results[1]


def test_an_update_stops_where_numbers_are_not_plain():
    Value = scalar.Value
    params = [Value(1.0), Value(2), Value(1j), Value(3.0), Value(4.0)]
    for p in params:
        p.grad = 0.5

    def descend(lr):
        return [i for i, _ in scalar.script_update(DESCENT, params, (), lambda: (lr,))]

    assert descend(0.1) == [2, 4]  # a complex number, and the last one
    assert [p.data for p in params] == [0.95, 1.95, 1j, 2.95, 4.0]
    assert [p.grad for p in params] == [0.0, 0.0, 0.5, 0.0, 0.5]
    assert list(scalar.script_update(DESCENT, [], (), lambda: (0.1,))) == []
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
    formula = scalar.script_loop(program("ab", [], [expression]), (0, 1))
    for a in NUMBERS:
        for b in NUMBERS:
            params, out = [scalar.Value(a), scalar.Value(a)], []
            params[0].grad = b
            values = scalar.script_each(formula, params[:1], (), None)
            if source == "a ** b" and abs(b) > 100:
                continue  # Python would take forever on an int with that many digits
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
