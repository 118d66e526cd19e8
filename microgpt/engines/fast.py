"""The fast engine: trains in float32, many documents at a time, on one thread or several.

The same model, documents and gradients as the exact engine's with the same batch_size, only rounded differently. It also writes
many documents at a time, see microgpt.engines.bulk. What else a trained model is asked for, logits and losses, is computed as the exact
engine does, from the same weights.
"""

import os

from microgpt.compiled.fast import Network, Writer
from microgpt.engines import machine_memory
from microgpt.engines.exact import ExactEngine
from microgpt.common.words import counted


class FastEngine(ExactEngine):
    name = "fast"

    def __init__(self, config, vocab_size, params, threads=1):
        """threads: how many may compute; 0 for all cores. Results do not depend on it."""
        super().__init__(config, vocab_size, params)
        self.trainer = Network(config, vocab_size, params)
        self.threads = threads or cores()

    def check(self, corpus, training):
        self.trainer.check_settings(training)
        mean_tokens = min(self.config.block_size, (len(corpus.tokens) - 1) / len(corpus))
        n = self.config.n_embd
        a_token = 4 * (self.config.n_layer * 31 * n + 8 * n + self.vocab_size)  # floats of activations, see src/fast/memory.c
        needed, there_is = training.batch_size * mean_tokens * a_token, machine_memory()
        if needed > there_is:
            raise MemoryError(
                f"a batch of {counted(training.batch_size, 'document')} takes {needed / 2**30:.3g} GB, and this machine has "
                f"{there_is / 2**30:.3g} GB; choose a smaller batch_size"
            )

    def train(self, corpus, steps, training, losses):
        self.trainer.train(corpus, steps, training, losses, self.threads)

    def moments(self):
        return self.trainer.moments() or super().moments()

    def restore(self, training, m, v, num_steps):
        self.trainer.restore(training, m, v, num_steps)

    def writer(self, key, letters, prefix, temperature, top_k, top_p, n):
        """What writes documents, about n of them: a microgpt.compiled.fast.Writer.

        key: of the random numbers, below 2**64; letters: the character of each token id; prefix: token ids that all documents
        begin with, BOS first.
        """
        return Writer(self.trainer, key, letters, prefix, temperature, top_k, top_p, n, self.threads)


def cores():
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


ENGINE = FastEngine
