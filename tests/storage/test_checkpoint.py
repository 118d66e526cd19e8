"""Saved models and runs: the contents of a file, and resuming to the last bit; see test_damage.py for other files."""

import hashlib
import json
import math
import os
import subprocess
import sys
from array import array
from dataclasses import replace

import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_files import CONFIG, DOCS, TRAINING, header_of

import microgpt
from microgpt import CheckpointError, EvalConfig, GPTConfig, TrainConfig, engines, train
from microgpt.training import start


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "model.safetensors")


def result(run):
    """Everything that is the same in equal runs."""
    digest = hashlib.sha256(bytes(run.model.params)).hexdigest()
    return digest, run.losses, run.val_losses, run.rng.getstate(), *map(bytes, run.model.engine.moments())


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


# ---- Models ----------------------------------------------------------------------------------------------------------


def test_a_model_comes_back_as_it_was(path, engine):
    model = train(DOCS, CONFIG, TRAINING).model
    model.save(path)
    again = microgpt.GPT.load(path, engine)
    assert (again.config, again.tokenizer) == (model.config, model.tokenizer)
    assert bytes(again.params) == bytes(model.params)
    assert again.generate(3, seed=1) == model.generate(3, seed=1)
    again.state_dict()["wte"][0, 0] = 1.0  # writable, and a copy
    assert bytes(microgpt.load(path).params) == bytes(model.params)


def test_the_file_is_the_state_dict(path):
    model = train(DOCS, CONFIG, TRAINING).model
    model.save(path)
    tensors = dict(safetensors.deserialize(read_bytes(path)))
    expected = model.state_dict()
    assert tensors.keys() == expected.keys()
    for name, view in expected.items():
        assert tensors[name]["dtype"] == "F64" and tuple(tensors[name]["shape"]) == view.shape
        assert bytes(tensors[name]["data"]) == view.tobytes()
    metadata = header_of(read_bytes(path))[0]["__metadata__"]
    assert metadata["microgpt"] == microgpt.__version__
    assert json.loads(metadata["characters"]) == model.tokenizer.chars
    assert json.loads(metadata["config"])["n_embd"] == 8


def test_the_same_model_gives_the_same_bytes(tmp_path):
    """The bytes do not depend on the writer: the model, a copy loaded from a file, another process with other hashes."""
    run = train(DOCS, CONFIG, TRAINING, evaluation=EvalConfig(0.2, 4, 9), callback=lambda step: step.step == 5)
    for name, saves, load in [("model", run.model, microgpt.load), ("run", run, lambda path: start(DOCS, resume=path))]:
        first, again, other = (tmp_path / f"{name}-{i}" for i in range(3))
        saves.save(first)
        for _ in range(5):
            saves.save(again)
            assert again.read_bytes() == first.read_bytes()
        load(first).save(again)
        assert again.read_bytes() == first.read_bytes()
        code = "import sys; from microgpt.storage.checkpoint import *; write(sys.argv[2], read(sys.argv[1]))"
        for seed in "1", "2":
            environment = {**os.environ, "PYTHONHASHSEED": seed}
            subprocess.run([sys.executable, "-c", code, first, other], env=environment, check=True)
            assert other.read_bytes() == first.read_bytes()


def test_files_are_as_safetensors_writes_them(saved, path):
    """Except for the order of the names in the header, which that library changes from one file to the next."""
    header, body = header_of(saved)
    specs, numbers = {}, []
    for name, info in header.items():
        if name != "__metadata__":
            numbers.append(array("d", body[slice(*info["data_offsets"])]))
            address, length = numbers[-1].buffer_info()
            specs[name] = safetensors.TensorSpec(dtype="float64", shape=info["shape"], data_ptr=address, data_len=8 * length)
    theirs = safetensors.serialize(specs, header["__metadata__"])
    assert header_of(theirs) == (header, body) and len(theirs) == len(saved)
    assert len(saved) % 8 == 0 and b"\n" not in saved[8 : -len(body)]
    with open(path, "wb") as file:
        file.write(saved)
    with safetensors.safe_open(path, "numpy") as file:  # reads only what is requested
        assert file.metadata() == header["__metadata__"] and set(file.keys()) == set(specs)
        assert file.get_slice("wpe").get_shape() == [6, 8]


