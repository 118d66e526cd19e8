"""One training step of the default model on each engine, and loading, encoding and sampling around it.

    pytest benchmarks/bench_step.py
"""

import random

import pytest

from microgpt import TrainConfig, engines, train
from microgpt.corpus.tokens import Corpus
from microgpt.tokenizer import Tokenizer
from microgpt.training import start

TRAINING = TrainConfig(num_steps=10_000)


@pytest.fixture(scope="module")
def expected(docs):
    """The pure reference's first losses."""
    return train(docs, training=TRAINING, engine="python", callback=lambda step: step.step == 3).losses


@pytest.mark.parametrize("engine", engines.EXACT)
@pytest.mark.benchmark(group="training step")
def bench_step(benchmark, docs, expected, engine):
    run = start(docs, training=TRAINING, engine=engine)
    losses, train_steps = [], run.model.engine.train
    train_steps(run.corpus, range(3), TRAINING, losses)
    assert losses == expected
    portion = {"python": 1, "graph": 10}.get(engine, 100)

    def steps():
        train_steps(run.corpus, range(portion), TRAINING, losses)

    benchmark.extra_info["steps a round"] = portion
    benchmark(steps)


@pytest.mark.parametrize("engine", engines.EXACT)
@pytest.mark.benchmark(group="sampling ten names")
def bench_sampling(benchmark, docs, engine):
    run = start(docs, engine=engine)
    pure = start(docs, engine="python")
    assert run.model.generate(3, seed=1) == pure.model.generate(3, seed=1)
    rng = random.Random(1)
    benchmark(run.model.generate_from, rng, 10)


@pytest.mark.benchmark(group="documents to tokens")
def bench_corpus(benchmark, docs):
    tokenizer = Tokenizer.from_docs(docs)
    assert Corpus(docs, tokenizer)[100] == tokenizer.document(docs[100])
    benchmark(Corpus, docs, tokenizer)
