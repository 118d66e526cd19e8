"""What the two engines that build a scalar graph share: the parameters as Values, kept equal to the model's flat buffer."""

import math
from array import array

from microgpt.engines import COMMON, Engine, check_finite


class ScalarEngine(Engine):
    """An engine made of `ops`, a module with Value, Adam, gpt, batch_loss and update as microgpt.reference has them."""

    ops = None
    options = COMMON
    node_bytes: int  # approximate bytes of a token's graph for each parameter
    bytes_per_param = 150

    def __init__(self, config, vocab_size, params, threads=1, ops=None):
        super().__init__(config, vocab_size, params)
        self.ops = ops or self.ops
        self.values = [self.ops.Value(data) for data in params]
        unplaced = iter(self.values)
        self.matrices = {
            name: [[next(unplaced) for _ in range(columns)] for _ in range(rows)]
            for name, (rows, columns) in config.shapes(vocab_size).items()
        }
        self.optimizer = None
        self._loaded = bytes(params)

    def activation_bytes(self, tokens):
        return self.node_bytes * tokens * len(self.params)

    def train(self, corpus, steps, training, losses, norms=None):
        self._load()
        self._start(training)
        done, lengths = [], []
        try:
            for step in steps:
                loss = self._backward(corpus, step, training)
                length = None if norms is None else norm(value.grad for value in self.values)
                self.ops.update(self.values, self.optimizer, training, step)
                done.append(loss.data)
                lengths.append(length)
        finally:
            self._store()
            if norms is not None:
                norms += lengths
            losses += done  # last: a step is done when its weights are there

    def gradients(self, corpus, step, training):
        self._load()
        loss = self._backward(corpus, step, training)
        gradients = array("d", [value.grad for value in self.values])
        for value in self.values:
            value.grad = 0
        return loss.data, gradients

    def _backward(self, corpus, step, training):
        """The loss of a step, a Value whose backward() has run."""
        documents = [corpus[i] for i in training.batch(step, len(corpus))]
        loss = self.ops.batch_loss(documents, self.matrices, self.config)
        check_finite(loss.data)
        loss.backward()
        return loss

    def moments(self):
        if self.optimizer is None:
            return super().moments()
        return array("d", self.optimizer.m), array("d", self.optimizer.v)

    def restore(self, training, m, v, num_steps):
        self._start(training)
        self.optimizer.m, self.optimizer.v, self.optimizer.num_steps = list(m), list(v), num_steps

    def _start(self, training):
        if self.optimizer is None:
            self.optimizer = self.ops.Adam(self.values, training.learning_rate, training.beta1, training.beta2, training.eps)

    def loss(self, tokens):
        self._load()
        return self.ops.document_loss(tokens, self.matrices, self.config, self.ops.ACTIVATIONS[self.config.activation]).data

    def decoder(self):
        self._load()
        keys, values = [[] for _ in range(self.config.n_layer)], [[] for _ in range(self.config.n_layer)]
        activation = self.ops.ACTIVATIONS[self.config.activation]

        def decode(token):
            logits = self.ops.gpt(token, len(keys[0]), keys, values, self.matrices, self.config, activation)
            return [logit.data for logit in logits]

        return decode

    def _load(self):
        """Take over changes that others made to the model's buffer."""
        found = bytes(self.params)
        if self._loaded != found:
            for value, data in zip(self.values, memoryview(found).cast("d")):
                value.data = data
            self._loaded = found  # last: other readers must not find it before it is complete

    def _store(self):
        for i, value in enumerate(self.values):
            self.params[i] = value.data
        self._loaded = bytes(self.params)


def norm(gradients):
    """The norm of the gradient, as microgpt.reference.clip_gradients computes it; infinite if a square overflows, which ends the
    step."""
    squares = 0.0
    try:
        for gradient in gradients:
            squares += gradient**2
    except OverflowError:
        return math.inf
    return squares**0.5
