"""Held-out documents, taken from the data or given separately: which they are, and the effect on training."""

import math
import operator
import random
import re
import warnings
from array import array

import pytest
from command_line import SMALL, TEN_NAMES, fail, microgpt_command, succeed
from hypothesis import given
from hypothesis import strategies as st

import microgpt
from microgpt import GPT, CheckpointError, DataWarning, EvalConfig, GPTConfig, Tokenizer, TrainConfig, reference
from microgpt.corpus.documents import arrange
from microgpt.corpus.tokens import Corpus
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
    others = [doc for doc in docs if doc not in held_out]  # including repetitions
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
        for split_seed in range(9):  # cases in which the only document not held out is empty
            arrange(["a", ""], random.Random(1), 8, EvalConfig(0.5, split_seed=split_seed))


def test_without_a_split_seed_it_is_as_in_version_0_1():
    run = start(DOCS, CONFIG, TRAINING, evaluation=EvalConfig(0.3, split_seed=None))
    shuffled = list(DOCS)
    random.Random(42).shuffle(shuffled)
    assert (texts(run, run.corpus), texts(run, run.held_out)) == (shuffled[:-4], shuffled[-4:])


def test_a_run_without_a_split_seed_goes_on_as_it_began(tmp_path):
    """Also for a script as old as the file, which passes the same EvalConfig without a split_seed."""
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


# ---- Documents given separately -------------------------------------------------------------------------------------


@pytest.mark.parametrize("long_docs", ["truncate", "split"])
def test_documents_given_to_measure_on_change_no_bit_of_the_training(engine, long_docs):
    config = GPTConfig(n_embd=4, n_head=2, block_size=4)
    plain = microgpt.train(DOCS, config, TRAINING, engine=engine, long_docs=long_docs)
    run = microgpt.train(
        DOCS, config, TRAINING, engine=engine, long_docs=long_docs, val_docs=VAL, evaluation=EvalConfig(eval_every=5, patience=9)
    )
    assert run.corpus.tokens == plain.corpus.tokens and run.rng.getstate() == plain.rng.getstate()
    assert run.losses == plain.losses
    assert texts(run, run.held_out) == (VAL if long_docs == "truncate" else ["oliv", "e", "ama", "mela", "ela"])
    assert [step for step, _ in run.val_losses] == [5, 10, 12]


def test_options_that_need_documents_to_measure_on():
    for options in (dict(eval_every=5), dict(patience=5), dict(eval_docs=5), dict(val_mean="documents")):
        start(DOCS, evaluation=EvalConfig(**options), val_docs=VAL)
        with pytest.raises(ValueError, match="needs documents to measure on; give a val_fraction too, such as 0.1, or val_docs"):
            start(DOCS, evaluation=EvalConfig(**options))
    with pytest.raises(ValueError, match="val_fraction and val_docs both give documents to measure on; omit one of them"):
        start(DOCS, evaluation=EvalConfig(0.1), val_docs=VAL)
    with pytest.raises(ValueError, match="split_seed chooses the held-out documents; omit it, or give a val_fraction too"):
        EvalConfig(split_seed=7)


def test_documents_that_cannot_be_measured_on(tmp_path):
    unknown = r"val_docs cannot be measured: the character 'X' \(U\+0058\) is not in .*; omit the documents that have it"
    with pytest.raises(ValueError, match=unknown + ", or also train on some that have it$"):
        start(DOCS, val_docs=["emmX"])
    with pytest.raises(ValueError, match=unknown + "$"):  # the vocabulary is that of the model, so other data would not help
        start(DOCS, val_docs=["emmX"], init=start(DOCS).model)
    with pytest.raises(ValueError, match="there is nothing to measure on"):
        start(DOCS, val_docs=[])
    with pytest.raises(TypeError, match="val_docs must be a list of documents, not 'emma'; load_docs reads one from a file"):
        start(DOCS, val_docs="emma")


def test_documents_that_are_trained_on_too_are_counted():
    with pytest.warns(DataWarning, match="the data to train on also have 2 of the 4 documents to measure on") as caught:
        run = microgpt.train(DOCS, CONFIG, TRAINING, val_docs=["emma", "ava", "ama", "mela"])
    assert [warning.filename for warning in caught] == [__file__]  # the warning points to the caller
    assert "on 4 documents of which 2 are also trained on; " in history.summary(run)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = microgpt.train(DOCS, CONFIG, TRAINING, val_docs=VAL)
    assert "on 3 documents not trained on; " in history.summary(run)[1]


