"""A study: the trials of a sweep, in an Optuna storage that many processes and machines may share."""

import hashlib
import json
import os
import time
import warnings
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from microgpt.common import renamed
from microgpt.common.extras import require
from microgpt.common.words import quoted, quoted_path, shortened
from microgpt.config import EvalConfig, GPTConfig, TrainConfig
from microgpt.lab import space as spaces

NAME = "microgpt"  # of the study in its storage


@dataclass(frozen=True)
class Trial:
    """One run of a study.

    Attributes:
        number: Its number, from 0.
        state: "complete", "pruned" or "running".
        loss: The held-out loss, in nats per token; None unless complete.
        settings: Option -> value, for the options that vary.
        reason: Why it was pruned.
        seconds: The time from its beginning to its end, or until now.
        measured: (step, held-out loss) of the last measurement during the run, or None.
    """

    number: int
    state: str
    loss: float | None
    settings: dict[str, Any]
    reason: str = ""
    seconds: float = 0.0
    measured: tuple[int, float] | None = None


class Study:
    """The result of `sweep`: the trials, the best of them, and the importance of each setting.

    Attributes:
        study: Optuna's own `Study`, for its plots.
        space: Option -> the values to try.
        wanted: The number of trials it should have, or None.
    """

    def __init__(self, study: Any, plan: "Plan") -> None:
        self.study, self.space, self.wanted, self._parts = study, plan.space, plan.trials, plan.parts

    @property
    def trials(self) -> list[Trial]:
        """All trials in the order of their start, except those of lost workers, which others repeat."""
        failed = optuna_or_error().trial.TrialState.FAIL
        return [_described(trial) for trial in self.study.get_trials(deepcopy=False) if trial.state != failed]

    @property
    def best(self) -> Trial:
        """The complete trial with the lowest held-out loss, the first one if several are equal.

        Raises:
            ValueError: No trial is complete.
        """
        complete = [trial for trial in self.trials if trial.state == "complete"]
        if not complete:
            raise ValueError("no trial of the study is complete; give it more trials, or other ranges")
        return min(complete, key=lambda trial: (trial.loss, trial.number))

    def settings(self, trial: Trial) -> tuple[GPTConfig, TrainConfig, EvalConfig]:
        """The settings with which `train` repeats a trial bit for bit, given the study's seed and engine."""
        return spaces.applied(self._parts, _fixed(self.space) | trial.settings)

    def importance(self) -> dict[str, float]:
        """Option -> its share in the variation of the loss, the largest first. It is empty if too few trials are complete.

        The shares are those of Optuna's PED-ANOVA evaluator.
        """
        importance = optuna_or_error().importance
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the evaluator is experimental
            try:
                return dict(importance.get_param_importances(self.study, evaluator=importance.PedAnovaImportanceEvaluator()))
            except (ValueError, RuntimeError):
                return {}

    def __repr__(self) -> str:
        return f"<Study of {len(self.trials)} trials over {', '.join(spaces.varied(self.space))}>"


def _fixed(space):
    return {name: values.ends()[0] for name, values in space.items() if len(values.ends()) == 1}


def _described(trial):
    begun = trial.datetime_start
    seconds = ((trial.datetime_complete or datetime.now()) - begun).total_seconds() if begun else 0.0
    last = max(trial.intermediate_values, default=None)
    loss = trial.value if trial.state.name == "COMPLETE" else None
    return Trial(
        trial.number, trial.state.name.lower(), loss, dict(trial.params), trial.user_attrs.get("reason", ""), seconds,
        None if last is None else (last, trial.intermediate_values[last]),
    )  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """Everything that a worker needs. parts: GPTConfig, TrainConfig and EvalConfig; trials: None if only the time limits them."""

    docs: list[str]
    val_docs: list[str] | None
    space: dict[str, Any]
    parts: tuple[GPTConfig, TrainConfig, EvalConfig]
    options: dict[str, Any]  # of start: seed, engine, threads, long_docs
    address: str
    sampler: str
    trials: int | None

    def identity(self):
        """Name -> value of everything that the trials of a study have in common."""
        digest = hashlib.sha256()
        for doc in (*self.docs, None, *(self.val_docs or ())):
            digest.update(b"\xff" if doc is None else doc.encode("utf-8", "surrogatepass") + b"\xfe")
        settings = {name: value for part in self.parts for name, value in asdict(part).items() if name not in self.space}
        options = {name: value for name, value in self.options.items() if name != "threads"}
        space = {name: str(values) for name, values in self.space.items()}
        return {"data": digest.hexdigest(), **settings, **options, **space, "sampler": self.sampler}