def test_importing_microgpt_imports_no_library():
    code = "import microgpt, sys; print([n for n in ('safetensors', 'numpy', 'rich', 'platformdirs') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8").stdout == "[]\n"


def test_saving_replaces_whole_files_only(path, monkeypatch):
    model = train(DOCS, CONFIG, TRAINING).model
    model.save(path)
    before = read_bytes(path)

    def full(*_):
        raise OSError(28, "No space left on device")

    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            with pytest.raises(OSError, match="cannot be written: No space left on device; an existing file is unch"):
                train(DOCS, CONFIG, TRAINING, seed=1).model.save(path)
        assert read_bytes(path) == before
        assert os.listdir(os.path.dirname(path)) == ["model.safetensors"]
    with pytest.raises(OSError, match="No such file or directory"):
        model.save(os.path.join(path + ".d", "folder"))
    model.params[3] = math.nan
    with pytest.raises(CheckpointError, match="the weights cannot be saved: not all numbers are finite"):
        model.save(path)
    assert read_bytes(path) == before


@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
def test_a_full_disk(path):
    train(DOCS, CONFIG, TRAINING).model.save(path)
    before = read_bytes(path)
    code = (
        "import microgpt, resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "microgpt.load(sys.argv[1]).save(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code, path], capture_output=True, encoding="utf-8")
    assert "cannot be written: File too large" in done.stderr
    assert read_bytes(path) == before and os.listdir(os.path.dirname(path)) == ["model.safetensors"]


@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_permissions_and_links(path):
    model = train(DOCS, CONFIG, replace(TRAINING, num_steps=1)).model
    model.save(path)
    mask = os.umask(0)
    os.umask(mask)
    assert os.stat(path).st_mode & 0o777 == 0o666 & ~mask
    os.chmod(path, 0o640)
    os.symlink(path, path + ".link")
    model.save(path + ".link")
    assert os.path.islink(path + ".link") and os.stat(path).st_mode & 0o777 == 0o640


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_device_or_a_pipe_is_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="cannot be written: it is not a regular file"):
        train(DOCS, CONFIG, TRAINING).model.save(pipe)
    assert pipe.is_fifo() and os.listdir(tmp_path) == ["pipe"]


# ---- Resuming --------------------------------------------------------------------------------------------------------


EVERY_OPTION = dict(
    batch_size=2, schedule="cosine", warmup_steps=2, clip_norm=0.5, weight_decay=0.1, min_learning_rate=1e-3
)  # fmt: skip


@pytest.mark.parametrize("options", [{}, EVERY_OPTION], ids=["defaults", "options"])
@pytest.mark.parametrize("other", engines.EXACT)
def test_stopped_and_resumed_equals_uninterrupted(path, engine, other, options):
    config = GPTConfig(n_embd=4, n_head=2, block_size=4)
    settings = dict(config=config, training=replace(TRAINING, **options), seed=7, evaluation=EvalConfig(0.2, 5))
    whole = train(DOCS, **settings)
    train(DOCS, **settings, engine=engine, callback=lambda step: step.step == 4).save(path)
    run = start(DOCS, resume=path, engine=other)
    assert len(run.losses) == 4
    run.train(callback=lambda step: step.step == 9)
    run.save(path)
    run = train(DOCS, resume=path, engine=engine)
    assert result(run) == result(whole)
    run.save(path)  # before the samples; a finished run continues with these
    assert start(DOCS, resume=path).generate(3) == run.generate(3) == whole.generate(3)


@given(stops=st.lists(st.integers(0, 12), max_size=5), seed=st.integers(-(2**70), 2**70), every=st.integers(1, 13))
@settings(max_examples=25, deadline=None)
def test_stopped_anywhere(tmp_path_factory, stops, seed, every):
    path = tmp_path_factory.mktemp("stopped") / "run"
    options = dict(config=CONFIG, training=TRAINING, seed=seed, evaluation=EvalConfig(0.3, every), long_docs="split")
    run = start(DOCS, **options)
    for stop in sorted(stops):
        if stop > len(run.losses):
            run.train(callback=lambda step: step.step == stop)
        run.save(path)
        run = start(DOCS, resume=path)
    run.train()
    assert result(run) == result(train(DOCS, **options))


