"""The engines, which do the computing. All have the interface below, and no module above depends on which one runs.

python   microgpt.reference: the scalar graph in plain Python
graph    the scalar graph on compiled Values
exact    float64 in C without a graph: the same bits, some thousand times faster, on threads
fast     float32 in C, many documents at a time, on threads: the same model, rounded differently
"""

import importlib
import math
import os
import random
from abc import ABC, abstractmethod
from array import array
from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import NamedTuple

from microgpt.common.options import Option
from microgpt.common.words import quoted, sized
from microgpt.compiled.access import Access
from microgpt.engines import sampling
from microgpt.engines.writing import OneByOne

EXACT = ("python", "graph", "exact")  # they have the reference's bits
ENGINES = (*EXACT, "fast")
DEFAULT = "exact"
BULK = "fast"  # for many documents, unless another engine is given

ENGINE = Option(
    "engine",
    str,
    DEFAULT,
    "the engine: fast computes in float32, all others give the same results to the last bit",
    choices=ENGINES,
)
THREADS = Option(
    "threads",
    int,
    1,
    "number of threads for the engines exact (to train and to measure) and fast, 0 for all cores; results do not depend on it",
    least=0,
    most=1024,
)

# Fields of GPTConfig and TrainConfig. AROUND: those that no engine computes, since it receives initial weights and a learning rate for
# each step. COMMON: AROUND, and those that all engines here compute.
AROUND = {
    "documents", "init_std", "zero_init_out", "scale_init", "bos_first",
    "num_steps", "learning_rate", "min_learning_rate", "schedule", "warmup_steps",
}  # fmt: skip
COMMON = AROUND | {
    "n_layer", "n_embd", "n_head", "block_size", "activation",
    "beta1", "beta2", "eps", "batch_size", "clip_norm", "weight_decay",
}  # fmt: skip


class EngineError(ValueError):
    """An engine does not compute what was asked for. The message names one that does."""


class Memory(NamedTuple):
    """Bytes of weights, with their gradients and Adam's moments; of a step's activations; of the documents; and of snapshots."""

    weights: int
    activations: int
    documents: int
    snapshots: int = 0

    def total(self) -> int:
        return sum(self)

    def remedy(self) -> str:
        """What to do if it is too much."""
        remedies = (
            "choose a smaller n_embd or n_layer",
            "choose a smaller batch_size or block_size",
            "give less data",
            "keep fewer snapshots",
        )
        return remedies[self.index(max(self))]

    def __str__(self) -> str:
        return (
            f"{sized(self.weights)} for weights, gradients and Adam's moments, {sized(self.activations)} for a step's activations, "
            f"{sized(self.documents)} for the documents" + (f", {sized(self.snapshots)} for snapshots" if self.snapshots else "")
        )


