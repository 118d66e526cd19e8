"""The engines: what computes. All offer the interface below, and nothing above them knows which one runs.

    python   microgpt.reference: the scalar graph in plain Python
    graph    the scalar graph on compiled Values
    exact    float64 in C without a graph: the same bits, some thousand times faster
    fast     float32 in C, many documents at a time, on threads: the same model, rounded differently
"""

import importlib
import math
import os
from abc import ABC, abstractmethod
from array import array

from microgpt.engines import sampling

EXACT = ("python", "graph", "exact")
ENGINES = (*EXACT, "fast")
DEFAULT = "exact"


class EngineError(ValueError):
    """An engine cannot be had as it was asked for."""


class Engine(ABC):
    """One model's forward pass, backward pass and update. It holds Adam's moments; the parameters are the model's own.

    config: GPTConfig; vocab_size: int; params: memoryview of doubles, all matrices one after the other in parameter
    order (row-major). `train` leaves the trained values there.
    """

    name: str

    def __init__(self, config, vocab_size, params):
        self.config, self.vocab_size, self.params = config, vocab_size, params

    @abstractmethod
    def train(self, corpus, steps, training, losses):
        """Train for `steps` (a range of step numbers, from 0) and append each step's loss to the list `losses`.

        corpus: microgpt.tokenizer.Corpus; step s takes the documents training.batch(s, len(corpus)). training:
        TrainConfig. The steps of a run come in order, in portions of any size. Where the reference would fail
        (ValueError, OverflowError, ZeroDivisionError) the same error is raised, and FloatingPointError where a loss is
        not finite; `losses` then has the steps before.
        """

    def check(self, corpus, training):
        """EngineError or MemoryError, before anything is done, for what `train` could not do with these."""

    def moments(self):
        """Adam's first and second moments, two arrays of doubles in parameter order: copies, 0 before training."""
        return array("d", bytes(8 * len(self.params))), array("d", bytes(8 * len(self.params)))

    @abstractmethod
    def restore(self, training, m, v, num_steps):
        """Go on as after num_steps steps that left the moments m and v (arrays, as `moments` gives them)."""

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
        n = min(self.config.block_size, len(tokens) - 1)
        total = 0.0
        for token, target in zip(tokens[:n], tokens[1:]):
            total += sampling.cross_entropy(decode(token), target)
        return total * (1 / n)

    def generate(self, rng, bos, prompt=(), temperature=1.0, top_k=None, top_p=None):
        """Token ids of one document that starts with `prompt`; see microgpt.engines.sampling.generate."""
        return sampling.generate(self.decoder(), rng, bos, self.config.block_size, prompt, temperature, top_k, top_p)


def default_batch_size(name):
    """Documents a step where nobody says how many: the reference's, or what the engine is made for."""
    return 16 if name == "fast" else 1


def check_finite(loss):
    """FloatingPointError for a loss that training cannot go on from."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss}")


def machine_memory():
    """Bytes of memory this machine has; more than any has where it does not tell, as on Windows."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**60


def chosen_isa(supported):
    """Of the instruction sets `supported`, best first, the one that MICROGPT_ISA names, or the first."""
    name = os.environ.get("MICROGPT_ISA") or supported[0]
    if name not in supported:
        raise EngineError(f"MICROGPT_ISA is {name!r}; this machine and this build have {', '.join(supported)}")
    return name


def create(name, config, vocab_size, params, threads=1):
    """The engine called `name`, working on the flat parameter buffer `params`.

    threads: how many the engine `fast` may use; 0 for as many as there are cores. EngineError for those that cannot.
    """
    if name not in ENGINES:
        raise EngineError(f"there is no engine {name!r}; choose from {', '.join(ENGINES)}")
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise TypeError(f"threads must be a whole number, not {threads!r}")
    if threads < 0:
        raise EngineError(f"threads must be at least 1, or 0 for all cores, not {threads}")
    module = importlib.import_module(f"microgpt.engines.{name}")
    if name == "fast":
        return module.ENGINE(config, vocab_size, params, threads)
    if threads != 1:
        raise EngineError(f"threads={threads} needs engine='fast'; the engine {name!r} computes on one thread")
    return module.ENGINE(config, vocab_size, params)
