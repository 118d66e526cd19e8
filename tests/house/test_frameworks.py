"""The models of the frameworks in benchmarks/ compute what the reference does, which also checks its backward pass independently."""

import importlib
import sys
from pathlib import Path

import pytest

from microgpt import GPTConfig, TrainConfig
from microgpt.training import start

BENCHMARKS = str(Path(__file__).resolve().parents[2] / "benchmarks")
CONFIGS = [GPTConfig(), GPTConfig(n_layer=2, n_embd=12, n_head=3, block_size=5, activation="relu2", init_std=0.3)]


@pytest.fixture(params=["numpy", "torch"])
def framework(request, monkeypatch):
    pytest.importorskip(request.param)
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module(f"frameworks.{request.param}_gpt")
    sys.modules.pop("frameworks", None)


@pytest.mark.parametrize("config", CONFIGS)
def test_losses_and_gradients(framework, config):
    compare = importlib.import_module("compare_frameworks")
    run = start(["emma", "olivia", "isabella", "a"] * 5, config, TrainConfig(), engine="python")
    for name, (make, batch) in framework.variants().items():
        if "compiled" in name:  # takes a minute
            continue
        trainer, documents = make(run.model), [run.corpus[i % len(run.corpus)] for i in range(batch)]
        tolerance = compare.TOLERANCE["float32" if "float32" in name else "float64"]
        assert compare.difference(trainer, run, documents, tolerance) is None, name
        if "NumPy" in name:
            trainer.params["lm_head"][0, 0] += 0.01
            assert compare.difference(trainer, run, documents, tolerance), "a wrong weight must show"


def test_a_step_trains(framework):
    run = start(["emma", "olivia"] * 10, GPTConfig(), TrainConfig(num_steps=20), engine="exact")
    run.train()
    fresh = start(["emma", "olivia"] * 10, GPTConfig(), TrainConfig(num_steps=20), engine="exact")
    make, batch = next(variant for name, variant in framework.variants().items() if "float64" in name)
    trainer = make(fresh.model)
    losses = [trainer.step([fresh.corpus[i]], fresh.training) for i in range(20)]
    assert losses == pytest.approx(run.losses, rel=1e-6)
