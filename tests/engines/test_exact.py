"""The exact engine compared with the reference, bit by bit, on each instruction set and with each exp and pow.

The reference is pure Python for gradients and extremes, and elsewhere the compiled graph, which test_engines.py compares with it and which
takes a tenth of the time.
"""

import math
import random
import shutil
import subprocess
import sys
from array import array
from pathlib import Path

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from models import ALPHABET, PATHS, bits, documents, few, fresh, models, outcome

from microgpt import engines, reference
from microgpt.compiled import exact as _exact
from microgpt.config import GPTConfig, TrainConfig
from microgpt.corpus.tokens import Corpus
from microgpt.tokenizer import Tokenizer


def reference_gradients(config, docs, seed=1):
    """The loss and the gradients of the first document, in parameter order, by microgpt.reference."""
    tokenizer = Tokenizer.from_docs(docs, config.bos_first)
    engine = engines.create("python", config, tokenizer.vocab_size, memoryview(fresh(config, tokenizer.vocab_size, seed)))
    loss = reference.batch_loss([Corpus(docs, tokenizer)[0]], engine.matrices, config)
    loss.backward()
    return loss.data, [float(value.grad) for value in engine.values]


def exact_gradients(config, docs, seed=1):
    tokenizer = Tokenizer.from_docs(docs, config.bos_first)
    params = fresh(config, tokenizer.vocab_size, seed)
    network = _exact.Network(config, tokenizer.vocab_size, params)
    loss = network.backward(Corpus(docs, tokenizer), 0, TrainConfig())
    return loss, list(network.gradients)


@few
@given(models(), documents, st.integers(0, 2**32))
def test_every_gradient(on_path, config, docs, seed):
    try:
        loss, gradients = reference_gradients(config, docs, seed)
    except (ArithmeticError, ValueError):
        reject()
    for path in PATHS:
        on_path(*path)
        got, got_gradients = exact_gradients(config, docs, seed)
        assert bits([got]) == bits([loss]), path
        assert bits(got_gradients) == bits(gradients), path


@pytest.mark.slow
def test_gradients_of_huge_weights(on_path):
    """Infinities and NaN occur although the loss is finite: relu stops them, and no position sees later ones."""
    docs, vocab_size, seen = ["abca"], 4, 0
    for seed in range(400):
        rng = random.Random(seed)
        config = GPTConfig(n_embd=4, n_head=rng.choice([1, 2, 4]), block_size=5, activation=rng.choice(sorted(reference.ACTIVATIONS)))
        params = fresh(config, vocab_size, seed)
        starts, at = {}, 0
        for name, (rows, columns) in config.shapes(vocab_size).items():
            starts[name] = at, at + rows * columns
            at += rows * columns
        for _ in range(rng.randint(1, 4)):
            name = rng.choice(["layer0.attn_wk", "layer0.attn_wq", "layer0.attn_wv", "layer0.mlp_fc1", "layer0.mlp_fc1", "wte"])
            first, size = rng.randrange(starts[name][0], starts[name][1], 4), rng.choice([1.0, 1e100, 1e154, 1e300, 1.7e308])
            for i in range(first, first + rng.choice([1, 4])):
                params[i] = rng.choice([-1, 1]) * size
        engine = engines.create("graph", config, vocab_size, memoryview(params))
        corpus = Corpus(docs, Tokenizer.from_docs(docs))
        try:
            loss = engine.ops.batch_loss([corpus[0]], engine.matrices, config)
        except (ArithmeticError, ValueError):
            continue
        if not math.isfinite(loss.data):
            continue
        loss.backward()
        gradients = [str(float(value.grad)) for value in engine.values]  # ignoring the sign of NaN
        seen += "nan" in gradients
        for path in PATHS:
            on_path(*path)
            network = _exact.Network(config, vocab_size, params)
            assert network.backward(corpus, 0, TrainConfig()) == loss.data, (seed, path)
            assert list(map(str, network.gradients)) == gradients, (seed, path)
    assert seen > 3


LINE = [0.0, 5e-324, 1e-300, 1e-9, 0.1, 0.5, 0.8, 1.0, 1.6, 2.2, 3.0, 5.0, 9.0, 20.0, 23.0, 31.9, 32.1, 36.9, 40.0]
LINE += [500.0, 745.2, 1e5, 1e100, 1e103]


