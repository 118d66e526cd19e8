"""Logits, losses and samples of the exact engine, and its errors."""

import functools
import random
import subprocess
import sys
import threading
from array import array
from types import SimpleNamespace

import pytest
from models import bits

from microgpt import engines
from microgpt.compiled import exact as _exact
from microgpt.config import GPTConfig, TrainConfig
from microgpt.corpus.tokens import Corpus
from microgpt.engines.exact import ExactEngine
from microgpt.reference import ACTIVATIONS
from microgpt.tokenizer import Tokenizer

VOCAB = 9
CONFIGS = [
    GPTConfig(init_std=0.4),
    GPTConfig(n_embd=9, n_head=1, block_size=1, init_std=0.5),
    *(GPTConfig(n_embd=6, n_head=3, n_layer=2, block_size=20, activation=name, init_std=0.6) for name in ACTIVATIONS),
]


def make(name, config, seed=5, vocab_size=VOCAB):
    rng = random.Random(seed)
    params = array("d", [rng.gauss(0, config.init_std) for _ in range(config.num_params(vocab_size))])
    return engines.create(name, config, vocab_size, memoryview(params))


@pytest.fixture(params=[(isa, libm) for isa in _exact.info()["isas"] for libm in ("vector", "plain")], ids="-".join)
def path(request, monkeypatch):
    monkeypatch.setenv("MICROGPT_ISA", request.param[0])
    monkeypatch.setenv("MICROGPT_LIBM", request.param[1])
    return request.param


@functools.cache
def logits_and_losses(name, config):
    """Logits of a block of tokens, after each of them, and losses of three documents, compared bit by bit."""
    engine = make(name, config)
    tokens, decode = [random.Random(7).randrange(VOCAB) for _ in range(config.block_size)], engine.decoder()
    return [bits(decode(token)) for token in tokens], bits(engine.loss([8, *tokens[:n], 8]) for n in (1, 2, len(tokens))), decode


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_logits_and_loss(path, config):
    *ours, decode = logits_and_losses.__wrapped__("exact", config)
    assert ours == [*logits_and_losses("graph", config)[:2]]
    with pytest.raises(ValueError, match="block_size"):
        decode(0)


@functools.cache
def written(name, config, temperature, top_k):
    """Documents that an engine writes, each with the state of the generator after it."""
    engine, rng = make(name, config), random.Random(11)
    prompts = [], [], [], [1][: config.block_size - 1], [1, 2, 1][: config.block_size - 1]
    return [(engine.generate(rng, 8, prompt, temperature, top_k), rng.getstate()) for prompt in prompts]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("temperature, top_k", [(1.0, None), (0.5, None), (1, 3), (0, None), (0.0, 4), (2.5, 1), (1e-3, None), (0.7, 99)])
def test_generate(path, config, temperature, top_k):
    """The same tokens, and the same state of the generator afterwards."""
    assert written.__wrapped__("exact", config, temperature, top_k) == written("graph", config, temperature, top_k)


def test_probabilities_next_to_each_other():
    """If a draw falls exactly between two tokens, bisect takes the right one."""

    class Fixed(random.Random):
        def random(self):
            return self.value

    config = GPTConfig(n_embd=4, n_head=2, block_size=1, init_std=0.0)  # all tokens have equal probability
    exact, python = make("exact", config, vocab_size=8), make("graph", config, vocab_size=8)
    for k in range(64):
        rng = Fixed()
        rng.value = k / 64
        assert exact.generate(rng, 7) == python.generate(rng, 7)


def test_somebodys_own_random():
    class OwnRandom(random.Random):
        def random(self):
            return super().random() ** 2

    class OwnChoices(random.Random):
        def choices(self, population, weights=None, **kwargs):
            return [population[weights.index(max(weights))]]

    for kind in (OwnRandom, OwnChoices):
        exact, python = make("exact", CONFIGS[0]), make("graph", CONFIGS[0])
        ours, theirs = kind(3), kind(3)
        assert [exact.generate(ours, 8) for _ in range(5)] == [python.generate(theirs, 8) for _ in range(5)]
        assert ours.getstate() == theirs.getstate()


@functools.cache
def results_with(value, name, activation):
    """The results or errors of an engine with one parameter of this value, in turn one of each matrix."""
    config, results = GPTConfig(n_embd=4, n_head=2, block_size=4, activation=activation), []
    for at in (3, 60, 100, 150, 250):
        engine = make(name, config)
        engine.params[at] = value
        for call in (
            lambda: engine.loss([8, 1, 2, 8]),
            lambda: engine.generate(random.Random(1), 8, [1], 1.0, None),
            lambda: engine.generate(random.Random(1), 8, [], 0.5, 2),
        ):
            try:
                results.append(repr(call()))
            except (ArithmeticError, ValueError) as error:
                results.append((type(error), str(error)))
    return results


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("value", [1e200, 1e307, float("inf"), float("nan")], ids=str)
def test_numbers_out_of_range(path, value, activation):
    """If logits are not finite, the error (or the choice) is that of the plain functions."""
    assert results_with.__wrapped__(value, "exact", activation) == results_with(value, "python", activation)


