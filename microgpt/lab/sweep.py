"""A sweep: many short runs with different settings, on all processes and machines with access to a study. It needs Optuna."""

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from microgpt.common import renamed
from microgpt.common.options import Option
from microgpt.common.words import quoted
from microgpt.config import EvalConfig, GPTConfig, TrainConfig
from microgpt.corpus import documents
from microgpt.engines import DEFAULT, engine_class
from microgpt.lab import space as spaces
from microgpt.lab.repeats import WORKERS
from microgpt.lab.study import Plan, Study, Trial, in_memory, join, optuna_or_error
from microgpt.lab.workers import Worker, supervise
from microgpt.training import SEED, start

SAMPLERS = ("tpe", "random", "grid")
TRIALS = Option(
    "trials", int, 20, "number of trials in the whole study, including those of earlier commands and other machines", least=1, digits=9
)
HELD_OUT = 0.1  # default val_fraction
MEASUREMENTS, FEWEST = 5, 200  # default number of measurements in a run, which pruning needs, and the least documents in each


@renamed.argument("long")
def sweep(
    docs: Iterable[str],
    space: Mapping[str, Any],
    config: GPTConfig | None = None,
    training: TrainConfig | None = None,
    *,
    evaluation: EvalConfig | None = None,
    val_docs: Iterable[str] | None = None,
    seed: int | None = None,
    engine: str | None = None,
    threads: int = 1,
    long_docs: str | None = None,
    study: str | os.PathLike[str] | None = None,
    trials: int | None = None,
    seconds: float | None = None,
    sampler: str = "tpe",
    workers: int = 1,
    callback: Callable[[Trial], object] | None = None,
    progress: Callable[[Study], object] | None = None,
) -> Study:
    """Train with many settings and compare their held-out losses. It needs Optuna (extra `sweep`).

    A trial is pruned if it is worse than the median of the others at the same step, if it diverges, or if its settings contradict each
    other.

    Args:
        docs: The documents, a list of strings.
        space: Option -> a range, "1e-4..1e-1" or (1e-4, 1e-1); a list, "16,32,64" or [16, 32, 64]; or one value.
        config: The options of the model that are not in `space`.
        training: The options of the training that are not in `space`.
        evaluation: How to measure. If nothing is held out, a tenth is. All trials measure on the same documents.
        val_docs: As for `train`.
        seed: As for `train`.
        engine: As for `train`.
        threads: As for `train`, for each process.
        long_docs: As for `train`.
        study: Where the study is kept: the path of a file (Optuna's journal), or the URL of a database or of Redis ("redis://..."). A call
            with the same documents and settings joins or continues the study there. None: it exists only for this call.
        trials: How many trials the study has in all. None: 20; every combination of a grid; or, if `seconds` is given, no limit.
        seconds: The time after which no trial starts.
        sampler: How settings are chosen: "tpe", "random" or "grid".
        workers: The number of processes.
        callback: A function that is called with each `Trial` that ends meanwhile, on any machine.
        progress: A function that is called with the `Study` repeatedly, and at the end.

    Raises:
        ImportError: Optuna is not installed.
        ValueError: The space varies nothing, an option is out of bounds, or the study has other documents or settings.
    """
    optuna_or_error()
    docs = [*documents.checked("docs", docs)]
    val_docs = None if val_docs is None else [*documents.checked("val_docs", val_docs)]
    trials, workers = trials if trials is None else TRIALS.check(trials), WORKERS.check(workers)
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, not {quoted(sampler)}")
    if seconds is not None and not 0 < seconds < math.inf:
        raise ValueError(f"seconds must be more than 0 and finite, not {quoted(seconds)}")
    found = spaces.read(dict(space) if isinstance(space, Mapping) else space)
    if not spaces.varied(found):
        raise ValueError("a sweep needs something to vary; give an option a range, such as 1e-4..1e-1, or a list, such as 16,32,64")
    if sampler == "grid":
        combinations = len(spaces.grid(found))
        trials = combinations if trials is None else min(trials, combinations)
    elif trials is None and seconds is None:
        trials = TRIALS.default
    options = {"seed": SEED.default if seed is None else seed, "engine": engine or DEFAULT, "threads": threads, "long_docs": long_docs}
    parts = _parts(docs, val_docs, found, (config, training, evaluation), options)
    with tempfile.TemporaryDirectory() as folder:
        address = os.path.join(folder, "study.log") if study is None else os.fspath(study)
        plan = Plan(docs, val_docs, found, parts, options, address, sampler, trials)
        joined = join(plan)
        watch = _Watch(Study(joined, plan), callback, progress)
        deadline = None if seconds is None else time.monotonic() + seconds
        if workers == 1:
            Worker(plan, joined).work(deadline, watch.look)
        else:
            supervise(plan, workers, seconds, watch)
        watch.look()
        if study is None:
            watch.study.study = in_memory(joined)
    return watch.study


def _parts(docs, val_docs, space, parts, options):
    """GPTConfig, TrainConfig and EvalConfig for all trials, with the same measurements in each. Raises ValueError if none is possible."""
    config, training, evaluation = parts
    training = training or TrainConfig(batch_size=engine_class(options["engine"]).batch_size)
    evaluation = evaluation or EvalConfig()
    if val_docs is None and not evaluation.val_fraction and "val_fraction" not in space:
        evaluation = replace(evaluation, val_fraction=HELD_OUT)
    parts = (config or GPTConfig(), training, evaluation)
    config, training, evaluation = spaces.example(space, parts)
    run = start(docs, config, training, evaluation=evaluation, val_docs=val_docs, **options)
    if run.held_out is None:
        raise ValueError("a sweep compares held-out losses; give a val_fraction above 0, such as 0.1, or val_docs")
    same = {
        "eval_docs": min(max(run.measured, FEWEST), len(run.held_out)),
        "eval_every": max(1, run.training.num_steps // MEASUREMENTS),
    }
    missing = {name: value for name, value in same.items() if name not in space and getattr(parts[2], name) is None}
    return *parts[:2], replace(parts[2], **missing)


class _Watch:
    """Calls the callback with each trial that has ended since the last look, of any worker, and `progress` with the study."""

    def __init__(self, study, callback, progress):
        self.study, self.callback, self.progress = study, callback, progress
        self.told = {trial.number for trial in study.trials if trial.state != "running"}

    def look(self):
        for trial in self.study.trials if self.callback else ():
            if trial.state != "running" and trial.number not in self.told:
                self.told.add(trial.number)
                self.callback(trial)
        if self.progress:
            self.progress(self.study)
