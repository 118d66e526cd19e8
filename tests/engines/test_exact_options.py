"""The exact engine's batches, clipping and weight decay, compared with the compiled graph and, a few times, with pure Python."""

import math
import random
import subprocess
import sys

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from models import ALPHABET, PATHS, bits, documents, few, fresh, models, outcome

from microgpt import engines
from microgpt.config import GPTConfig, TrainConfig
from microgpt.corpus.tokens import Corpus
from microgpt.reference import SCHEDULES
from microgpt.tokenizer import Tokenizer


@st.composite
def trainings(draw, rates=(0.0, 1e-5, 0.01, 0.3), num_steps=3):
    return TrainConfig(
        num_steps=num_steps,
        learning_rate=draw(st.sampled_from(rates)),
        batch_size=draw(st.integers(1, 5)),
        schedule=draw(st.sampled_from([*SCHEDULES])),
        warmup_steps=draw(st.integers(0, max(0, min(4, num_steps - 1)))),
        clip_norm=draw(st.sampled_from([None, 5e-324, 1e-160, 1e-9, 0.01, 0.3, 1, 2.5, 30.0, 1e9, 1e300])),
        weight_decay=draw(st.sampled_from([0, 0.0, 1e-3, 0.1, 1, 30.0, 1e300])),
    )


def made(engine, config, docs, seed):
    tokenizer = Tokenizer.from_docs(docs, config.bos_first)
    params = fresh(config, tokenizer.vocab_size, seed)
    return engines.create(engine, config, tokenizer.vocab_size, memoryview(params)), Corpus(docs, tokenizer)


def graph_gradients(config, docs, training, step=0, seed=1):
    """The loss and the gradients of the batch of a step, in parameter order."""
    engine, corpus = made("graph", config, docs, seed)
    loss = engine.ops.batch_loss([corpus[i] for i in training.batch(step, len(docs))], engine.matrices, config)
    loss.backward()
    return loss.data, [float(value.grad) for value in engine.values]


@few
@given(models(), documents, st.integers(1, 7), st.integers(0, 20), st.integers(0, 2**32))
def test_every_gradient_of_a_batch(on_path, config, docs, batch_size, step, seed):
    training = TrainConfig(batch_size=batch_size)
    try:
        loss, gradients = graph_gradients(config, docs, training, step, seed)
    except (ArithmeticError, ValueError):
        reject()
    for path in PATHS:
        on_path(*path)
        engine, corpus = made("exact", config, docs, seed)
        assert bits([engine.network.backward(corpus, step, training)]) == bits([loss]), path
        assert bits(engine.network.gradients) == bits(gradients), path


@few
@given(models(), documents, trainings(), st.integers(0, 2**32))
def test_a_few_steps(on_path, config, docs, training, seed):
    expected = outcome("graph", config, docs, training, seed)
    for path in PATHS:
        on_path(*path)
        assert outcome("exact", config, docs, training, seed) == expected, path


@settings(few, max_examples=6)
@given(models(widest=4), documents, trainings(), st.integers(0, 2**32))
def test_a_few_steps_of_the_pure_engine(on_path, config, docs, training, seed):
    expected = outcome("python", config, docs, training, seed)
    for path in PATHS:
        on_path(*path)
        assert outcome("exact", config, docs, training, seed) == expected, path


@few
@given(
    models(widest=4),
    st.lists(st.text(ALPHABET[:3], min_size=1, max_size=3), min_size=1, max_size=4),
    trainings([0.1, 1, 1e3, 1e20, 1e80, 1e155, 1e300], num_steps=6),
    st.floats(-160, 80),
    st.integers(0, 99),
)
def test_extremes_end_as_in_the_reference(on_path, config, docs, training, std, seed):
    """Up to divergence: the same losses before it, the same error, and the same parameters after it."""
    config = GPTConfig(config.n_layer, config.n_embd, config.n_head, min(config.block_size, 3), config.activation, 10.0**std)
    expected = outcome("graph", config, docs, training, seed)
    for path in PATHS:
        on_path(*path)
        assert outcome("exact", config, docs, training, seed) == expected, path


@pytest.mark.parametrize("config", [GPTConfig(n_embd=8, n_head=2, block_size=6), GPTConfig(n_embd=5, n_head=1, n_layer=2)], ids=["8", "5"])
def test_clipping_next_to_the_norm(on_path, config):
    """At the boundary of "longer than clip_norm", where the last bit of the norm decides."""
    docs = ["emma", "olivia", "a", "isabella"]
    _, gradients = graph_gradients(config, docs, TrainConfig(batch_size=3))
    squares = 0.0
    for g in gradients:
        squares += g**2
    norm = squares**0.5
    for clip_norm in (norm, math.nextafter(norm, 0), math.nextafter(norm, math.inf), norm / 2):
        training = TrainConfig(num_steps=2, batch_size=3, clip_norm=clip_norm)
        expected = outcome("graph", config, docs, training)
        for path in PATHS:
            on_path(*path)
            assert outcome("exact", config, docs, training) == expected, path


