"""microgpt eval: measure a saved model on documents."""

import json
import math

from microgpt import engines
from microgpt.cli.commands import Failure, add_reading, for_output, load
from microgpt.cli.options import add, in_options, threads_of
from microgpt.common.words import shortened
from microgpt.engines import THREADS
from microgpt.lab.evaluation import evaluate
from microgpt.model import GPT

DESCRIPTION = (
    "Measure a saved model on documents: mean loss per token in nats, perplexity, and bits per character. DATA is divided into documents "
    "as for the model's training: lines, paragraphs, or one text."
)


def configure(parser):
    parser.add_argument("model", metavar="MODEL", help="the saved model")
    parser.add_argument("data", metavar="DATA", help="a text file, '-', 'names' or 'shakespeare', as for train")
    parser.add_argument(
        "--per-document", action="store_true", help="also print the loss of each document, the worst last (default: the mean)"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object (default: a line for each number)")
    parser.add_argument(
        "--engine",
        choices=engines.ENGINES,
        help=f"the engine: fast computes in float32, all others with equal bits (default: {engines.DEFAULT})",
    )
    add(parser, [THREADS])
    add_reading(parser)


def run(arguments):
    try:
        model = GPT.load(arguments.model, arguments.engine or engines.DEFAULT, threads_of(arguments))
    except engines.EngineError as error:
        raise Failure(in_options(error)) from None
    docs = load(arguments.data, model.config.documents, arguments)
    try:
        found = evaluate(model, docs)
    except ValueError as error:
        raise Failure(error) from None
    if arguments.json:
        _print_json(found, docs, model, arguments.per_document)
        return
    if arguments.per_document:
        for i, loss in sorted(enumerate(found.losses), key=lambda pair: pair[1]):
            print(f"{loss:.4f}  {i + 1:{len(str(found.documents))}}  {for_output(shortened(_text(docs, model, i)))}")
    noun = "windows" if model.config.documents == "text" else "documents"
    facts = {
        "loss": f"{found.loss!r} nats per token",
        "perplexity": f"{found.perplexity:.6g}",
        "bits per character": f"{found.bits_per_character:.6g}",
        noun: f"{found.documents:,}",
        "tokens": f"{found.tokens:,}",
    }
    for name, fact in facts.items():
        print(f"{name:18}  {fact}")


def _text(docs, model, i):
    """Document i, or the predicted part of window i of a text."""
    if model.config.documents != "text":
        return docs[i]
    return docs[0][1 + i * model.config.block_size :][: model.config.block_size]


def _print_json(found, docs, model, per_document):
    """Print JSON. null stands for infinity, which JSON does not have."""
    whole = {name: _finite(value) for name, value in vars(found).items() if name != "losses"}
    if per_document:
        whole["per_document"] = [{"document": _text(docs, model, i), "loss": _finite(loss)} for i, loss in enumerate(found.losses)]
    print(json.dumps(whole, allow_nan=False, indent=2))


def _finite(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value
