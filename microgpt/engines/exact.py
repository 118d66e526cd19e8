"""The exact engine: the reference's float64 arithmetic in C, without a graph; the same bits, about 10,000 times faster."""

import math
from array import array

from microgpt.engines import sampling
from microgpt.compiled.exact import Decoder, Network
from microgpt.engines import Engine, check_finite


class ExactEngine(Engine):
    name = "exact"

    def __init__(self, config, vocab_size, params):
        super().__init__(config, vocab_size, params)
        self.network = Network(config, vocab_size, params)
        self._writer = None

    def train(self, corpus, steps, training, losses):
        stopped = self.network.train(corpus, steps, training, losses)
        if stopped is not None:
            losses = [self._loss_or_error(corpus[i]) for i in training.batch(stopped, len(corpus))]
            check_finite(sum(losses) * (1 / len(losses)))
            raise AssertionError("the loss is finite after all; please report this")

    def moments(self):
        if self.network.m is None:
            return super().moments()
        return array("d", self.network.m), array("d", self.network.v)

    def restore(self, training, m, v, num_steps):
        self.network.start(training)
        self.network.m[:], self.network.v[:], self.network.num_steps = array("d", m), array("d", v), num_steps

    def _loss_or_error(self, tokens):
        """A document's loss where the whole-document kernels found it not finite: token by token, so that what the reference
        raises on the way (by a square or a logarithm) is raised here, at the same place."""
        n, decode, total = min(self.config.block_size, len(tokens) - 1), self.decoder(), 0.0
        for token, target in zip(tokens[:n], tokens[1:]):
            total += math.log(sampling.softmax(decode(token))[target]) * -1
        return total * (1 / n)

    def decoder(self):
        return Decoder(self.network)

    def loss(self, tokens):
        loss = self.network.loss(tokens)
        return loss if math.isfinite(loss) else super().loss(tokens)

    def generate(self, rng, bos, prompt=(), temperature=1.0, top_k=None, top_p=None):
        if top_p is not None:  # not compiled
            return super().generate(rng, bos, prompt, temperature, top_k, top_p)
        if self._writer is None:
            self._writer = Decoder(self.network)
        return self._writer.generate(rng, bos, prompt, temperature, top_k)


ENGINE = ExactEngine
