"""Saved models and runs: the contents of a file, resuming to the last bit, and the detection of damage."""

import hashlib
import json
import math
import os
import random
import re
import struct
import subprocess
import sys
from array import array
from dataclasses import MISSING, fields, replace

import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

import microgpt
from microgpt import CheckpointError, EvalConfig, GPTConfig, TrainConfig, engines, train
from microgpt.storage import checkpoint, schema
from microgpt.training import start

DOCS = ["emma", "olivia", "ava", "isabella", "sophia", "mia", "zoë", "김민준", "😀\ud800"]
CONFIG = GPTConfig(n_embd=8, n_head=2, block_size=6)
TRAINING = TrainConfig(num_steps=12)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "model.safetensors")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of a run that was stopped after 5 steps."""
    path = tmp_path_factory.mktemp("saved") / "run.safetensors"
    run = train(DOCS, CONFIG, TRAINING, evaluation=EvalConfig(0.2, 4), callback=lambda step: step.step == 5)
    run.save(path)
    return path.read_bytes()


def result(run):
    """Everything that is the same in equal runs."""
    digest = hashlib.sha256(bytes(run.model.params)).hexdigest()
    return digest, run.losses, run.val_losses, run.rng.getstate(), *map(bytes, run.model.engine.moments())


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def header_of(data):
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(header, body):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


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


def test_a_run_with_patience_needs_its_best_weights(tmp_path, path):
    train(DOCS, CONFIG, TRAINING, evaluation=EvalConfig(0.2, 4, 9), callback=lambda step: step.step == 5).save(path)
    header, body = header_of(read_bytes(path))
    assert checkpoint.read(path).progress.best_params
    info = header.pop(checkpoint.BEST)
    begin, end = info["data_offsets"]
    for other in header.values():
        if "data_offsets" in other:
            other["data_offsets"] = [at - (end - begin) * (at > begin) for at in other["data_offsets"]]
    without = with_header(header, body[:begin] + body[end:])
    assert "lacks the tensor 'training.best_params'" in refused(tmp_path, without)


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


# ---- Damage -------------------------------------------------------------------------------------


def refused(tmp_path, data):
    """The message with which reading `data` fails."""
    path = tmp_path / "bad"
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read(path)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500 and message.startswith(repr(str(path)))
    return message


def test_truncated_anywhere(tmp_path, saved):
    for length in [*range(20), *random.Random(1).sample(range(len(saved)), 100), len(saved) - 1]:
        refused(tmp_path, saved[:length])
    assert "so it is truncated or damaged" in refused(tmp_path, saved[:-1])
    assert "so it is truncated or damaged" in refused(tmp_path, saved + b"\0")


def test_other_files(tmp_path, saved):
    assert "is not a saved model" in refused(tmp_path, b"")
    assert "is not a saved model" in refused(tmp_path, b"emma\nolivia\n")
    for length in (2**63, 2**64 - 1, len(saved), 10**8 + 1, 0):
        refused(tmp_path, length.to_bytes(8, "little") + saved[8:])
    deep = b"[" * 100_000
    assert "its header cannot be read" in refused(tmp_path, len(deep).to_bytes(8, "little") + deep)
    other = with_header({"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}, bytes(8))
    assert "is a safetensors file, but not one that microgpt saved" in refused(tmp_path, other)
    with pytest.raises(CheckpointError, match="is not a file"):
        checkpoint.read(tmp_path)


CHANGES = {  # a change of the header -> the message
    "version": (lambda h: h["__metadata__"].update(format="microgpt-2"), "has an unknown format 'microgpt-2'"),
    "a name": (lambda h: h.update(wtf=h.pop("wte")), "lacks the tensor 'wte'"),
    "one more": (lambda h: h.update(a=h["wpe"]), "has a tensor 'a' that its configuration does not have"),
    "dtype": (lambda h: h["wpe"].update(dtype="F32"), "has 'wpe' as 'F32', not as 'F64'"),
    "shape": (lambda h: h["wpe"].update(shape=[8, 6]), r"has 'wpe' in the shape \[8, 6\], not \[6, 8\]"),
    "no tensor": (lambda h: h.update(wpe=7), "has 'wpe' as None"),
    "offsets": (lambda h: h["wpe"].update(data_offsets=[0, 8]), "is damaged"),
    "huge": (lambda h: edit(h, "config", n_embd=10**18, n_head=7), "describes a model larger than the file"),
    "layers": (lambda h: edit(h, "config", n_layer=1000), "fewer layers than the 1000 of the configuration"),
    "2 layers": (lambda h: edit(h, "config", n_layer=2), "lacks the tensor 'layer1.attn_wk'"),
    "heads": (lambda h: edit(h, "config", n_head=3), "n_embd 8 is not divisible by n_head 3"),
    "a type": (lambda h: edit(h, "config", n_embd="8"), "n_embd must be a whole number, not '8'"),
    "a setting": (lambda h: edit(h, "config", evil=1), "has an unknown option 'evil' in its metadata 'config'"),
    "training": (lambda h: edit(h, "training", beta1=2), "beta1 must be"),
    "nan": (lambda h: edit(h, "training", eps=math.nan), "eps must be"),
    "characters": (lambda h: h["__metadata__"].update(characters='"ba"'), "characters are not distinct and sorted"),
    "fewer characters": (lambda h: h["__metadata__"].update(characters='"ab"'), "has 'lm_head' in the shape"),
    "no JSON": (lambda h: h["__metadata__"].update(config="{"), "its metadata 'config' cannot be read"),
    "no config": (lambda h: h["__metadata__"].pop("config"), "it lacks the metadata 'config'"),
    "steps": (lambda h: edit(h, "progress", steps=-1), "number of steps done is impossible"),
    "more steps": (lambda h: edit(h, "progress", steps=13), "number of steps done is impossible"),
    "other steps": (lambda h: edit(h, "progress", steps=6), r"has 'training.losses' in the shape \[5\], not \[6\]"),
    "rng": (lambda h: edit(h, "progress", rng=[3, [1] * 625 + [2], None]), "its random state is impossible"),
    "rng index": (lambda h: edit(h, "progress", rng=[3, [1] * 624 + [625], None]), "its random state is impossible"),
    "rng type": (lambda h: edit(h, "progress", rng=[3, ["1"] * 625, None]), "its random state is impossible"),
    "held-out": (lambda h: edit(h, "progress", val_losses=[[1]]), "its held-out losses cannot be read"),
    "no characters": (lambda h: h["__metadata__"].pop("characters"), "it lacks the metadata 'characters'"),
    "seed": (lambda h: edit(h, "source", seed="x"), "in its metadata 'source', seed is not valid: 'x'"),
    "engine": (lambda h: edit(h, "source", engine="cuda"), "engine is not valid: 'cuda'"),
    "no seed": (lambda h: remove(h, "source", "seed"), "is damaged: its metadata 'source' lacks 'seed'"),
    "no rng": (lambda h: remove(h, "progress", "rng"), "is damaged: its metadata 'progress' lacks 'rng'"),
    "no width": (lambda h: remove(h, "config", "n_embd"), r"in the shape \[8, 8\], not \[16, 16\]"),
}


def edit(header, entry, **changes):
    header["__metadata__"][entry] = json.dumps(json.loads(header["__metadata__"][entry]) | changes)


def remove(header, entry, name):
    value = json.loads(header["__metadata__"][entry])
    del value[name]
    header["__metadata__"][entry] = json.dumps(value)


@pytest.mark.parametrize("change, message", CHANGES.values(), ids=CHANGES)
def test_changed_headers(tmp_path, saved, change, message):
    header, body = header_of(saved)
    assert checkpoint.read(write(tmp_path, with_header(header, body))).progress
    change(header)
    assert re.search(message, refused(tmp_path, with_header(header, body)))


def write(tmp_path, data):
    path = tmp_path / "good"
    path.write_bytes(data)
    return path


# ---- Other versions; see also test_earlier_versions.py ---------------------------------------------------------------


def with_default(kind):
    return [field for field in fields(kind) if field.default is not MISSING]


@pytest.mark.parametrize(
    "entry, kind",
    [("config", GPTConfig), ("training", TrainConfig), ("evaluation", EvalConfig), ("source", checkpoint.Source)],
)
def test_what_an_older_version_did_not_save_takes_its_default(tmp_path, entry, kind):
    """Files without each of the options in turn, and without all of them, as before the options existed.

    What stands for an option is its default, or what was done before it.
    """
    run = train(DOCS, GPTConfig(n_embd=16), TrainConfig(num_steps=1000), callback=lambda step: step.step == 2)
    run.save(tmp_path / "whole")  # every option has its default
    whole = checkpoint.read(tmp_path / "whole")
    names = [field.name for field in with_default(kind)]
    for missing in [*([name] for name in names), names]:
        header, body = header_of(read_bytes(tmp_path / "whole"))
        header["__metadata__"]["microgpt"] = "0.0.9"
        for name in missing:
            remove(header, entry, name)
        before = {"split_seed": None, "eval_every": 100, "val_mean": "documents"}
        before = {name: value for name, value in before.items() if name in missing}
        expected = whole._replace(evaluation=replace(whole.evaluation, **before))
        assert checkpoint.read(write(tmp_path, with_header(header, body))) == expected


UNKNOWN = {  # something unknown to this version -> the message
    **{
        f"an option in {entry}": (
            lambda h, entry=entry: edit(h, entry, evil=10**30),
            f"has an unknown option 'evil' in its metadata {entry!r}",
        )
        for entry in checkpoint.OF_A_RUN + ("config",)
    },
    "an entry": (lambda h: h["__metadata__"].update(evil="1"), "has an unknown entry 'evil' in its metadata"),
    "a tensor": (lambda h: h.update(evil=h["wpe"]), "has a tensor 'evil' that its configuration does not have"),
    "a format": (lambda h: h["__metadata__"].update(format="microgpt-2"), "has an unknown format 'microgpt-2'"),
}
NEWER = ["9", "0.1.1", "0.10", "99.12.1", "0.2.0.dev3", "0.2.0rc1", "1.0+local"]
NOT_NEWER = ["0.1.0", "0.0.9", "0.1", "", "9.9\n", "x9", "9" * 99, "9.", "٩.1", None, ["9.9"], {}, 9]


def claimed(tmp_path, saved, change, version):
    """The message for a changed file that says it was saved by some version."""
    header, body = header_of(saved)
    change(header)
    header["__metadata__"]["microgpt"] = version
    return refused(tmp_path, with_header(header, body))


@pytest.mark.parametrize("change, message", UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_unknown_is_refused(tmp_path, saved, monkeypatch, change, message):
    monkeypatch.setattr(schema, "__version__", "0.1.0")
    for version in NEWER:
        found = claimed(tmp_path, saved, change, version)
        assert f"' was saved by a newer version of microgpt ({version}); to this one (0.1.0), it {message}; " in found
        assert found.endswith("; update with: pip install --upgrade microgpt-cython")
    for version in NOT_NEWER:
        found = claimed(tmp_path, saved, change, version)
        assert found.endswith(f"' is damaged, or was saved by a newer version of microgpt: it {message}")


def test_an_unknown_value_of_a_newer_version(tmp_path, saved, monkeypatch):
    monkeypatch.setattr(schema, "__version__", "0.1.0")

    def change(header):
        edit(header, "config", activation="swish")

    found = claimed(tmp_path, saved, change, "0.3.0")
    assert "was saved by a newer version of microgpt (0.3.0); to this one (0.1.0), it is damaged: in its" in found
    assert "not 'swish'; update with: pip" in found
    found = claimed(tmp_path, saved, change, "0.1.0")
    assert "' is damaged: in its metadata 'config', activation must be one of" in found


def test_a_newer_version_is_no_reason_to_refuse_a_file(tmp_path, saved):
    header, body = header_of(saved)
    header["__metadata__"]["microgpt"] = "99.0"
    assert checkpoint.read(write(tmp_path, with_header(header, body))).progress


# ---- Numbers and bits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite(tmp_path, saved, number):
    refused(tmp_path, saved[:-8] + struct.pack("<d", number))


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_flipped_bits(tmp_path_factory, saved, data):
    """A file with some bits changed is refused, or is another valid file; nothing else happens."""
    changed = bytearray(saved)
    length = int.from_bytes(saved[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.one_of(st.integers(0, 8 + length), st.integers(0, len(saved) - 1)))
        changed[at] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.getbasetemp() / "flipped"
    path.write_bytes(changed)
    try:
        found = checkpoint.read(path)
    except CheckpointError:
        return
    assert all(map(math.isfinite, found.params))
    assert len(found.params) == found.config.num_params(found.tokenizer.vocab_size)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe in the file system")
def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="is not a file"):
        checkpoint.read(tmp_path / "pipe")
