"""What is held out of the data, or given by itself, to be measured on: which documents, and what training makes of the others."""

import random
import re
import warnings

import pytest
from command_line import SMALL, TEN_NAMES, fail, microgpt_command, succeed
from hypothesis import given
from hypothesis import strategies as st

import microgpt
from microgpt import CheckpointError, DataWarning, EvalConfig, GPTConfig, TrainConfig
from microgpt.corpus.documents import arrange
from microgpt.display import history
from microgpt.training import start

DOCS = [*TEN_NAMES, "emma", "ava", "emma"]
CONFIG, TRAINING = GPTConfig(n_embd=8, n_head=2), TrainConfig(num_steps=12)
VAL = ["olive", "ama", "mela"]


def texts(run, corpus):
    return [run.model.tokenizer.decode(tokens) for tokens in corpus]


# ---- Which documents ---------------------------------------------------------------------------------------------------


@given(
    docs=st.lists(st.text("ab", max_size=3), min_size=1, max_size=30), fraction=st.floats(0.001, 0.999),
    seed=st.integers(), split_seed=st.integers(),
)  # fmt: skip
def test_no_document_is_on_both_sides(docs, fraction, seed, split_seed):
    evaluation, different = EvalConfig(fraction, split_seed=split_seed), list(dict.fromkeys(docs))
    random.Random(split_seed).shuffle(different)
    count = max(1, round(fraction * len(different)))
    if not any(different[:-count]):
        with pytest.raises(ValueError, match="leaves none to train on"):
            arrange(docs, random.Random(seed), 8, evaluation)
        return
    train, held_out = arrange(docs, random.Random(seed), 8, evaluation)
    assert held_out == different[-count:] and not set(train) & set(held_out)
    others = [doc for doc in docs if doc not in held_out]  # with their repetitions
    random.Random(seed).shuffle(others)
    assert train == others


def test_the_run_s_seed_has_no_say_in_what_is_held_out():
    runs = [start(DOCS, CONFIG, TRAINING, seed=seed, evaluation=EvalConfig(0.3)) for seed in (1, 2)]
    assert len({str(texts(run, run.held_out)) for run in runs}) == 1
    assert len({str(texts(run, run.corpus)) for run in runs}) == 2
    other = start(DOCS, CONFIG, TRAINING, seed=1, evaluation=EvalConfig(0.3, split_seed=7))
    assert set(texts(other, other.held_out)) != set(texts(runs[0], runs[0].held_out))


def test_too_few_documents():
    for docs in (["a"], ["a", "a", "a"]):
        message = "of 1 different document a val_fraction of 0.5 leaves none to train on; give more, or val_docs$"
        with pytest.raises(ValueError, match=message):
            arrange(docs, random.Random(1), 8, EvalConfig(0.5))
    assert sorted(map(len, arrange(["a", "b"], random.Random(1), 8, EvalConfig(0.01)))) == [1, 1]
    with pytest.raises(ValueError, match="of 2 different documents a val_fraction of 0.5 leaves none to train on"):
        for split_seed in range(9):  # where the one that is not held out is empty
            arrange(["a", ""], random.Random(1), 8, EvalConfig(0.5, split_seed=split_seed))


def test_without_a_split_seed_it_is_as_in_version_0_1():
    run = start(DOCS, CONFIG, TRAINING, evaluation=EvalConfig(0.3, split_seed=None))
    shuffled = list(DOCS)
    random.Random(42).shuffle(shuffled)
    assert (texts(run, run.corpus), texts(run, run.held_out)) == (shuffled[:-4], shuffled[-4:])


