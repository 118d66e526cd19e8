"""The exact engine: the reference's float64 arithmetic in C, without a graph; the same bits, about 10,000 times faster."""

from array import array

from microgpt._exact import Decoder, Network
from microgpt.config import TrainConfig
from microgpt.engines import Engine, check_finite


def _refuse(training):
    for field in ("batch_size", "clip_norm", "weight_decay"):
        if getattr(training, field) != getattr(TrainConfig(), field):
            raise NotImplementedError(f"the exact engine has no {field} yet; use engine='graph'")


class ExactEngine(Engine):
    name = "exact"

    def __init__(self, config, vocab_size, params):
        super().__init__(config, vocab_size, params)
        self.network = Network(config, vocab_size, params)
        self._writer = None

    def train(self, corpus, steps, training, losses):
        _refuse(training)
        stopped = self.network.train(corpus, steps, training, losses)
        if stopped is not None:
            # The loss is not finite, and maybe the reference would not have come so far: go through this document again
            # token by token, which fails where the reference does.
            check_finite(super().loss(corpus[stopped % len(corpus)]))
            raise AssertionError("the loss is finite after all; please report this")

    def moments(self):
        if self.network.m is None:
            return super().moments()
        return array("d", self.network.m), array("d", self.network.v)

    def restore(self, training, m, v, num_steps):
        _refuse(training)
        self.network.start(training)
        self.network.m[:], self.network.v[:], self.network.num_steps = array("d", m), array("d", v), num_steps

    def decoder(self):
        return Decoder(self.network)

    def loss(self, tokens):
        loss = self.network.loss(tokens)
        return loss if abs(loss) < float("inf") else super().loss(tokens)

    def generate(self, rng, bos, prompt=(), temperature=1.0, top_k=None):
        if self._writer is None:
            self._writer = Decoder(self.network)
        return self._writer.generate(rng, bos, prompt, temperature, top_k)


ENGINE = ExactEngine
