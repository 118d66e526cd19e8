"""Documents that are not lines: paragraphs, and texts of any length; and generating past the block."""

import copy
import random
import re
import textwrap
import warnings
from array import array

import pytest
from command_line import SMALL, TINY, driver, fail, microgpt_command, on_terminal, posix, succeed
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from models import bits

import microgpt
from microgpt import GPT, CheckpointError, EvalConfig, GPTConfig, Tokenizer, TrainConfig, engines, load_docs, reference
from microgpt.advice import recommend
from microgpt.corpus.documents import arrange_text
from microgpt.corpus.lines import Lines
from microgpt.corpus.tokens import Windows
from microgpt.display import history
from microgpt.engines import fast, sampling
from microgpt.training import start

POEM = "Tyger Tyger, burning bright,\n  In the forests of the night;\n\n\nWhat immortal hand or eye,\n\tCould frame\n \nthy symmetry?"
CONFIG, TRAINING = GPTConfig(n_embd=8, n_head=2, block_size=6, documents="text"), TrainConfig(num_steps=7, batch_size=3)
TEXTS = st.text(st.sampled_from("ab \n\u0915\U0001f600"), min_size=2, max_size=40)


# ---- Windows: the second part of the reference, and every engine -----------------------------------------------------------


@examples(max_examples=50)
@given(n=st.integers(2, 400), block_size=st.integers(1, 40), data=st.data())
def test_windows(n, block_size, data):
    """The Corpus has the windows in the reference's order; any number of them covers the text evenly."""
    text = "".join(map(chr, range(0x4E00, 0x4E00 + n)))
    first = data.draw(st.integers(0, max(1, n - block_size) - 1))
    corpus = Windows(text, Tokenizer.from_docs([text]), block_size, first)
    starts = [reference.window(i, n, block_size, first) for i in range(len(corpus))]
    assert starts[0] == first and list(corpus) == [list(range(n))[start : start + block_size + 1] for start in starts]
    taken = sorted(starts[: data.draw(st.integers(1, len(corpus)))])
    gaps = [b - a for a, b in zip(taken, taken[1:])] + [taken[0] + len(corpus) - taken[-1]]
    assert max(gaps) <= 2 * len(corpus) / len(taken) + 1


def by_the_reference(text, config, training, seed, val_fraction=0.0):
    """(losses, parameters, tokenizer, random numbers) of a run on a text, computed by the reference's own functions."""
    rng, tokenizer = random.Random(seed), Tokenizer.from_docs([text], config.bos_first)
    tokens = tokenizer.encode(text)
    if val_fraction:
        tokens = tokens[: -max(2, round(val_fraction * len(tokens)))]
    num_windows = max(1, len(tokens) - config.block_size)
    first = rng.randrange(num_windows)
    starts = [reference.window(i, len(tokens), config.block_size, first) for i in range(num_windows)]
    windows = [tokens[start : start + config.block_size + 1] for start in starts]
    shapes = reference.shapes(config, tokenizer.vocab_size)
    params = {name: reference.matrix(*shape, std=config.std(name), rng=rng) for name, shape in shapes.items()}
    return list(reference.train_with(windows, params, config, training)), params, tokenizer, rng


