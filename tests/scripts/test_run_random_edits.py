"""`microgpt run` on scripts of people.py with one or two random edits: whatever they do then, they do the same as under Python."""

import ast
import copy
import os
import random
import re

import pytest
from people import SCRIPTS
from scripts_under import both_in_forks

WHOLE = {name: files["main.py"] for name, files in SCRIPTS.items() if [*files] == ["main.py"]}
OPERATORS = [ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow]
COMPARISONS = [ast.Lt, ast.Gt, ast.LtE, ast.GtE, ast.Eq, ast.NotEq]
GROUP = 6  # scripts per process
FIRST = 78  # of these, one has a Value where a number should be

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def edited(rng, node):
    """Edit a node of a syntax tree in one way of those that suit it. Returns whether there was one."""
    match node:
        case ast.BinOp() if rng.random() < 0.5:
            node.op = rng.choice(OPERATORS)()
        case ast.BinOp():
            node.left, node.right = node.right, node.left
        case ast.AugAssign():
            node.op = rng.choice(OPERATORS)()
        case ast.Compare():
            node.ops[0] = rng.choice(COMPARISONS)()
        case ast.Constant(value=int() | float() as value):
            node.value = rng.choice([0, 1, 2, 0.5, 1.0, 0.0, True, value + 1, float(value)])
        case ast.Attribute(attr="data" | "grad") if rng.random() < 0.2:
            node.attr = "grad" if node.attr == "data" else "data"
        case ast.Tuple(elts=[_, _, *_], ctx=ast.Load()):
            node.elts = node.elts[::-1] if rng.random() < 0.6 else node.elts[:-1]
        case ast.IfExp():
            node.body, node.orelse = node.orelse, node.body
        case ast.FunctionDef() | ast.For() | ast.If() | ast.While():
            return edited_body(rng, node, node.body)
        case _:
            return False
    return True


def edited_body(rng, node, body):
    i = rng.randrange(len(body))
    match rng.choice(["twice", "without", "print", "return"]):
        case "twice" if not isinstance(body[i], ast.FunctionDef):
            body.insert(i, copy.deepcopy(body[i]))
        case "without" if len(body) > 1 and not isinstance(body[i], ast.FunctionDef):
            del body[i]
        case "print":
            body.insert(i, ast.parse("print('here')").body[0])
        case "return" if isinstance(node, ast.FunctionDef):
            body.append(ast.Return(ast.Constant(5)))
        case _:
            return False
    return True


def script_with_edits(seed):
    rng = random.Random(seed)
    tree = ast.parse(WHOLE[rng.choice(sorted(WHOLE))])
    for _ in range(rng.choice([1, 1, 1, 2])):
        nodes = [*ast.walk(tree)]
        while not edited(rng, rng.choice(nodes)):
            pass
    return ast.unparse(ast.fix_missing_locations(tree))


def without_addresses(text):
    return re.sub(" at 0x[0-9a-f]+", "", text)


@pytest.mark.parametrize(
    "first", [FIRST, *(pytest.param(first, marks=pytest.mark.slow) for first in range(0, 300, GROUP) if first != FIRST)]
)
def test_random_edits(tmp_path, first):
    scripts = {seed: {"main.py": script_with_edits(seed)} for seed in range(first, first + GROUP)}
    for seed, (python, run) in both_in_forks(tmp_path, scripts).items():
        assert "reading it ended with" not in run.report, (seed, run.report)
        if python.code >= 0 and "RecursionError" not in python.err:  # an edit may make a loop endless; compiled graphs have no limit
            assert (without_addresses(run.out), run.code) == (without_addresses(python.out), python.code), seed
            errors = [without_addresses(done.err).strip().rpartition("\n")[2] for done in (run, python)]
            assert errors[0].startswith(errors[1]), seed
