"""From the list of documents to those a run trains on: shuffled, some held out, the long ones dealt with."""

from microgpt.common.options import Option
from microgpt.common.words import counted, quoted

LONG = Option(
    "long", str, "truncate", "documents longer than the block: train on their beginning, on all pieces, or stop",
    choices=("truncate", "split", "error"),
)  # fmt: skip


def arrange(docs, rng, block_size, val_fraction=0.0, long=LONG.default):
    """(documents to train on, documents held out): two lists, in the order in which rng (random.Random) shuffles.

    val_fraction: the share held out, the last of the shuffled documents. long: see `fit`. ValueError where a list would
    be empty or a document is too long.
    """
    docs = list(docs)
    rng.shuffle(docs)
    held_out = []
    if val_fraction:
        count = max(1, round(val_fraction * len(docs)))
        if count >= len(docs):
            raise ValueError(
                f"of {counted(len(docs), 'document')} a val_fraction of {val_fraction:g} leaves none to train on; "
                "give more documents"
            )
        docs, held_out = docs[:-count], docs[-count:]
    return fit(docs, block_size, long), fit(held_out, block_size, long)


def fit(docs, block_size, long):
    """Documents for a block of block_size tokens. A document has one token more than characters, for its end.

    long: "truncate" leaves the documents as they are, and training sees only their first block_size tokens; "split"
    cuts them into pieces that follow one another; "error" raises ValueError where one does not fit.
    """
    LONG.check(long)
    if long == "truncate":
        return docs
    if long == "error":
        for doc in docs:
            if len(doc) >= block_size:
                raise ValueError(
                    f"a document has {counted(len(doc), 'character')}, but a block_size of {block_size} has room for "
                    f"{block_size - 1} and the end: {quoted(doc, 40)}; choose a larger block_size, or truncate or split "
                    "long documents"
                )
        return docs
    if block_size < 2:
        raise ValueError(
            "splitting documents needs a block_size of 2 or more: a piece has an end besides its characters"
        )
    return [piece for doc in docs for piece in split(doc, block_size)]


def split(doc, block_size):
    """Pieces of a long document, such that training on them learns each of its characters and its end.

    All but the last have block_size characters: the end that would follow does not fit, so that it is not learned
    there. The last has at most one less, and where it would be empty it repeats what comes before.
    """
    if len(doc) < block_size:
        return [doc]
    starts = range(0, len(doc) - block_size + 1, block_size)
    pieces = [doc[start : start + block_size] for start in starts]
    rest = doc[len(pieces) * block_size :]
    return [*pieces, rest or doc[-(block_size - 1) :]]


def share_cut(docs, block_size):
    """(share of the documents that are cut at block_size, share of all their tokens that is never learned)."""
    tokens = [len(doc) + 1 for doc in docs]
    lost = [n - block_size for n in tokens if n > block_size]
    return len(lost) / len(tokens), sum(lost) / sum(tokens)