@pytest.mark.parametrize(
    "exponent",
    [
        -170,
        -162,
        -155,
        -148,
        -141,
        -20,
        -10,
        10,
        20,
        137,
        150,
        154,
        *(tenths / 10 for tenths in range(1545, 1565, 3)),
        160,
    ],  # near the overflow of one square after another
)
def test_clipping_gradients_of_every_size(on_path, exponent):
    """The gradients of lm_head are as large as its input, the others as small as lm_head, and some are 0."""
    config, docs, results = GPTConfig(n_embd=8, n_head=2), ["emma", "ava"], []
    size = 10.0**exponent
    training = TrainConfig(num_steps=1, batch_size=2, clip_norm=0.5, weight_decay=0.25)
    for name, path in [("graph", PATHS[0]), *(("exact", path) for path in PATHS)]:
        on_path(*path)
        engine, corpus = made(name, config, docs, 4)
        factors, at = {"lm_head": min(size, 1 / size)}, 0
        factors["layer0.mlp_fc1"] = factors["layer0.mlp_fc2"] = max(size, 1.0) ** 0.5
        for matrix, (rows, columns) in config.shapes(engine.vocab_size).items():
            factor = factors.get(matrix, 1.0)
            for i in range(at, at + rows * columns):
                engine.params[i] *= factor
            at += rows * columns
        losses, error = [], None
        try:
            engine.train(corpus, range(1), training, losses)
        except (ArithmeticError, ValueError) as caught:
            error = type(caught), str(caught)
        results.append((bits(losses), bits(engine.params), [bits(m) for m in engine.moments()], error))
    assert all(result == results[0] for result in results)
    assert size > 1e154 or results[0][-1] is None
    assert size < 1e157 or results[0][-1][0] is OverflowError


def test_clipping_gradients_that_are_not_finite(on_path):
    """Huge weights whose infinities relu keeps out of the loss, but not out of the gradients, so the norm is NaN."""
    config, docs, seen = GPTConfig(n_embd=4, n_head=2, block_size=5), ["abca", "b"], 0
    training = TrainConfig(num_steps=1, batch_size=2, clip_norm=0.5)
    for seed in (*range(70), 204, 345, 348):  # in 64 and the last three, the loss is finite, and a gradient is NaN
        results = []
        for name, path in [("graph", PATHS[0]), *(("exact", path) for path in PATHS)]:
            on_path(*path)
            engine, corpus = made(name, config, docs, seed)
            rng = random.Random(seed)
            for _ in range(rng.randint(1, 4)):  # rows of wte, of wq, wk and wv, of mlp_fc1
                first = 4 * (rng.choice([0, 13, 17, 21, 29, 33]) + rng.randrange(4))
                size = rng.choice([1.0, 1e100, 1e154, 1e300, 1.7e308])
                for i in range(first, first + rng.choice([1, 4])):
                    engine.params[i] = rng.choice([-1, 1]) * size
            losses, error = [], None
            try:
                engine.train(corpus, range(1), training, losses)
            except (ArithmeticError, ValueError) as caught:
                error = type(caught), str(caught)
            m = [str(value) for value in engine.moments()[0]]  # NaN has no sign here
            results.append((bits(losses), m, error))
        assert all(result == results[0] for result in results), seed
        seen += error is None and "nan" in m
    assert seen > 3


def test_a_batch_that_is_not_finite(on_path):
    """The error is that of the first failing document, although the engine computes the last one first."""
    config, docs = GPTConfig(n_embd=4, n_head=2, block_size=3, activation="relu2"), ["a", "b", "c", "d"]
    for spoiled in ("b", "bd", "d", "abcd"):
        for scale in (1e100, 1e200, math.inf, math.nan):
            results = []
            for name, path in [("graph", PATHS[0]), *(("exact", path) for path in PATHS)]:
                on_path(*path)
                engine, corpus = made(name, config, docs, 4)
                for char in spoiled:
                    engine.params[4 * (ord(char) - ord("a"))] = scale * (1 if char == "b" else -1)
                losses = []
                engine.params[-1] = 1e200  # a square overflows, or not, depending on the document
                try:
                    engine.train(corpus, range(2), TrainConfig(num_steps=2, batch_size=4), losses)
                    error = None
                except (ArithmeticError, ValueError) as caught:
                    error = type(caught), str(caught)
                results.append((bits(losses), bits(engine.params), error))
            assert all(result == results[0] for result in results), (spoiled, scale)


def test_portions_and_other_options_later():
    """Each call of train() uses its own options; the documents continue where the last call stopped."""
    config, docs, results = GPTConfig(n_embd=8, n_head=2, block_size=5), ["emma", "ava", "mia", "bo", "x"], []
    for name in ("graph", "exact"):
        engine, corpus = made(name, config, docs, 3)
        losses = []
        for portion in (range(1), range(1, 1), range(1, 4)):
            engine.train(corpus, portion, TrainConfig(num_steps=9, batch_size=3), losses)
        engine.train(corpus, range(4, 7), TrainConfig(num_steps=9, batch_size=7, clip_norm=0.1), losses)
        engine.train(corpus, range(7, 9), TrainConfig(num_steps=9, weight_decay=0.5), losses)
        results.append((bits(losses), bits(engine.params), [bits(m) for m in engine.moments()]))
    assert results[0] == results[1]