@examples(max_examples=10)
@given(
    text=TEXTS, block_size=st.integers(1, 9), batch_size=st.integers(1, 4), bos_first=st.booleans(),
    val_fraction=st.sampled_from([0.0, 0.2]), length=st.integers(0, 25), documents=st.sampled_from(["text", "lines"]),
)  # fmt: skip
def test_engines_train_and_write_as_the_reference_does(text, block_size, batch_size, bos_first, val_fraction, length, documents):
    config = GPTConfig(n_embd=4, n_head=2, block_size=block_size, bos_first=bos_first, documents="text")
    training = TrainConfig(num_steps=3, batch_size=batch_size)
    if val_fraction and len(text) < 4:
        return
    losses, params, tokenizer, rng = by_the_reference(text, config, training, 5, val_fraction)
    weights = [p.data for matrix in params.values() for row in matrix for p in row]
    prompt, written, seen = text[: length // 2], {}, GPTConfig(**{**vars(config), "documents": documents})
    begun = [tokenizer.opening(documents), *tokenizer.encode(prompt)]
    for name in engines.ENGINES:
        run = microgpt.train([text], config, training, seed=5, engine=name, evaluation=EvalConfig(val_fraction))
        if name == "fast":
            assert run.losses == pytest.approx(losses, rel=1e-4)
            continue
        assert bits(run.losses) == bits(losses) and bits(run.model.params) == bits(weights) and run.rng.getstate() == rng.getstate()
        model = GPT(seen, tokenizer, run.model.params, name)  # documents too are generated past the block
        written[name] = model.generate_from(copy.deepcopy(rng), 1, 0.8, prompt=prompt, length=length)
    expected = reference.write(params, seen, begun, length, tokenizer.bos, tokenizer.vocab_size, copy.deepcopy(rng), 0.8)
    assert written == {name: [prompt + tokenizer.decode(expected)] for name in engines.EXACT}
    assert documents == "lines" or len(expected) == length


def test_a_text_never_ends():
    """A text never ends, however likely BOS is, and however the next character is chosen."""
    for bos_first in (False, True):
        config = GPTConfig(n_embd=4, n_head=2, block_size=4, bos_first=bos_first, documents="text")
        model = GPT.init(config, Tokenizer("\nab", bos_first), random.Random(1))
        for x in range(4):
            model.state_dict()["lm_head"][model.tokenizer.bos, x] = 30.0 * (-1) ** x
        for options in ({}, {"temperature": 0}, {"top_k": 2}, {"top_p": 0.9}):
            for engine in ("graph", "exact", "fast"):
                assert len(model.generate(1, length=20, seed=1, engine=engine, **options)[0]) == 20


# ---- What the model sees of a long text ------------------------------------------------------------------------------------


@given(block_size=st.integers(1, 20), n=st.integers(1, 90), documents=st.sampled_from(["lines", "text"]))
def test_the_context(block_size, n, documents):
    """The context is the whole text if it fits, otherwise its end, more than half a block long; in documents after BOS. A Reader agrees."""
    config, tokens = GPTConfig(block_size=block_size, documents=documents), list(range(n))
    seen = reference.context(tokens, -1, config)
    if n <= block_size:
        assert seen == tokens
    else:
        assert block_size / 2 < len(seen) <= block_size
        assert seen[1:] == tokens[len(tokens) - len(seen) + 1 :] and seen[0] == (-1 if documents == "lines" else n - len(seen))

    def decoder():
        read = []
        return lambda token: read.append(token) or list(read)

    reader = sampling.Reader(decoder, config, -1)
    assert [reader.after(token) for token in tokens][-1] == seen == sampling.Reader(decoder, config, -1).after(*tokens)


def test_readings_of_any_length():
    """`scores` are the probabilities of `logits`; a text begins after a line break, and its loss is that of its first block."""
    for documents in ("lines", "text"):
        config = GPTConfig(n_embd=8, n_head=2, block_size=6, documents=documents)
        model = GPT.init(config, Tokenizer.from_docs([POEM]), random.Random(1))
        ids, logits = model.tokenizer.encode(POEM), model.logits(POEM)
        assert model.scores(POEM) == [sampling.softmax(row)[i] for row, i in zip(logits, ids)]
        opening = {"lines": model.tokenizer.bos, "text": model.tokenizer.ids["\n"]}[documents]
        assert logits[0] == model.engine.decoder()(opening) and len(logits) == len(POEM) + 1
        assert model.loss("Tyger") == model.token_loss([opening, *ids[:5], *[model.tokenizer.bos] * (documents == "lines")])
        loss, weights = model.loss_graph("Tyger")
        assert loss.data == model.loss("Tyger") and len(model.scores("Tyger")) == 5 + (documents == "lines")
    with pytest.raises(ValueError, match="an empty text has nothing to predict; give at least one character"):
        model.loss("")
    assert [Tokenizer(chars).opening("text") for chars in ("\n a", " a", "ab")] == [0, 0, 0] and Tokenizer("\t\n").opening("text") == 1


@pytest.mark.parametrize("engine", ["graph", "exact"])
def test_lengths_and_an_echo(engine):
    model = GPT.init(GPTConfig(n_embd=4, n_head=2, block_size=5), Tokenizer("ab"), random.Random(1), engine)
    for prompt, room in (("", 5), ("abab", 1), ("ababa", 5), ("ab" * 20, 5)):
        texts = model.generate(60, 1.0, seed=1, prompt=prompt)
        assert {len(text) - len(prompt) for text in texts} >= {0, 1, room} and max(map(len, texts)) == len(prompt) + room
        heard = []
        assert list(model.portions(1, 1.0, seed=3, prompt=prompt, length=30, echo=heard.append)) == [[prompt + "".join(heard)]]


# ---- Documents of a file ---------------------------------------------------------------------------------------------------


def test_what_is_a_document(tmp_path):
    path = tmp_path / "poem.txt"
    for end in ("", "\n", "\n \n\n"):
        path.write_bytes(("\n \n" + POEM + end).replace("\n", "\r\n").encode())
        first, second, third = load_docs(path, "paragraphs")
        assert first == "Tyger Tyger, burning bright,\n  In the forests of the night;"
        assert (second, third) == ("What immortal hand or eye,\n\tCould frame", "thy symmetry?")
        assert load_docs(path, "text") == ["\n \n" + POEM + end] and load_docs(path) == [
            line.strip() for line in POEM.split("\n") if line.strip()
        ]
    path.write_text("x")
    assert all(load_docs(path, kind) == ["x"] for kind in ("lines", "paragraphs", "text"))
    with pytest.raises(ValueError, match="documents must be one of lines, paragraphs, text, not 'words'"):
        load_docs(path, "words")


@given(n=st.integers(2, 60), fraction=st.floats(0.01, 0.99), block_size=st.integers(1, 9))
def test_the_end_of_a_text_is_held_out(n, fraction, block_size):
    """Every held-out character except the first is predicted once; the choice does not depend on the seed."""
    text = "".join(map(chr, range(0x4E00, 0x4E00 + n)))
    count = max(2, round(fraction * n))
    if n - count < 2:
        with pytest.raises(
            ValueError, match=f"of a text of {n} characters a val_fraction of .* leaves none to predict; give more, or val_docs"
        ):
            arrange_text([text], random.Random(1), block_size, EvalConfig(fraction))
        return
    config = GPTConfig(n_embd=4, n_head=1, block_size=block_size, documents="text")
    run = start([text], config, TrainConfig(0), evaluation=EvalConfig(fraction), seed=n)
    assert run.corpus.tokens.tolist() == list(range(n - count))
    assert [token for window in run.held_out for token in window[1:]] == list(range(n - count + 1, n))
    assert max(map(len, run.held_out)) <= block_size + 1
    assert start([text[:-count]], config, TrainConfig(0), val_docs=["丁一"], seed=n).corpus[0] == run.corpus[0]


def test_what_a_text_cannot_be():
    for docs, options, message in (
        (["x"], {}, "a text of one character has nothing to predict; give a longer one to train on"),
        ([POEM], {"val_docs": ["#"]}, "a text of one character .*; give a longer one to measure on"),
        (
            ["Tygers"],
            {"val_docs": ["Tz"]},
            "val_docs cannot be measured: the character 'z' .*; omit it there, or also train on some that have it",
        ),
        ([POEM], {"long_docs": "split"}, "omit long_docs: it has no effect on a text, whose windows leave nothing out"),
        (
            [POEM],
            {"evaluation": EvalConfig(0.1, split_seed=1)},
            "omit split_seed: it has no effect on a text, of which the end is held out",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            start(docs, CONFIG, TRAINING, **options)
    for docs in (["ab", "\nc", "b"], ["ab", "cab"], Lines("ab\ncab")):  # each begins a line, with or without a line break
        assert start(docs, CONFIG).fingerprint() == start(["\n".join(docs)], CONFIG).fingerprint()


@pytest.mark.parametrize("engine", ["graph", "exact", "fast"])
def test_a_run_on_a_text_goes_on(tmp_path, engine):
    whole = microgpt.train([POEM], CONFIG, TrainConfig(9, batch_size=3), engine=engine, evaluation=EvalConfig(0.2, 4))
    part = start([POEM], CONFIG, TrainConfig(9, batch_size=3), engine=engine, evaluation=EvalConfig(0.2, 4))
    part.train(lambda step: step.step == 5)
    part.save(tmp_path / "run")
    again = microgpt.train([POEM], resume=tmp_path / "run")
    assert (again.losses, again.val_losses) == (whole.losses, whole.val_losses) and again.generate(2, length=40) == whole.generate(
        2, length=40
    )
    for other in (POEM + "!", POEM.replace("bright", "night!"), POEM[:-2]):
        with pytest.raises(CheckpointError, match="the data are not those that .*run' was trained on"):
            microgpt.train([other], resume=tmp_path / "run")
    model = GPT.load(tmp_path / "run")
    for other in (copy.copy(model), GPT.from_json(model.to_json())):
        assert other.config == CONFIG and other.generate(1, seed=1, length=20) == model.generate(1, seed=1, length=20)


def test_a_text_that_is_measured_and_trained_on():
    for val_docs, trained, warned in (([POEM[9:40]], "also trained on", 1), ([POEM[40:] + POEM[:9]], "not trained on", 0)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run = microgpt.train([POEM], CONFIG, TrainConfig(2), val_docs=val_docs)
        assert [str(warning.message) for warning in caught] == ["the text to measure on is also trained on"] * warned
        assert f" characters that is {trained}; " in history.summary(run)[1]


# ---- On the command line ---------------------------------------------------------------------------------------------------


@pytest.fixture
def poem(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poem.txt").write_text(POEM)
    return tmp_path


def test_train_and_sample_a_text(poem):
    out = microgpt_command(
        "train", "poem.txt", "--documents", "text", *SMALL, "--steps", 3, "--val-fraction", "0.2", "--length", 30, "--out", "m"
    )
    assert out.stdout.startswith(f"num characters: {len(POEM) - round(len(POEM) * 0.2)}\n")
    assert re.search(r"\n\n--- inference ---\nsample  1:\n[^$]{30}\n$", out.stdout)
    assert re.search(
        r"held-out loss \S+ per token after step 3, on 16 characters of a text of 23 characters that is not trained on;", out.stderr
    )
    assert len(succeed("sample", "m", "--seed", 1)) == 501
    two = succeed("sample", "m", "--seed", 1, "-n", 2, "--length", 9, "--prompt", "In the forests of the night")
    assert re.fullmatch(r"(In the forests of the night[^$]{9})\n\n(?!\1)In the forests of the night[^$]{9}\n", two)
    assert microgpt_command("sample", "m", "--novel", "poem.txt").stderr.endswith("'m' writes one long text; omit --novel\n")
    assert "documents text, not paragraphs; omit --documents" in fail("train", "poem.txt", "--documents", "paragraphs", "--resume", "m")
    more = succeed("train", "poem.txt", "--resume", "m", "--steps", 5, "--samples", 0)
    assert more.count("\nstep") == 2


def test_train_and_sample_paragraphs(poem):
    out = succeed("train", "poem.txt", "--documents", "paragraphs", *SMALL, "--steps", 3, "--samples", 2, "--out", "m")
    assert out.startswith("num docs: 3\n") and re.search(r"\n--- inference ---\nsample  1:\n[^$]{1,16}\n\nsample  2:\n[^$]{1,16}\n$", out)
    texts = microgpt.load("m").generate(3, seed=1)
    assert succeed("sample", "m", "--seed", 1, "-n", 3) == "\n\n".join(texts) + "\n"
    scores = succeed("sample", "m", "--seed", 1, "-n", 1, "--scores")
    assert scores.startswith(f"{texts[0]}\t{texts[0][0]} 0.") and "\\n 0." in succeed("sample", "m", "--prompt", "\n", "-n", 1, "--scores")


@posix
def test_a_terminal_shows_a_text_as_it_is_written(poem):
    """It appears character by character, with its line breaks, but without control characters."""
    config = GPTConfig(n_embd=4, n_head=2, block_size=4, documents="text")
    model = GPT.init(config, Tokenizer("\n\x1bab"), random.Random(1))
    model.save("m")
    slowly = """
import time
from microgpt.cli import output
write = output.Documents.echo
output.Documents.echo = lambda *arguments, **options: (write(*arguments, **options), time.sleep(0.1))
"""
    arguments = ["sample", "m", "--seed", 1, "--prompt", "ab", "--length", 300, "--temperature", 1]
    code, shown, _ = on_terminal(driver(slowly, *arguments), when="^ab[^$]{3}")
    assert code == 130 and len(shown) < 200 and shown.endswith("\n")
    text = model.generate(1, 1, seed=1, prompt="ab", length=300)[0]
    assert on_terminal(driver("", *arguments))[1] == text.replace("\x1b", "\\x1b") + "\n"
    assert succeed(*arguments) == text + "\n"
    _, shown, _ = on_terminal(driver("", "train", "poem.txt", "--documents", "text", *TINY, "--steps", 2, "--samples", 2, "--length", 20))
    assert re.search(r"\n--- inference ---\nsample  1:\n[^$]{20,25}\n\nsample  2:\n[^$]{20,25}\n$", shown)


PROSE = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the epoch of belief. "


@pytest.mark.parametrize(
    "text, recommended",
    [
        ("\n".join(["emma", "olivia", "ava"] * 30), "lines"),
        ("\n".join(f"{i},{i * 7919 % 997},some words of a row {i}" for i in range(1000, 1100)), "lines"),
        ("\n\n".join(["emma", "olivia", "ava"] * 30), "lines"),
        ("\n\n".join(["a rose is a rose\nis a rose is a rose"] * 30), "paragraphs"),
        ("\n\n".join([textwrap.fill(PROSE * 4, 70)] * 9), "text"),
        (textwrap.fill(PROSE * 40, 70), "text"),
        (PROSE * 40, "text"),
        ("\n".join([PROSE * 4] * 9), "text"),
        ("x", "lines"),
    ],
)  # fmt: skip
def test_the_kind_of_documents_that_is_recommended(text, recommended):
    assert recommend(text)[0] == recommended


def test_inspect(poem):
    (poem / "prose.txt").write_text(textwrap.fill(PROSE * 40, 70))
    lines = succeed("inspect", "prose.txt", *SMALL)
    assert re.search(r"\nsuggestion     --documents text: its lines are broken at about (69|70) characters, as in prose\n", lines)
    text = succeed("inspect", "prose.txt", *SMALL, "--documents", "text", "--block-size", 64)
    assert (
        "\ndocuments      the windows of one text\n" in text
        and "\nblock_size 64  the model sees up to 64 characters before the next; nothing" in text
    )
    assert "\nsuggestion     as it is: its lines are broken" in text and "; the text is seen 12 times\n" in text
    assert "% of the text is seen\n" in succeed("inspect", "prose.txt", *SMALL, "--documents", "text", "--steps", 9)
    assert "\nsuggestion     --documents paragraphs: blank lines separate its paragraphs, of which 99% have at most" in succeed(
        "inspect", "poem.txt", "--documents", "text"
    )


# ---- Many texts at once ----------------------------------------------------------------------------------------------------


def by_numbers(model, seed, number, prompt, length, temperature=1.0, top_k=None):
    """Document `number` of a seed, by the definition in docs/sampling.md, from the exact engine's logits."""
    tokenizer, kind = model.tokenizer, model.config.documents
    reader = sampling.Reader(model.engine.decoder, model.config, tokenizer.bos)
    tokens, new = tokenizer.encode(prompt), (tokenizer.opening(kind), *tokenizer.encode(prompt))
    for _ in range(length):
        never = tokenizer.bos if kind == "text" else None
        total, u = 0.0, fast.chance(fast.key_of(seed), number, len(tokens))
        for token, p in enumerate(sampling.probabilities(reader.after(*new), temperature, top_k, None, never)):  # noqa: B007 - it is used after the loop
            total += p
            if total > u:
                break
        if token == tokenizer.bos:
            break
        tokens.append(token)
        new = (token,)
    return tokenizer.decode(tokens)


@pytest.mark.parametrize("isa", engines.engine_class("fast").isas())
def test_the_fast_engine_slides_as_the_others_do(isa, monkeypatch):
    """For any number of threads, length of the prompt and length of a call, except where float32 rounds differently."""
    monkeypatch.setenv("MICROGPT_ISA", isa)
    for seed in range(12):
        rng = random.Random(seed)
        block_size, kind, bos_first = rng.choice([1, 2, 3, 5, 8, 16]), rng.choice(["text", "lines"]), rng.random() < 0.5
        config = GPTConfig(n_embd=8, n_head=2, n_layer=2, block_size=block_size, documents=kind, bos_first=bos_first, init_std=0.3)
        model = GPT.init(config, Tokenizer("\nabcdefghijk"[: rng.choice([3, 12])], bos_first), rng, "fast")
        prompt = "ab" * rng.choice([0, 1, 4, 20])
        options = {"top_k": 2} if seed % 5 == 0 else {}
        length = rng.choice([1, 9, 50])
        texts = model.generate(40, 1.0, seed=seed, prompt=prompt, length=length, **options)
        assert texts == model.generate(40, 1.0, seed=seed, prompt=prompt, length=length, threads=3, engine="fast", **options)
        assert texts[:3] == model.generate(3, 1.0, seed=seed, prompt=prompt, length=length, **options)
        assert texts[:16] == [by_numbers(model, seed, i, prompt, length, **options) for i in range(16)], seed
    config = GPTConfig(n_embd=4, n_head=2, block_size=4, documents="text")
    model = GPT.init(config, Tokenizer("ab"), random.Random(1), "fast")
    [text] = model.generate(1, seed=1, length=100_000)  # more than one call of the kernel
    assert len(text) == 100_000 and [text[:50]] == model.generate(1, seed=1, length=50)
    assert text[-20:] == model.generate(1, seed=1, prompt=text[:-20], length=20)[0][-20:]
    model.params[:] = array("d", [1e38] * model.num_params)
    with pytest.raises(ValueError, match="not finite"):
        model.generate(20, length=100, seed=1)
