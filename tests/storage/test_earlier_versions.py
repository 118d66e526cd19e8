"""Files of earlier versions, in tests/storage/data: they load and give the same results as then, to the last bit."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest

import microgpt
from microgpt import GPT, EvalConfig, GPTConfig, TrainConfig, engines
from microgpt.display import history
from microgpt.storage import checkpoint
from microgpt.training import start

DATA = Path(__file__).parent / "data"
EXPECTED = {path.parent.name: json.loads(path.read_text()) for path in sorted(DATA.glob("*/expected.json"))}


def each(kind):
    """The test runs for each file of a kind, as (path, expected results, other records of its version)."""
    cases = [
        pytest.param(DATA / version / name, given, recorded, id=f"{version}-{name}")
        for version, recorded in EXPECTED.items()
        for name, given in recorded[kind].items()
    ]
    return pytest.mark.parametrize("path, given, recorded", cases)


def hexes(numbers):
    return [number.hex() for number in numbers]


def pairs(val_losses):
    return [[step, loss.hex()] for step, loss in val_losses]


def digest(params):
    return hashlib.sha256(bytes(params)).hexdigest()


def test_every_file_is_expected():
    assert "0.1" in EXPECTED
    for version, recorded in EXPECTED.items():
        named = {name for kind in ("models", "runs", "logs") for name in recorded[kind]}
        assert {path.name for path in (DATA / version).iterdir()} == named | {"expected.json"}


@each("models")
def test_models(path, given, recorded, engine):
    model = GPT.from_json(path.read_text(), engine=engine) if path.suffix == ".json" else GPT.load(path, engine)
    assert asdict(model.config) == asdict(GPTConfig()) | given["config"]
    assert model.tokenizer.chars == given["characters"] and digest(model.params) == given["params"]
    assert [hexes(logits) for logits in model.logits(given["text"])] == given["logits"]
    assert model.loss(given["text"]).hex() == given["loss"]
    assert model.generate(4, seed=1) == given["samples"]


@each("runs")
def test_runs(path, given, recorded):
    saved = checkpoint.read(path)
    assert asdict(saved.training) == asdict(TrainConfig()) | given["training"]
    as_in_0_1 = {"split_seed": None, "val_mean": "documents"}
    assert asdict(saved.evaluation) == asdict(EvalConfig()) | as_in_0_1 | given["evaluation"]
    run = start(recorded["documents"], resume=path)
    assert run.model.engine.name == given["engine"]
    assert hexes(run.losses) == given["losses"] and pairs(run.val_losses) == given["val_losses"]
    assert digest(run.model.params) == digest(GPT.load(path).params) == given["params"]


@each("runs")
def test_resumed_runs(path, given, recorded, engine):
    run = microgpt.train(recorded["documents"], resume=path, engine=engine)
    end = given["to_its_end"]
    assert hexes(run.losses) == end["losses"] and pairs(run.val_losses) == end["val_losses"]
    assert digest(run.model.params) == end["params"] and run.generate(3) == end["samples"]


@each("runs")
def test_runs_go_on_with_the_engine_they_were_on(path, given, recorded):
    run = microgpt.train(recorded["documents"], resume=path)
    tolerance = 0 if given["engine"] in engines.EXACT else 1e-4
    assert run.losses == pytest.approx([float.fromhex(loss) for loss in given["to_its_end"]["losses"]], rel=tolerance)


@each("runs")
def test_runs_saved_again_have_the_same_tensors(tmp_path, path, given, recorded):
    checkpoint.write(tmp_path / "again", checkpoint.read(path))
    assert checkpoint.read(tmp_path / "again") == checkpoint.read(path)
    old, new = path.read_bytes(), (tmp_path / "again").read_bytes()
    body = slice(8 + int.from_bytes(old[:8], "little"), None)
    assert new.endswith(old[body])


@each("logs")
def test_logs(path, given, recorded):
    log = history.read(path)
    assert log.steps.tolist() == list(range(1, len(given["losses"]) + 1))
    assert hexes(log.losses) == given["losses"] and pairs(log.val_losses) == given["val_losses"]
