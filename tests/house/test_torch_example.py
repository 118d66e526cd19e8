"""examples/torch_training.py trains a model further in PyTorch, in one process and in two, and converts it back."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import microgpt
from microgpt import EvalConfig, GPTConfig, TrainConfig

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "torch_training.py"
NAMES = Path(microgpt.__file__).parent / "corpus" / "names.txt"
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SMALL = ["--steps", "60", "--batch-size", "32", "--dtype", "float64"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a trained model, and its held-out loss."""
    folder = tmp_path_factory.mktemp("torch")
    run = microgpt.train(
        microgpt.load_docs(str(NAMES)), GPTConfig(n_embd=8, n_head=2), TrainConfig(500), evaluation=EvalConfig(0.1, eval_every=500)
    )
    run.save(folder / "names.safetensors")
    (folder / "loss").write_text(f"{run.val_losses[-1][1]:.4f}")
    return folder


def example(folder, *arguments, launcher=()):
    command = [sys.executable, *launcher, EXAMPLE, "names.safetensors", NAMES, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8")


def trained(folder, name, launcher=()):
    """The output of the example, and the model that it saved."""
    done = example(folder, *SMALL, "--out", name, launcher=launcher)
    assert done.returncode == 0, done.stderr
    return done.stdout, microgpt.load(folder / name)


def test_one_process_and_two(folder):
    printed, model = trained(folder, "one.safetensors")
    before, after = re.search(r"^held-out loss (\S+) before, (\S+) after$", printed, re.MULTILINE).groups()
    assert before == (folder / "loss").read_text()  # the documents held out are those of the training
    assert float(after) < float(before) - 0.02
    assert len(re.findall(r"^step +\d+ / 60 \| loss \d\.\d{4}$", printed, re.MULTILINE)) == 10
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this PyTorch has no gloo, over which several processes talk")
    printed_by_two, model_of_two = trained(folder, "two.safetensors", TORCHRUN)
    assert printed_by_two.replace("two.safetensors", "one.safetensors") == printed
    assert model_of_two.params.tolist() == pytest.approx(model.params.tolist(), abs=1e-9)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--steps", "-1"], "num_steps must be at least 0"),
        (["--learning-rate", "1e30", *SMALL[:4]], "not a finite double"),
        (["--out", "no/such/folder.safetensors", "--steps", "0"], "cannot be written"),
    ],
)
def test_errors_are_one_line(folder, arguments, message):
    done = example(folder, *arguments)
    assert done.returncode == 1
    assert message in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_batch_that_cannot_be_shared(folder):
    done = example(folder, "--batch-size", "3", launcher=TORCHRUN)
    assert done.returncode and "a --batch-size of 3 cannot be shared equally among 2 processes" in done.stderr
