"""The message about a run that diverged or has hardly learned anything, on every engine, before samples are printed."""

import math
import os
import subprocess
from collections import Counter

import pytest
from command_line import SMALL, driver, environment, microgpt_command, without_comment
from command_line import TEN_NAMES as DOCS

import microgpt
from microgpt import GPTConfig, Tokenizer, TrainConfig, verdict
from microgpt.corpus.tokens import Corpus, Windows

CONFIG = GPTConfig(n_embd=8, n_head=2)


def train(*arguments):
    """`microgpt train`, with the comments on stderr that microgpt_command removes."""
    return subprocess.run(driver("", "train", *map(str, arguments)), capture_output=True, encoding="utf-8", env=environment())


@pytest.mark.parametrize("engine", ["fast", "graph", "exact", "python"])
def test_divergence_is_said_before_the_samples(folder, engine):
    """With a rate of 3, a run in float32 continues with losses in the thousands; in float64, log of 0 ends it. Both give a message."""
    done = train("docs.txt", "--learning-rate", 3, "--steps", 60, "--engine", engine, *SMALL)
    assert "training diverged" in done.stderr and "is far too large" in done.stderr and "; try 0.01\n" in done.stderr
    if done.returncode == 0:
        assert engine == "fast" and "the mean loss of the last 60 steps is " in done.stderr
    else:
        assert "inference" not in done.stdout


@pytest.mark.parametrize("engine", microgpt.engines.EXACT)
def test_divergence_with_finite_losses(engine):
    """The same on every engine, and the run continues, like the reference."""
    training = TrainConfig(num_steps=12, learning_rate=0.4)
    with pytest.warns(microgpt.TrainingWarning, match="training diverged: .* is 9.866, and guessing .* below 0.4 or a smaller init_std$"):
        run = microgpt.train(DOCS, CONFIG, training, engine=engine)
    assert run.finished and run.diverged and all(map(math.isfinite, run.losses))
    assert not microgpt.train(DOCS, CONFIG, TrainConfig(num_steps=12), engine="exact").diverged


def test_the_rule():
    guessing = math.log(27)
    assert not verdict.diverged([], 27) and not verdict.diverged([3.0, *[9.0] * 8], 27) and verdict.diverged([3.0, *[9.0] * 9], 27)
    assert not verdict.diverged([5.0] * 10, 27)  # no worse than at the start
    assert verdict.diverged([3.3, *[5.0] * 100], 27) and not verdict.diverged([3.3, *[4.9] * 100], 27)
    assert verdict.diverged([1.0, *[5.0] * 100], 27) and not verdict.diverged([1.0, *[4.9] * 100], 27)
    assert not verdict.diverged([3.3, *[50.0] * 10, *[2.5] * 100], 27)  # it has recovered
    assert "is untrained" in verdict.complaint([], 27)
    assert verdict.complaint([guessing - 0.01], 27) is None and "guessing at random has 3.296" in verdict.complaint([guessing + 0.01], 27)
    assert verdict.complaint([2.8], 27, 2.81) is None
    assert verdict.complaint([1e-9], 2, Windows("x" * 9, Tokenizer("x"), 4, 0).entropy()) is None  # a text of one character, memorized
    assert verdict.complaint([2.82], 27, 2.81) == (
        "the model has hardly learned anything: the mean loss of the last 1 step is 2.82, and the frequencies of the characters "
        "alone give 2.81"
    )


def test_train_warns_of_divergence():
    training = TrainConfig(num_steps=50, learning_rate=3)
    with pytest.warns(microgpt.TrainingWarning, match="training diverged: the mean loss of .* is far too large, .*; try 0.01$"):
        run = microgpt.train(DOCS, CONFIG, training, engine="fast")
    assert run.diverged
    assert not microgpt.train(DOCS, CONFIG, TrainConfig(num_steps=5), engine="fast").diverged


def test_samples_of_a_model_that_has_hardly_learned(folder):
    done = train("docs.txt", "--steps", 0, *SMALL, "--out", "run")
    assert done.returncode == 0 and "microgpt: the model is untrained, so its samples are random; train for more --steps" in done.stderr
    assert "the model is untrained" in subprocess.run(driver("", "sample", "run"), capture_output=True, encoding="utf-8").stderr
    assert train("docs.txt", "--steps", 0, *SMALL, "--samples", 0, "--out", "run").stderr == ""
    done = train("docs.txt", "--steps", 3, *SMALL)
    assert "the model has hardly learned anything: the mean loss of the last 3 steps is " in done.stderr
    assert train("docs.txt", "--steps", 300, *SMALL, "--out", "run").stderr == ""
    assert microgpt_command("sample", "run", "-n", 2).stderr == ""
    microgpt.load("run").save("model")
    assert microgpt_command("sample", "model", "-n", 2).stderr == ""  # a model alone has no losses
    succeeded = train("docs.txt", "--steps", 0, *SMALL, "--init", "model")
    assert "untrained" not in succeeded.stderr


@pytest.mark.parametrize("letters", [2, 26, 255, 256, 300])
def test_the_entropy_of_the_characters(letters):
    docs = ["".join(chr(200 + i % letters) for i in range(k, k + k % 7 + 1)) for k in range(3 * letters)]
    tokenizer = Tokenizer.from_docs(docs)
    corpus = Corpus(docs, tokenizer)
    counts = Counter(corpus.tokens)
    expected = -sum(n / len(corpus.tokens) * math.log(n / len(corpus.tokens)) for n in counts.values())
    assert corpus.entropy() == pytest.approx(expected, rel=1e-12)


@pytest.mark.skipif(not os.environ.get("MICROGPT_NAMES"), reason="MICROGPT_NAMES does not name a copy of names.txt")
@pytest.mark.parametrize("preset", ["current", "first"])
def test_nothing_is_said_of_the_published_runs(preset):
    done = subprocess.run(driver("", "train", "--preset", preset), capture_output=True, encoding="utf-8",
                          env=environment(MICROGPT_NAMES=os.environ["MICROGPT_NAMES"]))  # fmt: skip
    assert (done.returncode, without_comment(done.stderr)) == (0, "") and "hardly" not in done.stderr
