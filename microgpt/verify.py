"""Proof on this machine: every exact engine against the published runs of the reference, and against pure Python here."""

import time
from typing import NamedTuple

from microgpt import engines, published
from microgpt.config import PRESETS
from microgpt.training import train


class Outcome(NamedTuple):
    """What one engine computed: the run's losses, and hashes as in microgpt.published."""

    engine: str
    losses: list
    params: str
    samples: str
    seconds: float

    @property
    def hash(self):
        """One hash of it all."""
        return published.hash_samples([published.hash_losses(self.losses), self.params, self.samples])


def compute(engine, docs, preset, num_samples=20, callback=None):
    """Train and sample with `engine` as the reference's revision `preset` does; returns its Outcome."""
    config, training, temperature = PRESETS[preset]
    started = time.perf_counter()
    run = train(docs, config, training, engine=engine, callback=callback)
    samples = run.generate(num_samples, temperature=temperature)
    seconds = time.perf_counter() - started
    return Outcome(
        engine, run.losses, published.hash_params(run.model.params), published.hash_samples(samples), seconds
    )


def first_losses(docs, preset, num_steps):
    """The pure reference's losses of the first steps."""
    config, training, _ = PRESETS[preset]
    return train(docs, config, training, engine="python", callback=lambda step: step.step == num_steps).losses


def difference(outcome, expected):
    """How an Outcome differs from the published run, or from another Outcome: None, or (text, step or None)."""
    if isinstance(expected, Outcome):
        digests = published.step_digests(expected.losses)
        losses, params, samples = published.hash_losses(expected.losses), expected.params, expected.samples
    else:
        digests, losses, params, samples = expected.steps, expected.losses, expected.params, expected.samples
    if published.hash_losses(outcome.losses) != losses:
        own = published.step_digests(outcome.losses)
        step = next((i // 4 + 1 for i in range(0, len(own), 4) if own[i : i + 4] != digests[i : i + 4]), None)
        return f"the loss of step {step} differs" if step else "the losses differ", step
    if outcome.params != params:
        return "the losses are equal, but the final parameters differ", None
    if outcome.samples != samples:
        return "losses and parameters are equal, but the samples differ", None
    return None


def exact_engines():
    """The engines that promise the reference's bits, the pure one aside."""
    return [name for name in engines.ENGINES if name not in ("python", "fast")]
