"""The exact engine: the reference's float64 arithmetic in C, without a graph; the same bits, about 10,000 times faster."""

import math
from array import array

from microgpt.compiled.exact import ACTIVATIONS, Decoder, Network, group_columns, isas
from microgpt.engines import COMMON, Engine, check_finite, sampling


class ExactEngine(Engine):
    """An Engine; its results do not depend on `threads`."""

    name = "exact"
    threaded = ("computes",)
    options = COMMON
    activations = ACTIVATIONS
    isas = staticmethod(isas)

    def __init__(self, config, vocab_size, params, threads=1):
        super().__init__(config, vocab_size, params, threads)
        self.network = Network(config, vocab_size, params)
        self._idle = []  # idle decoders: there is one for each of the most callers that there were at the same time

    def activation_bytes(self, tokens):
        c = self.config
        positions = min(max(c.block_size, group_columns()), tokens)  # a long document's, or some short ones', at a time
        own = 4 * c.n_embd + 2 * positions  # of each thread
        doubles = (25 * c.n_layer + 5) * c.n_embd + 3 * self.vocab_size + c.n_layer * c.n_head / 2 * positions + own * self.threads
        return 8 * positions * doubles

    def train(self, corpus, steps, training, losses, norms=None):
        stopped = self.network.train(corpus, steps, training, losses, self.threads, norms)
        if stopped is not None:
            self._raise_reason(corpus, stopped, training)

    def gradients(self, corpus, step, training):
        loss = self.network.backward(corpus, step, training, self.threads)
        if loss is None:
            self._raise_reason(corpus, step, training)
        return loss, array("d", self.network.gradients)

    def _raise_reason(self, corpus, step, training):
        """What the reference raises in a step whose loss is not finite."""
        losses = [self._loss_or_error(corpus[i]) for i in training.batch(step, len(corpus))]
        check_finite(sum(losses) * (1 / len(losses)))
        raise AssertionError("the loss is finite after all; please report this")

    def _loss_or_error(self, tokens):
        """A document's loss where the whole-document kernels found that it is not finite: token by token, to raise the same error as the
        reference (from a square or a logarithm), at the same place."""
        decode, predicted, total = self.decoder(), list(zip(tokens, tokens[1:]))[: self.config.block_size], 0.0
        for token, target in predicted:
            total += math.log(sampling.softmax(decode(token))[target]) * -1
        return total * (1 / len(predicted))

    def moments(self):
        if self.network.m is None:
            return super().moments()
        return array("d", self.network.m), array("d", self.network.v)

    def restore(self, training, m, v, num_steps):
        self.network.start(training)
        self.network.m[:], self.network.v[:], self.network.num_steps = array("d", m), array("d", v), num_steps

    def decoder(self):
        return Decoder(self.network)

    def loss(self, tokens):
        decoder = self._take()
        try:
            loss = decoder.loss(tokens)
        finally:
            self._idle.append(decoder)
        return loss if math.isfinite(loss) else super().loss(tokens)

    def losses(self, corpus, which):
        decoder = self._take()
        try:
            found = decoder.losses(corpus, which, self.threads)
        finally:
            self._idle.append(decoder)
        return [loss if math.isfinite(loss) else self.loss_or_infinity(corpus[i]) for i, loss in zip(which, found)]

    def generate(self, rng, bos, prompt=(), temperature=1.0, top_k=None, top_p=None, *, opening=None, length=None, tell=None):
        if top_p is not None:  # not compiled
            return super().generate(rng, bos, prompt, temperature, top_k, top_p, opening=opening, length=length, tell=tell)
        opening = bos if opening is None else opening
        length = sampling.room(len(prompt), self.config.block_size) if length is None else length
        decoder = self._take()
        try:
            return decoder.generate(rng, bos, opening, prompt, temperature, top_k, length, self.config, tell)
        finally:
            self._idle.append(decoder)

    def _take(self):
        """A decoder for one caller, which returns it after use."""
        try:
            return self._idle.pop()  # mutant: take-decoder
        except IndexError:
            return self.decoder()


ENGINE = ExactEngine
