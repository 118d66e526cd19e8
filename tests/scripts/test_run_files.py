"""`microgpt run` beyond one file: imports, packages, notebooks, accelerate(), and the report."""

import json
import subprocess
import sys

import pytest
from run_forms import DEFAULT, HEAD, PARTS, files, functions, script, training, value_class
from scripts_under import RUN, assert_same, outcome, start

PUBLISHED = dict.fromkeys(PARTS, DEFAULT)


@pytest.mark.parametrize("backward", [DEFAULT, "a stack of pairs"])
def test_three_files(tmp_path, backward):
    report = assert_same(tmp_path, files(backward=backward), "train.py")
    for what in ("Value", "linear", "list", "sum", "dot product", "parameter update"):
        assert what in report
    assert "left alone" not in report


def test_a_package_with_relative_imports(tmp_path):
    sources = {
        f"net/{name}": source.replace("from engine", "from .engine").replace("from layers", "from .layers")
        for name, source in files().items()
    }
    sources["net/__init__.py"] = "print('package', __name__, __package__)\n"
    sources["net/__main__.py"] = "import sys\nprint(__name__, __package__, __spec__.name, sys.argv[1:], __file__)\nfrom . import train\n"
    report = assert_same(tmp_path, sources, "-m", "net", "an argument", "--explain")
    assert "Value" in report and "left alone" not in report
    report = assert_same(tmp_path, sources, "-m", "net.train")
    assert "Value" in report
    run = start(tmp_path, *RUN, "-m", "no_such_module")
    assert run.returncode == 1 and "no_such_module" in run.stderr


def test_packages_of_other_people_stay_as_they_are(tmp_path):
    sources = files()
    sources["site-packages/engine.py"] = sources.pop("engine.py")
    sources["train.py"] = "import sys\nsys.path.insert(0, 'site-packages')\n" + sources["train.py"]
    report = assert_same(tmp_path, sources, "train.py")
    assert "nothing is compiled" in report


def test_an_error_in_an_imported_file(tmp_path):
    sources = files() | {"broken.py": "x = = 1\n"}
    sources["train.py"] = "try:\n    import broken\nexcept SyntaxError as error:\n    print(error)\n" + sources["train.py"]
    assert_same(tmp_path, sources, "train.py")
    sources["train.py"] += "linear([Value(1.0)], [[Value(2.0), None]])\nlinear([Value(1.0)], [[None]])\n"
    python, run = outcome(tmp_path, sources, False, "train.py"), outcome(tmp_path, sources, True, "train.py")
    assert run[:3] == python[:3] and python[1] == 1


MICROGRAD = """class Value:
    def __init__(self, data, _children=(), _op=''):
        self.data = data
        self.grad = 0
        self._backward = lambda: None
        self._prev = tuple(_children)
        self._op = _op
        self.label = ''

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other), '+')
        def _backward():
            self.grad += out.grad
            other.grad += out.grad
        out._backward = _backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other), '*')
        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad
        out._backward = _backward
        return out

    def __pow__(self, other):
        assert isinstance(other, (int, float)), "only supporting int/float powers for now"
        out = Value(self.data**other, (self,), f'**{other}')
        def _backward():
            self.grad += (other * self.data**(other-1)) * out.grad
        out._backward = _backward
        return out

    def tanh(self):
        t = (math.exp(2*self.data) - 1)/(math.exp(2*self.data) + 1)
        out = Value(t, (self, ), 'tanh')
        def _backward():
            self.grad += (1 - t**2) * out.grad
        out._backward = _backward
        return out

    def backward(self):
        topo = []
        visited = set()
        def build_topo(v):
            if v not in visited:
                visited.add(v)
                for child in v._prev:
                    build_topo(child)
                topo.append(v)
        build_topo(self)
        self.grad = 1
        for v in reversed(topo):
            v._backward()

    def __neg__(self): return self * -1
    def __radd__(self, other): return self + other
    def __sub__(self, other): return self + (-other)
    def __rsub__(self, other): return other + (-self)
    def __rmul__(self, other): return self * other
    def __truediv__(self, other): return self * other**-1
    def __rtruediv__(self, other): return other * self**-1
    def __repr__(self): return f"Value(data={self.data}, grad={self.grad})"
"""
NEURONS = """import random
from .engine import Value

class Module:
    def zero_grad(self):
        for p in self.parameters():
            p.grad = 0
    def parameters(self):
        return []

class Neuron(Module):
    def __init__(self, nin):
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0)
    def __call__(self, x):
        act = sum((wi*xi for wi, xi in zip(self.w, x)), self.b)
        return act.tanh()
    def parameters(self):
        return self.w + [self.b]

class MLP(Module):
    def __init__(self, nin, nouts):
        sz = [nin] + nouts
        self.layers = [[Neuron(a) for _ in range(b)] for a, b in zip(sz, sz[1:])]
    def __call__(self, x):
        for layer in self.layers:
            x = [n(x) for n in layer]
        return x[0] if len(x) == 1 else x
    def parameters(self):
        return [p for layer in self.layers for n in layer for p in n.parameters()]
"""
MOONS = """import random
from micrograd.engine import Value
from micrograd.nn import MLP
random.seed(3)
model = MLP(3, [4, 4, 1])
xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
ys = [1.0, -1.0, -1.0, 1.0]
for k in range(10):
    loss = sum((model(x) - y)**2 for x, y in zip(xs, ys))
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data += -0.1 * p.grad
    print(k, loss, loss._op, [c._op for c in loss._prev], loss.label)
a = Value(2.0); a.label = 'a'; b = a ** 3; b.label = 'b'
print(b._op, (a ** 0.5)._op, b._prev[0].label, a.label, (a * b).label, len((a + a)._prev))
b._backward(); print(a)
def trace(root):
    nodes = []
    def build(v):
        if v not in nodes:
            nodes.append(v)
            for c in v._prev: build(c)
    build(root)
    return nodes
print([(v._op, v.data, v.grad) for v in trace(loss)][:40])
"""


