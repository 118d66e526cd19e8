"""Files that are damaged, or saved by other versions: each is refused with a message, or read as what it was."""

import json
import math
import os
import random
import re
import struct
from dataclasses import MISSING, fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_files import CONFIG, DOCS, TRAINING, header_of, with_header

from microgpt import CheckpointError, EvalConfig, GPTConfig, TrainConfig, train
from microgpt.storage import checkpoint, schema

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


def test_a_run_with_patience_needs_its_best_weights(tmp_path):
    path = tmp_path / "run"
    train(DOCS, CONFIG, TRAINING, evaluation=EvalConfig(0.2, 4, 9), callback=lambda step: step.step == 5).save(path)
    header, body = header_of(path.read_bytes())
    assert checkpoint.read(path).progress.best_params
    info = header.pop(checkpoint.BEST)
    begin, end = info["data_offsets"]
    for other in header.values():
        if "data_offsets" in other:
            other["data_offsets"] = [at - (end - begin) * (at > begin) for at in other["data_offsets"]]
    without = with_header(header, body[:begin] + body[end:])
    assert "lacks the tensor 'training.best_params'" in refused(tmp_path, without)


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
        header, body = header_of((tmp_path / "whole").read_bytes())
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
