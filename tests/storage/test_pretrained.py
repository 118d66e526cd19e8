"""Models as folders in the layout of the Hugging Face Hub: written completely, read back, and loaded by PyTorch alone."""

import json
import subprocess
import sys

import pytest

import microgpt
from microgpt import GPT, EvalConfig, GPTConfig, TrainConfig
from microgpt.cli import main as main_of
from microgpt.common import files

DOCS = ["emma", "anna", "bob", "zoë", "emil", "lena"] * 3


@pytest.fixture(scope="module")
def run():
    return microgpt.train(DOCS, GPTConfig(n_embd=8, block_size=8), TrainConfig(num_steps=20), evaluation=EvalConfig(val_fraction=0.3))


def test_a_folder_comes_back_with_every_bit(run, tmp_path):
    folder = tmp_path / "names"
    run.save_pretrained(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["names"]
    again = microgpt.load(folder)
    assert (again.config, again.tokenizer) == (run.model.config, run.model.tokenizer)
    assert again.params.tobytes() == run.model.params.tobytes()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (config["model_type"], config["n_embd"], config["characters"]) == ("microgpt", 8, run.model.tokenizer.chars)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: microgpt\n") and f"{run.val_losses[-1][1]:.4f} after step 20" in card
    assert run.fingerprint() in card and "| documents | lines |" in card and f"| documents trained on | {len(run.corpus)} |" in card
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run.save_pretrained(folder)  # replaces itself
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("words", [["info"], ["diff", "names.safetensors"], ["sample", "-n", "1"], ["eval", "docs.txt"]])
def test_commands_take_the_folder(run, tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    run.model.save("names.safetensors")
    run.model.save_pretrained("names")
    (tmp_path / "docs.txt").write_text("\n".join(DOCS), encoding="utf-8")
    command, *others = words
    assert main_of([command, "names", *others]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "README.md", "modeling_microgpt.py"])
def test_somebody_s_file_stays_and_nothing_is_written(run, tmp_path, name):
    (tmp_path / name).write_text('{"model_type": "llama"}')
    with pytest.raises(FileExistsError, match="microgpt did not write; name another folder"):
        run.model.save_pretrained(tmp_path, pytorch=True)
    assert [path.read_text() for path in tmp_path.iterdir()] == ['{"model_type": "llama"}']


def test_a_new_folder_is_whole_or_not_there(run, tmp_path, monkeypatch):
    def full(path, data, write=files.write_atomically):
        if path.endswith("model.safetensors"):
            raise OSError(28, "no space left on device")
        write(path, data)

    monkeypatch.setattr(files, "write_atomically", full)
    with pytest.raises(OSError, match="names' cannot be written: no space left"):
        run.save_pretrained(tmp_path / "names")
    assert list(tmp_path.iterdir()) == []


def test_the_command(run, tmp_path, capsys):
    run.save(tmp_path / "names.safetensors")
    model, folder = str(tmp_path / "names.safetensors"), str(tmp_path / "names")
    assert main_of(["export", model, folder, "--pytorch"]) == 0
    assert (tmp_path / "names" / "modeling_microgpt.py").exists()
    capsys.readouterr()
    printed = []
    for source in (model, folder):
        assert main_of(["sample", source, "-n", "3", "--seed", "1"]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != ""
    (tmp_path / "names" / "README.md").write_text("mine")
    assert main_of(["export", model, folder]) == 1
    assert "did not write" in capsys.readouterr().err


@pytest.mark.parametrize("activation", ["relu", "relu2", "gelu", "silu"])
@pytest.mark.parametrize("first", [False, True])
def test_pytorch_alone_gives_the_same_logits(tmp_path, activation, first):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    config = GPTConfig(n_embd=8, n_layer=2, block_size=8, activation=activation, bos_first=first)
    model: GPT = microgpt.train(DOCS, config, TrainConfig(num_steps=5)).model
    model.save_pretrained(tmp_path / "names", pytorch=True)
    code = (
        "import sys, json; sys.modules['microgpt'] = None; from modeling_microgpt import load; model = load('.'); "
        "print(json.dumps(model(model.encode('zoë')).tolist()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "names", capture_output=True, text=True, check=True)
    [logits] = json.loads(done.stdout)
    for theirs, ours in zip(logits, model.logits("zoë"), strict=True):
        assert theirs == pytest.approx(ours, rel=1e-12, abs=1e-12)