class Engine(ABC):
    """One model's forward pass, backward pass and update. It holds Adam's moments; the parameters are the model's own.

    config: GPTConfig; vocab_size: int; params: memoryview of doubles, all matrices one after the other in parameter
    order (row-major). `train` updates them in place. threads: how many may compute. access: the lock that callers of these methods take,
    see microgpt.compiled.access: any number of threads may read while none trains.
    """

    name: str
    exact = True  # its results are the reference's, bit for bit
    threaded: tuple[str, ...] = ()  # of "computes" (trains) and "writes" (generates), the work that it does on several threads
    batch_size = 1  # documents per step by default
    options: set[str]  # the fields of GPTConfig and TrainConfig that it computes; others must have their defaults
    activations: Collection[str]  # the values of GPTConfig.activation that it computes
    bytes_per_param = 32  # doubles: the weight, its gradient, and Adam's two moments
    limits: Mapping[str, Mapping[str, float]] = {}  # name of an option -> bounds that are narrower here, as fields of Option

    def __init__(self, config, vocab_size, params, threads=1):
        self.config, self.vocab_size, self.params, self.threads = config, vocab_size, params, threads
        self.access = Access()

    @staticmethod
    def isas():
        """The instruction sets that this build and this processor have, best first; MICROGPT_ISA chooses. [] for none."""
        return []

    # ---- What it can do ----------------------------------------------------------------------------------------------

    @classmethod
    def refuse(cls, settings):
        """Raise EngineError for settings of a GPTConfig or TrainConfig that this engine does not compute."""
        for field in fields(settings):
            value = getattr(settings, field.name)
            if field.name in cls.limits:
                option = replace(field.metadata["option"], name=field.name, **cls.limits[field.name])
                if not option.allows(value):  # mutant: refuse-bounds
                    raise EngineError(
                        f"{field.name} must be {option.bounds()} on the engine {cls.name!r}, not {quoted(value)}; "
                        "choose such a value, or another engine"
                    )
            if field.name not in cls.options and value != field.default:  # mutant: refuse-option
                raise EngineError(
                    f"the engine {cls.name!r} does not compute {field.name}={quoted(value)}; "
                    f"{cls._remedy(lambda engine: field.name in engine.options)}"
                )
        activation = getattr(settings, "activation", None)
        if activation is not None and activation not in cls.activations:  # mutant: refuse-activation
            raise EngineError(
                f"the engine {cls.name!r} does not compute activation={quoted(activation)}, only {', '.join(cls.activations)}; "
                f"{cls._remedy(lambda engine: activation in engine.activations)}"
            )

    @classmethod
    def _remedy(cls, can):
        able = [name for name in ENGINES if can(engine_class(name))]
        return f"choose engine={' or '.join(map(repr, able))}" if able else "omit it"

    def check(self, corpus, training, snapshots=0):
        """Raise EngineError or MemoryError, before the first step, if `train` could not use these."""
        self.refuse(training)
        needed, there_is = self.memory(corpus, training, snapshots), machine_memory()
        if needed.total() > there_is:
            raise MemoryError(
                f"this training takes {sized(needed.total())} ({needed}), and this machine has {sized(there_is)}; {needed.remedy()}"
            )

    def memory(self, corpus, training, snapshots=0):
        """The approximate memory of training here: a Memory. snapshots: how many are kept."""
        tokens = training.batch_size * min(self.config.block_size, corpus.mean_length())
        weights = self.bytes_per_param * len(self.params)
        return Memory(
            weights, round(self.activation_bytes(tokens)), corpus.tokens.itemsize * len(corpus.tokens), snapshots * 4 * len(self.params)
        )

    @abstractmethod
    def activation_bytes(self, tokens):
        """The approximate memory of the activations of a batch of this many tokens."""

    # ---- Training ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def train(self, corpus, steps, training, losses, norms=None):
        """Train for `steps` (a range of step numbers, from 0) and append each step's loss to the list `losses`, and to `norms`, unless it
        is None, the norm of its gradient, before clipping; that changes no other bit.

        corpus: microgpt.corpus.tokens.Corpus; step s takes the documents training.batch(s, len(corpus)). training:
        TrainConfig. The steps of a run are done in order, in portions of any size. Where the reference would fail
        (ValueError, OverflowError, ZeroDivisionError) the same error is raised, and FloatingPointError if a loss is
        not finite; `losses` then has the steps before.
        """

    @abstractmethod
    def gradients(self, corpus, step, training):
        """(loss, gradients) of a step without its update: a float, and an array of doubles in parameter order.

        The gradients are those of the backward pass, before clipping. Errors are as for `train`.
        """

    def moments(self):
        """Adam's first and second moments, two arrays of doubles in parameter order: copies, 0 before training."""
        return array("d", bytes(8 * len(self.params))), array("d", bytes(8 * len(self.params)))

    @abstractmethod
    def restore(self, training, m, v, num_steps):
        """Continue as after num_steps steps that left the moments m and v (arrays, as `moments` returns them)."""

    # ---- Reading and writing -----------------------------------------------------------------------------------------

    @abstractmethod
    def decoder(self):
        """A function of one token id that returns the logits of the next one (list of vocab_size floats).

        It remembers the tokens it was given (the KV cache) and takes at most block_size of them.
        """

    def loss(self, tokens):
        """Mean cross-entropy of a document's token ids [BOS, ..., BOS], cut at block_size.

        ValueError, as in the reference, where a token's probability has underflowed to 0.
        """
        decode = self.decoder()
        predicted = list(zip(tokens, tokens[1:]))[: self.config.block_size]
        total = 0.0
        for token, target in predicted:
            total += sampling.cross_entropy(decode(token), target)
        return total * (1 / len(predicted))

    def loss_or_infinity(self, tokens):
        """As `loss`; infinite where that raises an error."""
        try:
            return self.loss(tokens)
        except (ValueError, ArithmeticError):  # log(0), or weights that overflow
            return math.inf

    def losses(self, corpus, which):
        """The loss of each document whose number is in the range `which`: a list of floats, see `loss_or_infinity`.

        The engine "fast" rounds them to float32.
        """
        return [self.loss_or_infinity(corpus[i]) for i in which]

    def generate(self, rng, bos, prompt=(), temperature=1.0, top_k=None, top_p=None, *, opening=None, length=None, tell=None):
        """Token ids of one document that starts with `prompt`; see microgpt.engines.sampling.generate.

        opening: the token that the model reads before it, None for bos; length: None for sampling.room.
        """
        opening = bos if opening is None else opening
        length = sampling.room(len(prompt), self.config.block_size) if length is None else length
        reader = sampling.Reader(self.decoder, self.config, bos)
        return sampling.generate(reader, rng, opening, prompt, temperature, top_k, top_p, length, tell)

    def writer(self, tokenizer, seed, prompt, choice, expected, length=None, tell=None):
        """A source of new documents, see microgpt.engines.writing: for a seed always the same.

        prompt: token ids that every document begins with; choice: SampleConfig; expected: about how many are wanted; length, tell:
        see sampling.generate. An engine that writes many at once tells nothing.
        """
        return OneByOne(self, tokenizer, random.Random(seed), prompt, choice, length, tell)