@pytest.mark.parametrize(
    "config, num_steps, batch_size, letters",
    [(GPTConfig(), 500, 3, 26), (GPTConfig(n_embd=4, n_head=2, block_size=4), 5000, 1, 3)],
    ids=["default", "small"],  # in short sums, every bit makes a difference
)
def test_each_path_over_many_steps(on_path, config, num_steps, batch_size, letters):
    rng = random.Random(42)
    docs = ["".join(rng.choices(ALPHABET[:letters], k=rng.randint(2, 15))) for _ in range(1000)]
    training = TrainConfig(num_steps, 0.02, batch_size=batch_size, clip_norm=0.01, weight_decay=0.1)
    results = []
    for path in PATHS:
        on_path(*path)
        results.append(outcome("exact", config, docs, training))
    assert all(result == results[0] for result in results)
    assert results[0][0][:40] == outcome("graph", config, docs, training, steps=40)[0]


def test_a_batch_beyond_memory():
    engine, corpus = made("exact", GPTConfig(n_embd=4), ["ab"], 1)
    for batch_size in (2**58, 2**70):
        with pytest.raises(MemoryError, match=f"a batch of {batch_size:,} documents"):
            engine.train(corpus, range(1), TrainConfig(batch_size=batch_size), [])
    losses = []
    engine.train(corpus, range(1), TrainConfig(batch_size=2), losses)
    assert len(losses) == 1


THREADED = [
    (GPTConfig(), TrainConfig(num_steps=400)),  # threads share the gradients and Adam only
    (GPTConfig(n_embd=36, n_head=3, n_layer=2), TrainConfig(num_steps=60, batch_size=3, weight_decay=0.1)),
    (GPTConfig(n_embd=33, n_head=1), TrainConfig(num_steps=60, batch_size=17, clip_norm=0.5, weight_decay=0.1)),
]


@pytest.mark.parametrize("config, training", THREADED, ids=["16", "36", "33"])
def test_any_number_of_threads(config, training):
    """The same bits as on one thread, in gradients, and in runs long enough for several threads to be tried."""
    docs, results = ["emma", "olivia", "ava", "isabella", "christopherjameson", "x", "mia"], []
    for threads in (1, 2, 3, 5):
        engine, corpus = made("exact", config, docs, 3)
        engine.threads, losses = threads, []
        before = [bits(engine.gradients(corpus, step, training)[1]) for step in range(3)]
        engine.train(corpus, range(training.num_steps), training, losses)
        results.append((before, bits(losses), bits(engine.params), [bits(m) for m in engine.moments()]))
    assert all(result == results[0] for result in results)


DIVERGING = """
import random
from array import array
from microgpt import GPTConfig, TrainConfig, Tokenizer, engines
from microgpt.corpus.tokens import Corpus
rng, tokenizer = random.Random(1), Tokenizer.from_docs(docs := ["ab", "abc"])
for n_embd in (4, 32):
    config = GPTConfig(n_embd=n_embd, n_head=1, block_size=4)
    params = array("d", [rng.gauss(0, 1e4) for _ in range(config.num_params(tokenizer.vocab_size))])
    engine = engines.create("exact", config, tokenizer.vocab_size, memoryview(params), 3)
    for _ in range(200):
        try:
            engine.gradients(Corpus(docs, tokenizer), 0, TrainConfig(batch_size=2))
        except ValueError:
            continue
        raise SystemExit("the loss is finite")
"""


def test_no_thread_waits_for_one_that_has_seen_the_loss_is_not_finite():
    subprocess.run([sys.executable, "-c", DIVERGING], check=True, timeout=60)


@pytest.mark.parametrize("n_embd, block_size, batch_size", [(100, 24, 7), (72, 120, 2)])
def test_matrices_that_do_not_fit_the_cache(on_path, n_embd, block_size, batch_size):
    """Partial sums are stored and resumed: of the backward pass, and where 120 columns leave room for fewer features, of the forward
    pass too. A batch has several groups of documents."""
    config, docs = GPTConfig(n_embd=n_embd, n_head=4, block_size=block_size), ["emma", "christopherjameson" * 7, "ava", "ab" * 12]
    training = TrainConfig(batch_size=batch_size)
    loss, gradients = graph_gradients(config, docs, training)
    for isa, libm in PATHS:
        if libm == "vector":
            on_path(isa, libm)
            engine, corpus = made("exact", config, docs, 1)
            assert bits([engine.network.backward(corpus, 0, training, 2)]) == bits([loss])
            assert bits(engine.network.gradients) == bits(gradients)