def test_a_run_without_a_split_seed_goes_on_as_it_began(tmp_path):
    """Also for a script as old as the file, which gives the same EvalConfig and says nothing of a split_seed."""
    path, old = tmp_path / "run", EvalConfig(0.3, 5, split_seed=None)
    whole = microgpt.train(DOCS, CONFIG, TRAINING, evaluation=old)
    microgpt.train(DOCS, CONFIG, TRAINING, evaluation=old, callback=lambda step: step.step == 4).save(path)
    for evaluation in (None, old, EvalConfig(0.3, 5)):
        run = microgpt.train(DOCS, resume=path, evaluation=evaluation)
        assert run.evaluation == old and (run.losses, run.val_losses) == (whole.losses, whole.val_losses)
    with pytest.raises(CheckpointError, match="was started with split_seed None, not 7; omit split_seed"):
        start(DOCS, resume=path, evaluation=EvalConfig(0.3, 5, split_seed=7))
    with pytest.raises(CheckpointError, match="was started with eval_every 5, not 6; omit eval_every"):
        start(DOCS, resume=path, evaluation=EvalConfig(0.3, 6))


# ---- Documents given by themselves -------------------------------------------------------------------------------------


@pytest.mark.parametrize("long", ["truncate", "split"])
def test_documents_given_to_measure_on_change_no_bit_of_the_training(engine, long):
    config = GPTConfig(n_embd=8, n_head=2, block_size=4)
    plain = microgpt.train(DOCS, config, TRAINING, engine=engine, long=long)
    run = microgpt.train(
        DOCS, config, TRAINING, engine=engine, long=long, val_docs=VAL, evaluation=EvalConfig(eval_every=5, patience=9)
    )
    assert run.corpus.tokens == plain.corpus.tokens and run.rng.getstate() == plain.rng.getstate()
    assert run.losses == plain.losses
    assert texts(run, run.held_out) == (VAL if long == "truncate" else ["oliv", "e", "ama", "mela", "ela"])
    assert [step for step, _ in run.val_losses] == [5, 10, 12]


def test_options_that_need_documents_to_measure_on():
    for options in (dict(eval_every=5), dict(patience=5)):
        start(DOCS, evaluation=EvalConfig(**options), val_docs=VAL)
        with pytest.raises(ValueError, match="needs documents to measure on; give a val_fraction too, such as 0.1, or val_docs"):
            start(DOCS, evaluation=EvalConfig(**options))
    with pytest.raises(ValueError, match="val_fraction holds documents out of the data, and val_docs gives others; omit one of them"):
        start(DOCS, evaluation=EvalConfig(0.1), val_docs=VAL)
    with pytest.raises(ValueError, match="split_seed chooses the documents of a val_fraction; omit it, or give a val_fraction"):
        EvalConfig(split_seed=7)


def test_documents_that_cannot_be_measured_on(tmp_path):
    unknown = r"val_docs cannot be measured: the character 'X' \(U\+0058\) is not in .*; leave the documents out that have it"
    with pytest.raises(ValueError, match=unknown + ", or train on some that do$"):
        start(DOCS, val_docs=["emmX"])
    with pytest.raises(ValueError, match=unknown + "$"):  # the vocabulary is the model's: other data would not help
        start(DOCS, val_docs=["emmX"], init=start(DOCS).model)
    with pytest.raises(ValueError, match="there is nothing to measure on"):
        start(DOCS, val_docs=[])
    with pytest.raises(TypeError, match="val_docs must be a list of documents, not 'emma'; load_docs reads one from a file"):
        start(DOCS, val_docs="emma")


def test_documents_that_are_trained_on_too_are_counted():
    with pytest.warns(DataWarning, match="the data to train on have 2 of the 4 documents to measure on as well") as caught:
        run = microgpt.train(DOCS, CONFIG, TRAINING, val_docs=["emma", "ava", "ama", "mela"])
    assert [warning.filename for warning in caught] == [__file__]  # it points at the caller
    assert "on 4 documents of which 2 are trained on as well; " in history.summary(run)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = microgpt.train(DOCS, CONFIG, TRAINING, val_docs=VAL)
    assert "on 3 documents not trained on; " in history.summary(run)[1]


