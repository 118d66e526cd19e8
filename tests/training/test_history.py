"""Reading logs and saved runs: files of microgpt are restored, and any other file gives one sentence with the line."""

import itertools
import math
import re

import pytest

from microgpt import EvalConfig, GPTConfig, TrainConfig, train
from microgpt.display import history
from microgpt.training import start

DOCS = ["emma", "olivia", "ava", "isabella", "sophia", "mia"]
CONFIG = GPTConfig(n_embd=4, n_head=2, block_size=8)
HEAD = "step,loss,smoothed,lr,val_loss\n"


def logged(run, path):
    log = history.Log(run, str(path))
    run.train(progress=log.update)
    log.close()
    return run


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
@pytest.mark.parametrize("evaluation", [None, EvalConfig(0.2, 3)], ids=["all trained on", "some held out"])
def test_what_is_written_is_read(tmp_path, ending, evaluation):
    path = tmp_path / f"log{ending}"
    run = logged(start(DOCS, CONFIG, TrainConfig(num_steps=7), evaluation=evaluation), path)
    read = history.read(path)
    assert (read.steps.tolist(), read.losses.tolist()) == (list(range(1, 8)), run.losses)  # in every bit
    assert read.val_losses == run.val_losses and len(run.val_losses) == (3 if evaluation else 0)
    run.save(tmp_path / "run")
    assert read.seconds[-1] > 0 and sorted(read.seconds) == read.seconds.tolist()
    assert read.tokens.tolist() == [
        *itertools.accumulate(min(len(run.corpus[i % len(run.corpus)]) - 1, CONFIG.block_size) for i in range(7))
    ]
    assert history.read(tmp_path / "run") == (*read[:3], None, None) and read == history.read(str(path))


def test_losses_out_of_range(tmp_path):
    run = start(DOCS, CONFIG, TrainConfig(num_steps=2), evaluation=EvalConfig(0.2, 1))
    for ending in history.FORMATS:
        run.losses, run.val_losses = [2.5, 1e308], [(1, math.inf)]
        history.Log(run, str(tmp_path / f"log{ending}")).close()
        assert history.read(tmp_path / f"log{ending}").val_losses == [(1, math.inf)]


@pytest.mark.parametrize(
    "name, text",
    [("log.csv", HEAD + "1,2.5,2.5,0.01,\n2,2.25"), ("log.jsonl", '{"step": 1, "loss": 2.5}\n{"step": 2, "lo')],
)
def test_a_line_that_is_still_being_written_is_left_out(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert history.read(tmp_path / name).losses.tolist() == [2.5]


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("log.csv", "", "'.*log.csv' has no steps yet"),
        ("log.jsonl", "", "'.*log.jsonl' has no steps yet"),
        ("log.csv", HEAD, ".* has no steps yet"),
        ("log.csv", "emma\nolivia\n", ".* is not a log of microgpt train: its first line does not name step and loss"),
        ("log.csv", HEAD + "1,2.5,2.5,0.01,\n2,2.25\n", ".* is damaged, or not a log of microgpt train: see line 3"),
        ("log.csv", HEAD + "1,x,2.5,0.01,\n", ".* see line 2"),
        ("log.csv", HEAD + "1.5,2.5,2.5,0.01,\n", ".* see line 2"),
        ("log.csv", HEAD + "1,2.5,2.5,0.01,x\n", ".* see line 2"),
        ("log.csv", HEAD + "1,2.5,2.5,0.01,\n\n", ".* see line 3"),
        ("log.csv", HEAD + "99999999999999999999,2.5,2.5,0.01,\n", ".* see line 2"),
        ("log.csv", HEAD + "1,2.5,2.5,0.01,\n" + HEAD, ".* see line 3"),
        ("log.csv", HEAD + "2,2.5,2.5,0.01,\n1,2.5,2.5,0.01,\n", ".* is damaged: in line 3, step 1 comes after step 2"),
        ("log.csv", HEAD + "0,2.5,2.5,0.01,\n", ".* in line 2, step 0 comes after step 0"),
        ("log.jsonl", "emma\n", ".* see line 1"),
        ("log.jsonl", "[1, 2.5]\n", ".* see line 1"),
        ("log.jsonl", '{"step": 1}\n', ".* see line 1"),
        ("log.jsonl", '{"step": "1", "loss": 2.5}\n', ".* see line 1"),
        ("log.jsonl", '{"step": 1, "loss": null}\n', ".* see line 1"),
        ("log.jsonl", "[" * 100_000 + "\n", ".* see line 1"),
        ("log.csv", b"\xff\xfe\x00\n", ".* is not a log of microgpt train: .*"),
        ("log.jsonl", b'{"step": 1, "loss": 2.5}\n\xff\n', ".* see line 2"),
        ("emma.txt", "emma\nolivia\n", ".* is not a saved model, or only .*; a log's name ends in .csv or .jsonl"),
    ],
)
def test_what_is_not_a_log(tmp_path, name, text, message):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError) as caught:
        history.read(tmp_path / name)
    assert re.fullmatch(message, str(caught.value)), caught.value


def test_files_without_losses(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file '.*log\.csv'; check the path"):
        history.read(tmp_path / "log.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OSError, match=r"'.*folder\.csv' cannot be read: "):
        history.read(tmp_path / "folder.csv")
    run = train(DOCS, CONFIG, TrainConfig(num_steps=0))
    run.save(tmp_path / "run")
    with pytest.raises(ValueError, match=r"'.*run' has no steps yet"):
        history.read(tmp_path / "run")
    run.model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="is a model without its training; give a run .* or its log"):
        history.read(tmp_path / "model")
