"""The fast engine: trains in float32, many documents at a time, on one thread or several.

The same model, documents and gradients as the exact engine's with the same batch_size, only rounded differently. It also writes
many documents at a time. A model's logits and losses come from an exact engine with the same weights.
"""

import math
import random
from array import array

from microgpt.compiled.fast import ACTIVATIONS, Measure, Network, Writer, isas, philox
from microgpt.engines import COMMON, Engine, sampling
from microgpt.engines.exact import ExactEngine

FEW = 64  # documents: the least number generated at once if some may be rejected


class FastEngine(Engine):
    """An Engine; its results do not depend on `threads`."""

    name = "fast"
    exact = False
    threaded = ("computes", "writes")
    batch_size = 16
    bytes_per_param = 24  # the weight as a double, and with its gradient and Adam's moments as floats
    options = COMMON
    activations = ACTIVATIONS
    isas = staticmethod(isas)
    limits = {
        "beta1": {"below": 1 - 2**-25},  # a number closer to 1 rounds to 1 in float32
        "beta2": {"below": 1 - 2**-25},
        # Gradients whose (1 - beta2) * gradient**2 is 0 in float32, whatever beta2, are small beside an eps of this size.
        "eps": {"least": 1e-15},
    }

    def __init__(self, config, vocab_size, params, threads=1):
        super().__init__(config, vocab_size, params, threads)
        self.network = Network(config, vocab_size, params)
        self.reader = ExactEngine(config, vocab_size, params)
        self._idle = []  # kept for reuse, like the exact engine's decoders

    def check(self, corpus, training, snapshots=0):
        super().check(corpus, training, snapshots)
        self.network.check_params()

    def activation_bytes(self, tokens):
        pairs = 4 * self.config.n_head * (self.config.n_layer + 1) * self.config.block_size / 2  # of a query and its keys
        return tokens * (self.network.bytes_per_token + pairs)

    def train(self, corpus, steps, training, losses, norms=None):
        self.network.train(corpus, steps, training, losses, self.threads, norms)

    def gradients(self, corpus, step, training):
        loss, gradients = self.network.backward(corpus, step, training, self.threads)
        return loss, array("d", gradients)

    def moments(self):
        return self.network.moments() or super().moments()

    def restore(self, training, m, v, num_steps):
        self.network.restore(training, m, v, num_steps)

    def decoder(self):
        return self.reader.decoder()

    def loss(self, tokens):
        return self.reader.loss(tokens)

    def losses(self, corpus, which):
        try:
            measuring = self._idle.pop()
        except IndexError:
            measuring = Measure(self.network)
        try:
            found = measuring.losses(corpus, which, self.threads)
        finally:
            self._idle.append(measuring)
        return [loss if math.isfinite(loss) else math.inf for loss in found]

    def generate(self, *arguments, **options):
        return self.reader.generate(*arguments, **options)

    def writer(self, tokenizer, seed, prompt, choice, expected, length=None, tell=None):
        length = sampling.room(len(prompt), self.config.block_size) if length is None else length
        if length == 0:  # nothing is computed
            return super().writer(tokenizer, seed, prompt, choice, expected, length, tell)
        return Numbered(self, tokenizer, seed, prompt, choice, expected, length)


ENGINE = FastEngine


# ---- Writing many documents ------------------------------------------------------------------------------------------


class Numbered:
    """A source of many documents at once, see microgpt.engines.writing.

    Documents are numbered from 0. A document depends only on the seed, its number and the options. So the first documents of a seed are
    the same for any number of documents and of threads. The random numbers are not a sequence: each is computed from the position at which
    it is used, see `chance`.
    """

    def __init__(self, engine, tokenizer, seed, prompt, choice, expected, length):
        kind = engine.config.documents
        letters = "\0" + tokenizer.chars if tokenizer.bos_first else tokenizer.chars + "\0"  # of each token id
        self.writer = Writer(
            engine.network, key_of(seed), letters, tokenizer.bos, kind != "text", [tokenizer.opening(kind), *prompt], length,
            choice.temperature, choice.top_k, choice.top_p, expected, engine.threads,
        )  # fmt: skip
        self.number = 0

    def write(self, wanted, filtered):
        texts = self.writer.write(self.number, min(self.writer.portion, max(wanted, FEW) if filtered else wanted))
        self.number += len(texts)
        return texts


def key_of(seed):
    """The key of the random numbers, 64 bits: from any seed that random.Random accepts; None gives another key each time."""
    return random.Random(seed).getrandbits(64)


def chance(key, document, position):
    """The random number, 0 < u < 1, that chooses token `position` (from 0, the prompt's counted) of document number `document`.

    The chosen token is the first at which the sum of the probabilities, in the order of token ids, is more than u. The number
    is the middle of one of 2**23 equal parts of (0, 1), by 23 bits of Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel
    random numbers: as easy as 1, 2, 3", 2011).
    """
    counter = (document % 2**32, document // 2**32, position // 4, 0)
    word = philox(counter, (key % 2**32, key // 2**32))[position % 4]
    return (2 * (word >> 9) + 1) / 2**24
