"""microgpt inspect: what the data contain, how much of them a model would see, and the time and memory of training."""

import math
import time
from collections import Counter

from microgpt import advice, engines, verdict
from microgpt.cli import automatic
from microgpt.cli.commands import Failure, add_reading, load
from microgpt.cli.options import MODEL, TRAINING, add, add_preset, complete, in_options, settings
from microgpt.common.words import counted, quoted
from microgpt.corpus import documents
from microgpt.corpus.loading import DOCUMENTS
from microgpt.training import start

DESCRIPTION = (
    "Look at a text file before training on it: its documents, how much --block-size cuts off, and the model's size, memory and "
    "training time on this machine, which is measured in half a second. The options are those of train."
)
MEASURE_SECONDS = 0.5
MEASURED, FAR = 16, 1.02  # documents for the first loss; the factor above the loss of guessing at which there is a note


def configure(parser):
    parser.add_argument("data", metavar="DATA", nargs="?", help="a text file, '-', 'names' or 'shakespeare', as for train")
    parser.set_defaults(auto=False)  # an option of train
    add_reading(parser.add_argument_group("the data"))
    group = parser.add_argument_group("the run")
    add_preset(group)
    group.add_argument("--engine", choices=engines.ENGINES, help=f"the engine to time (default: {engines.DEFAULT})")
    add(parser.add_argument_group("the model"), MODEL)
    add(parser.add_argument_group("the training (Adam)"), TRAINING)


def run(arguments):
    complete(arguments)
    arguments.engine = arguments.engine or engines.DEFAULT
    [text] = load(arguments.data, "text", arguments)
    if arguments.block_size == "auto":
        automatic.settle(arguments, text)
    config, training, _, _ = settings(arguments)
    docs = DOCUMENTS[config.documents](text)
    facts = {"encoding": arguments.encoding.upper(), **describe(docs, config, *advice.recommend(text))}
    try:
        run = start(docs, config, training, engine=arguments.engine)
    except ValueError as error:
        raise Failure(in_options(error)) from None
    facts["parameters"] = f"{run.model.num_params:,}"
    facts["memory"] = f"about {run.memory}"
    facts["first loss"] = first_loss(run)
    if training.num_steps:
        seconds = measure(run)
        facts["time"] = (
            f"{_duration(seconds * training.num_steps)} for {counted(training.num_steps, 'step')} on the engine "
            f"{arguments.engine}; {_passes(training.num_steps * training.batch_size * _share(run), config.documents)}"
        )
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:{width}}  {fact}")


def _share(run):
    """The share of the data that is one document."""
    corpus = run.corpus
    return corpus.mean_length() / (len(corpus.tokens) - 1)


def describe(docs, config, recommended, why):
    """Name -> text of the facts that need no model. recommended, why: from advice.recommend()."""
    block_size = config.block_size
    lengths = sorted(map(len, docs))
    characters = Counter()
    for doc in docs:
        characters.update(doc)
    shown = "".join(sorted(characters))
    rare = sum(n == 1 for n in characters.values())
    of_docs, of_text = documents.share_cut(docs, block_size)
    repetitions = len(docs) - len(set(docs))
    suggested = advice.block_size(docs, config.documents)
    known = f"{characters.total():,}, {len(characters):,} different: {quoted(shown)}" + (f"; {rare:,} of them only once" if rare else "")
    other = f"--documents {recommended}: {why}"
    if config.documents == "text":
        return {
            "documents": "the windows of one text",
            "characters": known,
            f"block_size {block_size}": f"the model sees up to {counted(block_size, 'character')} before the next; nothing is cut",
            "suggestion": other
            if recommended != "text"
            else f"--block-size {suggested} or more"
            if block_size < suggested
            else f"as it is: {why}",
        }
    facts = {
        "documents": f"{len(docs):,}, " + (f"with {counted(repetitions, 'repetition')}" if repetitions else "all different"),
        "characters": known,
        "lengths": f"{lengths[0]:,} to {counted(lengths[-1], 'character')}, median {lengths[len(lengths) // 2]:,}, "
        f"99% have at most {lengths[-(-99 * len(lengths) // 100) - 1]:,}",
        f"block_size {block_size}": f"cuts {of_docs:.1%} of the documents; {of_text:.1%} of the text is never learned"
        if of_docs
        else "cuts nothing",
    }
    cut, lost = documents.share_cut(docs, suggested)
    if recommended != config.documents:
        facts["suggestion"] = other
    elif cut > 0.5:
        facts["suggestion"] = f"--block-size {suggested} with --long-docs split; {cut:.1%} of the documents are longer"
    elif suggested <= block_size and not of_docs:
        facts["suggestion"] = f"--block-size {block_size} is enough" + (f"; {suggested} would be, too" if suggested < block_size else "")
    else:
        facts["suggestion"] = f"--block-size {suggested}" + (f", which cuts {cut:.1%}" if cut else ", which cuts nothing")
        if lost > 0.01:
            facts["suggestion"] += " (--long-docs split learns the rest too)"
    return facts


def first_loss(run):
    """The loss before the first step, and what to do if it is worse than guessing."""
    losses = run.model.engine.losses(run.corpus, range(min(MEASURED, len(run.corpus))))
    loss, guessing = sum(losses) / len(losses), math.log(run.model.tokenizer.vocab_size)
    text = f"{loss:.4g}, where guessing has {guessing:.4g}"
    if loss <= FAR * guessing:
        return text
    config = run.model.config
    return f"{text}; " + ("try a smaller --init-std" if config.scale_init or config.n_embd <= 16 else "--scale-init begins there")


def measure(run):
    """Seconds per step, from the first steps of a run that is thrown away."""
    engine, done, steps, started = run.model.engine, 0, [], time.perf_counter()
    while done < run.training.num_steps and time.perf_counter() - started < MEASURE_SECONDS:
        portion = min(max(1, done), run.training.num_steps - done)
        try:
            engine.train(run.corpus, range(done, done + portion), run.training, steps)
        except engines.EngineError:
            raise
        except (ValueError, ArithmeticError) as error:
            raise Failure(
                f"training would diverge at step {len(steps) + 1}: {error}; {in_options(verdict.remedy(run, len(steps) + 1))}"
            ) from None
        done += portion
    return (time.perf_counter() - started) / done


def _duration(seconds):
    if seconds < 100:
        return f"about {seconds:.2g} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 100 else f"about {minutes / 60:.1f} h"


def _passes(times, kind):
    seen = "the text is" if kind == "text" else "the documents are" if times < 1 else "each document is"
    if times < 1:
        return f"{100 * times:.2g}% of {seen} seen"
    return f"{seen} seen {times:,.{int(times < 10)}f} times"