def test_the_cache_grows():
    config = GPTConfig(n_embd=4, n_head=2, block_size=100)
    exact, graph = make("exact", config).decoder(), make("graph", config).decoder()
    for i in range(100):
        assert bits(exact(i % VOCAB)) == bits(graph(i % VOCAB))


def test_one_caller_at_a_time():
    decoder = make("exact", CONFIGS[0]).decoder()
    seen = []

    class Nosy(random.Random):
        def random(self):
            thread = threading.Thread(target=self.ask)
            thread.start()
            thread.join()
            return super().random()

        def ask(self):
            with pytest.raises(RuntimeError, match="one caller at a time"):
                decoder.generate(random.Random(1), 8, 8, (), 1.0, None, 5, CONFIGS[0])
            seen.append(True)

    decoder.generate(Nosy(1), 8, 8, (), 1.0, None, 5, CONFIGS[0])
    assert seen
    decoder.generate(random.Random(1), 8, 8, (), 1.0, None, 5, CONFIGS[0])  # it is free again


def test_a_second_training_is_refused():
    docs = ["emma"] * 50
    tokenizer = Tokenizer.from_docs(docs)
    engine = make("exact", GPTConfig(), vocab_size=tokenizer.vocab_size)
    corpus, training = Corpus(docs, tokenizer), TrainConfig(num_steps=200_000)
    worker = threading.Thread(target=engine.train, args=(corpus, range(20_000), training, []))
    worker.start()
    refused = 0
    while worker.is_alive():
        try:
            engine.network.backward(corpus, 0, training)
        except RuntimeError as error:
            assert "one caller at a time" in str(error)
            refused += 1
    worker.join()
    assert refused


@pytest.mark.parametrize("token", [VOCAB, 2**31])
def test_tokens_out_of_range(token):
    engine = make("exact", CONFIGS[0])
    with pytest.raises(ValueError, match="token id"):
        engine.decoder()(token)
    with pytest.raises(ValueError, match="token ids below 9"):
        engine.loss([8, token, 8])
    corpus = Corpus.__new__(Corpus)
    corpus.tokens, corpus.starts = array("I", [8, token, 8]), array("Q", [0, 2])
    with pytest.raises(ValueError, match="token ids below 9"):
        engine.train(corpus, range(1), TrainConfig(), [])
    corpus.tokens, corpus.starts = array("I", [8, 1, 8]), array("Q", [0, 5])
    with pytest.raises(ValueError):
        engine.train(corpus, range(1), TrainConfig(), [])


def test_short_documents_take_little_memory():
    """A block_size of 100,000 takes memory for parameters, but not for activations that no document needs."""
    code = """
import resource
from microgpt import GPTConfig, TrainConfig, train
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run = train(["ab", "ba"], GPTConfig(n_embd=2, n_head=1, block_size=100_000), TrainConfig(num_steps=20))
run.generate(3)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    pytest.importorskip("resource")
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(grown) < 60_000  # KiB


def test_what_does_not_fit_is_refused_first():
    config = GPTConfig(block_size=10**12, n_embd=1, n_head=1)
    with pytest.raises(ValueError, match="parameters"):
        ExactEngine(config, 5, memoryview(array("d", bytes(80))))
    with pytest.raises(OverflowError):
        ExactEngine(GPTConfig(n_embd=2**40), 5, memoryview(array("d", bytes(80))))
    document = [8] * (200_000 + 1)  # its attention weights alone would take 80 GB per head
    config = GPTConfig(n_embd=8, n_head=8, block_size=10**7 // 8)
    engine = ExactEngine(config, VOCAB, memoryview(array("d", bytes(8 * config.num_params(VOCAB)))))
    try:
        import resource
    except ImportError:
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, limit[1]))
    try:
        with pytest.raises(MemoryError, match="block_size"):
            engine.loss(document)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
    assert engine.loss([8, 1, 8]) > 0  # and it still works


def test_the_environment(monkeypatch):
    info = _exact.info()
    assert info["isa"] in info["isas"] and info["isas"][-1] == "baseline" and info["libm"] in ("vector", "plain")
    for isa in info["isas"]:
        monkeypatch.setenv("MICROGPT_ISA", isa)
        assert _exact.info()["isa"] == isa == make("exact", CONFIGS[0]).network.isa
    for name in ("MICROGPT_ISA", "MICROGPT_LIBM"):
        monkeypatch.setenv(name, "sse9")
        with pytest.raises(ValueError, match=f"{name}.*'sse9'"):
            make("exact", CONFIGS[0])
        monkeypatch.delenv(name)


def test_views_of_the_optimizer():
    """Gradients and moments are lent, not copied, and outlive the engine."""
    network = make("exact", CONFIGS[0]).network
    assert network.gradients is None and network.m is None and network.num_steps == 0
    network.backward(SimpleNamespace(tokens=array("I", [8, 1, 2, 8]), starts=array("Q", [0, 3])), 0, TrainConfig())
    gradients, m = network.gradients, network.m
    assert any(gradients) and not any(m) and len(m) == CONFIGS[0].num_params(VOCAB)
    m[3] = 2.0
    assert network.m[3] == 2.0
    del network
    assert m[3] == 2.0 and any(gradients)
