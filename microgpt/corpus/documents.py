"""Prepares documents for a run: shuffles them, holds some out, truncates or splits long ones; or divides a text into windows."""

import random
from functools import partial

from microgpt.common.options import Option
from microgpt.common.saying import warn
from microgpt.common.words import counted, quoted
from microgpt.config import EvalConfig
from microgpt.corpus.lines import Lines
from microgpt.corpus.loading import DataWarning
from microgpt.corpus.tokens import Corpus, Windows

LONG_DOCS = Option(
    "long_docs", str, "truncate", "documents longer than the block: train on their beginning, on all pieces, or stop",
    choices=("truncate", "split", "error"),
)  # fmt: skip


def parts(docs, rng, config, evaluation=EvalConfig(), long_docs=LONG_DOCS.default, val_docs=()):
    """(training, held out): two functions from a Tokenizer to a Corpus; the second is None if nothing is held out.

    config: GPTConfig, whose `documents` says whether these are documents, see `arrange`, or a text, see `arrange_text`.
    """
    if config.documents == "text":
        text, first, held_out = arrange_text(docs, rng, config.block_size, evaluation, val_docs)
        trained = partial(Windows, text, block_size=config.block_size, first=first)
        return trained, partial(Corpus.of_text, held_out, block_size=config.block_size) if held_out else None
    docs, held_out = arrange(docs, rng, config.block_size, evaluation, long_docs, val_docs)
    return partial(Corpus, docs), partial(Corpus, held_out) if held_out else None


def arrange_text(docs, rng, block_size, evaluation=EvalConfig(), val_docs=()):
    """(the text to train on, the start of its first window, drawn from rng, the held-out text): strings, and a number.

    A text is given as a list of one string; of several, each begins a line. evaluation.val_fraction holds out this fraction of its
    characters, the last ones, and at least two. Without it, val_docs are the held-out text. Raises ValueError for a text in which
    nothing is predicted.
    """
    text, held_out = "\n".join(docs), "\n".join(val_docs)
    if evaluation.val_fraction:
        count = max(2, round(evaluation.val_fraction * len(text)))
        text, held_out = text[:-count], text[-count:]
        if len(text) < 2:
            raise ValueError(
                f"of a text of {counted(len(text) + len(held_out), 'character')} a val_fraction of {evaluation.val_fraction:g} leaves "
                "none to predict; give more, or val_docs"
            )
    for part, use in ((text, "train on"), (held_out, "measure on")):
        if len(part) == 1:
            raise ValueError(f"a text of one character has nothing to predict; give a longer one to {use}")
    return text, rng.randrange(max(1, len(text) - block_size)), held_out


def arrange(docs, rng, block_size, evaluation=EvalConfig(), long_docs=LONG_DOCS.default, val_docs=()):
    """(documents to train on, held-out documents): two lists, the first shuffled by rng (random.Random).

    evaluation.val_fraction holds out this fraction of the distinct documents: the last of them in the order of
    random.Random(split_seed). So none of them is trained on, and the choice does not depend on rng. rng shuffles all others, including
    repetitions. (With split_seed None, as in version 0.1, rng shuffles all, and the last ones are held out, even if they are repetitions.)
    Without val_fraction, val_docs are held out, unchanged. long_docs: see `fit`, which comes last. Raises ValueError if none are left to
    train on or a document is too long.
    """
    if isinstance(docs, Lines) and not evaluation.val_fraction and long_docs == LONG_DOCS.default:
        return docs.shuffled(rng), list(val_docs)
    docs, held_out = list(docs), list(val_docs)
    if not evaluation.val_fraction:
        rng.shuffle(docs)
    elif evaluation.split_seed is None:
        rng.shuffle(docs)
        docs, held_out = _without_last(docs, evaluation.val_fraction, "document")
    else:
        different = list(dict.fromkeys(docs))
        random.Random(evaluation.split_seed).shuffle(different)
        _, held_out = _without_last(different, evaluation.val_fraction, "different document")
        apart = set(held_out)
        docs = [doc for doc in docs if doc not in apart]
        rng.shuffle(docs)
    return fit(docs, block_size, long_docs), fit(held_out, block_size, long_docs)


def _without_last(docs, share, noun):
    """(all documents except the last ones, the last ones): the latter are this share of all, and at least one."""
    count = max(1, round(share * len(docs)))
    if not any(docs[:-count]):
        raise ValueError(f"of {counted(len(docs), noun)} a val_fraction of {share:g} leaves none to train on; give more, or val_docs")
    return docs[:-count], docs[-count:]


