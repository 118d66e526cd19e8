"""microgpt verify passes if everything is right, and otherwise says what is wrong."""

import math

import pytest

from microgpt import GPTConfig, TrainConfig, cli, training
from microgpt.config import PRESETS, Preset
from microgpt.engines import graph, python
from microgpt.proof import published, verify

SMALL = Preset(GPTConfig(n_embd=4, n_head=1, block_size=4), TrainConfig(num_steps=30), 0.5)
DOCS = ["emma", "olivia", "ava", "isabella"]


@pytest.fixture
def report(monkeypatch, tmp_path, capsys):
    """A function that runs `microgpt verify` on small data and a small preset, and returns its exit code and its output."""
    monkeypatch.setitem(PRESETS, "current", SMALL)
    data = tmp_path / "docs.txt"
    data.write_text("\n".join(DOCS), encoding="utf-8")

    def report(*options):
        code = cli.main(["verify", "--preset", "current", "--data", str(data), *options])
        return code, capsys.readouterr().out

    return report


@pytest.fixture
def as_if_published(monkeypatch):
    """Replaces the published run by the pure engine's run on DOCS."""
    monkeypatch.setattr(published, "NAMES", published.hash_text(DOCS))
    result = verify.compute("python", DOCS, "current").result
    monkeypatch.setitem(published.RUNS, "current", result)
    return result


def break_engine(monkeypatch, engine, step):
    """Makes the losses of an engine one unit in the last place larger from a given step on."""
    compute = engine.train

    def train(self, corpus, steps, training, losses, *more):
        first = len(losses)
        compute(self, corpus, steps, training, losses, *more)
        for i in range(max(first, step - 1), len(losses)):
            losses[i] = math.nextafter(losses[i], math.inf)

    monkeypatch.setattr(engine, "train", train)


def test_other_data_is_compared_with_python_here(report):
    code, out = report()
    assert code == 0
    assert "4 documents, not those of the published runs" in out
    assert "equal to Python on this machine: yes" in out and "PASS on this data" in out


def test_the_published_run(report, as_if_published):
    code, out = report()
    assert code == 0
    assert out.count("identical") == 3 * len(verify.exact_engines())
    assert f"hash {as_if_published.hash}" in out
    assert out.endswith("PASS: this installation reproduces the published run in every bit\n")
    code, out = report("--against", "python")
    assert code == 0 and out.count("identical") == 3 + 3 * len(verify.exact_engines()) and "PASS: " in out


def test_an_engine_that_differs_fails(report, as_if_published, monkeypatch):
    break_engine(monkeypatch, graph.GraphEngine, 17)
    code, out = report("--against", "python")
    assert code == 1
    assert "graph    step 17 differs -" in out
    assert out.splitlines()[-1].startswith("FAIL: the engines differ from one another")


def test_engines_that_differ_from_python_fail(report, monkeypatch):
    break_engine(monkeypatch, python.PythonEngine, 3)
    code, out = report()
    assert code == 1
    assert out.splitlines()[-1].startswith("FAIL: the engines differ from pure Python on this machine")


def test_a_c_library_with_other_results(report, as_if_published, monkeypatch):
    """All engines and Python itself agree, and differ from the published run."""
    monkeypatch.setitem(published.RUNS, "current", as_if_published._replace(losses="0" * 64, steps=as_if_published.steps[:40] + "x" * 80))
    code, out = report()
    assert code == 0
    assert "step 11 differs" in out
    assert "equal to Python on this machine: yes" in out and "PASS here: this machine's C library" in out


def test_differences_are_named_in_order(as_if_published):
    same = as_if_published
    assert verify.difference(same, same) is None
    assert str(verify.difference(same, same._replace(params="x"))) == "differ"
    assert verify.difference(same, same._replace(params="x")).part == "parameters"
    assert verify.difference(same, same._replace(samples="x")).part == "samples"


@pytest.fixture(autouse=True)
def small_preset(monkeypatch):
    monkeypatch.setitem(PRESETS, "current", SMALL)


def test_samples_come_after_training_from_the_same_generator():
    run = training.train(DOCS, *SMALL[:2], engine="python")
    result = verify.compute("python", DOCS, "current").result
    assert result.samples == published.hash_text(run.generate(20, temperature=0.5))
