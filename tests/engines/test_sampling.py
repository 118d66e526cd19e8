"""Choosing the next character, and which documents are printed: top_p, scores, unique, novel; long documents."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgpt
from microgpt import EvalConfig, cli
from microgpt.corpus import documents
from microgpt.engines import sampling

# ---- Top p -----------------------------------------------------------------------------------------------------------


def test_top_p_by_hand():
    logits = [math.log(p) for p in (0.1, 0.4, 0.2, 0.3)]
    assert sampling.probabilities(logits, top_p=0.4) == pytest.approx([0, 1, 0, 0])
    assert sampling.probabilities(logits, top_p=0.41) == pytest.approx([0, 4 / 7, 0, 3 / 7])
    assert sampling.probabilities(logits, top_p=0.71) == pytest.approx([0, 4 / 9, 2 / 9, 3 / 9])
    assert sampling.probabilities(logits, top_p=1.0) == sampling.probabilities(logits)
    assert sampling.probabilities(logits, top_p=0.5, top_k=2) == pytest.approx([0, 1, 0, 0])  # of the two: 4/7 and 3/7
    assert sampling.probabilities([0.0] * 4, top_p=0.5) == [0.5, 0.5, 0, 0]  # equals: in order of their ids
    assert sampling.probabilities(logits, temperature=0, top_p=0.1) == [0, 1, 0, 0]


@given(logits=st.lists(st.floats(-50, 50), min_size=1, max_size=20), top_p=st.floats(0.001, 1))
def test_top_p_keeps_the_fewest_that_suffice(logits, top_p):
    everything, kept = sampling.probabilities(logits), sampling.probabilities(logits, top_p=top_p)
    chosen = [i for i, p in enumerate(kept) if p > 0]
    assert math.fsum(kept) == pytest.approx(1)
    assert math.fsum(everything[i] for i in chosen) >= top_p - 1e-9
    least = min(everything[i] for i in chosen)
    assert all(everything[i] <= least for i in range(len(logits)) if i not in chosen)
    assert math.fsum(everything[i] for i in chosen) - least < top_p + 1e-9


def test_every_engine_writes_the_same_with_top_p(model, saved, engine):
    options = dict(temperature=1.2, seed=5, top_p=0.7, top_k=9, prompt="a")
    assert microgpt.GPT.load(saved, engine).generate(10, **options) == model.generate(10, **options)
    assert model.generate(10, **options) != model.generate(10, **options | {"top_p": 0.2})


@pytest.mark.parametrize("top_p, error", [(0, ValueError), (1.1, ValueError), (math.nan, ValueError), ("1", TypeError)])
def test_impossible_top_p(model, top_p, error):
    with pytest.raises(error, match="top_p must be"):
        model.generate(1, top_p=top_p)


# ---- Which documents -------------------------------------------------------------------------------------------------


def test_scores(model, engine, saved):
    """The mean of their negative logarithms is the loss; a document as long as the block has no end."""
    model = microgpt.GPT.load(saved, engine)
    for text in ["emma", "", "aaaaaaaaaaaaaaaa"]:
        scores = model.scores(text)
        assert len(scores) == min(len(text) + 1, 16)
        assert -math.fsum(map(math.log, scores)) / len(scores) == pytest.approx(model.loss(text))
    assert len(model.scores("a" * 40)) == 40


def test_unique_and_excluded(model):
    plain = model.generate(200, 0.3, seed=1)
    unique = model.generate(60, 0.3, seed=1, unique=True)
    assert len(set(plain)) < 200 and len(set(unique)) == 60
    distinct = list(dict.fromkeys(plain))
    assert len(distinct) > 20 and unique[: len(distinct)] == distinct[:60]  # the same draws, without the repetitions
    common = plain[0]
    assert common not in model.generate(100, 0.3, seed=1, exclude=[common])
    with pytest.raises(ValueError, match="no new document was found in 1000 tries, after 1 of 2; a h"):
        model.generate(2, 0, unique=True)


def test_on_the_command_line(model, saved, tmp_path, capsys):
    def sample(*options):
        assert cli.main(["sample", saved, "--seed", "4", "--temperature", "0.3", *options]) == 0
        return capsys.readouterr().out.splitlines()

    expected = model.generate(20, 0.3, seed=4)
    assert sample() == expected
    assert sample("--top-p", "0.5") == model.generate(20, 0.3, seed=4, top_p=0.5)
    assert sample("-n", "3", "--engine", "python") == expected[:3]
    assert sample("-n", "15", "--unique") == model.generate(15, 0.3, seed=4, unique=True)
    (tmp_path / "known.txt").write_text("\n".join(expected), encoding="utf-8")
    assert not set(sample("--novel", str(tmp_path / "known.txt"))) & set(expected)
    text, scores = sample("-n", "1", "--scores")[0].split("\t")
    assert text == expected[0]
    shown = " ".join(f"{char} {score:.3f}" for char, score in zip([*text, "end"], model.scores(text)))
    assert scores == shown and scores.count("end") == 1
    assert cli.main(["sample", saved, "-n", "2", "--temperature", "0", "--unique"]) == 1
    assert "in 1000 tries" in capsys.readouterr().err


# ---- Long documents --------------------------------------------------------------------------------------------------


@given(doc=st.text("abc", max_size=40), block_size=st.integers(2, 9))
def test_pieces_of_a_document(doc, block_size):
    """Each character and the end are learned, and nothing else, with no end in the middle."""
    pieces = documents.split(doc, block_size)
    learned = [piece[:block_size] + "." * (len(piece) < block_size) for piece in pieces]
    assert all(len(piece) <= block_size for piece in pieces)
    assert all("." not in part for part in learned[:-1]) and learned[-1].endswith(".")
    joined = "".join(learned)
    if len(doc) >= block_size and len(doc) % block_size == 0:  # the last piece repeats what comes before the end
        joined = "".join(learned[:-1]) + "."
        assert doc.endswith(learned[-1][:-1])
    assert joined == doc + "."


def test_what_is_done_with_long_documents():
    docs = ["abcdef", "ab", "abc"]
    assert documents.fit(docs, 4, "truncate") == docs
    assert documents.fit(docs, 4, "split") == ["abcd", "ef", "ab", "abc"]
    with pytest.raises(ValueError, match="a document has 6 characters, but a block_size of 4 has room for 3 and the end"):
        documents.fit(docs, 4, "error")
    assert documents.fit(docs, 7, "error") == docs
    with pytest.raises(ValueError, match="splitting documents needs a block_size of 2 or more"):
        documents.fit(docs, 1, "split")
    with pytest.raises(ValueError, match="long_docs must be one of truncate, split, error, not 'cut'"):
        microgpt.train(docs, long_docs="cut")
    assert documents.share_cut(docs, 4) == (1 / 3, 3 / 14)


def test_pieces_of_a_document_stay_on_one_side():
    docs = [char * 30 for char in "abcdefghij"]
    train, held_out = documents.arrange(docs, random.Random(1), 8, EvalConfig(0.3), "split")
    assert len({piece[0] for piece in held_out}) == 3
    assert not {piece[0] for piece in held_out} & {piece[0] for piece in train}