def engine_class(name):
    """The class of the engine `name`. Raises EngineError if there is none."""
    if name not in ENGINES:
        raise EngineError(f"there is no engine {quoted(name)}; choose from {', '.join(ENGINES)}")
    return importlib.import_module(f"microgpt.engines.{name}").ENGINE


def create(name, config, vocab_size, params, threads=1):
    """The engine called `name`, working on the flat parameter buffer `params`; EngineError for what it cannot do.

    threads: how many it may use; 0 for as many as there are cores.
    """
    kind = engine_class(name)
    kind.refuse(config)
    threads = check_threads(name, threads)
    return kind(config, vocab_size, params, threads or cores())


def check_threads(name, threads, work="computes"):
    """The number `threads`; EngineError unless the engine called `name` does this work on so many. work: see Engine.threaded."""
    threads = THREADS.check(threads)
    if threads != 1 and work not in engine_class(name).threaded:
        able = " or ".join(repr(other) for other in ENGINES if work in engine_class(other).threaded)
        raise EngineError(f"threads={quoted(threads)} needs engine={able}; the engine {name!r} {work} on one thread")
    return threads


# ---- What several engines need ---------------------------------------------------------------------------------------


def check_finite(loss):
    """FloatingPointError for a loss from which training cannot continue."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss}")


def cores():
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def machine_memory():
    """The bytes of memory of this machine; if unknown, as on Windows, more than any machine has."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**60


def chosen_isa(supported):
    """Of the instruction sets `supported`, best first, the one that MICROGPT_ISA names, or the first."""
    name = os.environ.get("MICROGPT_ISA") or supported[0]
    if name not in supported:
        raise EngineError(f"MICROGPT_ISA is {quoted(name)}; this machine and this build have {', '.join(supported)}")
    return name
