"""Random models and documents for tests of engines: strategies for hypothesis, initial weights, and the bits of a run."""

import random
import struct
from array import array

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from microgpt import GPTConfig, engines, reference
from microgpt.compiled import exact
from microgpt.corpus.tokens import Corpus
from microgpt.tokenizer import Tokenizer

PATHS = [(isa, libm) for isa in exact.info()["isas"] for libm in ("vector", "plain")]
ALPHABET = "".join(map(chr, range(0x61, 0x61 + 99)))


def bits(values):
    return [struct.pack("<d", value).hex() for value in values]


def fresh(config, vocab_size, seed):
    rng = random.Random(seed)
    params = array("d")
    for name, (rows, columns) in config.shapes(vocab_size).items():
        params.extend(rng.gauss(0, config.std(name)) for _ in range(rows * columns))
    return params


def outcome(engine, config, docs, training, seed=1, steps=None):
    """The result of a run, as bits: losses, final parameters, and the error that ends it."""
    tokenizer = Tokenizer.from_docs(docs, config.bos_first)
    params = fresh(config, tokenizer.vocab_size, seed)
    losses, error = [], None
    try:
        made = engines.create(engine, config, tokenizer.vocab_size, memoryview(params))
        made.train(Corpus(docs, tokenizer), range(training.num_steps if steps is None else steps), training, losses)
    except (ArithmeticError, ValueError) as caught:
        error = type(caught), str(caught)
    return bits(losses), bits(params), error


@st.composite
def models(draw, widest=8):
    n_head = draw(st.integers(1, 4))
    return GPTConfig(
        n_layer=draw(st.integers(1, 3)),
        n_embd=n_head * draw(st.integers(1, max(1, widest // n_head))),
        n_head=n_head,
        block_size=draw(st.sampled_from([1, 2, 3, 7, 8, 9, 17, 64])),
        activation=draw(st.sampled_from(sorted(reference.ACTIVATIONS))),
        init_std=draw(st.sampled_from([0.02, 0.08, 0.5, 2.0])),
        zero_init_out=draw(st.booleans()),
        bos_first=draw(st.booleans()),
    )


documents = st.lists(st.text(ALPHABET[:12], min_size=1, max_size=11), min_size=1, max_size=4)
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
