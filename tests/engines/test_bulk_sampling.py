"""Many documents at once: the random numbers, the choices made with them, and independence of everything else."""

import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections import Counter

import pytest
from command_line import NAMES as DOCS
from hypothesis import given, settings
from hypothesis import strategies as st

import microgpt
from microgpt import GPT, GPTConfig, TrainConfig, cli, engines
from microgpt.compiled import exact as _exact
from microgpt.compiled import fast as _fast
from microgpt.engines import fast, sampling
from microgpt.reference import ACTIVATIONS
from microgpt.tokenizer import Tokenizer

ISAS = _exact.info()["isas"]


@pytest.fixture(params=ISAS)
def isa(request, monkeypatch):
    monkeypatch.setenv("MICROGPT_ISA", request.param)
    return request.param


def make(config=None, vocab_size=9, seed=5, engine="exact", std=0.4):
    config, rng = config or GPTConfig(n_embd=8), random.Random(seed)
    tokenizer = Tokenizer(map(chr, range(0x61, 0x61 + vocab_size - 1)), config.bos_first)
    return GPT(config, tokenizer, array("d", [rng.gauss(0, std) for _ in range(config.num_params(vocab_size))]), engine)


# ---- The random numbers ----------------------------------------------------------------------------------------------


def test_philox():
    """The known answers that come with Random123, the authors' own library: kat_vectors, philox4x32, 10 rounds."""
    ones = 0xFFFFFFFF
    assert _fast.philox([0] * 4, [0] * 2) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    assert _fast.philox([ones] * 4, [ones] * 2) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    assert _fast.philox(pi, [0xA4093822, 0x299F31D0]) == (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)


def test_chances():
    """The definition in docs/sampling.md, so that the documents of a seed never change."""
    assert fast.key_of(1) == random.Random(1).getrandbits(64) == 0x91B7584A2265B1F5
    words = _fast.philox([7, 1, 2, 0], [0x2265B1F5, 0x91B7584A])
    assert [fast.chance(fast.key_of(1), 2**32 + 7, 8 + i) for i in range(4)] == [(word >> 9 << 1 | 1) / 2**24 for word in words]


def choices(logits, u, temperature, top_k, top_p):
    """The tokens that u may choose if the logits have small errors."""
    allowed = set()
    for share in {top_p, top_p and max(top_p - 1e-4, 1e-9), top_p and min(top_p + 1e-4, 1)}:
        weights, below = sampling.probabilities(logits, temperature, top_k, share), 0.0
        for token, weight in enumerate(weights):
            if weight > 0 and below - 1e-4 <= u <= below + weight + 1e-4:
                allowed.add(token)
            below += weight
    return allowed


def check(model, texts, numbers, key, temperature=1.0, top_k=None, top_p=None, prompt=""):
    """Each token is the one that its random number chooses by the exact engine's probabilities."""
    bos, block_size = model.tokenizer.bos, model.config.block_size
    for number, text in zip(numbers, texts, strict=True):
        assert text.startswith(prompt) and len(text) <= block_size
        tokens = model.tokenizer.encode(text) + [bos] * (len(text) < block_size)
        decode = model.engine.decoder()
        for position, (before, token) in enumerate(zip([bos, *tokens], tokens)):
            logits = decode(before)
            if position >= len(prompt):
                assert token in choices(logits, fast.chance(key, number, position), temperature, top_k, top_p)


