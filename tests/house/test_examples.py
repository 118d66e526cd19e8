"""Every script in examples/ runs, in few steps, and prints what it claims to show."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import kernel
import pytest

import microgpt
from microgpt import EvalConfig, GPTConfig, TrainConfig

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = {path.stem for path in EXAMPLES.glob("*.py")} - {"torch_training"}  # which has a test of its own
NAMES = str(Path(microgpt.__file__).parent / "corpus" / "names.txt")


def output_of(script, folder, *arguments):
    """The lines that a script prints."""
    command = [sys.executable, "-Werror", EXAMPLES / f"{script}.py", *map(str, arguments)]
    environment = {**os.environ, "MICROGPT_NAMES": NAMES, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir(folder) == []  # scripts leave no files behind
    return done.stdout.splitlines()


def numbers(line):
    return [float(number) for number in re.findall(r"-?\d+\.\d+", line)]


def value_by_hand(folder):
    lines = output_of("value_by_hand", folder)
    assert len(set(numbers(lines[0]))) == 1
    gradients = [numbers(line) for line in lines if line.startswith("d y/d ")]
    assert len(gradients) == 5 and all(gradient == measured for gradient, measured in gradients)
    losses = [numbers(line)[-1] for line in lines if line.startswith("step ")]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.01
    outputs = [line.split() for line in lines if " xor " in line]
    assert [round(float(words[3].rstrip(","))) for words in outputs] == [0, 1, 1, 0]


def own_operator(folder):
    *lines, timing = output_of("own_operator", folder)
    results = {name: set() for name in ("sigmoid of parts", "sigmoid", "gelu", "hypot", "tanh")}
    for line in lines:
        name, rest = re.split(r" +at ", line)
        *_, value, gradient, measured = numbers(rest)
        assert gradient == measured
        results[name].add((value, gradient))
    assert results["sigmoid of parts"] == results["sigmoid"]
    assert results["hypot"] == {(5.0, 0.6), (5.0, 0.8)} and results["gelu"] and results["tanh"]
    assert len(numbers(timing)) == 2


def greek_names(folder):
    known = microgpt.load_docs(EXAMPLES / "greek_names.txt")
    assert len(known) == len(set(known)) >= 200
    lines = output_of("greek_names", folder)
    losses = {int(re.match(r"step +(\d+):", line)[1]): numbers(line)[0] for line in lines if line.startswith("step ")}
    best = int(re.search(r"the model is the one of step (\d+)", "\n".join(lines))[1])
    assert losses[best] == min(losses.values()) and max(losses) < 3000  # stopped early
    new = next(line for line in lines if line.startswith("new names: ")).removeprefix("new names: ").split(", ")
    assert len(set(new)) == 10 and not set(new) & set(known) and set("".join(new)) <= set("".join(known))
    likely, less, least = (numbers(line)[0] for line in lines[-3:])
    assert likely < less < least


def learning_rates(folder):
    lines = output_of("learning_rates", folder, 300, NAMES)
    rows = [line.split() for line in lines if re.match(r" +0\.", line)]
    docs, losses = microgpt.load_docs(NAMES), {}
    for rate, loss, *_ in rows:
        training = TrainConfig(num_steps=300, learning_rate=float(rate))
        run = microgpt.train(docs, GPTConfig(), training, evaluation=EvalConfig(0.1, eval_every=300))
        assert loss == f"{run.val_losses[-1][1]:.4f}"
        losses[rate] = run.val_losses[-1][1]
    assert len(losses) == 6 and [row[0] for row in rows if row[-1] == "best"] == [min(losses, key=losses.get)]


def old_script(folder):
    """Under `microgpt run`; accelerate.py starts it under Python, which takes seconds, and compares the outputs."""
    command = [sys.executable, "-m", "microgpt", "run", EXAMPLES / "old_script.py", "1"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
    assert done.stderr.startswith("microgpt run: compiled: Value, linear (3), list (4), sum (2), dot product, parameter update")
    [step] = [line for line in done.stdout.splitlines() if line.startswith("step ")]
    assert 3 < numbers(step)[0] < 4  # about ln(34)


def accelerate(folder):
    lines = output_of("accelerate", folder, 1)
    assert sum(line.startswith("step ") for line in lines) == 1
    assert [line.split("  ")[0] for line in lines[-3:]] == [
        "python old_script.py", "python, with the class imported", "microgpt run old_script.py",
    ]  # fmt: skip


CHECKS = [value_by_hand, own_operator, greek_names, learning_rates, old_script, accelerate]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_example(check, tmp_path):
    check(tmp_path)


def test_the_notebook_shows_what_it_shows_today(names):
    """Each cell's output equals the saved one, except for seconds and for pictures drawn by other programs."""
    notebook = EXAMPLES / "first_steps.ipynb"
    saved, today = json.loads(notebook.read_text(encoding="utf-8")), kernel.executed(notebook)
    for before, after in zip(saved["cells"], today["cells"]):
        assert [*map(comparable, before.get("outputs", []))] == [*map(comparable, after.get("outputs", []))], "".join(before["source"])
    shown = [kind for cell in saved["cells"] for output in cell.get("outputs", []) for kind in output.get("data", {})]
    assert {"image/svg+xml", "image/png", "text/html", "text/plain"} <= {*shown} and len(shown) > 8
    assert "[first_steps.ipynb](first_steps.ipynb)" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_the_notebook_without_jupyter(names):
    """`microgpt run` prints the texts saved in the notebook."""
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    command = [sys.executable, "-m", "microgpt", "run", EXAMPLES / "first_steps.ipynb"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env={**os.environ, "PYTHONIOENCODING": "utf-8"})
    cells = json.loads((EXAMPLES / "first_steps.ipynb").read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", []) if output["output_type"] != "display_data"]
    saved = ["".join(output["text"] if "text" in output else output["data"]["text/plain"]) for output in outputs]
    assert done.returncode == 0 and done.stdout.split() == "\n".join(saved).split()


def comparable(output):
    """An output without seconds; pictures by matplotlib and Graphviz are replaced by a mark."""
    data = {kind: "".join(text) for kind, text in output.get("data", {}).items()}
    for kind, text in data.items():
        if kind == "image/png" or kind == "image/svg+xml" and 'style="background:white"' not in text:
            data[kind] = "a picture"
        elif kind == "text/plain":
            data[kind] = re.sub(r"\S+ steps/s \| .* s$", "...", text)
    return output | {"data": data}


def test_each_is_checked_and_listed():
    assert {check.__name__ for check in CHECKS} == SCRIPTS
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for script in SCRIPTS:
        assert f"[{script}.py]({script}.py)" in index
        assert f"    python examples/{script}.py" in (EXAMPLES / f"{script}.py").read_text(encoding="utf-8")
