"""`microgpt run` as a way to start a program: arguments, folders, errors and exit codes are those of `python script.py`."""

import os
import signal
import subprocess
import sys
import time

import pytest
from scripts_under import RUN, SCRIPTS, both, start

VALUE = (SCRIPTS / "current.py").read_text(encoding="utf-8").partition("class Value")[2].partition("n_layer, n_embd")[0]
VALUE = "import math\n\n\nclass Value" + VALUE  # line 4


def write(folder, source, name="script.py"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return path


def same(folder, source, *arguments, name="script.py", **options):
    """Run a script both ways and compare. Returns the process of `microgpt run`, its standard error without the report."""
    write(folder, source, name)
    python, run = both(folder, name, *arguments, **options)
    report, _, rest = run.stderr.partition("\n")
    assert report.startswith("microgpt run: ")
    assert run.stdout == python.stdout
    assert run.returncode == python.returncode
    run.stderr = rest
    return python, run


PROGRAM = """
import os, sys
print(__name__, __file__, sys.argv, sys.path[0], os.getcwd(), __doc__, __package__, __spec__, __cached__)
print(sorted(name for name in globals()), type(__loader__).__name__, sys.modules["__main__"].__dict__ is globals())
print(sys.stdin.read(), sys.stdout.encoding, sys.stdout.errors, sys.stdout.newlines, sys.flags.optimize)
import beside
if __name__ == "__main__":
    print(beside.name, open("data.txt").read(), __builtins__.__name__)
"""


@pytest.mark.parametrize("name", ["script.py", "folder/script.py", "no extension"])
def test_a_script_sees_what_it_sees_under_python(tmp_path, name):
    write(tmp_path, "name = __name__", "beside.py")
    write(tmp_path, "name = 'in the folder'", "folder/beside.py")
    write(tmp_path, "a relative file", "data.txt")
    same(tmp_path, PROGRAM, "--explain", "-x", "--", "a b", name=name, input="standard input")
    same(tmp_path, '"""A docstring."""\nfrom __future__ import annotations\nx: Undefined = 1\n' + PROGRAM + VALUE, name=name)


def test_a_symbolic_link_is_followed_for_imports(tmp_path):
    write(tmp_path, "name = 'where the script is'", "real/beside.py")
    write(tmp_path, "import beside, sys; print(beside.name, __file__, sys.argv)", "real/script.py")
    (tmp_path / "link.py").symlink_to(tmp_path / "real" / "script.py")
    python, run = both(tmp_path, "link.py")
    assert run.stdout == python.stdout


@pytest.mark.parametrize("code", ["", "0", "3", "'a message'", "None", "[1]", "True"])
def test_exit_codes(tmp_path, code):
    python, run = same(tmp_path, f"import sys\nprint('before')\nsys.exit({code})")
    assert run.stderr == python.stderr


ERRORS = {
    "its own": "def f():\n    raise ValueError('no')\n\nf()",
    "chained": "try:\n    1 / 0\nexcept Exception as e:\n    raise KeyError('x') from e",
    "at once": "undefined",
    "in an exit function": "import atexit\natexit.register(lambda: print('bye'))\nraise RuntimeError",
    "its own hook": "import sys\nsys.excepthook = lambda *error: print('hook', error[0], error[2].tb_lineno)\n1 / 0",
    "a syntax error": "print('never')\nx = = 1\n",
    "an indentation error": "if True:\nprint(1)",
    "a null byte": "x = 1\0",
    "a return outside": "return 1",
    "bytes that are no UTF-8": "# -*- coding: nonsense -*-\n",
    "a group": "raise SystemError(3)",
    "an error in softmax": VALUE + "\ndef softmax(z):\n    m = max(v.data for v in z)\n    e = [(v - m).exp() for v in z]\n"
    "    t = sum(e)\n    return [i / t for i in e]\n\nsoftmax([])",
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_shown_as_python_shows_them(tmp_path, name):
    write(tmp_path, ERRORS[name])
    python, run = both(tmp_path, "script.py")
    shown = "\n".join(line for line in run.stderr.splitlines() if not line.startswith("microgpt run: "))
    assert shown == python.stderr.rstrip("\n")
    assert (run.returncode, run.stdout) == (python.returncode, python.stdout)


INSIDE = {
    "log": "def loss(x):\n    return (Value(x) * 0.0).log()\n\nloss(3.0)",
    "exp": "try:\n    Value(1000).exp()\nexcept OverflowError as e:\n    raise KeyError(1) from e",
    "__add__": "x = [Value(1.0)]\ny = [None]\nprint([a + b for a, b in zip(x, y)])",
}


@pytest.mark.parametrize("method", INSIDE)
def test_an_error_inside_of_the_compiled_class_shows_the_script_s_lines(tmp_path, method):
    python, run = same(tmp_path, VALUE + INSIDE[method])
    assert run.stderr == python.stderr
    assert INSIDE[method].splitlines()[-1] in run.stderr


def test_adam_errors_come_from_the_loops_own_line(tmp_path):
    adam = """
params, m, v = [Value(1.0) for _ in range(5)], [0.0] * 5, [0.0] * 5
params[2].grad = 1e200
lr = 0.1
try:
    for i, p in enumerate(params):
        m[i] = 0.9 * m[i] + 0.1 * p.grad
        v[i] = 0.9 * v[i] + 0.1 * p.grad ** 2
        p.data -= lr * (m[i] / 0.5) / ((v[i] / 0.5) ** 0.5 + 1e-8)
        p.grad = 0
finally:
    print(i, p is params[2], [p.data for p in params], [p.grad for p in params], m, v)
"""
    python, run = same(tmp_path, VALUE + adam)
    assert run.stderr == python.stderr
    python, run = same(tmp_path, VALUE + adam.replace("lr = 0.1", "pass"))
    assert run.stderr == python.stderr
    python, run = same(tmp_path, VALUE + adam.replace("[0.0] * 5", "[0.0] * 4"))
    assert run.stderr == python.stderr


def test_what_cannot_be_read(tmp_path):
    for script, words in (("missing.py", "cannot open 'missing.py': No such file"), (".", "is a folder")):
        run = start(tmp_path, *RUN, script)
        assert run.returncode == 1 and run.stdout == ""
        assert words in run.stderr and "Traceback" not in run.stderr
    run = start(tmp_path, *RUN)
    assert run.returncode == 2 and "SCRIPT" in run.stderr
    run = start(tmp_path, *RUN, "--nonsense", "script.py")
    assert run.returncode == 2 and "--nonsense" in run.stderr
    run = start(tmp_path, *RUN, "--help")
    assert run.returncode == 0 and "--explain" in run.stdout


def test_quiet_and_explain(tmp_path):
    write(tmp_path, VALUE + "print(Value(1) + 2 > 3 if False else 5)")
    assert start(tmp_path, *RUN, "--quiet", "script.py").stderr == ""
    assert start(tmp_path, *RUN, "script.py").stderr == "microgpt run: compiled: Value\n"
    explained = start(tmp_path, *RUN, "--explain", "script.py").stderr.splitlines()
    assert explained[0] == "microgpt run: script.py:4: Value: compiled"
    assert len(explained) == 2 and "% of the time was spent in compiled functions" in explained[1]


def test_recursion_is_no_limit_any_more(tmp_path):
    write(tmp_path, VALUE + "\nx = y = Value(1.0)\nfor _ in range(100_000):\n    y = y + x\ny.backward()\nprint(x.grad, y.data)")
    run = start(tmp_path, *RUN, "script.py")
    assert (run.returncode, run.stdout) == (0, "100001 100001.0\n")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_control_c_ends_the_process_as_it_ends_python(tmp_path):
    write(tmp_path, "import time, atexit\natexit.register(print, 'at exit')\nprint('ready', flush=True)\ntime.sleep(60)\n")
    outcomes = []
    for command in (["script.py"], [*RUN, "--quiet", "script.py"]):
        process = subprocess.Popen([sys.executable, *command], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        outcomes.append((*process.communicate(timeout=30), process.returncode))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][2] == -signal.SIGINT


def test_a_microgpt_of_ones_own_is_the_one_that_is_imported(tmp_path):
    write(tmp_path, "print('mine')", "microgpt.py")
    write(tmp_path, "import microgpt\nprint(microgpt.__file__)\n" + VALUE + "x = Value(1j)\n(x * 2).backward()\nprint(x.grad)", "script.py")
    (tmp_path / "elsewhere").mkdir()
    python, run = both(tmp_path / "elsewhere", "../script.py")
    assert "mine" in python.stdout
    assert run.stdout == python.stdout
    assert "imports more of microgpt than accelerate" in run.stderr


@pytest.mark.parametrize(("script", "steps", "golden"), [("current", 1000, "names-1000"), ("first", 500, "first-version-500")])
def test_the_published_runs(tmp_path, names, script, steps, golden):
    expected = os.path.join(os.environ.get("MICROGPT_GOLDEN", "/nowhere"), f"{golden}.stdout.txt")
    if not os.path.exists(expected):
        pytest.skip("set MICROGPT_GOLDEN to the folder of the published results")
    write(tmp_path, "\n".join(names), "input.txt")
    run = start(tmp_path, *RUN, str(SCRIPTS / f"{script}.py"), str(steps), "20")
    with open(expected) as file:
        assert run.stdout == file.read()


def test_the_fast_ways_are_taken(tmp_path):
    """The compiled class makes every list and sum of the published script; none is left to the script's own line."""
    write(tmp_path, (SCRIPTS / "current.py").read_text(encoding="utf-8"))
    code = """
import sys
from microgpt.compiled import scalar
from microgpt.scripts import run_script
made, script_list = [], scalar.script_list
def spy(number, *inputs):  # with the script's globals, in which a program looks up names
    made.append(eval("f(n, *i)", sys.modules["__main__"].__dict__, {"f": script_list, "n": number, "i": inputs}))
    return made[-1]
scalar.script_list = spy
run_script("script.py", ["2", "0"], quiet=True)
V = scalar.Value
assert len(made) > 100 and None not in made
assert (V.__module__, repr(V)) == ("__main__", "<class '__main__.Value'>")
"""
    run = start(tmp_path, "-c", code)
    assert (run.returncode, run.stderr) == (0, "")
