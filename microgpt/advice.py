"""What suits data: which documents, how long a block, and, for so many seconds of training, which model and which steps.

`microgpt inspect` recommends by these rules, and `microgpt train --auto` follows them. They were found by trying: for 0.02 to 10 seconds of
one processor on names, on Shakespeare's plays, and on as little of both as 1,000 characters. benchmarks/auto_against_defaults.py
shows what they are worth.
"""

import math
import random
import time
import warnings
from dataclasses import fields, replace
from typing import NamedTuple

from microgpt import engines
from microgpt.common.words import counted
from microgpt.config import GPTConfig, TrainConfig
from microgpt.corpus import documents
from microgpt.corpus.documents import LONG
from microgpt.corpus.loading import DOCUMENTS
from microgpt.model import GPT
from microgpt.tokenizer import Tokenizer
from microgpt.training import start

# ---- Documents -------------------------------------------------------------------------------------------------------

LONG_BLOCK = 256  # characters: in longer blocks a step takes long
TEXT_BLOCK = 64  # for a text, where nobody says how much time there is
WIDE = 40  # characters: broken prose has lines of at least so many


def recommend(text):
    """(what documents suit the whole text of a file: "lines", "paragraphs" or "text"; and why, as a clause)."""
    lines, paragraphs = DOCUMENTS["lines"](text), DOCUMENTS["paragraphs"](text)
    usual, of_paragraphs = (sorted(map(len, docs))[int(0.99 * (len(docs) - 1))] for docs in (lines, paragraphs))
    if len(lines) == 1 and usual >= LONG_BLOCK:
        return "text", "it is one long line"
    if usual >= LONG_BLOCK:
        return "text", f"it has lines of {usual:,} characters, longer than a block should be"
    if len(paragraphs) > 1 and len(lines) > 1.5 * len(paragraphs):
        if of_paragraphs >= LONG_BLOCK:
            return "text", f"its lines belong together, and it has paragraphs of {of_paragraphs:,} characters, longer than a block should be"
        return "paragraphs", f"blank lines separate its paragraphs, of which 99% have at most {of_paragraphs:,} characters"
    if usual >= WIDE and _is_broken_prose(lines, usual):
        return "text", f"its lines are broken at about {usual} characters, as in prose"
    return "lines", f"99% of its lines have at most {counted(usual, 'character')}"


def _is_broken_prose(lines, width):
    """Whether nearly every line has many words, and no room for the first word of the next one."""
    spaces = sum(line.count(" ") for line in lines)
    full = sum(len(line) + 1 + len(after.split(None, 1)[0]) > 0.9 * width for line, after in zip(lines, lines[1:]))
    return spaces >= 5 * len(lines) and full >= 0.8 * (len(lines) - 1)


def block_size(docs, kind):
    """A block_size for documents of this kind (GPTConfig.documents): that of the longest and its end, unless a few are far longer."""
    if kind == "text":
        return TEXT_BLOCK
    lengths = sorted(map(len, docs))
    longest, usual = lengths[-1] + 1, lengths[int(0.99 * (len(lengths) - 1))] + 1
    return min(longest if longest <= 2 * usual else usual, LONG_BLOCK)


# ---- Model and training ----------------------------------------------------------------------------------------------


class Size(NamedTuple):
    """n_layer and n_embd of a model; the block_size it has on a text; and how many tokens a step takes, about."""

    n_layer: int
    n_embd: int
    text_block: int
    tokens: int


SIZES = [  # two layers of 32 learn more than one of 48, which takes as long; longer blocks cost time that short runs do not have
    Size(1, 16, 32, 128), Size(1, 32, 32, 128), Size(2, 32, 32, 128), Size(2, 48, 32, 192), Size(2, 64, 64, 256), Size(3, 96, 64, 512),
    Size(4, 128, 64, 768), Size(6, 192, 128, 1024), Size(6, 256, 128, 2048), Size(8, 384, 256, 4096),
]  # fmt: skip
TOKENS_PER_PARAM = 12  # that a model must be trained on to be better than a smaller one, which sees more in the same time
PARAMS_PER_CHARACTER = 4  # of the data: larger models learn small data by heart
SMALL = 20_000  # characters: strong weight decay keeps a model from learning less by heart
FEWEST_STEPS = 200  # in fewer, a model learns nothing, however small the data
CALIBRATION = 0.03  # seconds for each size
SAMPLE = 200_000  # characters, from which speed is measured
clock = time.perf_counter


class Suggestion(NamedTuple):
    """What microgpt.train takes, by these names: documents, GPTConfig, TrainConfig, the engine, and what becomes of long documents."""

    docs: list
    config: GPTConfig
    training: TrainConfig
    engine: str
    long: str

    def options(self):
        """Name -> value of every option that is not the default of this engine."""
        usual = GPTConfig(), TrainConfig(batch_size=engines.engine_class(self.engine).batch_size)
        pairs = [(name, value) for part, default in zip((self.config, self.training), usual) for name, value in vars(part).items()
                 if value != getattr(default, name)]  # fmt: skip
        found = {"engine": self.engine, "long": self.long} | dict(pairs)
        return {name: value for name, value in found.items() if (name, value) != ("long", LONG.default)}


