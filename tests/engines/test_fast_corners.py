"""The fast engine at the limits of numbers, corpora and sizes: one clear error, no wrong numbers, no hang."""

import math
import random
import re
from array import array
from types import SimpleNamespace

import pytest
from models import fresh

from microgpt import GPT, DivergenceError, GPTConfig, TrainConfig, engines, train
from microgpt.compiled import fast as _fast
from microgpt.corpus.tokens import Corpus
from microgpt.engines import EngineError
from microgpt.reference import ACTIVATIONS
from microgpt.tokenizer import Tokenizer
from microgpt.training import start

DOCS = ["emma", "olivia", "ava", "isabella", "a"]
CONFIG = GPTConfig(n_embd=8, n_head=2, block_size=6)
TOKENIZER = Tokenizer.from_docs(DOCS)
CORPUS = Corpus(DOCS, TOKENIZER)
THREADS = pytest.mark.parametrize("threads", [1, 3])


def network(params, config=CONFIG):
    return _fast.Network(config, TOKENIZER.vocab_size, params)


def weights(std=0.08, config=CONFIG):
    rng = random.Random(1)
    return array("d", (rng.gauss(0, std) for _ in range(config.num_params(TOKENIZER.vocab_size))))


# ---- Divergence ------------------------------------------------------------------------------------------------------


@THREADS
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("rate", [1e10, 1e18, 1e20, 1e30, 1e37, 1e39, 1e300])
def test_learning_rates_that_leave_float32(activation, rate, threads):
    """The run ends at the step that the error names, and all its losses are finite."""
    config = GPTConfig(n_embd=8, n_head=2, block_size=6, activation=activation)
    training, losses = TrainConfig(num_steps=60, learning_rate=rate, batch_size=20, schedule="constant"), []
    engine = engines.create("fast", config, TOKENIZER.vocab_size, memoryview(weights(config=config)))
    engine.threads = threads
    try:
        engine.train(CORPUS, range(60), training, losses)
    except (FloatingPointError, OverflowError):
        assert len(losses) < 60
    else:  # RMSNorm keeps even such a model going
        assert rate <= 1e18 and len(losses) == 60
    assert all(map(math.isfinite, losses))


def test_divergence_is_what_a_run_reports():
    message = (
        "training diverged at step 1 of 9: a parameter, or the square of a gradient, is too large for a float32; "
        "learning_rate 1e+300 is far too large, "
    )
    with pytest.raises(DivergenceError, match=re.escape(message)):
        train(DOCS, CONFIG, TrainConfig(num_steps=9, learning_rate=1e300, batch_size=4), engine="fast")


@THREADS
def test_the_last_step_s_overflow_is_seen(threads):
    losses = []
    with pytest.raises(OverflowError, match="a parameter, or the square of a gradient, is too large for a float32"):
        network(weights()).train(CORPUS, range(1), TrainConfig(num_steps=1, learning_rate=1e300, batch_size=20), losses, threads)
    assert losses == []


@pytest.mark.parametrize("options", [{}, dict(clip_norm=1.0)], ids=str)
def test_a_gradient_whose_square_overflows(options):
    """An attn_wo of 0 hides huge values from the loss, but not from attn_wo's own gradient."""
    config = GPTConfig(n_embd=8, n_head=2, block_size=6, zero_init_out=True)
    params = fresh(config, TOKENIZER.vocab_size, 1)
    start = config.num_params(TOKENIZER.vocab_size) - 12 * 64 + 2 * 64
    for i in range(start, start + 64):
        params[i] *= 1e25
    losses = []
    with pytest.raises(OverflowError, match="square of a gradient"):
        network(params, config).train(CORPUS, range(2), TrainConfig(num_steps=2, **options), losses)
    assert losses == []


@pytest.mark.parametrize("std", [1e19, 1e25, 1e37])
def test_squares_that_overflow_in_a_norm_do_not_pass_for_zeros(std):
    with pytest.raises(FloatingPointError, match="the loss is not finite"):
        network(weights(std)).backward(CORPUS, 0, TrainConfig(batch_size=3))


@pytest.mark.parametrize("batch_size", [1, 5, *range(7, 17), 40])
def test_nothing_is_left_of_a_pass_that_failed(batch_size):
    """After NaN, with valid parameters again, the numbers are those of a new engine, whatever the previous batch was."""
    params, training = weights(), TrainConfig(batch_size=batch_size)
    expected = network(weights()).backward(CORPUS, 0, training)
    engine = network(params)
    engine.backward(CORPUS, 0, TrainConfig(batch_size=40))
    params[:] = weights(1e25)
    with pytest.raises(FloatingPointError):
        engine.backward(CORPUS, 0, TrainConfig(batch_size=40))
    params[:] = weights()
    assert engine.backward(CORPUS, 0, training) == expected


# ---- Numbers out of the range of float32 --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1e39, -1e300, math.inf, math.nan])
def test_parameters_beyond_float32(value):
    """Even one that no document uses is refused, before training; the caller's number is not rounded to float32."""
    params = weights()
    params[-1] = value
    refused = pytest.raises(EngineError, match=re.escape(f"parameter {len(params) - 1} is {value!r}, and the fast engine's"))
    with refused:
        network(params).train(CORPUS, range(1), TrainConfig(), [])
    with refused:
        start(DOCS, init=GPT(CONFIG, TOKENIZER, params), engine="fast")
    assert repr(params[-1]) == repr(value)
    sound = start(DOCS, init=GPT(CONFIG, TOKENIZER, weights()), engine="fast")
    sound.model.params[-1] = value
    with refused:  # not a DivergenceError
        sound.train()


