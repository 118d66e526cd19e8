"""microgpt sample: new documents from a saved model."""

import sys

from microgpt import engines, verdict
from microgpt.cli.commands import Failure, Usage, add_reading, characters, count, for_output, load, whole
from microgpt.cli.options import CHOICE, add, in_options, threads_of
from microgpt.cli.output import Documents
from microgpt.common.saying import say
from microgpt.common.words import printable, quoted_path
from microgpt.config import SampleConfig
from microgpt.engines import THREADS
from microgpt.model import GPT, LENGTH, TEXT_LENGTH
from microgpt.storage import checkpoint

MANY = 1000  # documents
DESCRIPTION = (
    "Print documents that a model generates, one per line. Paragraphs are separated by blank lines; a model of text writes one text of "
    "--length characters. MODEL is a file written by microgpt train --out."
)


def configure(parser):
    parser.add_argument("model", metavar="MODEL", help="the saved model")
    parser.add_argument("-n", type=count, metavar="N", help="number of documents (default: 20, or 1 text)")
    parser.add_argument("--length", type=count, metavar="N", help=length_help())
    parser.add_argument("--prompt", type=characters, metavar="TEXT", default="", help="the beginning of every document (default: none)")
    parser.add_argument(
        "--seed",
        type=whole,
        metavar="S",
        help="seed of the random numbers; the same seed gives the same documents (default: a new seed each time)",
    )
    parser.add_argument(
        "--engine", choices=engines.ENGINES,
        help=f"the engine: {engines.BULK} generates many documents at once, with its own random numbers; all others print the same "
        f"for a seed (default: {engines.DEFAULT}; {engines.BULK} for {MANY} documents or more without --seed)",
    )  # fmt: skip
    add(parser, [THREADS])
    add(parser.add_argument_group("which character comes next"), CHOICE.values())
    group = parser.add_argument_group("which documents are printed")
    group.add_argument("--unique", action="store_true", help="print no document twice (default: repetitions are printed)")
    group.add_argument("--novel", metavar="DATA", help="print no document of this file (default: all are printed)")
    add_reading(group, "--novel")
    group.add_argument(
        "--scores", action="store_true",
        help="print after each document the probabilities of its characters and its end, whatever the temperature "
        "(default: documents only)",
    )  # fmt: skip


def length_help():
    return f"{LENGTH.text.split(';')[0]} (default: up to block_size in all, or {TEXT_LENGTH} for a text)"


def run(arguments):
    given = {name: getattr(arguments, name) for name in CHOICE if getattr(arguments, name) is not None}
    threads = threads_of(arguments)
    try:
        choice = SampleConfig(**given)
    except ValueError as error:
        raise Usage(in_options(error)) from None
    saved = checkpoint.read(arguments.model)
    kind = saved.config.documents
    if arguments.n is None:
        arguments.n = 1 if kind == "text" else 20
    if arguments.engine is None:
        many = arguments.seed is None and arguments.n >= MANY
        arguments.engine = engines.BULK if many else engines.DEFAULT
    try:
        threads = engines.check_threads(arguments.engine, threads, "writes")
        model = GPT(saved.config, saved.tokenizer, saved.params, arguments.engine, threads)
    except engines.EngineError as error:
        raise Failure(in_options(error)) from None
    if arguments.novel is not None and kind == "text":
        raise Usage(f"--novel compares documents, and {quoted_path(arguments.model)} writes one long text; omit --novel")
    exclude = load(arguments.novel, kind, arguments) if arguments.novel is not None else ()
    documents = Documents(sys.stdout, kind, arguments.prompt)
    chosen = arguments.unique or arguments.novel is not None  # then some documents are not printed
    try:
        found = model.portions(
            arguments.n, **vars(choice), seed=arguments.seed, prompt=arguments.prompt, length=arguments.length,
            unique=arguments.unique, exclude=exclude, echo=documents.echo if sys.stdout.isatty() and not chosen else None,
        )  # fmt: skip
        _warn_if_not_learned(saved)
        for texts in found:
            documents.print(texts, after=lambda text: f"\t{_scores(model, text)}" if arguments.scores else "")
    except (ValueError, ArithmeticError) as error:
        raise Failure(error) from None
    finally:
        documents.close()


def _warn_if_not_learned(saved):
    if saved.progress and saved.evaluation.patience is None:  # with patience, the last losses may not be those of its weights
        complaint = verdict.complaint(saved.progress.losses, saved.tokenizer.vocab_size)
        if complaint:
            say(complaint)


def _scores(model, text):
    characters = [*(printable(char) if char in "\n\t" else for_output(char) for char in text), "end"]
    return " ".join(f"{char} {score:.3f}" for char, score in zip(characters, model.scores(text)))