# ---- Its storage -----------------------------------------------------------------------------------------------------


def optuna_or_error():
    optuna = require("optuna", "a sweep", "sweep")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def storage_at(address):
    """Optuna's storage at a path or URL. Raises ValueError or OSError."""
    optuna = optuna_or_error()
    from optuna.storages import journal

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a storage is experimental
        if "://" not in address:
            _refuse_other_files(address)
            path = os.path.abspath(address)  # the lock is a link to the file, which must not depend on the current folder
            lock = journal.JournalFileOpenLock(path) if os.name == "nt" else None
            return optuna.storages.JournalStorage(journal.JournalFileBackend(path, lock_obj=lock))
        try:
            if address.startswith(("redis://", "rediss://")):
                require("redis", "a study in Redis")
                return optuna.storages.JournalStorage(journal.JournalRedisBackend(address))
            return optuna.storages.RDBStorage(address)
        except ImportError:
            raise
        except Exception as error:  # of any library that reads the URL
            raise ValueError(f"the study {quoted(address)} cannot be opened: {shortened(str(error), 120)}; check its address") from error


def _refuse_other_files(path):
    """Raise ValueError if the file is not a journal, because Optuna would write into it."""
    if not os.path.exists(path):
        if not path:
            raise ValueError("a study needs the name of a file; it was given an empty one")
        open(path, "ab").close()  # OSError if it cannot be written
        return
    if os.path.isfile(path):
        with open(path, "rb") as file:
            line = file.readline(10**6)
        if not line or line.startswith(b'{"op_code"'):
            return
    raise ValueError(f"{quoted_path(path)} is not a study, and would be overwritten; give another name")


def join(plan):
    """The Optuna study of a Plan, created if it does not exist. Raises ValueError if it exists with other data or settings."""
    optuna, storage = optuna_or_error(), storage_at(plan.address)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5)
    try:
        study = optuna.create_study(storage=storage, study_name=NAME, pruner=pruner)
        made = True
    except optuna.exceptions.DuplicatedStudyError:
        study, made = optuna.load_study(storage=storage, study_name=NAME, pruner=pruner), False
    # Optuna's cache of a database can permanently miss trials of other processes; such a trial would be done twice
    study._storage = storage
    mine, patience = plan.identity(), time.monotonic() + 10
    while not made and "plan" not in study.user_attrs and time.monotonic() < patience:  # the process that made it is about to write it
        time.sleep(0.1)
    if "plan" not in study.user_attrs:
        study.set_user_attr("plan", json.dumps(mine))
    theirs = renamed.in_file(json.loads(study.user_attrs["plan"]))
    mine = json.loads(json.dumps(mine))
    different = [name for name in mine | theirs if mine.get(name) != theirs.get(name)]
    if "data" in different:
        raise ValueError(f"the study {quoted(plan.address, 160)} has other data; give the same data, or another study")
    if different:
        name = different[0]
        ours, its = (shortened(str(values.get(name))) for values in (mine, theirs))
        raise ValueError(f"the study {quoted(plan.address, 160)} has {name} {its}, not {ours}; give the same settings, or another study")
    return study


def in_memory(study):
    """A copy of a study that needs no file."""
    copied = optuna_or_error().create_study()
    copied.add_trials(study.get_trials(deepcopy=False))
    return copied
