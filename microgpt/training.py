"""Training: one random generator shuffles the documents, draws the weights and later samples; an engine does the steps."""

import random
import time
from typing import NamedTuple

from microgpt import engines
from microgpt.config import GPTConfig, TrainConfig
from microgpt.model import GPT
from microgpt.tokenizer import Corpus, Tokenizer

PORTION_SECONDS = 0.02  # steps without a callback run in portions about this long, so that Ctrl-C is heard between them


class Step(NamedTuple):
    """What a callback is told after each step."""

    step: int  # from 1
    num_steps: int
    loss: float  # of this step's document, in nats a token
    lr: float  # the learning rate this step used


class Run:
    """A training run, made by `start` and done by its `train`.

    model: GPT; corpus: Corpus, the documents in training order; training: TrainConfig; rng: random.Random, which sampling
    goes on with; losses: list of floats, one for each step done.
    """

    def __init__(self, model, corpus, training, rng):
        self.model, self.corpus, self.training, self.rng = model, corpus, training, rng
        self.losses = []

    def train(self, callback=None, progress=None):
        """Do the steps that are left. callback: as for the function `train`, called after every step.

        progress: called without arguments some dozen times a second, after one step or many; it finds them in `losses`.
        """
        losses, training = self.losses, self.training
        portion = 1
        while len(losses) < training.num_steps:
            first = len(losses)
            started = time.perf_counter()
            try:
                self.model.engine.train(
                    self.corpus, range(first, min(first + portion, training.num_steps)), training, losses
                )
            except (ArithmeticError, ValueError) as error:
                raise DivergenceError(len(losses) + 1, training, losses, error) from error
            if callback is None and time.perf_counter() - started < PORTION_SECONDS:
                portion *= 2
            if progress is not None:
                progress()
            if callback is not None and callback(
                Step(len(losses), training.num_steps, losses[-1], training.lr(len(losses) - 1))
            ):
                return

    def generate(self, n=1, temperature=0.5, *, prompt="", top_k=None):
        """n new documents, drawn from the run's own random generator: after training, those the reference prints."""
        return self.model.generate_from(self.rng, n, temperature, prompt=prompt, top_k=top_k)

    def __repr__(self):
        return f"<Run of {len(self.losses)} steps, {self.model!r}>"


class DivergenceError(ValueError):
    """Training cannot go on: a number grew out of range. step: which step, from 1; losses: those of the steps before."""

    def __init__(self, step, training, losses, cause):
        self.step, self.losses = step, losses
        super().__init__(
            f"training diverged at step {step} of {training.num_steps}: {cause}; "
            f"try a learning rate below {training.learning_rate:g} or smaller initial weights"
        )


def start(docs, config=GPTConfig(), training=TrainConfig(), *, seed=42, engine=engines.DEFAULT):
    """A Run that is ready to train: documents shuffled, a new model drawn, no step done yet. Arguments as for `train`."""
    docs = _checked(docs)
    rng = random.Random(seed)
    rng.shuffle(docs)
    tokenizer = Tokenizer.from_docs(docs, config.bos_first)
    model = GPT.init(config, tokenizer, rng, engine)
    return Run(model, Corpus(docs, tokenizer), training, rng)


def train(docs, config=GPTConfig(), training=TrainConfig(), *, seed=42, engine=engines.DEFAULT, callback=None):
    """Train a new model on `docs`, a list of strings; returns a Run. Its defaults are the reference's own run.

    engine: "python", "graph" or "exact", all with the same result. callback: called with a Step after each step; a true
    return value ends the run there. DivergenceError when a loss or a gradient grows out of range.
    """
    run = start(docs, config, training, seed=seed, engine=engine)
    run.train(callback)
    return run


def _checked(docs):
    if isinstance(docs, (str, bytes)):
        raise TypeError("docs must be a list of documents; load_docs reads one from a file")
    docs = list(docs)
    for doc in docs:
        if not isinstance(doc, str):
            raise TypeError(f"every document must be a string, not {doc!r}")
    if not any(docs):
        raise ValueError("there is nothing to train on: give at least one document that is not empty")
    return docs
