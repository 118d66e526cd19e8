"""microgpt sample: new documents from a saved model, one a line."""

import random

from microgpt import engines
from microgpt.engines import bulk, sampling
from microgpt.cli.commands import Failure, Usage, characters, count, load, number, whole
from microgpt.cli.options import add_threads, in_options
from microgpt.config import PRESETS
from microgpt.model import GPT

MANY = 1000  # documents
DESCRIPTION = "Print documents that a model makes up, one a line. MODEL is a file that microgpt train --out wrote."


def configure(parser):
    parser.add_argument("model", metavar="MODEL", help="the saved model")
    parser.add_argument("-n", type=count, metavar="N", default=20, help="how many documents (default: %(default)s)")
    parser.add_argument(
        "--prompt", type=characters, metavar="TEXT", default="", help="what every document begins with (default: nothing)"
    )
    parser.add_argument(
        "--seed", type=whole, metavar="S", help="the same seed prints the same (default: another each time)"
    )
    parser.add_argument(
        "--engine", choices=engines.ENGINES,
        help="what computes: fast writes many at a time, with random numbers of its own, the others all print the same for a "
        f"seed (default: {engines.DEFAULT}; fast for {MANY} documents or more without --seed)",
    )  # fmt: skip
    add_threads(parser)
    group = parser.add_argument_group("which character comes next")
    group.add_argument(
        "--temperature", type=number, metavar="X", default=PRESETS["current"].temperature,
        help="below 1 likelier characters, above 1 rarer ones; 0: always the likeliest (default: %(default)s)",
    )  # fmt: skip
    group.add_argument("--top-k", type=whole, metavar="K", help="one of the K likeliest (default: of all)")
    group.add_argument(
        "--top-p",
        type=number,
        metavar="P",
        help="one of the fewest whose probabilities reach the sum P (default: of all)",
    )
    group = parser.add_argument_group("which documents are printed")
    group.add_argument("--unique", action="store_true", help="none twice (default: repetitions are printed)")
    group.add_argument("--novel", metavar="DATA", help="none that is in this file (default: all)")
    group.add_argument(
        "--scores", action="store_true",
        help="after each document, the probability the model gave each character and the end, whatever the temperature "
        "(default: documents only)",
    )  # fmt: skip


def run(arguments):
    try:
        sampling.check_options(arguments.temperature, arguments.top_k, arguments.top_p)
    except ValueError as error:
        raise Usage(in_options(error).replace("top_k", "--top-k").replace("top_p", "--top-p")) from None
    if arguments.engine is None:
        arguments.engine = "fast" if arguments.seed is None and arguments.n >= MANY else engines.DEFAULT
    try:
        model = GPT.load(arguments.model, arguments.engine, arguments.threads)
    except engines.EngineError as error:
        raise Failure(in_options(error)) from None
    try:
        for texts in _portions(model, arguments):
            print("".join(f"{text}\t{_scores(model, text)}\n" if arguments.scores else f"{text}\n" for text in texts), end="")
    except (ValueError, ArithmeticError) as error:
        raise Failure(error) from None


def _portions(model, arguments):
    """Lists of the documents asked for, as they are found."""
    taken = set(load(arguments.novel)) if arguments.novel is not None else set()
    options = dict(prompt=arguments.prompt, top_k=arguments.top_k, top_p=arguments.top_p)
    if model.engine.name == "fast":
        yield from bulk.portions(
            model, arguments.n, arguments.temperature, seed=arguments.seed, unique=arguments.unique, exclude=taken, **options
        )
        return
    rng = random.Random(arguments.seed)
    for number in range(arguments.n):
        try:
            [text] = model.generate_from(rng, 1, arguments.temperature, exclude=taken, **options)
        except ValueError as error:
            raise Failure(str(error).replace("after 0 of 1", f"after {number} of {arguments.n}")) from None
        if arguments.unique:
            taken.add(text)
        yield [text]


def _scores(model, text):
    characters = [*text, "end"]
    return " ".join(f"{char} {score:.3f}" for char, score in zip(characters, model.scores(text)))