def test_micrograd_as_people_have_it(tmp_path):
    sources = {
        "micrograd/__init__.py": "",
        "micrograd/engine.py": "import math\n\n" + MICROGRAD,
        "micrograd/nn.py": NEURONS,
        "moons.py": MOONS,
    }
    report = assert_same(tmp_path, sources, "moons.py")
    assert "Value with its own tanh" in report and "left alone" not in report


def notebook(*cells):
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    return json.dumps({"nbformat": 4, "cells": [{"cell_type": "markdown", "source": ["# A model"]}, *code]})


def test_a_notebook(tmp_path):
    cells = [
        "%matplotlib inline\n!pip list\n" + HEAD,
        "class Value:\n    pass\n",
        value_class(PUBLISHED),
        functions(PUBLISHED),
        training(PUBLISHED),
    ]
    cells += ["%%bash\nls", "loss.data", "loss.data;", "for p in params[:2]:\n    print(p.data)", "1 / 0"]
    lines = (
        cells[0].replace("%matplotlib inline\n!pip list\n", "")
        + "".join(cells[1:5])
        + "print(loss.data)\nfor p in params[:2]:\n    print(p.data)\n1 / 0\n"
    )
    python = outcome(tmp_path, {"script.py": lines}, False, "script.py")
    (tmp_path / "model.ipynb").write_text(notebook(*cells), encoding="utf-8")
    run = start(tmp_path, *RUN, "model.ipynb")
    assert (run.stdout, run.returncode) == python[:2]
    assert "compiled: Value" in run.stderr and "    1 / 0\n" in run.stderr and "runtime.py" not in run.stderr
    (tmp_path / "broken.ipynb").write_text("{}")
    run = start(tmp_path, *RUN, "broken.ipynb")
    assert run.returncode == 1 and "is not a notebook" in run.stderr and "Traceback" not in run.stderr


def test_accelerate(tmp_path):
    sources = files()
    python = outcome(tmp_path, sources, False, "train.py")
    sources["train.py"] = "import microgpt\nmicrogpt.accelerate()\n" + sources["train.py"]
    accelerated = outcome(tmp_path, sources, False, "train.py")
    assert accelerated[:3] == python[:3]
    assert "compiled: Value" in accelerated[3][0]
    report = assert_same(tmp_path, {"empty.py": "import microgpt\nmicrogpt.accelerate()\n"}, "empty.py")
    assert "nothing is compiled" in report


SHELL = """
import ast, sys
from unittest.mock import MagicMock
class Shell:
    ast_transformers = []
    display_formatter = MagicMock()  # which shows Values
    def register_magic_function(self, function, kind, name):
        assert (kind, name) == ("cell", "microgpt")
        self.magic = function
    def run_cell(self, text):
        tree = ast.parse(text)
        for transformer in self.ast_transformers:
            tree = transformer.visit(tree)
        exec(compile(ast.fix_missing_locations(tree), "cell", "exec"), space)
shell, space = Shell(), {"__name__": "__main__"}
import microgpt
microgpt.load_ipython_extension(shell)
for cell in CELLS:
    shell.magic("", cell)
assert not shell.ast_transformers
"""


def test_the_cell_magic(tmp_path):
    """With a minimal shell that has what the magic needs of IPython."""
    cells = [HEAD, value_class(PUBLISHED), functions(PUBLISHED), training(PUBLISHED)]
    python = outcome(tmp_path, {"script.py": "".join(cells)}, False, "script.py")
    (tmp_path / "shell.py").write_text(f"CELLS = {cells!r}\n" + SHELL)
    run = subprocess.run([sys.executable, "shell.py"], cwd=tmp_path, capture_output=True, text=True)
    assert (run.stdout, run.returncode) == python[:2], run.stderr
    assert "compiled: Value" in run.stderr and "linear" in run.stderr


IPYTHON = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="NoColor")
shell.run_line_magic("load_ext", "microgpt")
for cell in CELLS:
    shell.run_cell("%%microgpt\\n" + cell).raise_error()
