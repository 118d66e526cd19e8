"""Copies, by copy and by pickle, in this process and in others: they have the same bits and go on alike."""

import copy
import pickle
import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from test_access import DOCS, SMALL

from microgpt import GPT, PRESETS, DivergenceError, EvalConfig, GPTConfig, Step, Tokenizer, TrainConfig, train
from microgpt.config import SampleConfig
from microgpt.corpus.tokens import Corpus
from microgpt.engines import ENGINES
from microgpt.training import Interrupted, start

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
WAYS = {"copy": copy.copy, "deepcopy": copy.deepcopy} | {
    f"pickle{protocol}": lambda thing, protocol=protocol: pickle.loads(pickle.dumps(thing, protocol)) for protocol in PROTOCOLS
}
OPTIONS = dict(batch_size=2, weight_decay=0.1, clip_norm=1.0, schedule="cosine")


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def copied(request):
    return request.param


def shown(run):
    """All that a run is, to the last bit."""
    return (
        [loss.hex() for loss in run.losses], run.val_losses, run.model.params.tobytes(), run.rng.getstate(), run.fingerprint(),
        [moments.tobytes() for moments in run.model.engine.moments()], run._best_params, run.seed, run.long,
        run.training, run.evaluation, run.model.config, run.model.tokenizer, run.model.engine.name, run.model.engine.threads,
    )  # fmt: skip


# ---- Models and runs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_a_copied_model_is_the_same_and_has_its_own_weights(copied, engine):
    model = train(DOCS, SMALL, TrainConfig(num_steps=2), engine=engine, threads=2 if engine == "fast" else 1).model
    twin = copied(model)
    assert twin.params.tobytes() == model.params.tobytes() and twin.generate(3, seed=1) == model.generate(3, seed=1)
    assert (twin.engine.name, twin.engine.threads) == (engine, model.engine.threads)
    assert (twin.config, twin.tokenizer) == (model.config, model.tokenizer)
    before = model.loss("emma")
    for i in range(len(twin.params)):
        twin.params[i] = 0.0
    assert model.loss("emma") == before != twin.loss("emma")


def test_what_users_add_to_a_model_is_copied(copied):
    twin = copied(named())
    assert type(twin) is Named and twin.label == "mine" and twin.loss("emma") == named().loss("emma")


class Named(GPT):
    """A subclass with an attribute, as users write them."""

    def __init__(self, label, *arguments):
        super().__init__(*arguments)
        self.label = label


def named():
    model = GPT.init(SMALL, Tokenizer.from_docs(DOCS), random.Random(1))
    return Named("mine", model.config, model.tokenizer, model.params)


@pytest.mark.parametrize("engine, done", [("graph", 3), ("exact", 0), ("exact", 3), ("exact", 8), ("fast", 0), ("fast", 3), ("fast", 8)])
def test_a_copied_run_goes_on_alike(copied, engine, done):
    """As does the one that was copied, which the copy leaves alone."""

    def fresh():
        run = start(
            DOCS, SMALL, TrainConfig(num_steps=8, **OPTIONS), engine=engine, threads=2 if engine == "fast" else 1,
            evaluation=EvalConfig(0.2, eval_every=2, patience=3),
        )  # fmt: skip
        if done:
            run.train(lambda step: step.step == done)
        return run

    expected, run = fresh(), fresh()
    twin = copied(run)
    assert shown(twin) == shown(run) == shown(expected)
    for each in (expected, twin):
        each.train()
    assert shown(twin) == shown(expected) and twin.generate(3) == expected.generate(3)
    assert shown(run) == shown(fresh())
    run.train()
    assert run.generate(3) and run.losses == expected.losses


def test_a_run_and_its_model_are_copied_together():
    run = train(DOCS, SMALL, TrainConfig(num_steps=2))
    model, twin, documents = pickle.loads(pickle.dumps((run.model, run, run.corpus)))
    assert twin.model is model and twin.corpus is documents


def test_a_run_is_pickled_in_its_callback_and_not_from_elsewhere():
    run = start(DOCS, SMALL, TrainConfig(num_steps=4))
    twins = []
    run.train(lambda step: twins.append(pickle.dumps(run)))
    for i, twin in enumerate(map(pickle.loads, twins), 1):
        assert len(twin.losses) == i
        twin.train()
        assert shown(twin) == shown(run)


def test_the_other_public_things(copied):
    docs = ["é😀", "a"]
    tokenizer = Tokenizer.from_docs(docs, bos_first=True)
    for thing in (tokenizer, GPTConfig(), TrainConfig(), EvalConfig(0.1), SampleConfig(), PRESETS, Step(1, 2, 0.5, 0.1)):
        twin = copied(thing)
        assert (twin, type(twin)) == (thing, type(thing))
    assert copied(tokenizer).document("é😀a") == tokenizer.document("é😀a")
    corpus = Corpus(docs, tokenizer)
    twin = copied(corpus)
    assert [twin[i] for i in range(len(twin))] == [corpus[i] for i in range(2)]


@pytest.mark.parametrize(
    "damage", [{"params": b"1234"}, {"config": GPTConfig(n_embd=4, n_head=1)}, {"engine": "none"}, {"threads": "2"}, {"tokenizer": None}]
)
def test_a_damaged_model_is_an_error(damage):
    model = named()
    with pytest.raises((ValueError, TypeError, AttributeError)):
        GPT.__new__(GPT).__setstate__(model.__getstate__() | damage)


def test_errors_are_copied_as_they_are(copied):
    run = train(DOCS, SMALL, TrainConfig(num_steps=2))
    for error in (DivergenceError(run, ValueError("because")), Interrupted(run)):
        twin = copied(error)
        assert (type(twin), str(twin), sorted(vars(twin))) == (type(error), str(error), sorted(vars(error)))
    assert copied(DivergenceError(run, "")).losses == run.losses and shown(copied(Interrupted(run)).run) == shown(run)


# ---- Other processes -------------------------------------------------------------------------------------------------


def work(what):
    if what == "diverge":
        return train(DOCS, SMALL, TrainConfig(num_steps=50, learning_rate=1e300))
    run = train(DOCS, SMALL, TrainConfig(num_steps=3), engine=what)
    return run, run.model


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_return_runs_models_and_errors(method):
    try:
        context = get_context(method)
    except ValueError:
        pytest.skip(f"no {method} here")
    with ProcessPoolExecutor(2, context) as processes:
        for name, (run, model) in zip(ENGINES, processes.map(work, ENGINES)):
            here = work(name)[0]
            assert shown(run) == shown(here) and run.model is model and model.generate(2, seed=1) == here.model.generate(2, seed=1)
        with pytest.raises(DivergenceError, match="training diverged at step") as caught:
            processes.submit(work, "diverge").result()
        assert caught.value.step == len(caught.value.losses) + 1
