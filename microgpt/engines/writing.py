"""Writing documents: a source of them, and a filter for its documents.

A source has a method `write(wanted, filtered)`: a list of new texts, at most `wanted` of them; more if they are filtered, since some will
be rejected. Ctrl-C takes effect after the current call.
"""

MOST_TRIES = 1000  # for one document that differs from the previous ones


class OneByOne:
    """A source of one document at a time. Each token is drawn from rng (random.Random), as the reference draws it."""

    def __init__(self, engine, tokenizer, rng, prompt, choice, length=None, tell=None):
        self.engine, self.tokenizer, self.rng, self.prompt, self.choice = engine, tokenizer, rng, prompt, choice
        self.length, self.tell = length, tell

    def write(self, wanted, filtered):
        choice, opening = self.choice, self.tokenizer.opening(self.engine.config.documents)
        with self.engine.access.reading():
            tokens = self.engine.generate(
                self.rng, self.tokenizer.bos, self.prompt, choice.temperature, choice.top_k, choice.top_p,
                opening=opening, length=self.length, tell=self.tell,
            )  # fmt: skip
        return [self.tokenizer.decode(tokens)]


def select(source, n, unique=False, exclude=()):
    """Yields lists of documents, n in all.

    unique: no document twice; exclude: documents to reject. ValueError after MOST_TRIES rejections in a row.
    """
    taken, found, tries = set(exclude), 0, 0
    while found < n:
        wanted, filtered = n - found, bool(unique or taken)
        texts = source.write(wanted, filtered)
        if filtered:
            texts, tries = _wanted(texts, wanted, tries, taken, unique)
        found += len(texts)
        if texts:
            yield texts
        if tries == MOST_TRIES:
            raise ValueError(
                f"no new document was found in {MOST_TRIES} tries, after {found} of {n}; "
                "a higher temperature or a greater length gives more variety"
            )


def _wanted(texts, wanted, tries, taken, unique):
    """(up to `wanted` of the texts that are not in `taken`, the number refused since the last one; stops at MOST_TRIES)"""
    selected = []
    for text in texts:
        if text in taken:
            tries += 1
            if tries == MOST_TRIES:
                break
            continue
        tries = 0
        selected.append(text)
        if unique:
            taken.add(text)
        if len(selected) == wanted:
            break
    return selected, tries
