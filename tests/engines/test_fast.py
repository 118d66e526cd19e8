"""The fast engine's numbers: within a proven bound of exact arithmetic for any shape, and close to it for usual models."""

import math
import random
from array import array

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from models import fresh

from microgpt import EvalConfig, GPTConfig, TrainConfig, engines
from microgpt.compiled import exact as _exact
from microgpt.compiled import fast as _fast
from microgpt.config import PRESETS
from microgpt.corpus.documents import arrange
from microgpt.corpus.tokens import Corpus
from microgpt.reference import ACTIVATIONS
from microgpt.tokenizer import Tokenizer

np = pytest.importorskip("numpy", reason="the bounds are computed with NumPy")
from float32_bounds import RANGE, Gradients  # noqa: E402

ISAS = _exact.info()["isas"]
ALPHABET = "".join(map(chr, range(0x4E00, 0x4E00 + 400)))
some = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=set(Phase) - {Phase.shrink, Phase.explain},  # would take minutes
)  # fmt: skip


def rounded(config, vocab_size, seed):
    """Initial parameters that are float32 numbers."""
    return array("d", array("f", fresh(config, vocab_size, seed)))


def matrices(config, vocab_size, flat):
    found, start = {}, 0
    for name, (rows, columns) in config.shapes(vocab_size).items():
        found[name] = np.array(flat[start : start + rows * columns]).reshape(rows, columns)
        start += rows * columns
    return found


def corpus_of(docs, config):
    tokenizer = Tokenizer.from_docs(docs, config.bos_first)
    return Corpus(docs, tokenizer), tokenizer.vocab_size


