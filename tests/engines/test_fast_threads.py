"""The fast engine gives the same bits in every run: on any number of threads, in any portions, resumed, forked."""

import os
import random
import subprocess
import sys
import threading
import time
from array import array

import pytest
from models import fresh

from microgpt import GPTConfig, TrainConfig
from microgpt.compiled import exact as _exact
from microgpt.compiled import fast as _fast
from microgpt.corpus.tokens import Corpus
from microgpt.reference import ACTIVATIONS
from microgpt.tokenizer import Tokenizer

ISAS = _exact.info()["isas"]
OPTIONS = dict(clip_norm=0.5, weight_decay=0.1, schedule="cosine", warmup_steps=5)
LARGE = GPTConfig(n_embd=32, n_head=4, n_layer=2)
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def outcome(docs, config, training, threads=1, portions=(1000,), network=None, start=0):
    """(losses, parameters, moments) of a run in portions of this many steps, as bytes."""
    tokenizer = Tokenizer.from_docs(docs, config.bos_first)
    params, losses = fresh(config, tokenizer.vocab_size, 1), array("d")
    network = network or _fast.Network(config, tokenizer.vocab_size, params)
    corpus, step, i = Corpus(docs, tokenizer), start, 0
    while step < training.num_steps:
        end = min(step + portions[i % len(portions)], training.num_steps)
        found = []
        network.train(corpus, range(step, end), training, found, threads)
        losses.extend(found)
        step, i = end, i + 1
    return losses.tobytes(), params.tobytes(), *(moments.tobytes() for moments in network.moments())


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    "config, batch_size, options",
    [
        (GPTConfig(), 1, {}),
        (GPTConfig(), 16, {}),
        (GPTConfig(), 16, OPTIONS),
        (GPTConfig(), 5, OPTIONS),
        (GPTConfig(n_embd=13, n_head=1, block_size=40), 70, OPTIONS),
        (GPTConfig(n_embd=20, n_head=5, n_layer=2, activation="gelu"), 33, {}),
        *(
            pytest.param(GPTConfig(n_embd=20, n_head=5, n_layer=2, activation=activation), 33, {}, marks=pytest.mark.slow)
            for activation in ACTIVATIONS
            if activation != "gelu"
        ),
        (LARGE, 6, OPTIONS),
        pytest.param(LARGE, 100, {}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_any_number_of_threads(monkeypatch, docs, isa, config, batch_size, options):
    monkeypatch.setenv("MICROGPT_ISA", isa)
    num_steps = 150 if batch_size < 30 else 40  # enough to try what more threads do, see pace.h
    training = TrainConfig(num_steps=num_steps, batch_size=batch_size, **options)
    expected = outcome(docs, config, training)
    for threads in (2, 3, 5):
        assert outcome(docs, config, training, threads) == expected, threads


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_gradients_on_any_number_of_threads(docs, threads):
    tokenizer = Tokenizer.from_docs(docs)
    corpus, params = Corpus(docs, tokenizer), fresh(LARGE, tokenizer.vocab_size, 1)
    network = _fast.Network(LARGE, tokenizer.vocab_size, params)
    for batch_size in (3, 16, 37, 64, 80):
        training = TrainConfig(batch_size=batch_size)
        expected = _fast.Network(LARGE, tokenizer.vocab_size, params).backward(corpus, 2, training)
        assert network.backward(corpus, 2, training, threads) == expected


@pytest.mark.parametrize("portions", [(1,), (7,), (1, 2, 30)])
@pytest.mark.parametrize("threads", [1, 3])
def test_portions(docs, portions, threads):
    """Also if the parameters are converted to doubles and back in between."""
    training = TrainConfig(num_steps=150, batch_size=12, **OPTIONS)
    assert outcome(docs, GPTConfig(), training, threads, portions) == outcome(docs, GPTConfig(), training)


@pytest.mark.parametrize("done", [1, 13, 39])
def test_a_restored_run_is_the_uninterrupted_one(docs, done):
    config, training = GPTConfig(), TrainConfig(num_steps=40, batch_size=12, **OPTIONS)
    whole = outcome(docs, config, training)
    tokenizer = Tokenizer.from_docs(docs)
    corpus, losses = Corpus(docs, tokenizer), []
    params = fresh(config, tokenizer.vocab_size, 1)
    first = _fast.Network(config, tokenizer.vocab_size, params)
    first.train(corpus, range(done), training, losses)
    m, v = first.moments()
    rest = array("d", params)
    second = _fast.Network(config, tokenizer.vocab_size, rest)
    second.restore(training, m, v, done)
    second.train(corpus, range(done, 40), training, losses)
    assert (array("d", losses).tobytes(), rest.tobytes(), *(x.tobytes() for x in second.moments())) == whole


def test_batches_of_changing_size(docs):
    """Larger buffers of earlier steps, with documents of other lengths, have no effect on later ones."""
    rng, tokenizer = random.Random(3), Tokenizer.from_docs(docs)
    corpus, params = Corpus(docs, tokenizer), fresh(LARGE, tokenizer.vocab_size, 1)
    used = _fast.Network(LARGE, tokenizer.vocab_size, params)
    for _ in range(30):
        training, step = TrainConfig(batch_size=rng.choice([1, 3, 6, 7, 16, 17, 50])), rng.randrange(100)
        expected = _fast.Network(LARGE, tokenizer.vocab_size, params).backward(corpus, step, training)
        assert used.backward(corpus, step, training, rng.choice([1, 2])) == expected


PROGRAM = """
import hashlib, random
from array import array
from microgpt import GPTConfig, TrainConfig, Tokenizer
from microgpt.compiled import fast as _fast
from microgpt.corpus.tokens import Corpus
docs = [str(i * i) for i in range(1, 500)]
tokenizer, config = Tokenizer.from_docs(docs), GPTConfig()
rng = random.Random(1)
params = array("d", (rng.gauss(0, 0.08) for _ in range(config.num_params(tokenizer.vocab_size))))
network = _fast.Network(config, tokenizer.vocab_size, params)
network.train(Corpus(docs, tokenizer), range(200), TrainConfig(num_steps=200, batch_size=16), [], 2)
print(network.isa, hashlib.sha256(params).hexdigest())
"""


@pytest.mark.parametrize("isa", ISAS)
def test_from_process_to_process(isa):
    environment = {**os.environ, "MICROGPT_ISA": isa}
    runs = {subprocess.check_output([sys.executable, "-c", PROGRAM], env=environment, text=True) for _ in range(3)}
    assert len(runs) == 1 and runs.pop().startswith(f"{isa} ")


# ---- The user's own threads and processes ----------------------------------------------------------------------------


def in_threads(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    return threads


def test_models_in_threads_of_the_user_s_own(docs):
    training = TrainConfig(num_steps=100, batch_size=20)
    expected, found = outcome(docs, GPTConfig(), training), []
    for thread in in_threads(*[lambda: found.append(outcome(docs, GPTConfig(), training, 3)) for _ in range(5)]):
        thread.join()
    assert found == [expected] * 5


@pytest.fixture
def busy(docs):
    """(a network that another thread trains as long as the test wants, its corpus)."""
    tokenizer = Tokenizer.from_docs(docs)
    corpus = Corpus(docs, tokenizer)
    network = _fast.Network(LARGE, tokenizer.vocab_size, fresh(LARGE, tokenizer.vocab_size, 1))
    stop, working = threading.Event(), threading.Event()

    def work():
        step = 0
        while not stop.is_set():
            working.set()
            try:
                network.train(corpus, range(step, step + 100), TrainConfig(num_steps=10**6, batch_size=32), [], 2)
            except RuntimeError:
                continue
            step += 100

    (thread,) = in_threads(work)
    working.wait()
    yield network, corpus
    stop.set()
    thread.join()


def test_one_engine_is_for_one_caller(busy):
    network, corpus = busy
    started = time.monotonic()
    while time.monotonic() - started < 10:  # between two portions it is free
        try:
            network.backward(corpus, 0, TrainConfig())
        except RuntimeError as error:
            assert str(error) == "this engine is at work already; an engine computes for one caller at a time"
            return
        time.sleep(0.001)
    pytest.fail("two callers at once, and no error")


def test_the_gil_is_free_while_it_computes(docs):
    """Python never switches threads here, so this thread can run before the other ends only if that releases the GIL."""
    tokenizer, training, interval = Tokenizer.from_docs(docs), TrainConfig(num_steps=200, batch_size=32), sys.getswitchinterval()
    corpus, begun, through = Corpus(docs, tokenizer), threading.Event(), threading.Event()
    network = _fast.Network(LARGE, tokenizer.vocab_size, fresh(LARGE, tokenizer.vocab_size, 1))

    def work():
        begun.set()
        network.train(corpus, range(200), training, [])
        through.set()

    def goes_on_meanwhile():
        begun.clear(), through.clear()
        (thread,) = in_threads(work)
        begun.wait()
        meanwhile = not through.is_set()
        thread.join()
        return meanwhile

    sys.setswitchinterval(1000)
    try:
        assert any(goes_on_meanwhile() for _ in range(20))  # a busy machine may wake this thread too late, but not every time
    finally:
        sys.setswitchinterval(interval)


SLEEPERS = """
import os
from array import array
from microgpt import GPTConfig, TrainConfig, Tokenizer
from microgpt.compiled import fast as _fast
from microgpt.corpus.tokens import Corpus
if hasattr(os, "sched_setaffinity"):  # on one core, who waits for the others sleeps before they have had a turn
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
docs = [str(i * i) for i in range(1, 500)]
tokenizer, config = Tokenizer.from_docs(docs), GPTConfig()
params = array("d", bytes(8 * config.num_params(tokenizer.vocab_size)))
network = _fast.Network(config, tokenizer.vocab_size, params)
for step in range(20):
    network.backward(Corpus(docs, tokenizer), step, TrainConfig(batch_size=80), 4)
"""


def test_threads_that_sleep_are_woken():
    subprocess.run([sys.executable, "-c", SLEEPERS], check=True, timeout=60)  # a thread that never wakes would hang it


@posix
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_another_thread_trains(docs, busy):
    """The child, in which only this thread exists, trains with its own threads and gets the same bits."""
    training = TrainConfig(num_steps=150, batch_size=20)
    expected = outcome(docs, GPTConfig(), training)
    for _ in range(5):
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if outcome(docs, GPTConfig(), training, 3) == expected else 1)
            finally:
                os._exit(2)
        for _ in range(6000):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                break
            time.sleep(0.01)
        else:
            os.kill(child, 9)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        assert status == 0
    assert outcome(docs, GPTConfig(), training, 2) == expected
