"""Snapshots: what the parameters of a model were on the way through its training, for `microgpt explore` to show."""

import math
from array import array

from microgpt.common.options import Option

ABOUT = 40  # of a run, where somebody wants some: enough to see every turn, and under 1 MB for the published model
SNAPSHOTS = Option(
    "snapshots", int, None,
    "how often to keep the weights on the way, for microgpt explore to show; often at first, then ever more seldom",
    unit="times", least=2, most=10_000, since="0.2",
)  # fmt: skip
BYTES = array("f").itemsize  # of a parameter


class Snapshots:
    """About `count` snapshots of a run. steps: after which steps they were taken, in order, 0 is before the first one; weights: list
    of arrays of float32, each with all parameters.

    In float32, a probability that the page shows is off by less than 1e-7; in float16 it would be off by up to 2e-4, which is seen.
    """

    def __init__(self, count, steps=(), weights=()):
        self.count, self.steps, self.weights = count, list(steps), list(weights)

    def next(self, step, num_steps):
        """The first step, from this one on, after which one is due in a run of num_steps; None where there is none."""
        taken = self.steps[-1] if self.steps else -1
        return next((due for due in spaced(self.count, num_steps) if due >= step and due > taken), None)

    def take(self, step, params):
        """Keep the parameters after a step, unless float32 cannot hold them: such a model is beyond being looked at."""
        weights = array("f", params)
        if all(map(math.isfinite, weights)):
            self.steps.append(step)
            self.weights.append(weights)

    def __eq__(self, other):
        return isinstance(other, Snapshots) and vars(self) == vars(other)

    __hash__ = None

    def __repr__(self):
        return f"<Snapshots after {', '.join(map(str, self.steps)) or 'no'} steps>"


def spaced(count, num_steps):
    """The whole numbers from 0 to num_steps, or about `count` of them: each is as many times the last as fits, and at least 1 more."""
    steps = [0]
    while steps[-1] < num_steps:
        last, left = max(steps[-1], 1), max(1, count - len(steps))
        steps.append(max(steps[-1] + 1, round(last * (num_steps / last) ** (1 / left))))
    return steps
