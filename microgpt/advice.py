"""Settings that suit given data: the kind of documents, the block size and, for a given training time, the model and the steps.

`microgpt inspect` recommends by these rules, and `microgpt train --auto` follows them. benchmarks/auto_against_defaults.py measures their
effect. They come from trials on one processor with the engine fast; losses are nats per character of held-out text.

* Model size, in 5 seconds of training. Shakespeare in blocks of 64: 1 layer of width 32 reached 2.11, 2 x 48 2.12, 1 x 64 2.17, 2 x 64
  2.27, 2 x 96 2.39, after 69, 7, 7, 2 and 0.5 tokens per parameter; in blocks of 32: 1 x 48 2.04 (32 tokens). Names: 1 x 48 2.055 (40),
  2 x 32 2.043 (58), 2 x 48 2.039 (14). Hence TOKENS_PER_PARAM, short blocks for short runs, and two layers early. Batches of 4, 8 and 16
  made no difference beyond the variation of the trials. Sizes from 3 x 96 on follow the same ratio; of these, only 4 x 128 was tried, the
  preset "shakespeare".
* Data seen often. 4,000 names 20 and 50 times, 2 x 48: 2.23 and 2.48 with a weight decay of 0.1, 2.17 and 2.16 with 0.5; 1 x 32: 2.17 and
  2.18 with 0.1, 2.20 and 2.19 with 0.5. A licence of 12,000 characters 25 times, 2 x 32: 2.71, 2.41, 2.26 with 0.1, 0.25, 0.5; a scene of
  27,000 characters 36 times: 1.56, 1.61 with 0.1, 0.25. Hence BY_HEART and DECAYS.
* Little data. 200 names, 1 x 16, 4 documents per step, decay 0.1: 2.46, 2.52, 2.79 after seeing them 5, 10, 20 times; with 12 documents per
  step 2.47, 2.50, 2.71. Hence `most_passes`, and steps that take at most a 64th of the data.
"""

import math
import random
import time
import warnings
from dataclasses import fields, replace
from typing import Any, NamedTuple

from microgpt import engines
from microgpt.common.options import Option, options_of
from microgpt.common.words import counted, quoted
from microgpt.config import GPTConfig, TrainConfig
from microgpt.corpus import documents
from microgpt.corpus.documents import LONG_DOCS
from microgpt.corpus.loading import DOCUMENTS
from microgpt.model import GPT
from microgpt.tokenizer import Tokenizer
from microgpt.training import start

# ---- Documents -------------------------------------------------------------------------------------------------------

LONG_BLOCK = 256  # characters; steps with longer blocks are slow
TEXT_BLOCK = 64  # for a text, if no training time is given
WIDE = 40  # characters: the least width of prose that is broken into lines


def recommend(text):
    """(the kind of documents that suits the whole text of a file, "lines", "paragraphs" or "text"; a clause that says why)."""
    lines, paragraphs = DOCUMENTS["lines"](text), DOCUMENTS["paragraphs"](text)
    usual, of_paragraphs = (sorted(map(len, docs))[int(0.99 * (len(docs) - 1))] for docs in (lines, paragraphs))
    if len(lines) == 1 and usual >= LONG_BLOCK:
        return "text", "it is one long line"
    if usual >= LONG_BLOCK:
        return "text", f"it has lines of {usual:,} characters, longer than a block should be"
    if len(paragraphs) > 1 and len(lines) > 1.5 * len(paragraphs):
        if of_paragraphs >= LONG_BLOCK:
            return (
                "text",
                f"its lines belong together, and it has paragraphs of {of_paragraphs:,} characters, longer than a block should be",
            )
        return "paragraphs", f"blank lines separate its paragraphs, of which 99% have at most {of_paragraphs:,} characters"
    if usual >= WIDE and _is_broken_prose(lines, usual):
        return "text", f"its lines are broken at about {usual} characters, as in prose"
    return "lines", f"99% of its lines have at most {counted(usual, 'character')}"


def _is_broken_prose(lines, width):
    """Whether nearly every line has many words and no room for the first word of the next line."""
    spaces = sum(line.count(" ") for line in lines)
    full = sum(len(line) + 1 + len(after.split(None, 1)[0]) > 0.9 * width for line, after in zip(lines, lines[1:]))
    return spaces >= 5 * len(lines) and full >= 0.8 * (len(lines) - 1)