shell.run_cell("import microgpt; microgpt.accelerate()").raise_error()
shell.run_cell("print(sum([Value(1.0), Value(2.0)]).data)\\nValue(3.0) * 2").raise_error()
"""


def test_the_cell_magic_in_ipython(tmp_path):
    pytest.importorskip("IPython")
    cells = [HEAD, value_class(PUBLISHED), functions(PUBLISHED), training(PUBLISHED)]
    python = outcome(tmp_path, {"script.py": "".join(cells) + "print(3.0)\n"}, False, "script.py")
    (tmp_path / "shell.py").write_text(f"CELLS = {cells!r}\n" + IPYTHON)
    run = start(tmp_path, "shell.py", env={"IPYTHONDIR": str(tmp_path)})
    shown, _, result = run.stdout.rpartition("Out[")
    assert (shown, run.returncode) == (python[0], 0), run.stderr
    assert "Value object at" in result and "compiled: Value" in run.stderr and "linear" in run.stderr


def test_the_report_names_the_place_the_difference_and_the_cost(tmp_path):
    source = script(division="one that prints").replace("        self.grad = 1\n", "        self.grad = 1\n        print(end='')\n", 1)
    source += "for p, x in zip(params, [1.0, 2.0]): p.data = x\n"
    run = outcome(tmp_path, {"train.py": source}, True, "--explain", "train.py")
    report = "\n".join(run[3])
    line = source[: source.index("print('divided'")].count("\n") + 1
    assert f"Value.__truediv__: left alone: line {line}: print('divided', end=' ') (a step takes about 2.5 times as long)" in report
    assert "Value.backward: left alone:" in report and "times as long" in report
    assert report.count("parameter update") == 1  # the loop that loads numbers is not an update
    assert "% of the time was spent in compiled functions" in run[3][-1] and "% in Value.backward" in run[3][-1]
    run = outcome(tmp_path, {"train.py": source}, True, "train.py")
    assert run[3][0].startswith("microgpt run: slow: Value.backward, line")  # no success


ATTRIBUTES = """
import copy, pickle
class Config: pass
config = Config()
config.rate = 0.5
a = Value(1.0); a.label = 'a'; a.tag = ['x']
b = a * 2 + a
for node in (a, b, b._children[0]):
    print(node.label, node.param_idx, getattr(node, 'tag', None), hasattr(node, 'rate'), hasattr(node, 'other'))
twin = copy.deepcopy([a, b, b._children[0]])
print([(t.label, t.param_idx, getattr(t, 'tag', None)) for t in twin], twin[1]._children[1] is twin[0], twin[0].tag is a.tag)
del a.tag
try:
    print(a.tag)
except AttributeError as error:
    print(error)
try:
    print(Value.label)
except AttributeError as error:
    print(error)
Value.total = 3
Value.total += 1
print(a.total, b.total, Value.total)
nodes = []
for _ in range(3):
    c = Value(2.0, label='c') * 3
    c.label = 'product'
    nodes.append(c)
    del c
print([c.label for c in nodes], [c._children[0].label for c in nodes])
"""


def test_attributes_of_ones_own(tmp_path):
    report = assert_same(tmp_path, {"train.py": script(constructor="a label") + ATTRIBUTES}, "train.py")
    assert "class Value" not in report


def test_a_star_import_from_outside_leaves_the_file_alone(tmp_path):
    """A star import may bind any name: here sum, to a function that adds up from the other end."""
    sources = files()
    sources["site-packages/other.py"] = (
        "def sum(items, start=0):\n    for item in reversed(list(items)):\n        start = item + start\n    return start\n"
    )
    sources["layers.py"] = "import sys\nsys.path.append('site-packages')\nfrom other import *\n" + sources["layers.py"]
    report = assert_same(tmp_path, sources, "train.py")
    assert "linear" not in report and "dot product" not in report and "sum" not in report


FUSED = """
@staticmethod
def dot(ws, xs):
    data = sum(w.data * x.data for w, x in zip(ws, xs))
    return Value(data, tuple(ws) + tuple(xs), tuple(x.data for x in xs) + tuple(w.data for w in ws))

def mean(self, *others):
    n = 1 + len(others)
    return Value((self.data + sum(o.data for o in others)) / n, (self, *others), (1 / n,) * n)
"""


@pytest.mark.parametrize("backward", [DEFAULT, "a stack of pairs"])
def test_nodes_with_many_children(tmp_path, backward):
    methods = "".join(f"    {line}\n" if line else "\n" for line in FUSED.splitlines())
    source = script(backward=backward, linear="a fused product").replace("\n\ndef linear", f"\n{methods}\n\ndef linear")
    source += """
x = [Value(1.5), Value(-2.0), Value(0.25)]
y = x[0].mean(x[1], x[2], x[0] * x[1]) * Value.dot(x, x)
y.backward(); y.backward()
print([(repr(v.data), repr(v.grad)) for v in x], len(y._children[1]._children))
class no_grad:
    def __enter__(self): pass
    def __exit__(self, *error): pass
with no_grad():
    print((x[0] * 2).data)
"""
    report = assert_same(tmp_path, {"train.py": source}, "train.py")
    assert "backward" not in report