@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
def test_activations_over_the_whole_line(on_path, activation):
    """A model of width 1 feeds its four weights, or their negatives, to the activation: values and slopes, up to saturation."""
    config, docs, compared = GPTConfig(n_embd=1, n_head=1, block_size=3, activation=activation), ["ab"], 0
    for seed in range(40):
        params, rng = fresh(config, 3, seed), random.Random(seed)
        xs = [rng.choice(LINE) * rng.choice([1, -1, rng.random()]) for _ in range(4)]
        params[-8:-4] = array("d", xs)
        params[-4:] = array("d", [rng.gauss(0, 1) / max(1, x * x) for x in xs])
        engine = engines.create("python", config, 3, memoryview(params))
        loss = reference.batch_loss([Corpus(docs, Tokenizer.from_docs(docs))[0]], engine.matrices, config)
        loss.backward()
        expected = [loss.data, *(float(value.grad) for value in engine.values)]
        compared += all(map(math.isfinite, expected))
        for path in PATHS:
            on_path(*path)
            network = _exact.Network(config, 3, params)
            got = network.backward(Corpus(docs, Tokenizer.from_docs(docs)), 0, TrainConfig())
            assert bits([got, *network.gradients]) == bits(expected), (xs, path)
    assert compared > 10


@few
@given(models(), documents, st.sampled_from([0.0, 1e-5, 0.01, 0.3]), st.integers(0, 2**32))
def test_a_few_steps(on_path, config, docs, rate, seed):
    training = TrainConfig(num_steps=3, learning_rate=rate)
    expected = outcome("graph", config, docs, training, seed)
    for path in PATHS:
        on_path(*path)
        assert outcome("exact", config, docs, training, seed) == expected, path


@few
@given(
    models(widest=4),
    st.lists(st.text(ALPHABET[:3], min_size=1, max_size=3), min_size=1, max_size=2),
    st.floats(-1, 300),
    st.floats(-160, 160),
    st.integers(0, 99),
)
def test_extremes_end_as_in_the_reference(on_path, config, docs, rate, std, seed):
    """Up to divergence: the same losses before it, the same error, and the same parameters after it."""
    config = GPTConfig(
        config.n_layer, config.n_embd, config.n_head, min(config.block_size, 3), config.activation, 10.0 ** (std / 2 if std > 0 else std)
    )
    training = TrainConfig(num_steps=6, learning_rate=10.0**rate)
    expected = outcome("python", config, docs, training, seed)
    for path in PATHS:
        on_path(*path)
        assert outcome("exact", config, docs, training, seed) == expected, path


@pytest.mark.parametrize("seed", range(8))
def test_a_gradient_whose_square_overflows(on_path, seed):
    """Adam stops at the overflow: the parameters before it are updated, the others are not."""
    docs, results = ["abcab"], []
    config, training = GPTConfig(n_embd=8, n_head=2, block_size=6), TrainConfig(num_steps=2)
    tokenizer = Tokenizer.from_docs(docs)
    for engine, path in [("python", PATHS[0])] + [("exact", path) for path in PATHS]:
        on_path(*path)
        params, losses = fresh(config, tokenizer.vocab_size, seed), []
        start = config.num_params(tokenizer.vocab_size) - 12 * 8 * 8 + 2 * 8 * 8
        for i in range(seed, 64, 9):  # some of attn_wv are huge, but attn_wo is so small that the loss stays finite
            params[start + i] *= 1e200
        for i in range(start + 64, start + 128):
            params[i] *= 1e-200
        made = engines.create(engine, config, tokenizer.vocab_size, memoryview(params))
        with pytest.raises(OverflowError) as caught:
            made.train(Corpus(docs, tokenizer), range(2), training, losses)
        results.append((bits(params), losses, str(caught.value)))
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("rate", [1.0, 30.0, 1e3, 1e8, 1e20, 1e77, 1e150, 1e200, 1e300])
@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
def test_divergence(on_path, rate, activation):
    docs = ["emma", "olivia", "a", "isabella"]
    config = GPTConfig(n_embd=8, n_head=2, block_size=6, activation=activation)
    training = TrainConfig(num_steps=12, learning_rate=rate)
    expected = outcome("graph", config, docs, training)
    for path in PATHS:
        on_path(*path)
        assert outcome("exact", config, docs, training) == expected, path