def block_size(docs, kind):
    """A block_size for documents of this kind (GPTConfig.documents): that of the longest with its end, unless a few are far longer."""
    if kind == "text":
        return TEXT_BLOCK
    lengths = sorted(map(len, docs))
    longest, usual = lengths[-1] + 1, lengths[int(0.99 * (len(lengths) - 1))] + 1
    return min(longest if longest <= 2 * usual else usual, LONG_BLOCK)


# ---- Model and training ----------------------------------------------------------------------------------------------


class Size(NamedTuple):
    """n_layer and n_embd of a model, its block_size for a text, and about how many tokens a step takes."""

    n_layer: int
    n_embd: int
    text_block: int
    tokens: int


SIZES = [  # two layers of 32 learn more than one of 48 in the same time; on a text, short runs have no time for long blocks
    Size(1, 16, 32, 128), Size(1, 32, 32, 128), Size(2, 32, 32, 128), Size(2, 48, 32, 192), Size(2, 64, 64, 256), Size(3, 96, 64, 512),
    Size(4, 128, 64, 768), Size(6, 192, 128, 1024), Size(6, 256, 128, 2048), Size(8, 384, 256, 4096),
]  # fmt: skip
TOKENS_PER_PARAM = 12  # with fewer, a smaller model learns more in the same time, because it sees more tokens
PARAMS_PER_CHARACTER = 2  # of the data; larger models memorize them
BY_HEART = 25  # passes over the data, times parameters per character: above this, stronger weight decay helps
DECAYS = 0.1, 0.3
STEPS_A_PASS = 64  # the least number of steps for one pass over the data
FEWEST_STEPS = 200  # in fewer steps a model learns nothing, however small the data are
PORTION, PORTIONS = 0.003, 10  # seconds, and their number: to measure the speed of each size
SAMPLE = 50_000  # characters on which the speed is measured
OPTIONS = options_of(GPTConfig) | options_of(TrainConfig) | {"engine": engines.ENGINE, "long_docs": LONG_DOCS}
SECONDS = Option("seconds", float, 60, "how long training may take", above=0.0)
clock = time.perf_counter


class Suggestion(NamedTuple):
    """What `suggest` returns: arguments of `train`, by the same names.

    Attributes:
        docs: The documents.
        config: The shape of the model.
        training: How to train.
        engine: The name of the engine.
        long_docs: What to do with a document longer than the block.
    """

    docs: list[str]
    config: GPTConfig
    training: TrainConfig
    engine: str
    long_docs: str

    def options(self) -> dict[str, Any]:
        """Name -> value of the engine and of every option that is not at its default."""
        usual = (
            vars(GPTConfig())
            | vars(TrainConfig(batch_size=engines.engine_class(self.engine).batch_size))
            | {"long_docs": LONG_DOCS.default}
        )
        chosen = vars(self.config) | vars(self.training) | {"long_docs": self.long_docs}
        return {"engine": self.engine} | {name: value for name, value in chosen.items() if value != usual[name]}


