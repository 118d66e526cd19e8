"""Proof on this machine: the exact engines against the published runs of the reference, and against pure Python here."""

import time
from typing import NamedTuple

from microgpt import engines
from microgpt.config import PRESETS
from microgpt.proof import published
from microgpt.proof.published import Published
from microgpt.training import train

NUM_SAMPLES = 20
PARTS = ("losses", "parameters", "samples")


class Outcome(NamedTuple):
    """What an engine computed, in the form of the published results, and how long it took."""

    engine: str
    result: Published
    seconds: float


class Difference(NamedTuple):
    """Where two results first differ: the first of PARTS that differs, and the step if that is a loss and its step is known."""

    part: str
    step: int | None

    def __str__(self):
        return f"step {self.step} differs" if self.step else "differ"


def exact_engines():
    """The engines that promise the reference's bits, except the pure one."""
    return [name for name in engines.EXACT if name != "python"]


def compute(engine, docs, preset, callback=None):
    """Train and sample on `docs` as the reference's revision `preset` does; callback: as for `train`. Returns an Outcome."""
    config, training, temperature = PRESETS[preset]
    started = time.perf_counter()
    run = train(docs, config, training, engine=engine, callback=callback)
    samples = run.generate(NUM_SAMPLES, temperature=temperature)
    seconds = time.perf_counter() - started
    return Outcome(engine, published.describe(run.losses, run.model.params, samples), seconds)


def difference(result, expected):
    """The first Difference between two Published, or None."""
    if result.losses != expected.losses:
        own, other = result.step_digests(), expected.step_digests()
        step = next((i for i, (a, b) in enumerate(zip(own, other), 1) if a != b), None)
        return Difference("losses", step)
    for part, own, other in (("parameters", result.params, expected.params), ("samples", result.samples, expected.samples)):
        if own != other:
            return Difference(part, None)
    return None


def equals_python(outcome, docs, preset, num_steps, callback=None):
    """Whether the pure engine, on this machine, gives the same losses in the first num_steps steps as an Outcome."""
    config, training, _ = PRESETS[preset]

    def stop(step):
        if callback:
            callback(step)
        return step.step == num_steps

    losses = train(docs, config, training, engine="python", callback=stop).losses
    return outcome.result.steps.startswith(published.step_digests(losses))
