"""What the command line cannot do is one sentence, before training where that can be."""

import pytest

from command_line import SMALL, TEN_NAMES, fail, microgpt_command, succeed

import microgpt
from microgpt import TrainConfig


def test_files_that_cannot_be_used(folder):
    assert fail("sample", "nothing") == "there is no file 'nothing'; check the path"
    assert "'docs.txt' is not a saved model" in fail("sample", "docs.txt")
    assert "'docs.txt' is not a saved model" in fail("train", "docs.txt", "--resume", "docs.txt")
    assert fail("train", "docs.txt", "--out", "no/where") == "--out: there is no folder 'no'; make it first"
    assert fail("train", "docs.txt", "--out", str(folder)) == f"--out: {str(folder)!r} is a folder; name a file in it"
    microgpt.train(TEN_NAMES, training=TrainConfig(num_steps=2)).model.save("m")
    assert "is a model without its training; to train it on, start from it with --init" in fail(
        "train", "docs.txt", "--resume", "m"
    )
    assert "the character 'X' (U+0058) is not in" in fail("sample", "m", "--prompt", "X")
    assert "has room for 15 after BOS" in fail("sample", "m", "--prompt", "a" * 16)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--n-embd", "128", "--engine", "exact"], None),  # where the pure script ends with RecursionError
        (["--n-embd", "64", "--n-layer", "2", "--engine", "exact"], None),
        (
            ["--n-embd", "16", "--n-head", "3"],
            "--n-embd 16 is not divisible by --n-head 3: every head needs the same width",
        ),
        (
            ["--n-embd", "16", "--n-head", "32"],
            "--n-embd 16 is not divisible by --n-head 32: every head needs the same width",
        ),
        (["--temperature", "0"], None),
        (["--learning-rate", "5", "--steps", "1000"], "training diverged at step "),
        (["--learning-rate", "1e200"], "training diverged at step 2 of 2: "),
        (["--val-fraction", "0.99"], "of 10 documents a --val-fraction of 0.99 leaves none to train on"),
    ],
)
def test_the_table_of_bad_input(folder, arguments, message):
    """The rows of the reference's own failures: what worked not at all there works, or is one sentence."""
    done = microgpt_command("train", "docs.txt", "--steps", 2, "--samples", 2, *arguments)
    if message is None:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode in (1, 2) and done.stderr.startswith(f"microgpt: error: {message}"), done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--engine", "fast", "--batch-size", "1000000000"], "a batch of 1,000,000,000 documents takes "),
        (["--threads", "2"], "--threads 2 needs --engine fast; the engine 'exact' computes on one thread"),
        (["--engine", "fast", "--threads", "-1"], "--threads must be at least 1, or 0 for all cores, not -1"),
        (["--engine", "fast", "--eps", "1e-50"], "--eps must be at least 1e-15 on the fast engine, not 1e-50"),
    ],
)
def test_what_cannot_be_done_is_refused_before_training(folder, arguments, message):
    assert message in fail("train", "docs.txt", "--steps", 2, *SMALL, *arguments)


def test_the_log_and_the_model_are_two_files(folder):
    done = microgpt_command("train", "docs.txt", "--steps", 2, *SMALL, "--log", "x.csv", "--out", "x.csv")
    assert done.returncode == 2 and "--log and --out are the same file 'x.csv'; give each its own" in done.stderr


def test_how_many_were_found_before_there_was_no_other(folder):
    succeed("train", "docs.txt", "--steps", 4, *SMALL, "--out", "run")
    options = ("-n", 50, "--unique", "--temperature", 0)
    assert "after 1 of 50" in fail("sample", "run", *options, "--engine", "exact")
    assert "after 1 of 50" in fail("sample", "run", *options, "--engine", "fast")
