"""Adam in the exact engine where its fast paths do not apply: tiny numbers, signed zeros, moments that no run has."""

import random
import shlex
import shutil
import subprocess
import sysconfig
from array import array
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import bits

from microgpt import GPTConfig, TrainConfig, engines
from microgpt.compiled import exact as _exact
from microgpt.corpus.tokens import Corpus
from microgpt.tokenizer import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
# most positions are in no document, so their gradients are 0 and their moments stay tiny
CONFIG, DOCS = GPTConfig(n_embd=5, n_head=1, block_size=20), ["ab", "b", "abab", "aa"]
PARAMETERS = (0.0, -0.0, 5e-324, -1e-310, 1e-290, -1e-150, 1e-101, 1e-99, -1e-30, 1.0, -1e3)
FIRST = (0.0, -0.0, 3e-308, -5e-324, 1e-323, -1e-310, 1e-290, -1e-200, 1e-60, -1.0, 1e49, -1e51, 1e120)
SECOND = (0.0, 5e-324, 1e-310, 1e-290, 1e-200, 1e-70, 1e-35, 1.0, 1e49, 1e51, 1e300)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 2**32),
    st.integers(1, len(FIRST)),
    st.sampled_from([0, 1, 300, 5000]),
    st.sampled_from([0.0, 1e-300, 1e-2, 1.0, 1e49, 1e51]),
    st.sampled_from([1e-15, 1e-8, 1.0, 1e300]),
    st.sampled_from([(0.85, 0.99), (0.5, 0.6), (0.0, 0.9), (0.999, 0.0)]),
)
def test_numbers_near_nothing(monkeypatch, seed, hard, first, learning_rate, eps, betas):
    tokenizer, rng = Tokenizer.from_docs(DOCS), random.Random(seed)
    corpus, n_params = Corpus(DOCS, tokenizer), CONFIG.num_params(tokenizer.vocab_size)
    training = TrainConfig(first + 2, learning_rate, eps=eps, beta1=betas[0], beta2=betas[1], schedule="constant")

    def some(numbers, usual):  # mostly the first of the difficult ones, so that few runs are dominated by very large numbers
        hard_one = lambda: rng.choice(numbers[:hard]) * rng.uniform(1, 2)
        return array("d", (hard_one() if rng.random() < 0.7 else usual() for _ in range(n_params)))

    start = some(PARAMETERS, lambda: rng.gauss(0, 0.3))
    m, v = some(FIRST, lambda: rng.gauss(0, 0.1)), some(SECOND, rng.random)

    def run(name):
        params, losses, error = array("d", start), [], None
        engine = engines.create(name, CONFIG, tokenizer.vocab_size, memoryview(params))
        engine.restore(training, array("d", m), array("d", v), first)
        try:
            engine.train(corpus, range(first, first + 2), training, losses)
        except (ArithmeticError, ValueError) as failure:
            error = type(failure)
        return bits(losses), bits(params), *map(bits, engine.moments()), error

    expected = run("python")
    for isa in _exact.info()["isas"]:
        monkeypatch.setenv("MICROGPT_ISA", isa)
        assert run("exact") == expected, isa


def test_quotients_are_the_divider_s(tmp_path):
    if "avx512" not in _exact.info()["isas"]:
        pytest.skip("only with AVX-512 does it divide by multiplying")
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        pytest.skip("there is no C compiler")
    program = tmp_path / "divide"
    options = ["-std=c11", "-O2", "-ffp-contract=off", f"-I{ROOT / 'src'}", "-o", str(program), "-lm"]
    subprocess.run([*compiler, str(ROOT / "tests" / "native" / "divide_driver.c"), *options], check=True)
    assert subprocess.run([program], check=True, capture_output=True, text=True).stdout == ""
