"""The same training with several seeds, which shows how much of a result is chance."""

import math
import statistics
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import Any

from microgpt import verdict
from microgpt.common import renamed
from microgpt.common.options import Option
from microgpt.common.words import quoted
from microgpt.config import EvalConfig, GPTConfig, TrainConfig
from microgpt.corpus import documents
from microgpt.corpus.loading import DataWarning
from microgpt.engines import cores
from microgpt.model import GPT
from microgpt.training import SEED, DivergenceError, Run, start

CONFIDENCE = 0.95
SEEDS = Option("seeds", int, 1, "number of runs that differ only in their seed", least=1, most=1000)
WORKERS = Option("workers", int, 1, "runs at a time on this machine", least=1, most=256)


@dataclass(frozen=True)
class Estimate:
    """A quantity measured in several runs.

    Attributes:
        values: Its value in each run.
    """

    values: list[float]

    @cached_property
    def mean(self) -> float:
        """The mean of the values."""
        return statistics.fmean(self.values)

    @cached_property
    def sd(self) -> float:
        """The standard deviation of the values, with n - 1 in the denominator; NaN for a single run."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan

    @property
    def low(self) -> float:
        """The lower end of the 95 % confidence interval of the mean, by Student's t; NaN for a single run.

        It assumes that the values are normally distributed.
        """
        return self.mean - self._half()

    @property
    def high(self) -> float:
        """The upper end of that interval."""
        return self.mean + self._half()

    def _half(self):
        n = len(self.values)
        return t_quantile(n - 1) * self.sd / math.sqrt(n) if n > 1 else math.nan


@dataclass(frozen=True)
class Repeats:
    """Runs that differ only in their seed.

    Attributes:
        runs: The runs, in the order of their seeds.
        diverged: Seed -> error for each run that diverged. These runs are not part of the estimates.
    """

    runs: list[Run] = field(repr=False)
    diverged: dict[int, DivergenceError] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """The seeds of `runs`."""
        return [run.seed for run in self.runs]

    @property
    def loss(self) -> Estimate:
        """The mean loss of the last 100 steps, in nats per token."""
        return Estimate([verdict.smoothed(run.losses) for run in self.runs])

    @property
    def val_loss(self) -> Estimate | None:
        """The held-out loss of each run's final weights, in nats per token; None if nothing is held out."""
        found = [held_out_loss(run) for run in self.runs]
        return None if None in found else Estimate(found)

    def __repr__(self) -> str:
        return f"<Repeats of {len(self.runs)} runs, seeds {', '.join(map(str, self.seeds))}>"


def held_out_loss(run):
    """The held-out loss of the current weights of a Run; None if nothing is held out, or nothing was measured."""
    if not run.val_losses:
        return None
    return run.best[1] if run.finished and run.evaluation.patience is not None else run.val_losses[-1][1]


@renamed.argument("long")
def repeat(
    docs: Iterable[str],
    config: GPTConfig | None = None,
    training: TrainConfig | None = None,
    *,
    seeds: int | Iterable[int],
    engine: str | None = None,
    threads: int = 1,
    evaluation: EvalConfig | None = None,
    val_docs: Iterable[str] | None = None,
    long_docs: str | None = None,
    init: GPT | str | PathLike[str] | None = None,
    snapshots: int | None = None,
    gradient_norms: bool = False,
    workers: int | None = None,
    callback: Callable[[Run], object] | None = None,
    watch: Callable[[Run], Callable[[], object]] | None = None,
) -> Repeats:
    """Train once with each of several seeds, with the same held-out documents. Each run equals that of `train` with its seed, bit for bit.

    Args:
        docs: As for `train`, like all arguments not listed here.
        seeds: The seeds, or their number, from 42 on.
        workers: How many runs to train at a time. None: as many as the cores allow, with `threads` each. The engines "exact" and
            "fast" run in parallel; the others take turns.
        callback: A function that is called with each run as soon as it is finished, in this thread.
        watch: A function that is called with each run that starts. It returns a function for the argument `progress` of `Run.train`.

    Raises:
        ValueError: Training diverged with every seed, or a seed is not a whole number.
        KeyboardInterrupt: Ctrl-C was pressed. The running ones end after their current step; the callback has been called with those that
            were finished.
    """
    from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait  # not before, because the import takes time

    docs = documents.checked("docs", docs)
    found = seeds_of(seeds)
    workers = max(1, cores() // (threads or cores())) if workers is None else WORKERS.check(workers)
    runs, diverged, left = {}, {}, iter(found)
    active: dict[Future[None], Run] = {}
    stopped: list[bool] = []
    options: dict[str, Any] = {"engine": engine, "threads": threads, "evaluation": evaluation, "val_docs": val_docs, "long_docs": long_docs}
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                while len(active) < workers and (seed := next(left, None)) is not None:
                    with warnings.catch_warnings():
                        if seed != found[0]:  # warnings about the data are shown once
                            warnings.simplefilter("ignore", DataWarning)
                        run = start(docs, config, training, seed=seed, init=init, snapshots=snapshots, **options)
                    progress = watch(run) if watch else None
                    active[pool.submit(run.train, progress=progress, stopped=stopped, gradient_norms=gradient_norms)] = run
                if not active:
                    break
                for future in wait(active, 0.5, FIRST_COMPLETED).done:
                    run = active.pop(future)
                    try:
                        future.result()
                    except DivergenceError as error:
                        diverged[run.seed] = error
                    else:
                        runs[run.seed] = run
                    if callback:
                        callback(run)
        finally:
            stopped.append(True)  # after an error, the other runs end after their current step
    if not runs:
        raise ValueError("training diverged with every seed; try a smaller learning_rate")
    return Repeats([runs[seed] for seed in found if seed in runs], diverged)


def seeds_of(seeds):
    """The seeds for `repeat`: a list of ints. Raises ValueError or TypeError."""
    if isinstance(seeds, str) or not isinstance(seeds, Iterable):
        return [SEED.default + i for i in range(SEEDS.check(seeds))]
    found = [SEED.check(seed) for seed in seeds]
    if not found or len(set(found)) < len(found):
        raise ValueError(f"seeds must be one or more distinct whole numbers, not {quoted(found)}")
    return found


def t_quantile(df, confidence=CONFIDENCE):
    """The t with which Student's distribution, with df degrees of freedom, is within -t to t with probability `confidence`.

    The probability as a finite sum for a whole df: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    odd = df % 2

    def within(angle):  # of t = sqrt(df) tan(angle)
        sine, cosine = math.sin(angle), math.cos(angle)
        total, term = 0.0, cosine if odd else 1.0
        for j in range(df // 2):
            total += term
            term *= (2 * j + 1 + odd) / (2 * j + 2 + odd) * cosine**2
        return (angle + sine * total) * 2 / math.pi if odd else sine * total

    low, high = 0.0, math.pi / 2
    for _ in range(60):  # by bisection, to the last bits
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) < confidence else (low, middle)
    return math.sqrt(df) * math.tan(low)
