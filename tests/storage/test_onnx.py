"""ONNX files: onnxruntime computes the model's logits, and the file contains everything needed to use it."""

import json
import random
import sys
from pathlib import Path

import pytest

import microgpt
from microgpt import GPT, GPTConfig, Tokenizer
from microgpt.cli import main as main_of
from microgpt.reference import ACTIVATIONS
from microgpt.storage import onnxfile

TOLERANCE = 1e-5  # of a logit, relative to the largest if that is above 1; the file is float32
ODD = [  # odd shapes, one for each activation
    (GPTConfig(n_layer=3, n_embd=6, n_head=3, block_size=5, activation="gelu"), "abc"),
    (GPTConfig(n_layer=2, n_embd=10, n_head=2, block_size=7, activation="relu2", bos_first=True), "ßä中😀"),
    (GPTConfig(n_layer=1, n_embd=1, n_head=1, block_size=1, activation="relu"), "x"),
    (GPTConfig(n_layer=2, n_embd=16, block_size=12, activation="silu", documents="text", init_std=0.3), "\n abc"),
]


def runtime():
    """(numpy, onnxruntime), if the files can be made and run."""
    for name in ("torch", "onnxscript"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    return pytest.importorskip("numpy"), pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def made(config, characters):
    return GPT.init(config, Tokenizer(characters, config.bos_first), random.Random(3))


def test_every_activation_is_there():
    assert {config.activation for config, _ in ODD} == {*ACTIVATIONS}


@pytest.mark.parametrize("config, characters", ODD, ids=lambda part: getattr(part, "activation", None))
def test_onnxruntime_computes_the_model_s_logits(tmp_path, config, characters):
    """For batches of one and of several documents, from one position to the whole block, according to the metadata."""
    numpy, onnxruntime = runtime()
    model = made(config, characters)
    model.save_onnx(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    settings = json.loads(session.get_modelmeta().custom_metadata_map["config"])
    ids = {character: i for i, character in enumerate(settings["characters"], settings["first_character_id"])}
    rng = random.Random(1)
    for positions in range(1, config.block_size + 1):
        texts = ["".join(rng.choices(characters, k=positions - 1)) for _ in range(rng.choice([1, 3]))]
        tokens = [[settings["opening_id"], *map(ids.get, text)] for text in texts]
        [logits] = session.run(["logits"], {"tokens": numpy.array(tokens, numpy.int64)})
        assert logits.dtype == numpy.float32 and logits.shape == (len(texts), positions, settings["vocab_size"])
        expected = numpy.array([model.logits(text) for text in texts])
        assert abs(logits - expected).max() <= TOLERANCE * max(1, abs(expected).max())
    assert {name: settings[name] for name in vars(config)} == vars(config) and settings["bos_token_id"] == model.tokenizer.bos


def test_the_file(tmp_path, capfd):
    """The same bytes each time, without facts about this machine, and without messages during the export."""
    runtime()
    model = made(GPTConfig(n_embd=8, block_size=4), "ab")
    for name in ("one.onnx", "two.onnx"):
        model.save_onnx(tmp_path / name)
    one, two = ((tmp_path / name).read_bytes() for name in ("one.onnx", "two.onnx"))
    assert one == two and b".py" not in one and len(one) < 4 * model.num_params + 20_000
    assert onnxfile.is_onnx(tmp_path / "one.onnx") and capfd.readouterr() == ("", "")


def test_weights_that_are_not_finite(tmp_path):
    runtime()
    model = made(GPTConfig(n_embd=4, block_size=4), "ab")
    model.params[3] = float("nan")
    with pytest.raises(microgpt.CheckpointError, match="the weights cannot be saved"):
        model.save_onnx(tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made(GPTConfig(n_embd=4, block_size=4), "ab").save("model.safetensors")


def test_the_command(saved, capsys):
    runtime()
    Path("model.onnx").write_bytes(b"\x08\x0a\x12\x08microgpt")  # begins like such a file, so it is replaced
    assert main_of(["export", "model.safetensors", "folder", "--onnx", "model.onnx"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "folder: a model of 232 parameters" and second.startswith("model.onnx: a model of 232 parameters, ")
    assert onnxfile.is_onnx("model.onnx") and Path("model.onnx").stat().st_size > 4 * 232


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        ([], 2, "the output is missing; give a FOLDER, or --onnx FILE"),
        (["--onnx", "model.onnx", "--pytorch"], 2, "--pytorch has no effect without a FOLDER; omit it"),
        (["folder", "--force"], 2, "--force has no effect without --onnx FILE; omit it"),
        (
            ["--onnx", "mine.onnx"],
            1,
            "exists already and is not a model of microgpt export; name another file, or replace it with --force",
        ),
        (["--onnx", "model.safetensors", "--force"], 2, "is the model, which would be lost; name another file"),
    ],
)
def test_what_the_command_refuses(saved, capsys, arguments, code, message):
    Path("mine.onnx").write_text("mine")
    assert main_of(["export", "model.safetensors", *arguments]) == code
    assert message in capsys.readouterr().err and Path("mine.onnx").read_text() == "mine" and not Path("folder").exists()


@pytest.mark.parametrize("missing", ["torch", "onnxscript"])
def test_without_the_packages(saved, capsys, monkeypatch, missing):
    """The sentence names the extra."""
    if missing == "onnxscript":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    monkeypatch.setitem(sys.modules, missing, None)
    assert main_of(["export", "model.safetensors", "--onnx", "model.onnx"]) == 1
    error = capsys.readouterr().err
    assert f"an ONNX file needs {missing} (" in error and "install it with: pip install 'microgpt-cython[onnx]'" in error
