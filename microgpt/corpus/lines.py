"""The lines of a text as documents, without an object for each: three million names take as much memory as their text."""

import random
from array import array
from collections.abc import Sequence

from microgpt.compiled import lines as compiled


class Lines(Sequence):
    """The lines of a text, stripped and without empty ones: a sequence of strings, each made on access.

    characters: the distinct characters of all documents, sorted: a str. at: the positions in the text where documents begin.
    """

    def __init__(self, text):
        self.text = text
        self.at, self.characters = compiled.find(text)

    def __len__(self):
        return len(self.at)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        end = self.text.find("\n", start := self.at[i])
        return self.text[start : end if end >= 0 else None].strip()

    def shuffled(self, rng):
        """The documents in the order of rng.shuffle(list(self)); rng (random.Random) ends in the same state."""
        mixed = object.__new__(Lines)
        mixed.text, mixed.at, mixed.characters = self.text, self.at[:], self.characters
        if type(rng) is random.Random:
            compiled.shuffle(mixed.at, rng)
        else:
            rng.shuffle(mixed.at)
        return mixed

    def encoded(self, tokenizer):
        """(tokens, starts) of a Corpus of these documents. Raises ValueError, naming the character, if the tokenizer lacks one."""
        unknown = set(self.characters) - tokenizer.ids.keys()
        if unknown:
            raise ValueError(tokenizer.unknown(min(unknown)))
        ids = array("I", [0]) * (ord(self.characters[-1]) + 1)
        for char in self.characters:
            ids[ord(char)] = tokenizer.ids[char]
        starts = array("Q", self.at)
        starts.append(0)
        return compiled.encode(self.text, starts, ids, tokenizer.bos), starts