def fit(docs, block_size, long_docs):
    """Documents for a block of block_size tokens. A document has one token more than it has characters, for its end.

    long_docs: "truncate" leaves the documents as they are, and training sees only their first block_size tokens; "split"
    cuts them into consecutive pieces; "error" raises ValueError if one does not fit.
    """
    LONG_DOCS.check(long_docs)
    if long_docs == "truncate":
        return docs
    if long_docs == "error":
        for doc in docs:
            if len(doc) >= block_size:
                raise ValueError(
                    f"a document has {counted(len(doc), 'character')}, but a block_size of {block_size} has room for "
                    f"{block_size - 1} and the end: {quoted(doc, 40)}; choose a larger block_size, or truncate or split "
                    "long documents"
                )
        return docs
    if block_size < 2:
        raise ValueError("splitting documents needs a block_size of 2 or more, because a piece has an end besides its characters")
    return [piece for doc in docs for piece in split(doc, block_size)]


def split(doc, block_size):
    """Pieces of a long document, so that training on them learns each of its characters and its end.

    All except the last have block_size characters: an end after them does not fit, so it is not learned
    there. The last has at least one character less; if it would be empty, it repeats characters before it.
    """
    if len(doc) < block_size:
        return [doc]
    starts = range(0, len(doc) - block_size + 1, block_size)
    pieces = [doc[start : start + block_size] for start in starts]
    rest = doc[len(pieces) * block_size :]
    return [*pieces, rest or doc[-(block_size - 1) :]]


def share_cut(docs, block_size):
    """(fraction of the documents that are truncated to block_size, fraction of all their tokens that is never learned)."""
    tokens = [len(doc) + 1 for doc in docs]
    lost = [n - block_size for n in tokens if n > block_size]
    return len(lost) / len(tokens), sum(lost) / sum(tokens)


# ---- Documents from a program ----------------------------------------------------------------------------------------------


def checked(name, docs):
    """The documents as a list. Raises TypeError or ValueError for anything else."""
    if isinstance(docs, Lines):
        return docs
    if isinstance(docs, (str, bytes)) or hasattr(docs, "read") or not hasattr(docs, "__iter__"):
        raise TypeError(f"{name} must be a list of documents, not {quoted(docs)}; load_docs reads one from a file")
    if isinstance(docs, (set, frozenset)):  # its order, and so the results, would differ in each process
        raise TypeError(f"{name} must be a list of documents, not a set, which has no order; give sorted(...) of it")
    docs = list(docs)
    for doc in docs:
        if not isinstance(doc, str):
            raise TypeError(f"every document must be a string, not {quoted(doc)}")
    if not any(docs):
        use = "measure on" if name == "val_docs" else "train on"
        raise ValueError(f"there is nothing to {use}; give at least one document that is not empty")
    return docs


def characters(docs, config):
    """The distinct characters of all documents, sorted; for a text given as several strings, also the line breaks between them."""
    found = docs.characters if isinstance(docs, Lines) else set("".join(docs))
    between = "\n" if config.documents == "text" and len(docs) > 1 else ""
    return sorted({*found, *between})


def note_newlines(name, docs):
    """Issue a DataWarning if documents are the lines of a file with their line endings."""
    if isinstance(docs, Lines):
        return
    text = "".join(docs)  # searching one text is faster than searching each document
    ends = sum(doc.endswith(("\n", "\r")) for doc in docs) if "\n" in text or "\r" in text else 0
    if ends:
        warn(
            f"in {name}, {ends:,} of {counted(len(docs), 'document')} end with a newline, which the model learns as a character; "
            "read the file with load_docs, or remove the newline with str.strip",
            DataWarning,
        )


def note_repetitions(docs, val_docs):
    """Issue a DataWarning if documents to measure on are also trained on."""
    known = set(docs)
    count = sum(doc in known for doc in val_docs)
    if count:
        warn(f"the data to train on also have {count:,} of the {counted(len(val_docs), 'document')} to measure on", DataWarning)


def note_part(docs, val_docs):
    """Issue a DataWarning if the text to measure on is a part of that to train on."""
    if "\n".join(val_docs) in "\n".join(docs):
        warn("the text to measure on is also trained on", DataWarning)


def note_oddities(docs, val_docs, config):
    """Issue a DataWarning for each fact about documents that the user should know."""
    if config.documents == "text":
        if val_docs is not None:
            note_part(docs, val_docs)
    else:
        note_newlines("docs", docs)
        if val_docs is not None:
            note_newlines("val_docs", val_docs)
            note_repetitions(docs, val_docs)


def refuse_idle(config, evaluation, long_docs):
    """ValueError for options that concern documents, if there is a text."""
    if config.documents == "text":
        if long_docs != LONG_DOCS.default:
            raise ValueError("omit long_docs: it has no effect on a text, whose windows leave nothing out")
        if evaluation.split_seed not in (EvalConfig.split_seed, None):
            raise ValueError("omit split_seed: it has no effect on a text, of which the end is held out")