def suggest(text, seconds=60, threads=1, **given):
    """A Suggestion for a training of so many seconds on this machine, whose speed is measured for some tenths of one.

    text: the data, a string, as load_docs(source, "text") has it in a list. given: options that are settled, by their names: those of
    GPTConfig and TrainConfig, engine, long. ValueError, TypeError where they cannot be.

        run = microgpt.train(**microgpt.suggest(text, seconds=60)._asdict())

    It is the largest model of SIZES that has the time to see TOKENS_PER_PARAM characters for each of its parameters, and few enough
    of these for the data. The steps fill the time, but stop where the data have been seen so often that they would be learned by heart.
    """
    kind = given.get("documents") or recommend(text)[0]
    docs = DOCUMENTS[kind](text)
    engine = given.get("engine") or "fast"
    tokenizer = Tokenizer.from_docs(docs, given.get("bos_first", False))
    best = None
    for size in SIZES:
        config = _config(size, docs, kind, given)
        long = given.get("long") or ("split" if kind != "text" and documents.share_cut(docs, config.block_size)[0] else LONG.default)
        params = config.num_params(tokenizer.vocab_size)
        if best and (config == best[0] or params > PARAMS_PER_CHARACTER * len(text)):
            break
        wanted = min(size.tokens, len(text) // 16)  # a step
        training, tokens, speed = _measure(_sample(docs, kind), config, tokenizer, wanted, engine, threads, long, given)
        affordable = min(seconds * speed, given.get("num_steps", 10**99) * tokens)
        if best and affordable < TOKENS_PER_PARAM * params:
            break
        best = config, training, long, affordable / tokens, tokens
    config, training, long, steps, tokens = best
    steps = min(steps, max(FEWEST_STEPS, most_passes(len(text)) * len(text) / tokens))
    training = _training(config, training.batch_size, max(1, int(steps)), len(text), given)
    return Suggestion(docs, config, training, engine, long)


def most_passes(characters):
    """How often a text may be seen: 10 times at 1,000 characters, 50 at 30,000, 300 at a million."""
    return 10 * max(1, characters / 1000) ** 0.5


def _config(size, docs, kind, given):
    width, heads = given.get("n_embd") or size.n_embd, given.get("n_head") or 4
    if "n_embd" not in given:
        width = -(-width // heads) * heads
    elif "n_head" not in given:
        heads = next(heads for heads in (4, 3, 2, 1) if width % heads == 0)
    chosen = dict(
        documents=kind, block_size=min(size.text_block, max(2, len(docs[0]) - 1)) if kind == "text" else block_size(docs, kind),
        n_layer=size.n_layer, n_embd=width, n_head=heads, scale_init=True,
    )  # fmt: skip
    return GPTConfig(**chosen | _of(GPTConfig, given))


def _training(config, batch_size, num_steps, characters, given):
    """The learning rate falls to a tenth of what suits the width: 0.01 up to 40, 0.003 at 128. characters: of the data."""
    rate = given.get("learning_rate", float(f"{min(0.01, 0.4 / config.n_embd):.1g}"))
    num_steps = given.get("num_steps", num_steps)
    chosen = dict(
        num_steps=num_steps, batch_size=batch_size, learning_rate=max(rate, given.get("min_learning_rate", 0)), schedule="cosine",
        min_learning_rate=0.0 if given.get("schedule") == "constant" else float(f"{rate / 10:.2g}"),
        warmup_steps=min(100, num_steps // 20), beta1=0.9, clip_norm=1.0, weight_decay=1.0 if characters < SMALL else 0.1,
    )  # fmt: skip
    return TrainConfig(**chosen | _of(TrainConfig, given))


def _of(kind, given):
    return {field.name: given[field.name] for field in fields(kind) if field.name in given}


def _sample(docs, kind):
    """Some of the documents, at random, or the beginning of the text."""
    if kind == "text":
        return [docs[0][:SAMPLE]]
    length = 1 + sum(map(len, docs)) // len(docs)
    return random.Random(0).sample(docs, min(len(docs), max(10, SAMPLE // length)))


def _measure(docs, config, tokenizer, tokens, engine, threads, long, given):
    """(TrainConfig, the tokens that one of its steps predicts, and how many a second). tokens: about how many that should be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they come again where the run starts
        model = GPT.init(config, tokenizer, random.Random(0))
        run = start(docs, init=model, training=TrainConfig(), engine=engine, threads=threads, long=long)
    length = run.tokens_per_step()
    training = _training(config, max(1, round(tokens / length)), 10**9, SMALL, given)
    training = replace(training, num_steps=10**9, learning_rate=0.0, min_learning_rate=0.0)  # no step diverges
    run.model.engine.check(run.corpus, training)
    done, portion, step, began = 0, 1, math.inf, clock()
    while clock() - began < CALIBRATION:
        started = clock()
        run.model.engine.train(run.corpus, range(done, done + portion), training, [])
        seconds, done = clock() - started, done + portion
        step = min(step, seconds / portion)  # others may have interrupted the rest
        if seconds < CALIBRATION / 10:
            portion *= 2
    tokens = training.batch_size * length
    return training, tokens, tokens / step
