"""The loss of a model on documents, also in other units."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from os import PathLike

from microgpt.common.words import counted, quoted, shortened
from microgpt.corpus import documents
from microgpt.corpus.tokens import Corpus
from microgpt.model import GPT

PORTION = 1000  # documents measured at a time; Ctrl-C takes effect in between


@dataclass(frozen=True)
class Evaluation:
    """The losses of a model on documents. A loss is infinite if a probability is too small for a float.

    For a model of text (`GPTConfig.documents`), a document is a window, and its tokens are its characters.

    Attributes:
        loss: The mean loss per token, in nats, including the ends of documents.
        perplexity: The exponential of `loss`.
        bits_per_character: The total loss in bits, divided by the number of predicted characters.
        documents: How many documents were measured.
        tokens: How many tokens were predicted, including the ends of documents.
        characters: How many characters were predicted.
        losses: The mean loss of each document, in nats per token, as `GPT.loss` computes it.
    """

    loss: float
    perplexity: float
    bits_per_character: float
    documents: int
    tokens: int
    characters: int
    losses: list[float] = field(repr=False)


def evaluate(model: GPT | str | PathLike[str], docs: Iterable[str]) -> Evaluation:
    """Measure the loss of a model on documents. Documents are truncated to block_size, as in training.

    Args:
        model: A model, or the path of a saved one.
        docs: A list of strings; for a model of text, a list of one.

    Raises:
        ValueError: The model does not know a character; the message names it.
    """
    model = model if isinstance(model, GPT) else GPT.load(model)
    docs, block_size = documents.checked("docs", docs), model.config.block_size
    _refuse_unknown(docs, model)
    if model.config.documents == "text":
        text = "\n".join(docs)
        if len(text) < 2:
            raise ValueError("a text of one character has nothing to predict; give a longer one")
        corpus, ends = Corpus.of_text(text, model.tokenizer, block_size), 0
    else:
        corpus = Corpus(docs, model.tokenizer)
        ends = sum(corpus.starts[i + 1] - corpus.starts[i] <= block_size for i in range(len(corpus)))
    losses = []
    for start in range(0, len(corpus), PORTION):
        with model.engine.access.reading():
            losses += model.engine.losses(corpus, range(start, min(start + PORTION, len(corpus))))
    sizes = [corpus.predictions(i, block_size) for i in range(len(corpus))]
    total, tokens = math.fsum(loss * size for loss, size in zip(losses, sizes)), sum(sizes)
    loss, characters = total / tokens, tokens - ends
    bits = total / math.log(2) / characters if characters else math.inf
    return Evaluation(loss, math.exp(loss) if loss < 709 else math.inf, bits, len(corpus), tokens, characters, losses)


def _refuse_unknown(docs, model):
    known = set(model.tokenizer.chars)
    unknown = set(documents.characters(docs, model.config)) - known
    if unknown:
        affected = [doc for doc in docs if not known.issuperset(doc)]
        characters = shortened(" ".join(quoted(char) for char in sorted(unknown)))
        where = f" (in {counted(len(affected), 'document')}, first in {quoted(affected[0], 40)})" if affected else ""
        raise ValueError(
            f"the model does not know {counted(len(unknown), 'character')} of these data: {characters}{where}; "
            "omit the documents that have them, or train a model on data that have them"
        )