@pytest.mark.parametrize(
    "config, docs, num_steps",
    [
        (GPTConfig(), ["emma", "olivia", "christopherjameson", "a"], 6),
        (GPTConfig(block_size=1), ["emma", "a"], 6),
        (GPTConfig(n_embd=15, n_head=5, n_layer=2), ["emma", "olivia"], 4),
        (GPTConfig(n_embd=13, n_head=1, block_size=33), ["x" * 40, "abc" * 11], 3),
        (GPTConfig(n_embd=7, n_head=7, block_size=64), [ALPHABET[:64], "b"], 3),
        (GPTConfig(n_embd=20, n_head=2, activation="relu2"), ["emma", "emma", "emma"], 4),
        (GPTConfig(n_embd=32, n_head=4), ["emma", ALPHABET], 3),
        (GPTConfig(n_embd=1, n_head=1, block_size=8, n_layer=3), ["a", "ab"], 6),
    ],
    ids=str,
)
def test_shapes(on_path, config, docs, num_steps):
    training = TrainConfig(num_steps=num_steps)
    expected = outcome("graph", config, docs, training)
    for path in PATHS:
        on_path(*path)
        assert outcome("exact", config, docs, training) == expected, path


def test_ints_and_zeros_as_settings(on_path):
    """beta1 = 0, a learning rate of int 0, an int eps: Python converts them like C."""
    for training in (
        TrainConfig(num_steps=3, learning_rate=1, beta1=0, beta2=0, eps=1),
        TrainConfig(num_steps=3, learning_rate=0, eps=5e-324),
        TrainConfig(num_steps=3, beta1=1 - 2**-53, beta2=1 - 2**-53),
    ):
        config = GPTConfig(n_embd=4, n_head=2, block_size=4)
        expected = outcome("python", config, ["ab", "b"], training)
        for path in PATHS:
            on_path(*path)
            assert outcome("exact", config, ["ab", "b"], training) == expected, path


def test_portions_and_foreign_hands():
    """Training in portions, with writes to the parameters in between, equals training step by step with the same writes."""
    config, docs = GPTConfig(n_embd=8, n_head=2, block_size=5), ["emma", "ava", "mia"]
    tokenizer = Tokenizer.from_docs(docs)
    corpus, training = Corpus(docs, tokenizer), TrainConfig(num_steps=8)
    results = []
    for name in ("python", "exact"):
        params, losses = fresh(config, tokenizer.vocab_size, 3), []
        engine = engines.create(name, config, tokenizer.vocab_size, memoryview(params))
        for portion in (range(1), range(1, 1), range(1, 4)):
            engine.train(corpus, portion, training, losses)
        params[5] += 0.25
        engine.train(corpus, range(4, 8), TrainConfig(num_steps=8, beta1=0.5, learning_rate=0.1), losses)
        results.append((bits(losses), bits(params)))
    assert results[0] == results[1]


@pytest.mark.slow
def test_each_path_over_many_steps(on_path, docs):
    """40,000 steps, with millions of exps, enough to show rare disagreements between code paths."""
    training = TrainConfig(num_steps=40_000)
    results = {}
    for isa, libm in PATHS:
        on_path(isa, libm)
        steps = 40_000 if libm == "vector" or isa == PATHS[0][0] else 4_000
        losses, params, error = outcome("exact", GPTConfig(), docs, training, steps=steps)
        assert error is None
        results.setdefault(steps, []).append((losses, params))
        results.setdefault("start", []).append(losses[:4_000])
    for group in results.values():
        assert all(result == group[0] for result in group)


def test_names_against_the_graph(docs):
    training = TrainConfig(num_steps=150, learning_rate=0.05)
    assert outcome("exact", GPTConfig(), docs, training) == outcome("graph", GPTConfig(), docs, training)


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
@pytest.mark.parametrize("option", ["-ffp-contract=off", "-ffp-contract=fast", "-ffast-math"])
def test_a_build_that_changes_the_arithmetic_knows_it(tmp_path, option):
    vectors = ["-mavx2", "-mfma", "-DISA_AVX2", "-include", "immintrin.h"] if "avx2" in _exact.isas() else []
    (tmp_path / "rounds.c").write_text('#include "exact/selftest.h"\nint main(void) { return rounds_as_written(); }\n')
    source = Path(__file__).parents[2] / "src"
    command = ["cc", "-O2", *vectors, option, f"-I{source}", tmp_path / "rounds.c", "-o", tmp_path / "rounds", "-lm"]
    subprocess.run(command, check=True)
    if vectors or option != "-ffp-contract=fast":  # which has nothing to fuse
        assert subprocess.run([tmp_path / "rounds"]).returncode == (option == "-ffp-contract=off")


def test_a_build_with_another_librarys_exp_is_refused():
    change = "import math; exp = math.exp; math.exp = lambda x: math.nextafter(exp(x), 1)\n"
    train = "import microgpt; microgpt.train(['ab'], engine='exact', training=microgpt.TrainConfig(num_steps=1))"
    ended = subprocess.run([sys.executable, "-c", change + train], capture_output=True, text=True)
    assert "EngineError: this build of the exact engine (" in ended.stderr and "exp, log or pow that is not Python's" in ended.stderr
