"""Callbacks for other loggers: what TensorBoard, Weights & Biases and trackio receive."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

import microgpt
from microgpt import EvalConfig, GPTConfig, TrainConfig
from microgpt.lab import loggers

DOCS = ["emma", "anna", "bob", "emil", "lena"] * 3


def trained(callback, num_steps=6):
    return microgpt.train(
        DOCS, GPTConfig(n_embd=4), TrainConfig(num_steps=num_steps), callback=callback,
        evaluation=EvalConfig(val_fraction=0.3, eval_every=3),
    )  # fmt: skip


def test_a_callback_reaches_the_model():
    before = []

    def callback(step):
        before.append((step.run.model.loss("emma"), step.run.losses[-1] == step.loss))

    run = trained(callback)
    assert before[-1] == (run.model.loss("emma"), True) and len({loss for loss, _ in before}) == 6


def test_nothing_is_imported_unless_used():
    code = "import microgpt.lab.loggers, sys; print([n for n in ('tensorboard', 'wandb', 'trackio') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("steps", [None, 2])
def test_tensorboard(tmp_path, steps):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with loggers.TensorBoard(tmp_path) as log:
        run = trained(lambda step: log(step) or step.step == steps)
        assert log.finished == (steps is None)
    found = EventAccumulator(str(tmp_path))
    found.Reload()
    assert [event.step for event in found.Scalars("loss")] == [*range(1, len(run.losses) + 1)]
    assert [event.value for event in found.Scalars("loss")] == pytest.approx(run.losses, rel=1e-6)
    assert [event.value for event in found.Scalars("lr")] == pytest.approx([run.lr(i) for i in range(len(run.losses))], rel=1e-6)
    if steps is None:
        assert [(event.step, event.value) for event in found.Scalars("val_loss")] == [
            (step, pytest.approx(loss, rel=1e-6)) for step, loss in run.val_losses
        ]


@pytest.mark.parametrize("kind", [loggers.WandB, loggers.Trackio])
def test_what_a_service_is_told(kind, monkeypatch):
    told = []
    package = SimpleNamespace(
        init=lambda **options: told.append(options),
        log=lambda metrics, step: told.append((step, metrics)),
        finish=lambda: told.append("end"),
    )
    monkeypatch.setitem(sys.modules, kind.name, package)
    run = trained(kind(project="names"))
    first, *steps, last = told
    assert (first["project"], first["config"]["n_embd"], first["config"]["seed"], last) == ("names", 4, 42, "end")
    assert [step for step, _ in steps] == [1, 2, 3, 4, 5, 6]
    assert [metrics["loss"] for _, metrics in steps] == run.losses
    assert [(step, metrics["val_loss"]) for step, metrics in steps if "val_loss" in metrics] == run.val_losses
    kind(project="names").close()  # never called, so nothing was started
    assert told.count("end") == 1


def test_weights_and_biases_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_loggers as t; "
        "t.trained(t.loggers.WandB(project='names', mode='offline', dir='.'))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [record] = tmp_path.rglob("*.wandb")
    assert b"val_loss" in record.read_bytes()


def test_trackio(tmp_path):
    pytest.importorskip("trackio", reason="trackio is not installed")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_loggers as t; t.trained(t.loggers.Trackio(project='names'))"
    places = {"HOME": str(tmp_path), "TRACKIO_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    done = subprocess.run(command, env=os.environ | places, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(tmp_path / "data" / "names.db")) as database:
        rows = database.execute("select step, metrics from metrics order by step").fetchall()
    assert [step for step, _ in rows] == [1, 2, 3, 4, 5, 6] and all("loss" in json.loads(metrics) for _, metrics in rows)