@st.composite
def models(draw):
    n_head = draw(st.sampled_from([1, 1, 2, 3, 4]))
    head_dim = draw(st.sampled_from([*range(1, 10), 16, 17]))
    return GPTConfig(
        n_layer=draw(st.integers(1, 3)),
        n_embd=n_head * min(head_dim, 36 // n_head),
        n_head=n_head,
        block_size=draw(st.sampled_from([1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 40])),
        activation=draw(st.sampled_from(list(ACTIVATIONS))),
        init_std=draw(st.sampled_from([0.0, 1e-30, 1e-12, 1e-3, 0.02, 0.08, 0.08, 0.3, 1.0, 10.0, 1e4, 1e9])),
        zero_init_out=draw(st.booleans()),
        bos_first=draw(st.booleans()),
    )


@st.composite
def batches(draw):
    """(documents, batch size, step): of every length, up to and over a group, and with more documents than the corpus has."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    alphabet = ALPHABET[: draw(st.sampled_from([1, 2, 5, 27, 300]))]
    longest = draw(st.sampled_from([1, 3, 8, 20, 50]))
    count = draw(st.integers(1, 30))
    docs = ["".join(rng.choices(alphabet, k=rng.randint(1, longest))) for _ in range(count)]
    return docs, draw(st.one_of(st.integers(1, 7), st.integers(8, 70))), draw(st.integers(0, 40))


@pytest.mark.slow
@some
@given(models(), batches(), st.integers(0, 2**32), st.sampled_from([1, 2, 3]))
@example(GPTConfig(), (["ab"] * 6, 6, 0), 1, 1)  # as many documents as lie one after the other in a group
@example(GPTConfig(n_embd=1, n_head=1), (["abc", "b"], 2, 0), 3, 1)
@example(GPTConfig(block_size=40), (["ab" * 24, "a" * 33, "b"], 3, 0), 2, 1)
@example(GPTConfig(block_size=40), (["ab" * 24, "a" * 33, "b"] * 3, 9, 0), 2, 1)
def test_every_gradient_is_within_its_bound(monkeypatch, config, batch, seed, n_threads):
    docs, batch_size, step = batch
    corpus, vocab_size = corpus_of(docs, config)
    params, training = rounded(config, vocab_size, seed), TrainConfig(batch_size=batch_size)
    with np.errstate(all="ignore"):  # models too large for float32 are included
        expected = Gradients(config, matrices(config, vocab_size, params), [corpus[i] for i in training.batch(step, len(corpus))])
    for isa in ISAS:
        monkeypatch.setenv("MICROGPT_ISA", isa)
        try:
            network = _fast.Network(config, vocab_size, params)
            loss, gradients = network.backward(corpus, step, training, n_threads)
        except (FloatingPointError, OverflowError):
            assert not expected.peak < RANGE
            continue
        if not expected.peak < RANGE:
            continue
        assert abs(loss - expected.loss.value) <= expected.loss.error, isa
        for name, gradient in matrices(config, vocab_size, gradients).items():
            near = expected.gradients[name]
            assert (abs(gradient - near.value) <= near.error).all(), (isa, name)


@pytest.mark.slow
@some
@given(models(), batches(), st.integers(0, 2**32))
def test_the_bound_is_about_what_the_exact_engine_computes(config, batch, seed):
    docs, batch_size, step = batch
    corpus, vocab_size = corpus_of(docs, config)
    if config.init_std > 0.3:
        return  # saturated: the reference's own p - 1 loses digits, which the bound's does not
    params, training = rounded(config, vocab_size, seed), TrainConfig(batch_size=batch_size)
    expected = Gradients(config, matrices(config, vocab_size, params), [corpus[i] for i in training.batch(step, len(corpus))])
    network = _exact.Network(config, vocab_size, params)
    assert network.backward(corpus, step, training) == pytest.approx(expected.loss.value, rel=1e-11)
    largest = max(abs(near.value).max() for near in expected.gradients.values())
    for name, gradient in matrices(config, vocab_size, list(network.gradients)).items():
        assert abs(gradient - expected.gradients[name].value).max() <= 1e-9 * largest, name


def relative_errors(config, vocab_size, corpus, params, training, steps):
    """The largest relative errors of the loss and of the gradient of any tensor, on any instruction set, compared with the exact engine."""
    worst = {}
    exact, engines = _exact.Network(config, vocab_size, params), []
    for isa in ISAS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MICROGPT_ISA", isa)
            engines.append(_fast.Network(config, vocab_size, params))
            assert engines[-1].isa == isa
    for step in steps:
        loss = exact.backward(corpus, step, training)
        expected = matrices(config, vocab_size, list(exact.gradients))
        for fast in engines:
            got, gradients = fast.backward(corpus, step, training)
            errors = {"loss": abs(got - loss) / loss}
            for name, gradient in matrices(config, vocab_size, gradients).items():
                size = np.linalg.norm(expected[name])
                errors[name] = np.linalg.norm(gradient - expected[name]) / size if size else abs(gradient).max()
            worst = {name: max(error, worst.get(name, 0.0)) for name, error in errors.items()}
    return worst


@pytest.mark.parametrize(
    "config, names_in_one, batch_size",
    [
        (GPTConfig(n_embd=132, n_head=3, block_size=40, init_std=0.03), 5, 17),  # products in blocks, and in one small group
        (GPTConfig(n_embd=20, n_head=2, block_size=130), 18, 9),  # long documents, whose lanes are their positions
    ],
    ids=["wide", "long"],
)
def test_wide_models_and_long_documents(docs, config, names_in_one, batch_size):
    docs = [" ".join(docs[i : i + names_in_one]) for i in range(0, 20 * names_in_one, names_in_one)]
    corpus, vocab_size = corpus_of(docs, config)
    params, training = rounded(config, vocab_size, 1), TrainConfig(batch_size=batch_size)
    worst = relative_errors(config, vocab_size, corpus, params, training, [1])
    assert worst["loss"] <= 1e-6
    assert max(worst.values()) <= 5e-6, worst


@pytest.mark.parametrize("preset", PRESETS)
def test_gradients_of_the_published_models(docs, preset):
    """What docs/fast.md promises: 5e-6, the loss 1e-6; from the first step to a trained model."""
    config = PRESETS[preset].config
    corpus, vocab_size = corpus_of(docs, config)
    params = rounded(config, vocab_size, 1)
    engine = engines.create("exact", config, vocab_size, memoryview(params))
    for first, end in ((0, 0), (0, 20), (20, 1000)):
        engine.train(corpus, range(first, end), TrainConfig(batch_size=8), [])
        now = array("d", array("f", params))
        for batch_size in (1, 5, 16, 64):
            worst = relative_errors(config, vocab_size, corpus, now, TrainConfig(batch_size=batch_size), range(10))
            assert worst.pop("loss") < 1e-6
            assert max(worst.values()) < 5e-6, (end, batch_size, worst)


@pytest.mark.parametrize(
    "config, length, count, batch_size",
    [
        (GPTConfig(n_embd=64, n_head=4, n_layer=2, block_size=64), 80, 40, 3),
        (GPTConfig(n_embd=64, n_head=4, n_layer=2, block_size=64), 80, 40, 40),
        *((GPTConfig(n_embd=48, n_head=2, block_size=50, activation=activation), 47, 20, 6) for activation in ACTIVATIONS),
        (GPTConfig(n_embd=33, n_head=3, block_size=17, init_std=0.2), 30, 20, 7),
        (GPTConfig(n_embd=20, n_head=20, n_layer=3), 15, 300, 200),
    ],
    ids=str,
)
def test_gradients_of_wider_models(config, length, count, batch_size):
    rng = random.Random(1)
    docs = ["".join(rng.choices(ALPHABET[:60], k=rng.randint(1, length))) for _ in range(count)]
    corpus, vocab_size = corpus_of(docs, config)
    worst = relative_errors(config, vocab_size, corpus, rounded(config, vocab_size, 1), TrainConfig(batch_size=batch_size), range(2))
    assert worst.pop("loss") < 1e-6
    assert max(worst.values()) < 5e-6, worst


# ---- Activations at their ends ---------------------------------------------------------------------------------------

SIZES = (1e-30, 1e-3, 0.75, 1.28, 5.0, 9.9, 10.1, 20.0, 86.9, 87.1, 1e3, 1e10, 1e15, 1e25)
ENDS = [sign * size for size in SIZES for sign in (1, -1)]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_values_and_slopes_of_an_activation(monkeypatch, isa, activation):
    """In a model of width 1 reduced to its MLP, the gradients of fc2 are the activations, and those of fc1 the slopes, times a number."""
    config = GPTConfig(n_embd=1, n_head=1, activation=activation)
    corpus, vocab_size = corpus_of(["ab"], config)
    monkeypatch.setenv("MICROGPT_ISA", isa)
    for first in range(0, len(ENDS), config.n_mlp):
        ends = ENDS[first : first + config.n_mlp]
        flat = {name: [0.0] * rows * columns for name, (rows, columns) in config.shapes(vocab_size).items()}
        flat["wte"], flat["lm_head"] = [1.0] * vocab_size, [0.5 * i for i in range(vocab_size)]
        flat["layer0.mlp_fc1"], flat["layer0.mlp_fc2"] = ends, [1e-3 / max(1.0, abs(end)) for end in ends]
        params = array("d", array("f", sum(flat.values(), [])))
        expected = Gradients(config, matrices(config, vocab_size, params), [corpus[0]])
        network = _fast.Network(config, vocab_size, params)
        try:
            _, gradients = network.backward(corpus, 0, TrainConfig())
        except FloatingPointError:
            assert not expected.peak < RANGE
            continue
        if not expected.peak < RANGE:
            continue
        for name, gradient in matrices(config, vocab_size, gradients).items():
            near = expected.gradients[name]
            assert (abs(gradient - near.value) <= near.error).all(), (name, ends, gradient, near.value)
            if "mlp" in name:  # and the bound says something
                assert (near.error <= 1e-4 * abs(near.value) + 1e-9).all(), (name, ends, near.value, near.error)


# ---- Softmaxes at their ends: a sum of probabilities near 1 has lost what the small ones say; e**89 is no float32 --------


def scaled(config, vocab_size, params, names, factor):
    """`params`, rounded to float32, with some of its matrices multiplied."""
    return array("d", array("f", np.concatenate(
        [matrix.ravel() * (factor if name in names else 1) for name, matrix in matrices(config, vocab_size, params).items()]
    ).tolist()))  # fmt: skip


@pytest.mark.parametrize("batch_size", [3, 16])
@pytest.mark.parametrize("factor", [0.5, 1, 2])
def test_a_model_that_is_sure(batch_size, factor):
    """If the model is confident, its loss, down to 1e-12, and its gradients are as accurate as any other's."""
    config = GPTConfig(n_embd=8, n_head=2, block_size=8)  # the document is truncated before its end, so the next token is an a
    corpus, vocab_size = corpus_of(["a" * 20], config)
    params = fresh(config, vocab_size, 1)
    engines.create("exact", config, vocab_size, memoryview(params)).train(corpus, range(300), TrainConfig(num_steps=300), [])
    params = scaled(config, vocab_size, params, ["lm_head"], factor)
    worst = relative_errors(config, vocab_size, corpus, params, TrainConfig(batch_size=batch_size), [0])
    assert max(worst.values()) < 1e-4, worst


@pytest.mark.parametrize("batch_size", [3, 16])
def test_attention_to_one_key_alone(batch_size):
    config = GPTConfig(n_embd=16, n_head=2, block_size=12)
    corpus, vocab_size = corpus_of(["emma", "isabella", "ava", "olivia", "maximiliano"], config)
    params = scaled(config, vocab_size, fresh(config, vocab_size, 1), ["layer0.attn_wq", "layer0.attn_wk"], 30)
    worst = relative_errors(config, vocab_size, corpus, params, TrainConfig(batch_size=batch_size), [0])
    assert max(worst.values()) < 1e-3, worst


# ---- Whole runs ------------------------------------------------------------------------------------------------------


def losses_of(engine, config, corpus, vocab_size, training, **options):
    params, losses = fresh(config, vocab_size, 1), []
    made = engines.create(engine, config, vocab_size, memoryview(params), **options)
    made.train(corpus, range(training.num_steps), training, losses)
    return losses, made


@pytest.mark.parametrize(
    "options",
    [
        {},
        dict(clip_norm=0.3),
        dict(clip_norm=1e-6, eps=1e-8),
        dict(clip_norm=1e6, weight_decay=0.5),
        dict(weight_decay=3.0, schedule="cosine"),
        dict(beta1=0.0, beta2=0.0, eps=0.1, learning_rate=1e-3),
        dict(beta1=0.99, beta2=0.9999, warmup_steps=50),
        dict(eps=1e-15, schedule="constant", learning_rate=1e-3),
        dict(eps=1.0, learning_rate=1),
        dict(batch_size=5, schedule="constant", warmup_steps=250),
        dict(batch_size=40, learning_rate=3e-3),
        dict(learning_rate=0.0, weight_decay=1.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("preset", PRESETS)
def test_the_loss_curve_is_the_exact_engine_s(docs, preset, options):
    """For 300 steps, in which rounding errors grow according to the run's own sensitivity."""
    config = PRESETS[preset].config
    corpus, vocab_size = corpus_of(docs, config)
    training = TrainConfig(**{"num_steps": 300, "batch_size": 16, **options})
    expected, _ = losses_of("exact", config, corpus, vocab_size, training)
    losses, _ = losses_of("fast", config, corpus, vocab_size, training)
    assert len(losses) == 300
    assert losses[:20] == pytest.approx(expected[:20], rel=2e-4)
    assert losses == pytest.approx(expected, rel=2e-2)
    assert math.fsum(losses) == pytest.approx(math.fsum(expected), rel=1e-3)


@pytest.mark.parametrize("beta1, beta2, eps", [(0.85, 0.99, 1e-8), (0.9, 0.999999, 1e-8), (0.0, 0.0, 1e-3), (1 - 2**-24, 0.5, 1e-15)])
@pytest.mark.parametrize("num_steps", [1, 2, 50])
def test_adam(docs, num_steps, beta1, beta2, eps):
    """Parameters and moments after some steps at a rate that changes the gradients little, with the betas of float32."""
    beta1, beta2 = float(np.float32(beta1)), float(np.float32(beta2))
    config = GPTConfig(n_embd=8, n_head=2)
    corpus, vocab_size = corpus_of(docs, config)
    training = TrainConfig(num_steps, 1e-5, beta1, beta2, eps, batch_size=3, clip_norm=0.5, weight_decay=10.0, schedule="constant")
    results = []
    for name in ("exact", "fast"):
        params = rounded(config, vocab_size, 1)
        before = np.array(params)
        made = engines.create(name, config, vocab_size, memoryview(params))
        made.train(corpus, range(num_steps), training, [])
        results.append((np.array(params) - before, *map(np.array, made.moments())))
    for got, expected, tolerance in zip(results[1], results[0], (1e-2, 1e-5, 1e-5)):
        assert np.linalg.norm(got - expected) <= tolerance * np.linalg.norm(expected)


def test_betas_are_those_of_float32(docs):
    """Also in the correction of the moments, which would otherwise be wrong by 1 % for such a beta2."""
    corpus, vocab_size = corpus_of(docs, GPTConfig())
    given = dict(num_steps=20, batch_size=3)
    losses = [
        losses_of("fast", GPTConfig(), corpus, vocab_size, TrainConfig(beta1=beta1, beta2=beta2, **given))[0]
        for beta1, beta2 in ((0.9, 0.999999), (float(np.float32(0.9)), float(np.float32(0.999999))))
    ]
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_ten_thousand_steps_learn_the_same(names):
    """The held-out loss is within 0.01 of that of the float64 run with the same batches. (If the model can only memorize its
    documents, two runs that differ in one bit can end further apart.)"""
    config, training, docs = GPTConfig(), TrainConfig(num_steps=10_000, batch_size=16), names
    train, held_out = arrange(docs, random.Random(1), config.block_size, EvalConfig(0.1))
    tokenizer = Tokenizer.from_docs(docs)
    corpus, found = Corpus(train, tokenizer), []
    for name in ("exact", "fast"):
        _, engine = losses_of(name, config, corpus, tokenizer.vocab_size, training)
        found.append(math.fsum(engine.loss(tokenizer.document(doc)) for doc in held_out) / len(held_out))
    assert abs(found[0] - found[1]) < 0.01, found