def test_a_run_measured_on_documents_of_its_own_goes_on_with_them(tmp_path):
    path, evaluation = tmp_path / "run", EvalConfig(eval_every=5, patience=9)
    whole = microgpt.train(DOCS, CONFIG, TRAINING, val_docs=VAL, evaluation=evaluation)
    microgpt.train(
        DOCS, CONFIG, TRAINING, val_docs=VAL, evaluation=evaluation, callback=lambda step: step.step == 6
    ).save(path)
    run = microgpt.train(DOCS, resume=path, val_docs=VAL)
    assert (run.losses, run.val_losses, bytes(run.model.params)) == (whole.losses, whole.val_losses, bytes(whole.model.params))
    for docs, val_docs, message in [
        (DOCS, None, "was started with val_docs; give the same documents again"),
        (DOCS, VAL[::-1], "the documents of val_docs are not those that .* was measured on: another text or another order"),
        (DOCS, VAL[:-1], "the documents of val_docs are not those that .* was measured on: another text or another order"),
        (DOCS, ["X"], r"the documents of val_docs are not those that .* was measured on: the character 'X' \(U\+0058\) is not in"),
        (DOCS[::-1], VAL, "the data are not those that .* was trained on: as many documents, but another text"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            start(docs, resume=path, val_docs=val_docs)
    start(DOCS, CONFIG, TRAINING, evaluation=EvalConfig(0.2)).save(path)
    with pytest.raises(CheckpointError, match="was started without val_docs; omit val_docs, or begin a new run"):
        start(DOCS, resume=path, val_docs=VAL)


# ---- On the command line -----------------------------------------------------------------------------------------------


def test_a_file_to_measure_on(folder):
    (folder / "val.txt").write_text("olive\nemma\n", encoding="utf-8")
    options = ["train", "docs.txt", "--val", "val.txt", "--steps", 12, "--eval-every", 5, "--patience", 9, *SMALL, "--out", "run"]
    done = microgpt_command(*options)
    plain = succeed("train", "docs.txt", "--steps", 12, *SMALL)
    assert done.stdout.splitlines()[:15] == plain.splitlines()[:15]  # to the last step
    note, loss, held_out = done.stderr.splitlines()
    assert note == "microgpt: the data to train on have 1 of the 2 documents to measure on as well"
    assert re.match(r"microgpt: held-out loss \d\.\d{4} after step 12, on 2 documents of which 1 are trained on as well; ", held_out)
    resume = ["train", "docs.txt", "--resume", "run"]
    assert microgpt_command(*resume, "--val", "val.txt").stdout.endswith(done.stdout[-200:])
    assert "'run' was started with --val; give the same documents again" in fail(*resume)
    (folder / "val.txt").write_text("olive\n", encoding="utf-8")
    assert "the documents of --val are not those that 'run' was measured on: another text" in fail(*resume, "--val", "val.txt")
    (folder / "val.txt").write_text("olivX\n", encoding="utf-8")
    assert "--val cannot be measured: the character 'X' (U+0058)" in fail("train", "docs.txt", "--val", "val.txt")
    assert "there is no file 'nemo'; check the path" in fail("train", "docs.txt", "--val", "nemo")
    succeed("train", "docs.txt", "--steps", 1, *SMALL, "--out", "plain")
    (folder / "val.txt").write_text("olive\n", encoding="utf-8")
    found = fail("train", "docs.txt", "--resume", "plain", "--val", "val.txt")
    assert "'plain' was started without --val; omit --val, or begin a new run" in found


def test_the_seed_of_the_split(folder):
    options = ["train", "docs.txt", "--steps", 5, *SMALL, "--val-fraction", 0.3]
    held_out = [microgpt_command(*options, "--split-seed", seed).stderr for seed in (42, 1)]
    assert held_out[0] == microgpt_command(*options).stderr != held_out[1]
    succeed(*options, "--split-seed", 1, "--out", "run")
    found = fail("train", "docs.txt", "--resume", "run", "--split-seed", 2)
    assert "'run' was started with --split-seed 1, not 2; omit --split-seed, or begin a new run" in found
