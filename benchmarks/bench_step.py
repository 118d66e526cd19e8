"""Training and sampling with the default model on each engine, in seconds per document and per character.

    pytest benchmarks/bench_step.py

A document is one of mean length, as in `microgpt bench`. An exact engine takes one document per step, `fast` sixteen.
"""

import math
import random
import statistics
from dataclasses import replace

import pytest
from clock import Clock

from microgpt import TrainConfig, engines, train
from microgpt.corpus.tokens import Corpus
from microgpt.proof.bench import ROUNDING, WARM_UP_STEPS
from microgpt.tokenizer import Tokenizer
from microgpt.training import start

TRAINING = TrainConfig(num_steps=10_000)
STEPS = {"python": 10, "graph": 200, "exact": 2_000, "fast": 400}  # of a round
DOCUMENTS = {"python": 20, "graph": 500, "exact": 2_000, "fast": 20_000}  # of a round of sampling
ROUNDS = {"python": 3}  # others take 15
clock = Clock()


@pytest.fixture(scope="module")
def expected(docs):
    """The pure reference's first losses."""
    return train(docs, training=TRAINING, engine="python", callback=lambda step: step.step == 3).losses


@pytest.mark.parametrize("engine", engines.ENGINES)
@pytest.mark.benchmark(group="training, a document", timer=clock)
def bench_training(benchmark, own_heap, docs, expected, engine):
    kind = engines.engine_class(engine)
    training = replace(TRAINING, batch_size=kind.batch_size)
    checked = start(docs, training=TRAINING, engine=engine)
    checked.train(lambda step: step.step == 3)
    rounding = 0.0 if kind.exact else ROUNDING
    assert all(math.isclose(got, loss, rel_tol=rounding) for got, loss in zip(checked.losses, expected, strict=True))

    run = start(docs, training=training, engine=engine)
    steps, losses = range(STEPS[engine]), []
    block_size = run.model.config.block_size
    length = lambda i: run.corpus.predictions(i, block_size)
    tokens = sum(length(i) for step in steps for i in training.batch(step, len(run.corpus)))
    clock.units = tokens / statistics.mean(map(length, range(len(run.corpus))))
    run.model.engine.train(run.corpus, range(WARM_UP_STEPS), training, losses)
    benchmark.pedantic(run.model.engine.train, (run.corpus, steps, training, losses), rounds=ROUNDS.get(engine, 15))


@pytest.mark.parametrize("engine", engines.ENGINES)
@pytest.mark.benchmark(group="sampling, a character", timer=clock)
def bench_sampling(benchmark, own_heap, docs, expected, engine):
    model, pure = start(docs, engine=engine).model, start(docs, engine="python").model
    assert model.generate_from(random.Random(1), 3) == pure.generate_from(random.Random(1), 3)
    n = DOCUMENTS[engine]
    clock.units = sum(map(len, model.generate(n, seed=1)))
    benchmark.pedantic(model.generate, (n,), {"seed": 1}, rounds=ROUNDS.get(engine, 15))


@pytest.mark.benchmark(group="documents to tokens")
def bench_corpus(benchmark, docs):
    tokenizer = Tokenizer.from_docs(docs)
    assert Corpus(docs, tokenizer)[100] == tokenizer.document(docs[100])
    benchmark(Corpus, docs, tokenizer)