def test_parameters_below_float32():
    params, rounded = weights(), weights()
    params[7], rounded[7] = 1e-60, 0.0
    assert network(params).backward(CORPUS, 0, TrainConfig()) == network(rounded).backward(CORPUS, 0, TrainConfig())


@pytest.mark.parametrize("options", [dict(eps=1e-50), dict(eps=9e-16), dict(beta1=1 - 1e-9), dict(beta2=1 - 1e-9)], ids=str)
def test_settings_that_have_no_meaning_in_float32(options):
    ((name, value),) = options.items()
    with pytest.raises(EngineError, match=f"{name} must be .* on the engine 'fast', not {re.escape(repr(value))}; choose"):
        train(DOCS, CONFIG, TrainConfig(num_steps=2, **options), engine="fast")


@pytest.mark.parametrize("options", [dict(learning_rate=1e-60), dict(clip_norm=1e-300), dict(clip_norm=1e300), dict(eps=1e-15)], ids=str)
def test_settings_at_the_ends_of_float32(options):
    """Numbers too small to matter do not matter, as in float64."""
    found = []
    for name in ("exact", "fast"):
        losses = []
        engine = engines.create(name, CONFIG, TOKENIZER.vocab_size, memoryview(weights()))
        engine.train(CORPUS, range(6), TrainConfig(num_steps=6, batch_size=3, **options), losses)
        found.append(losses)
    assert found[1] == pytest.approx(found[0], rel=1e-4)


@pytest.mark.parametrize("eps", [1e-15, 1e-8])
def test_gradients_too_small_for_their_squares(eps):
    """For gradients of 1e-22 and less, Adam divides by eps, never by 0, and the model starts to learn as in float64."""
    config, found = GPTConfig(n_embd=8, n_head=2, block_size=6, init_std=1e-24), []
    for name in ("exact", "fast"):
        params, losses = weights(1e-24, config), []
        engine = engines.create(name, config, TOKENIZER.vocab_size, memoryview(params))
        engine.train(CORPUS, range(6), TrainConfig(num_steps=6, batch_size=3, eps=eps), losses)
        found.append(losses)
    assert found[1] == pytest.approx(found[0], rel=1e-3)


# ---- Corpora and sizes -----------------------------------------------------------------------------------------------


def by_hand(tokens, starts):
    return SimpleNamespace(tokens=array("I", tokens), starts=array("Q", starts))


@THREADS
@pytest.mark.parametrize(
    "tokens, starts",
    [
        ([0, 999, 0], [0, 2]),
        ([0, TOKENIZER.vocab_size, 0], [0, 2]),
        ([0, 1, TOKENIZER.vocab_size], [0, 2]),
        ([TOKENIZER.vocab_size, 1, 0], [0, 2]),
        ([0, 1, 2**32 - 1], [0, 2]),
        ([2**31, 1, 0], [0, 2]),
        ([0, 1, 0], [0, 3]),
        ([0, 1, 0], [0, 2**64 - 1]),
        ([0, 1, 0], [2, 0]),
        ([0, 1, 0], [0, 0, 2]),
        ([0, 1, 0], [2**63, 2**63 + 1]),
    ],
    ids=str,
)
def test_corpora_made_by_hand(tokens, starts, threads):
    """Invalid ids and starts are found before anything is read or changed, on every thread."""
    params, losses = weights(), []
    engine = network(params)
    with pytest.raises(ValueError, match=f"a document must be two or more token ids below {TOKENIZER.vocab_size}"):
        engine.train(by_hand(tokens, starts), range(3), TrainConfig(num_steps=3, batch_size=50), losses, threads)
    assert losses == [] and params == array("d", array("f", weights()))
    expected = network(weights()).backward(CORPUS, 0, TrainConfig(batch_size=3))
    assert engine.backward(CORPUS, 0, TrainConfig(batch_size=3)) == expected


def test_a_bad_document_ends_the_run_where_it_comes_up():
    losses = []
    with pytest.raises(ValueError, match="token ids below"):
        network(weights()).train(by_hand([0, 1, 0, 2, 0, 999, 0], [0, 2, 4, 6]), range(3), TrainConfig(num_steps=3), losses)
    assert len(losses) == 2


@pytest.mark.parametrize("corpus", [by_hand([], []), by_hand([0], [0]), by_hand([], [0, 1])], ids=str)
def test_an_empty_corpus(corpus):
    with pytest.raises(ZeroDivisionError, match="there are no documents to train on"):
        network(weights()).train(corpus, range(1), TrainConfig(), [])


@pytest.mark.parametrize("batch_size", [2**40, 2**60, 2**64 - 1])
def test_batches_no_machine_holds(batch_size):
    with pytest.raises(MemoryError, match="a smaller batch_size takes less"):
        network(weights()).backward(CORPUS, 0, TrainConfig(batch_size=batch_size))


def test_what_a_network_checks():
    with pytest.raises(ValueError, match="this configuration has .* parameters, but the buffer has 3"):
        network(array("d", bytes(24)))
    engine = network(weights())
    with pytest.raises(ValueError, match="steps come one after the other"):
        engine.train(CORPUS, range(4, 0, -1), TrainConfig(), [])
    with pytest.raises(ValueError, match="but 3 and 3 moments were given"):
        engine.restore(TrainConfig(), array("d", bytes(24)), array("d", bytes(24)), 1)
    with pytest.raises(EngineError, match="MICROGPT_ISA is 'mmx'"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MICROGPT_ISA", "mmx")
            network(weights())
    losses = []
    engine.train(CORPUS, range(0), TrainConfig(), losses)
    assert losses == []
