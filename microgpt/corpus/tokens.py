"""Documents as token ids, as the engines read them. The documents to train on or to measure on are one of these sequences:

Corpus    documents one after the other
Windows   the documents of a text: its windows, which overlap
"""

import math
import sys
from array import array
from collections import Counter
from itertools import accumulate, pairwise

from microgpt import reference
from microgpt.compiled import lines
from microgpt.corpus.lines import Lines


class Corpus:
    """Documents as token ids in one flat buffer, which a compiled engine reads in place.

    tokens: array of unsigned 32-bit ids, `BOS d0 BOS d1 BOS ...`; document i is tokens[starts[i] : starts[i + 1] + 1], both
    BOS included. `corpus[i]` is that document as a list.
    """

    def __init__(self, docs, tokenizer):
        if isinstance(docs, Lines):
            self.tokens, self.starts = docs.encoded(tokenizer)
            return
        self.tokens = _ids(["", *docs, ""], tokenizer)
        self.starts = array("Q", accumulate((len(doc) + 1 for doc in docs), initial=0))

    @classmethod
    def of_text(cls, text, tokenizer, block_size):
        """The windows of a text of two or more characters, to measure on: after its first, each character is predicted once.

        Document i is tokens[starts[i] : starts[i + 1] + 1] here too, where no token is BOS.
        """
        made = cls.__new__(cls)
        made.tokens = _ids([text], tokenizer)
        last = len(text) - 1
        made.starts = array("Q", [*range(0, last, block_size), last])
        return made

    def __len__(self):
        return len(self.starts) - 1

    def __getitem__(self, i):
        return self.tokens[self.starts[i] : self.starts[i + 1] + 1].tolist()

    def mean_length(self):
        """The mean number of tokens predicted per document, if none is cut."""
        return (len(self.tokens) - 1) / len(self)

    def predictions(self, i, block_size):
        """How many tokens of document i are predicted, after truncation to block_size."""
        return min(self.starts[i + 1] - self.starts[i], block_size)

    def share_cut(self, block_size):
        """(fraction of the documents that are truncated to block_size, fraction of all their tokens that is never learned)."""
        cut, lost = lines.cut(self.starts, min(block_size, len(self.tokens)))
        return cut / len(self), lost / (len(self.tokens) - 1)

    def count_in(self, other):
        """How many of these documents another Corpus also has."""
        own = [self.tokens[start : end + 1].tobytes() for start, end in pairwise(self.starts)]
        known, tokens = set(own), other.tokens
        there = {doc for start, end in pairwise(other.starts) if (doc := tokens[start : end + 1].tobytes()) in known}
        return sum(doc in there for doc in own)

    def is_within(self, other):
        """Whether another Corpus contains all these tokens consecutively: for texts, whether this one is a part of that."""
        part, whole = (c.tokens.tobytes().decode(f"utf-32-{sys.byteorder[0]}e", "surrogatepass") for c in (self, other))
        return part in whole

    def entropy(self):
        """The loss, in nats per token, of a model that knows only the frequency of each token."""
        ids = range(max(self.tokens) + 1)
        if len(ids) <= 256:  # their low bytes are counted at C speed
            low = bytes(self.tokens)[0 if sys.byteorder == "little" else 3 :: 4]
            counts = [low.count(i) for i in ids]
        else:
            counts = Counter(self.tokens).values()
        total = len(self.tokens)
        return -math.fsum(count / total * math.log(count / total) for count in counts if count)


class Windows(Corpus):
    """The windows of a text of two or more characters, in the order that microgpt.reference.window() gives them.

    tokens: array of unsigned 32-bit ids, without BOS; each document is length + 1 of them. first: where document 0 starts.
    """

    starts = None

    def __init__(self, text, tokenizer, block_size, first):
        self.tokens = _ids([text], tokenizer)
        self.length, self.first = min(block_size, len(text) - 1), first

    def __len__(self):
        return len(self.tokens) - self.length

    def __getitem__(self, i):
        if not 0 <= i < len(self):
            raise IndexError(f"there is no window {i} of {len(self)}")
        start = reference.window(i, len(self.tokens), self.length, self.first)
        return self.tokens[start : start + self.length + 1].tolist()

    def mean_length(self):
        return self.length

    def predictions(self, i, block_size):
        return min(self.length, block_size)


def _ids(docs, tokenizer):
    """An array of the token ids of documents, with BOS between them. ValueError for characters that are not in the vocabulary."""
    separator = next(char for char in map(chr, range(0x110000)) if char not in tokenizer.ids)
    # str.translate maps every character at C speed, so the ids travel as code points; those of surrogates must "pass"
    table = {ord(char): i for char, i in tokenizer.ids.items()} | {ord(separator): tokenizer.bos}
    text = separator.join(docs)
    unknown = set(text) - tokenizer.ids.keys() - {separator}
    if unknown:
        raise ValueError(tokenizer.unknown(min(unknown)))
    return array("I", text.translate(table).encode(f"utf-32-{sys.byteorder[0]}e", "surrogatepass"))


def fingerprint(*corpora):
    """SHA-256 of the tokens of each Corpus, as little-endian 32-bit ids; a None has none."""
    import hashlib

    digest = hashlib.sha256()
    for corpus in corpora:
        if corpus is not None:
            tokens = corpus.tokens if sys.byteorder == "little" else array("I", corpus.tokens)
            if tokens is not corpus.tokens:
                tokens.byteswap()
            digest.update(tokens)
        digest.update(b"end")
    return digest.hexdigest()