@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 3), st.integers(1, 40)),
    vocab_size=st.integers(1, 60) | st.sampled_from([200, 500]),
    activation=st.sampled_from(list(ACTIVATIONS)),
    bos_first=st.booleans(),
    temperature=st.sampled_from([1.0, 0.5, 2, 1e-3]),
    top_k=st.none() | st.integers(1, 30),
    top_p=st.none() | st.floats(0.05, 1),
    n=st.sampled_from([1, 15, 16, 17, 100]),
    threads=st.integers(1, 4),
    isa=st.sampled_from(ISAS),
    data=st.data(),
)
@settings(max_examples=30, deadline=None)
def test_each_choice(shape, vocab_size, activation, bos_first, temperature, top_k, top_p, n, threads, isa, data):
    n_head, head_dim, n_layer, block_size = shape
    config = GPTConfig(
        n_layer=n_layer, n_embd=n_head * head_dim, n_head=n_head, block_size=block_size, activation=activation,
        bos_first=bos_first,
    )  # fmt: skip
    model, seed = make(config, vocab_size), data.draw(st.integers(0, 2**64))
    prompt = "".join(data.draw(st.lists(st.sampled_from(model.tokenizer.chars or [""]), max_size=min(block_size - 1, 6))))
    options = dict(prompt=prompt, top_k=top_k, top_p=top_p)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MICROGPT_ISA", isa)
        texts = model.generate(n, temperature, seed=seed, engine="fast", threads=threads, **options)
    some = range(n)[:: -max(1, n // 5)]  # from the last to one of the first
    check(model, [texts[i] for i in some], some, fast.key_of(seed), temperature, **options)


def test_large_document_numbers(model, isa):
    bos, block_size = model.tokenizer.bos, model.config.block_size
    engine = engines.create("fast", model.config, model.tokenizer.vocab_size, model.params)
    first, key = 2**32 - 5, 2**64 - 3
    writer = _fast.Writer(engine.network, key, model.tokenizer.chars + "\0", bos, True, [bos], block_size, 1.0, None, None, 10, 1)
    texts = writer.write(first, 10)
    assert len(set(texts)) > 5
    check(model, texts, range(first, first + 10), key)


# ---- What documents do not depend on ---------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, dict(prompt="a"), dict(top_k=3, top_p=0.8), dict(temperature=0)], ids=str)
def test_the_same_for_any_number_and_any_threads(options, isa):
    """If there are thousands, common beginnings are computed once for all; the documents are the same."""
    model = make(GPTConfig(n_embd=8, n_layer=2), engine="fast")
    everything = model.generate(5000, seed=3, **options)
    assert len(everything) == 5000
    for n in (0, 1, 2, 16, 47, 48, 49, 1000):
        assert model.generate(n, seed=3, **options) == everything[:n]
    for threads in (2, 3, 4, 0):
        assert model.generate(5000, seed=3, threads=threads, **options) == everything


def test_portions():
    """Lists of a size that depends on the size of the model."""
    model = make(GPTConfig(n_embd=64, n_layer=4), engine="fast")
    parts = list(model.portions(2000, seed=1))
    assert len(parts) > 3 and sum(parts, []) == model.generate(2000, seed=1)


def test_long_documents(isa):
    """The ring buffer grows with the longest document, up to block_size, which documents that never end reach."""
    model = make(GPTConfig(n_embd=4, n_head=2, block_size=150), vocab_size=30, std=0.1, engine="fast")
    texts = model.generate(60, 1.0, seed=1, threads=2)
    assert max(map(len, texts)) > 70
    exact = GPT(model.config, model.tokenizer, model.params)
    check(exact, texts, range(60), fast.key_of(1))
    assert exact.generate(60, 1.0, seed=1, engine="fast") == texts
    endless = make(GPTConfig(n_embd=4, n_head=2, block_size=150), vocab_size=3, std=0.0, engine="fast")
    assert endless.generate(3, 0, seed=1) == ["a" * 150] * 3


@pytest.mark.parametrize("bos_first", [False, True])
def test_the_smallest(bos_first, isa):
    config = GPTConfig(n_embd=1, n_head=1, block_size=1, bos_first=bos_first)
    texts = make(config, 4).generate(300, 1.0, seed=1, engine="fast")
    assert set(texts) == {"", "a", "b", "c"}
    assert make(config, 1).generate(3, engine="fast") == ["", "", ""]
    longest = make(GPTConfig(n_embd=4, block_size=5)).generate(50, prompt="abcd", seed=1, engine="fast")
    assert {text[:4] for text in longest} == {"abcd"} and {len(text) for text in longest} == {4, 5}


# ---- The distribution ------------------------------------------------------------------------------------------------


def test_frequencies(isa):
    """Chi-squared over the first two tokens: below the mean + 5 standard deviations, for a fixed seed."""
    model, n = make(std=0.6), 40_000
    counts = Counter(text[:2] for text in model.generate(n, 1.0, seed=1, engine="fast"))
    expected, chars = {}, model.tokenizer.chars
    first = model.engine.decoder()
    for token, p in enumerate(sampling.softmax(first(model.tokenizer.bos))):
        if token == model.tokenizer.bos:
            expected[""] = p
            continue
        decode = model.engine.decoder()
        decode(model.tokenizer.bos)
        for following, q in enumerate(sampling.softmax(decode(token))):
            expected[chars[token] + (chars + " ")[following].strip()] = p * q
    assert math.fsum(expected.values()) == pytest.approx(1)
    chi2 = math.fsum((counts[text] - n * p) ** 2 / (n * p) for text, p in expected.items())
    freedom = len(expected) - 1
    assert freedom - 5 * math.sqrt(2 * freedom) < chi2 < freedom + 5 * math.sqrt(2 * freedom)


def test_equals_are_taken_in_the_order_of_their_ids(isa):
    alike = make(GPTConfig(n_embd=4, n_head=2, block_size=3), std=0.0)  # eight characters and the end

    def letters(n=2000, temperature=1.0, **options):
        return set("".join(alike.generate(n, temperature, seed=1, engine="fast", **options)))

    assert letters() == set("abcdefgh")
    assert letters(top_k=3) == letters(top_p=0.33) == letters(top_p=0.9, top_k=3) == set("abc")
    assert letters(top_k=3, top_p=0.6) == set("ab")
    assert letters(temperature=0) == letters(top_k=1) == letters(top_p=1e-300) == {"a"}
    assert letters(top_k=100, top_p=1.0) == set("abcdefgh")


def test_what_is_impossible_is_not_written(isa):
    """Two characters with a probability of e**-60 each come before and after the likely ones in the order of ids."""
    model = make(GPTConfig(n_embd=4, n_head=2, block_size=1), vocab_size=6, std=0.1)
    rows = model.state_dict()
    for i, value in enumerate([1.0, 0.0, 0.0, 0.0]):
        rows["wte"][5, i], rows["wpe"][0, i] = value, 0.0
        for token in range(6):
            rows["lm_head"][token, i] = -30.0 * value * (token in (0, 4))
    assert set(model.generate(200_000, 1.0, seed=1, engine="fast")) == {"", "b", "c", "d"}


@pytest.mark.parametrize("temperature", [1e-300, 1e-30, 1e-5, 1e5, 1e300])
def test_extreme_temperatures(model, temperature, isa):
    texts = model.generate(300, temperature, seed=1, engine="fast")
    if temperature < 1:
        assert set(texts) == {model.generate(1, 0)[0]}
    else:
        assert len(set(texts)) > 200


def test_a_network_that_learned(isa):
    """Documents are generated with the current weights, of which the engine makes float32 copies."""
    run = microgpt.train(DOCS, GPTConfig(n_embd=8), TrainConfig(num_steps=300))
    fast = GPT(run.model.config, run.model.tokenizer, run.model.params, "fast")
    before = fast.generate(50, seed=1)
    assert set(before) & set(DOCS)
    run.model.params[:] = array("d", bytes(8 * run.model.num_params))
    assert fast.generate(50, seed=1) != before


# ---- Like the other engines ---------------------------------------------------------------------------------------


def test_seeds(model):
    def write(seed):
        return model.generate(10, seed=seed, engine="fast")

    seeds = [0, 1, 2**64, 2**64 + 1, 10**100, "one", b"two", 1.5]
    assert len({tuple(write(seed)) for seed in seeds}) == len(seeds)
    assert all(write(seed) == write(seed) for seed in seeds)
    assert write(None) != write(None)
    assert write(-7) == write(7)  # like random.Random


def test_unique_and_excluded(model):
    fast = GPT(model.config, model.tokenizer, model.params, "fast")
    plain = fast.generate(6000, 0.3, seed=1)
    distinct = list(dict.fromkeys(plain))
    assert 100 < len(distinct) < 6000
    assert fast.generate(100, 0.3, seed=1, unique=True) == distinct[:100]
    assert fast.generate(len(distinct), 0.3, seed=1, unique=True, threads=2) == distinct
    without = [text for text in plain if text != plain[0]]
    assert fast.generate(1000, 0.3, seed=1, exclude=[plain[0]]) == without[:1000]
    tried = "no new document was found in 1000 tries, after 1 of 2; a h"
    with pytest.raises(ValueError, match=tried):
        fast.generate(2, 0, unique=True)
    with pytest.raises(ValueError, match="after 0 of 5"):
        fast.generate(5, 0, exclude=fast.generate(1, 0))
    assert fast.generate(1, 0, unique=True) == model.generate(1, 0)


@pytest.mark.parametrize(
    "arguments, options",
    [
        ((-1,), {}), ((1.0,), {}), ((True,), {}), ((1, -1), {}), ((1, "1"), {}), ((1, 1e-301), {}), ((1,), dict(top_k=0)),
        ((1,), dict(top_p=0)), ((1,), dict(length=-1)), ((1,), dict(prompt="?")), ((0,), dict(prompt="?")),
    ],
)  # fmt: skip
def test_the_same_errors(model, arguments, options):
    found = []
    for engine in ("exact", "fast"):
        with pytest.raises((ValueError, TypeError)) as error:
            model.generate(*arguments, engine=engine, **options)
        found.append((error.type, str(error.value)))
    assert found[0] == found[1]


def test_engines_and_threads(model):
    assert model.generate(3, seed=1, engine="python") == model.generate(3, seed=1, threads=1) == model.generate(3, seed=1)
    with pytest.raises(engines.EngineError, match="one thread"):
        model.generate(3, threads=2)
    with pytest.raises(engines.EngineError, match="no engine 'quick'"):
        model.generate(3, engine="quick")
    with pytest.raises(TypeError, match="'chars'"):
        model.generate(3, engine="fast", chars=3)
    fast = GPT(model.config, model.tokenizer, model.params, "fast", threads=2)
    assert fast.generate(3, seed=1) == fast.generate(3, seed=1, engine="fast") == fast.generate(3, seed=1, threads=1)
    assert fast.generate_from(random.Random(1), 3) == model.generate(3, seed=1)
    assert fast.generate(3, seed=1, engine="exact") == model.generate(3, seed=1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
@pytest.mark.parametrize("at", [0, 100, -1])
def test_weights_out_of_range(value, at, isa):
    model = make(engine="fast")
    model.params[at] = value
    for options in ({}, dict(temperature=0), dict(top_p=0.5)):
        with pytest.raises(ValueError, match="not finite"):
            model.generate(100, **options)


def test_activations_out_of_range(isa):
    model = make(GPTConfig(n_embd=8, activation="relu2"), std=1e15, engine="fast")
    for options in ({}, dict(temperature=0), dict(top_k=3), dict(top_p=0.5)):
        for n in (1, 5000):
            with pytest.raises(ValueError, match="not finite"):
                model.generate(n, **options)


def test_other_alphabets():
    docs = ["añb", "日本", "𝛼β", "\ud800x", "ab\0"]
    model = microgpt.train(docs, GPTConfig(n_embd=8), TrainConfig(num_steps=20)).model
    written = "".join(model.generate(500, 1.0, seed=1, engine="fast"))
    assert set(written) == set("".join(docs))


def test_from_several_threads(model):
    """Each call has its own lanes."""
    fast, results = GPT(model.config, model.tokenizer, model.params, "fast", threads=2), {}
    workers = [threading.Thread(target=lambda i=i: results.update({i: fast.generate(30_000, seed=i)})) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(results[i] == fast.generate(30_000, seed=i) for i in range(4))


def test_what_a_writer_refuses(model):
    engine = engines.create("fast", model.config, model.tokenizer.vocab_size, model.params)
    letters = model.tokenizer.chars + "\0"
    right = dict(
        key=1, letters=letters, bos=0, ends=True, prefix=[0], length=9, temperature=1.0, top_k=None, top_p=None, expected=1, n_threads=1
    )
    for wrong in (dict(prefix=[99]), dict(bos=99), dict(length=0), dict(letters="abc")):
        with pytest.raises(ValueError, match="not of this model"):
            _fast.Writer(engine.network, **right | wrong)


MEMORY = """
import resource, sys
from microgpt import GPT, GPTConfig
from microgpt.tokenizer import Tokenizer
from array import array
config = GPTConfig(n_embd=2, n_head=1, block_size=1_000_000)
model = GPT(config, Tokenizer("abcdefghijklmnop"), array("d", bytes(8 * config.num_params(17))), "fast")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert len(model.generate(20, 1.0, seed=1)) == 20
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
with open("/proc/self/statm") as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 200_000_000, resource.RLIM_INFINITY))
try:
    model.generate(64, 1.0, seed=1)
except MemoryError as error:
    print(grown, error)
"""


@pytest.mark.skipif(sys.platform != "linux" or "MICROGPT_SANITIZE" in os.environ, reason="counts a Linux process's memory")
def test_memory():
    """Short documents take little memory, whatever block_size is; if there is not enough memory, there is an error."""
    grown, _, message = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True).stdout.partition(" ")
    assert int(grown) < 30_000  # KiB: the weights as float32 are 8,000
    assert "engine='exact' writes one at a time" in message


# ---- The command -----------------------------------------------------------------------------------------------------


def test_on_the_command_line(model, saved, tmp_path, capsys):
    def sample(*options):
        assert cli.main(["sample", saved, *options]) == 0
        return capsys.readouterr().out.splitlines()

    expected = model.generate(2000, seed=4, engine="fast")
    assert sample("-n", "2000", "--seed", "4", "--engine", "fast") == expected
    assert sample("-n", "2000", "--seed", "4", "--engine", "fast", "--threads", "2") == expected
    assert sample("-n", "1000", "--seed", "4") == model.generate(1000, seed=4)  # the same as before, without --engine
    assert len(sample("-n", "1000")) == 1000
    (tmp_path / "known.txt").write_text("\n".join(expected[:9]), encoding="utf-8")
    asked = ["-n", "30", "--seed", "4", "--engine", "fast", "--unique", "--novel", str(tmp_path / "known.txt")]
    novel = [text for text in dict.fromkeys(expected) if text not in expected[:9]]
    assert sample(*asked) == novel[:30]
    assert [line.split("\t")[0] for line in sample(*asked, "--scores")] == novel[:30]
    assert cli.main(["sample", saved, "-n", "5", "--temperature", "0", "--unique", "--engine", "fast"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == model.generate(1, 0) and "in 1000 tries" in err  # the documents found so far are printed
    assert cli.main(["sample", saved, "--threads", "2"]) == 1
    message = "microgpt: error: --threads 2 needs --engine fast; the engine 'exact' writes on one thread\n"
    assert capsys.readouterr().err == message


def test_many_without_a_seed_are_written_fast(saved, monkeypatch, capsys):
    written = []
    monkeypatch.setattr(GPT, "portions", lambda model, n, *_, **__: written.append((n, model.engine.name)) or [["x"]])
    for options in (["-n", "1000"], ["-n", "999"], ["-n", "1000", "--seed", "1"], ["-n", "1000", "--engine", "exact"]):
        assert cli.main(["sample", saved, *options]) == 0
    assert written == [(1000, "fast"), (999, "exact"), (1000, "exact"), (1000, "exact")]


@pytest.mark.skipif(sys.platform == "win32", reason="for POSIX signals and pipes")
def test_a_reader_that_leaves_and_one_that_interrupts(saved):
    command = [sys.executable, "-m", "microgpt", "sample", saved, "-n", "1000000000", "--engine", "fast"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert len(process.stdout.readline()) < 18
    process.stdout.close()
    assert process.wait(30) == 1 and process.stderr.read() == ""
    process.stderr.close()
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen(command, stdout=nowhere, stderr=subprocess.PIPE, text=True)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) != 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