def test_a_run_measured_on_documents_of_its_own_goes_on_with_them(tmp_path):
    path, evaluation = tmp_path / "run", EvalConfig(eval_every=5, patience=9)
    whole = microgpt.train(DOCS, CONFIG, TRAINING, val_docs=VAL, evaluation=evaluation)
    microgpt.train(DOCS, CONFIG, TRAINING, val_docs=VAL, evaluation=evaluation, callback=lambda step: step.step == 6).save(path)
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
    with pytest.raises(CheckpointError, match="was started without val_docs; omit val_docs, or start a new run"):
        start(DOCS, resume=path, val_docs=VAL)


# ---- How it is measured ------------------------------------------------------------------------------------------------


@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=70), block_size=st.integers(1, 9), first=st.integers(0, 69),
    threads=st.integers(1, 3), activation=st.sampled_from(sorted(reference.ACTIVATIONS)), seed=st.integers(0, 9),
)  # fmt: skip
def test_the_losses_of_documents(lengths, block_size, first, threads, activation, seed):
    """For any documents and number of threads, the losses are those of the exact engine, in float32 for the engine fast."""
    rng = random.Random(seed)
    docs = ["".join(rng.choices("abc", k=n)) for n in lengths]
    config, tokenizer = GPTConfig(n_layer=2, n_embd=4, n_head=2, block_size=block_size, activation=activation), Tokenizer("abc")
    corpus, model = Corpus(docs, tokenizer), GPT.init(config, tokenizer, rng)
    which = range(min(first, len(docs) - 1), len(docs))
    expected = list(map(model.token_loss, corpus))
    assert GPT(config, tokenizer, model.params, "exact", threads).engine.losses(corpus, which) == expected[which.start :]
    fast = GPT(config, tokenizer, model.params, "fast", threads).engine
    measured = fast.losses(corpus, range(len(docs)))
    assert measured == pytest.approx(expected, rel=1e-5) and fast.losses(corpus, which) == measured[which.start :]


def test_losses_that_are_infinite(engine):
    """An infinite loss affects neither the other documents nor later measurements."""
    model = GPT.init(CONFIG, Tokenizer.from_docs(DOCS), random.Random(1), engine)
    corpus, before = Corpus(DOCS, model.tokenizer), array("d", model.params)
    for i in range(CONFIG.n_embd):
        model.state_dict()["lm_head"][model.tokenizer.encode("m")[0], i] *= 1e5  # others' probabilities underflow
    losses = model.engine.losses(corpus, range(len(DOCS)))
    assert losses == list(map(model.token_loss, corpus)) and math.inf in losses
    model.params[:] = before
    fast = GPT(CONFIG, model.tokenizer, model.params, "fast").engine
    good = fast.losses(corpus, range(len(DOCS)))
    model.state_dict()["wpe"][4, 0] = 1e300  # infinite in float32
    assert [math.isinf(loss) for loss in fast.losses(corpus, range(len(DOCS)))] == [len(doc) > 3 for doc in DOCS]
    model.params[:] = before
    assert fast.losses(corpus, range(len(DOCS))) == good


@pytest.mark.parametrize("name", ["exact", "fast"])
def test_the_mean_over_tokens_and_over_documents(name):
    means = {}
    for mean in ("tokens", "documents"):
        evaluation = EvalConfig(0.5, 5, val_mean=mean, eval_docs=4)
        run = microgpt.train(DOCS, CONFIG, TRAINING, engine=name, evaluation=evaluation)
        losses = run.model.engine.losses(run.held_out, range(4))
        means[mean] = run.val_losses[-1][1]
        assert run.measured == 4 < len(run.held_out) and run.evaluate() == means[mean]
    n = [len(tokens) - 1 for tokens in run.held_out][:4]
    assert means["documents"] == math.fsum(losses) / 4
    assert means["tokens"] == math.fsum(map(operator.mul, losses, n)) / sum(n) != means["documents"]
    assert "on the first 4 of 5 documents not trained on" in history.summary(run)[1]


