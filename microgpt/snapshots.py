"""Snapshots: the parameters of a model at several steps of its training, for `microgpt explore` to show."""

import math
from array import array

from microgpt.common.options import Option

ABOUT = 40  # the default number of snapshots: enough to see all changes, and less than 1 MB for the published model
SNAPSHOTS = Option(
    "snapshots", int, None,
    "number of snapshots of the weights during training, for microgpt explore to show; close together at first, then ever further apart",
    unit="times", least=2, most=10_000, since="0.2",
)  # fmt: skip
BYTES = array("f").itemsize  # per parameter


class Snapshots:
    """About `count` snapshots of a run. steps: the steps after which they were taken, in order; 0 is before the first step; weights:
    a list of float32 arrays, each with all parameters.

    With float32, the error of a probability on the page is less than 1e-7; with float16 it would be up to 2e-4, which is visible.
    """

    def __init__(self, count, steps=(), weights=()):
        self.count, self.steps, self.weights = count, list(steps), list(weights)

    def next(self, step, num_steps):
        """The first step, from this one on, after which a snapshot is due in a run of num_steps; None if there is none."""
        taken = self.steps[-1] if self.steps else -1
        return next((due for due in spaced(self.count, num_steps) if due >= step and due > taken), None)

    def take(self, step, params):
        """Keep the parameters after a step, unless they overflow float32: there is nothing to see in such a model."""
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
    """The integers from 0 to num_steps, or about `count` of them in a geometric progression, each at least 1 more than the last."""
    steps = [0]
    while steps[-1] < num_steps:
        last, left = max(steps[-1], 1), max(1, count - len(steps))
        steps.append(max(steps[-1] + 1, round(last * (num_steps / last) ** (1 / left))))
    return steps
