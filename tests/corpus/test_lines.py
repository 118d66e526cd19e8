"""The lines of a text without an object for each: the same documents, order and tokens as for a list of strings."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgpt
from microgpt import GPTConfig, Tokenizer, TrainConfig
from microgpt.compiled import lines as compiled
from microgpt.corpus.lines import Lines
from microgpt.corpus.loading import DOCUMENTS
from microgpt.corpus.tokens import Corpus
from microgpt.training import start

TEXTS = st.text("ab \n\t\v\x1c\x85\xa0\u2028é\u4e00\U0001d4b3", max_size=40)


@given(text=TEXTS, seed=st.integers(0, 2**40), drawn=st.integers(0, 700))
def test_lines_are_the_documents_of_their_text(text, seed, drawn):
    docs, lines = DOCUMENTS["lines"](text), Lines(text)
    assert list(lines) == docs and lines[1:] == docs[1:] and lines.characters == "".join(sorted(set("".join(docs))))
    rng, same = random.Random(seed), random.Random(seed)
    for one in (rng, same):
        one.getrandbits(32 * drawn + 1)  # at any position in the generator's state
    rng.shuffle(docs)
    mixed = lines.shuffled(same)
    assert list(mixed) == docs and rng.getstate() == same.getstate() and list(lines) == DOCUMENTS["lines"](text)
    if docs:
        tokenizer = Tokenizer(lines.characters, seed % 2 == 0)
        found, expected = Corpus(mixed, tokenizer), Corpus(docs, tokenizer)
        assert (found.tokens, found.starts) == (expected.tokens, expected.starts)
        longer = [len(doc) + 1 - 3 for doc in docs if len(doc) + 1 > 3]
        assert compiled.cut(found.starts, 3) == (len(longer), sum(longer))


@pytest.mark.parametrize("n", [1, 624, 5000])
def test_a_shuffle_is_python_s(n):
    items, rng, same = list(range(n)), random.Random(n), random.Random(n)
    lines = Lines("\n".join(map(str, items)))
    rng.shuffle(items)
    assert list(lines.shuffled(same)) == list(map(str, items)) and rng.getstate() == same.getstate()


def test_a_run_on_lines_is_that_on_a_list():
    text = "emma\n olivia \n\nava\nmia"
    runs = [start(docs, GPTConfig(), TrainConfig(), seed=3) for docs in (Lines(text), ["emma", "olivia", "ava", "mia"])]
    assert len({run.fingerprint() for run in runs}) == len({bytes(run.model.params) for run in runs}) == 1
    assert len({run.rng.getstate() for run in runs}) == 1
    with pytest.raises(ValueError, match=r"the character 'v' \(U\+0076\) is not in the model's vocabulary"):
        start(Lines(text), init=microgpt.train(["emma olia"], training=TrainConfig(num_steps=1)).model)