@given(
    num_steps=st.integers(0, 10**7), batch_size=st.integers(1, 100), n_docs=st.integers(1, 10**5),
    docs=st.none() | st.integers(1, 10**4), every=st.none() | st.integers(1, 10**4),
)  # fmt: skip
def test_how_often_and_on_how_many_documents(num_steps, batch_size, n_docs, docs, every):
    training = TrainConfig(num_steps=num_steps, batch_size=batch_size)
    evaluation = EvalConfig(0.1, every, eval_docs=docs)
    measured = evaluation.documents(training, n_docs)
    found, trained = evaluation.every(training, measured), num_steps * batch_size
    assert 1 <= measured <= n_docs and found >= 1
    if every is not None:
        assert found == every and measured == min(docs or n_docs, n_docs)
        return
    times = -(-num_steps // found)  # including the one after the last step
    assert times <= 100 and (times <= 1 or times * measured <= 0.4 * trained)
    if docs is None:
        assert measured <= max(1, 0.4 * trained) and (measured >= min(500, n_docs) or trained <= 1250)


def test_more_steps_are_measured_on_the_same_documents(tmp_path):
    docs = [f"{a}{b}" for a in "abcdefghij" for b in "abcdefghij"]
    run = microgpt.train(docs, CONFIG, TrainConfig(num_steps=50), evaluation=EvalConfig(0.5))
    assert (run.measured, run.eval_every, [step for step, _ in run.val_losses]) == (20, 50, [50])
    run.save(tmp_path / "run")
    more = microgpt.train(docs, training=TrainConfig(num_steps=200), resume=tmp_path / "run")
    assert (more.measured, more.eval_every, [step for step, _ in more.val_losses]) == (20, 50, [50, 100, 150, 200])


def test_a_script_as_old_as_the_file_goes_on(tmp_path):
    """The file lacks eval_every, which was 100 then, and newer options; the run continues as it began."""
    old = EvalConfig.saved({"val_fraction": 0.3, "patience": None})
    assert (old.eval_every, old.split_seed, old.val_mean) == (100, None, "documents")
    microgpt.train(DOCS, CONFIG, TRAINING, evaluation=old, callback=lambda step: step.step == 4).save(tmp_path / "run")
    assert start(DOCS, resume=tmp_path / "run", evaluation=EvalConfig(0.3)).evaluation == old
    with pytest.raises(CheckpointError, match="was started with val_fraction 0.3, not 0.2; omit val_fraction"):
        start(DOCS, resume=tmp_path / "run", evaluation=EvalConfig(0.2))


# ---- On the command line -----------------------------------------------------------------------------------------------


def test_a_file_to_measure_on(folder):
    (folder / "val.txt").write_text("olive\nemma\n", encoding="utf-8")
    options = ["train", "docs.txt", "--val", "val.txt", "--steps", 12, "--eval-every", 5, "--patience", 9, *SMALL, "--out", "run"]
    done = microgpt_command(*options)
    plain = succeed("train", "docs.txt", "--steps", 12, *SMALL)
    assert done.stdout.splitlines()[:15] == plain.splitlines()[:15]  # to the last step
    note, loss, held_out = done.stderr.splitlines()
    assert note == "microgpt: the data to train on also have 1 of the 2 documents to measure on"
    assert re.match(r"microgpt: held-out loss \d\.\d{4} per token after step 12, on 2 documents of which 1 are also trained on; ", held_out)
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
    assert "'plain' was started without --val; omit --val, or start a new run" in found


def test_the_seed_of_the_split(folder):
    options = ["train", "docs.txt", "--steps", 5, *SMALL, "--val-fraction", 0.3]
    held_out = [microgpt_command(*options, "--split-seed", seed).stderr for seed in (42, 1)]
    assert held_out[0] == microgpt_command(*options).stderr != held_out[1]
    succeed(*options, "--split-seed", 1, "--out", "run")
    found = fail("train", "docs.txt", "--resume", "run", "--split-seed", 2)
    assert "'run' was started with --split-seed 1, not 2; omit --split-seed, or start a new run" in found


def test_a_run_that_holds_nothing_out_has_nothing_to_measure_on():
    run = microgpt.train(["emma"], training=TrainConfig(num_steps=1))
    with pytest.raises(ValueError, match="no documents are held out to measure on; start the run with a val_fraction"):
        run.evaluate()