@pytest.mark.parametrize("patience", [1, 2, 9])
def test_patience_over_stops(path, patience):
    """The file has both the best weights so far and the last ones, from which training continues."""
    settings = dict(config=CONFIG, training=TrainConfig(num_steps=60, schedule="constant"))
    settings["evaluation"] = EvalConfig(0.3, 5, patience)
    whole = train(DOCS, **settings)
    run = start(DOCS, **settings)
    for stop in range(3, 61, 4):
        run.train(callback=lambda step: step.step >= stop)
        run.save(path)
        run = start(DOCS, resume=path)
    run.train()
    assert result(run) == result(whole) and run.finished
    assert whole.best[0] < len(whole.losses) and run.evaluate() == run.best[1]  # the last weights are not the best


def test_a_run_that_drew_samples_goes_on_from_there(path):
    run = train(DOCS, CONFIG, TRAINING)
    run.generate(2)
    run.rng.gauss(0, 1)  # the generator now keeps a second number
    run.save(path)
    again = start(DOCS, resume=path)
    assert again.rng.gauss(0, 1) == run.rng.gauss(0, 1) and again.generate(2) == run.generate(2)


@pytest.mark.parametrize(
    "docs, changes, message",
    [
        (DOCS, dict(config=replace(CONFIG, n_embd=16)), "was started with n_embd 8, not 16; omit n_embd"),
        (DOCS, dict(training=replace(TRAINING, num_steps=3)), "has done 4 steps; num_steps must be at least 4, not 3"),
        (DOCS, dict(training=replace(TRAINING, num_steps=99, beta1=0.5)), "was started with beta1 0.85, not 0.5"),
        (DOCS, dict(evaluation=EvalConfig(0.5)), "was started with val_fraction 0.0, not 0.5"),
        (DOCS, dict(seed=43), "was started with seed 42, not 43"),
        (DOCS, dict(long_docs="split"), "was started with long_docs truncate, not split"),
        (DOCS[:-1], {}, "not those that .* was trained on: 8 documents to train on, not 9"),
        ([*DOCS[:-1], "emmX"], {}, r"not those that .* was trained on: the character 'X' \(U\+0058\) is not in"),
        ([*DOCS[:-1], "emma"], {}, "was trained on: as many documents, but another text or another order"),
        (DOCS[::-1], {}, "was trained on: as many documents, but another text or another order"),
    ],
)
def test_what_changed_is_named(path, docs, changes, message):
    train(DOCS, CONFIG, TRAINING, callback=lambda step: step.step == 4).save(path)
    with pytest.raises(CheckpointError, match=message):
        train(docs, resume=path, **changes)


def test_resume_needs_a_run_and_init_a_model(path):
    train(DOCS, CONFIG, TRAINING).model.save(path)
    with pytest.raises(CheckpointError, match="is a model without its training; to train it further, start from it with init"):
        train(DOCS, resume=path)
    with pytest.raises(ValueError, match="give resume or init, not both"):
        train(DOCS, resume=path, init=path)
    with pytest.raises(FileNotFoundError, match="there is no file .*; check the path"):
        train(DOCS, resume=path + "x")


def test_fine_tuning(path, engine):
    model = train(DOCS, CONFIG, TRAINING).model
    model.save(path)
    tuned = train(["mia", "zoe"], training=replace(TRAINING, num_steps=3), init=path, engine=engine)
    fresh = start(["mia", "zoe"], init=model)
    assert bytes(fresh.model.params) == bytes(model.params) != bytes(tuned.model.params)
    assert fresh.model.params is not model.params
    assert tuned.model.config == CONFIG and tuned.model.tokenizer == model.tokenizer
    with pytest.raises(ValueError, match=r"the character 'X' \(U\+0058\) is not in the model's vocabulary"):
        train(["Xenia"], init=path)
    with pytest.raises(CheckpointError, match="the model to start from has n_head 2, not 4"):
        train(["mia"], replace(CONFIG, n_head=4), init=path)