def suggest(text: str, seconds: float = SECONDS.default, threads: int = 1, **given: Any) -> Suggestion:
    """Settings that suit a text and a training time on this machine, whose speed is measured for some tenths of a second.

        run = microgpt.train(**microgpt.suggest(text, seconds=60)._asdict())

    The model is the largest of `microgpt.advice.SIZES` that has time to see TOKENS_PER_PARAM tokens per parameter, and has at most
    PARAMS_PER_CHARACTER parameters per character of the data. The steps fill the time, unless the data would be seen more often than
    `most_passes` allows.

    Args:
        text: The data, a string. `load_docs(source, "text")` returns it in a list.
        seconds: How long training may take.
        threads: How many threads will train.
        given: Settings that are fixed: options of `GPTConfig` and `TrainConfig`, `engine` and `long_docs`.

    Raises:
        ValueError: The text is blank, or a setting is out of its bounds.
        TypeError: The text is not a string, or there is no such option.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a string, not {quoted(text)}; load_docs(source, 'text') returns it in a list")
    if not text.strip():
        raise ValueError("there is nothing to train on; give a text that is not blank")
    seconds = SECONDS.check(seconds)
    unknown = given.keys() - OPTIONS.keys()
    if unknown:
        raise TypeError(f"there is no option {quoted(min(unknown))}; choose from {', '.join(OPTIONS)}")
    given = {name: OPTIONS[name].check(value) for name, value in given.items()}
    kind = given.get("documents") or recommend(text)[0]
    docs, engine = DOCUMENTS[kind](text), given.get("engine", "fast")
    tokenizer = Tokenizer.from_docs(docs, given.get("bos_first", False))
    config: Any = None
    for size in SIZES:
        larger = _config(size, docs, kind, given)
        params = larger.num_params(tokenizer.vocab_size)
        if config and params > PARAMS_PER_CHARACTER * len(text):
            break
        if config == larger:
            continue
        batch_size, tokens, step = _measure(larger, docs, tokenizer, min(size.tokens, len(text) // STEPS_A_PASS), engine, threads, given)
        steps = min(seconds / step, given.get("num_steps", math.inf))
        if config and steps * tokens < TOKENS_PER_PARAM * params:
            break
        config, passes = larger, tokens / len(text)  # of a step
        most = min(steps, max(FEWEST_STEPS, most_passes(len(text)) / passes))
        by_heart = most * passes * params / len(text)
        training = _training(config, batch_size, max(1, int(most)), DECAYS[by_heart > BY_HEART], given)
    return Suggestion(docs, config, training, engine, _long_docs(docs, config, given))


def most_passes(characters):
    """How often a text with this many characters may be seen: 7 times for 1,000, 40 for 30,000, 200 for a million."""
    return 7 * max(1, characters / 1000) ** 0.5


def _config(size, docs, kind, given):
    n_embd, n_head = given.get("n_embd", size.n_embd), given.get("n_head", 4)
    if "n_embd" not in given:
        n_embd = -(-n_embd // n_head) * n_head
    elif "n_head" not in given:
        n_head = next(n for n in (4, 3, 2, 1) if n_embd % n == 0)
    block = min(size.text_block, max(2, len(docs[0]) - 1)) if kind == "text" else block_size(docs, kind)
    chosen = {"documents": kind, "block_size": block, "n_layer": size.n_layer, "n_embd": n_embd, "n_head": n_head, "scale_init": True}
    return GPTConfig(**chosen | _of(GPTConfig, given))


def _training(config, batch_size, num_steps, weight_decay, given):
    """The TrainConfig. Its learning rate suits the width, 0.01 up to 40, 0.003 at 128, and decays to a tenth."""
    learning_rate, num_steps = given.get("learning_rate", _rounded(min(0.01, 0.4 / config.n_embd))), given.get("num_steps", num_steps)
    chosen = {
        "num_steps": num_steps, "batch_size": batch_size, "learning_rate": max(learning_rate, given.get("min_learning_rate", 0.0)),
        "min_learning_rate": 0.0 if given.get("schedule") == "constant" else _rounded(learning_rate / 10),
        "schedule": "cosine", "warmup_steps": min(100, num_steps // 20), "beta1": 0.9, "clip_norm": 1.0, "weight_decay": weight_decay,
    }  # fmt: skip
    return TrainConfig(**chosen | _of(TrainConfig, given))


def _long_docs(docs, config, given):
    cut = config.documents != "text" and config.block_size > 1 and documents.share_cut(docs, config.block_size)[0]
    return given.get("long_docs", "split" if cut else LONG_DOCS.default)


def _of(kind, given):
    return {field.name: given[field.name] for field in fields(kind) if field.name in given}


def _rounded(number):
    return float(f"{number:.1g}")


def _measure(config, docs, tokenizer, wanted, engine, threads, given):
    """(batch_size, tokens per step, seconds per step). wanted: about how many tokens a step should take.

    The seconds are those of the fastest of several portions, because other programs may interrupt: the speed of an idle machine.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are shown when the run starts
        model = GPT.init(config, tokenizer, random.Random(0))
        run = start(_sample(docs, config), init=model, engine=engine, threads=threads, long_docs=_long_docs(docs, config, given))
    length = run.tokens_per_step() / run.training.batch_size
    training = _training(config, max(1, round(wanted / length)), 10**9, 0.1, given)
    training = replace(training, num_steps=10**9, learning_rate=0.0, min_learning_rate=0.0)  # no step diverges
    run.model.engine.check(run.corpus, training)
    done, portion, fastest, began = 0, 1, math.inf, clock()
    while done < 3 or clock() - began < PORTION * PORTIONS:
        started = clock()
        run.model.engine.train(run.corpus, range(done, done + portion), training, [])
        seconds, done = clock() - started, done + portion
        fastest = min(fastest, seconds / portion)
        if seconds < PORTION:
            portion *= 2
    return training.batch_size, training.batch_size * length, fastest


def _sample(docs, config):
    """Some of the documents, chosen at random, or the beginning of the text."""
    if config.documents == "text":
        return [docs[0][:SAMPLE]]
    length = 1 + sum(map(len, docs)) // len(docs)
    return random.Random(0).sample(docs, min(len(docs), max(10, SAMPLE // length)))
