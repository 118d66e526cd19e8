"""A sweep: many short runs with different settings, on as many processes and machines as see one study. It needs Optuna.

A study of N trials has N slots. A worker takes a free slot by creating a trial in it; where two workers take the same one, the trial
with the lower number has it. A trial whose worker is gone is marked as failed, which frees its slot, and the next trial there repeats
its settings. So no slot is lost and none counts twice, on any storage that numbers its trials.
"""

import hashlib
import json
import math
import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from microgpt.common.extras import require
from microgpt.common.options import Option
from microgpt.common.words import quoted, quoted_path, shortened
from microgpt.config import EvalConfig, GPTConfig, TrainConfig
from microgpt.corpus import documents
from microgpt.engines import DEFAULT, engine_class
from microgpt.lab import space as spaces
from microgpt.training import DivergenceError, start

NAME = "microgpt"  # of the study in its storage
SAMPLERS = ("tpe", "random", "grid")
TRIALS = Option("trials", int, 20, "trials of the whole study, those of earlier commands and other machines included", least=1, digits=9)
WORKERS = Option("workers", int, 1, "processes that train here", least=1, most=256)
HELD_OUT = 0.1  # val_fraction where nothing is said about it
MEASUREMENTS, FEWEST = 5, 200  # in a run, and documents in each, where nothing is said about them: pruning needs some on the way
BEAT, STALE = 5.0, 60.0  # seconds between two signs of life of a worker; without one for so long, it is taken for dead
POLL = 0.5  # seconds between two looks at the study
APART = 64  # free slots among which a worker chooses that found its first one taken


@dataclass(frozen=True)
class Trial:
    """One run of a study. state: "complete", "pruned" or "running"; loss: the held-out loss, None unless complete; settings: the options
    that vary -> value; reason: why it was pruned; seconds: from its beginning to its end."""

    number: int
    state: str
    loss: float | None
    settings: dict[str, Any]
    reason: str = ""
    seconds: float = 0.0


class Study:
    """What `sweep` returns. study: Optuna's own object, for its plots; space, config, training, evaluation: what its trials vary and
    start from."""

    def __init__(self, study: Any, plan: "Plan") -> None:
        self.study, self.space, self._parts = study, plan.space, plan.parts

    @property
    def trials(self) -> list[Trial]:
        """Every Trial in the order of its beginning; not those whose worker was lost, which others repeated."""
        failed = _optuna().trial.TrialState.FAIL
        return [_described(trial) for trial in self.study.get_trials(deepcopy=False) if trial.state != failed]

    @property
    def best(self) -> Trial:
        """The complete trial with the lowest held-out loss, the first of equals. ValueError where none is complete."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        if not complete:
            raise ValueError("no trial of the study is complete; give it more trials, or other ranges")
        return min(complete, key=lambda trial: (trial.loss, trial.number))

    def settings(self, trial: Trial) -> tuple[GPTConfig, TrainConfig, EvalConfig]:
        """What `train` takes to repeat a trial bit for bit, with the study's seed and engine."""
        return spaces.applied(self._parts, _fixed(self.space) | trial.settings)

    def importance(self) -> dict[str, float]:
        """Option -> its share of what changes the loss, the greatest first; empty where too few trials are complete to tell."""
        importance = _optuna().importance
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the evaluator is experimental
            try:
                return dict(importance.get_param_importances(self.study, evaluator=importance.PedAnovaImportanceEvaluator()))
            except (ValueError, RuntimeError):
                return {}

    def __repr__(self) -> str:
        return f"<Study of {len(self.trials)} trials over {', '.join(spaces.varied(self.space))}>"


@dataclass(frozen=True)
class Plan:
    """All that a worker needs. parts: GPTConfig, TrainConfig and EvalConfig; trials: None for no end but the time's."""

    docs: list[str]
    val_docs: list[str] | None
    space: dict[str, Any]
    parts: tuple[GPTConfig, TrainConfig, EvalConfig]
    options: dict[str, Any]  # of start: seed, engine, threads, long
    address: str
    sampler: str
    trials: int | None

    def identity(self):
        """Name -> value of all that the trials of one study have in common."""
        digest = hashlib.sha256()
        for doc in (*self.docs, None, *(self.val_docs or ())):
            digest.update(b"\xff" if doc is None else doc.encode("utf-8", "surrogatepass") + b"\xfe")
        settings = {name: value for part in self.parts for name, value in asdict(part).items() if name not in self.space}
        options = {name: value for name, value in self.options.items() if name != "threads"}
        space = {name: str(values) for name, values in self.space.items()}
        return {"data": digest.hexdigest(), **settings, **options, **space, "sampler": self.sampler}


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
    long: str | None = None,
    study: str | os.PathLike[str] | None = None,
    trials: int | None = None,
    seconds: float | None = None,
    sampler: str = "tpe",
    workers: int = 1,
    callback: Callable[[Trial], object] | None = None,
) -> Study:
    """Train with many settings and compare their held-out losses; returns the Study.

    space: option -> "1e-4..1e-1" or (1e-4, 1e-1), a range; "16,32,64" or [16, 32, 64], a list; or one value. What has no entry is as in
    config, training and evaluation, which are as for `train`, like docs, val_docs, seed, engine, threads and long. Without documents to
    measure on, a tenth is held out; all trials measure on the same ones.

    study: None, for this call alone; a path, of Optuna's journal; or the URL of a database or of Redis ("redis://..."). A call with the
    same docs and settings joins or continues the study that is there, ValueError for others. trials: how many the study has in all
    (None: 20, every combination of a grid, or where seconds are given no limit); seconds: after which no trial begins; sampler: "tpe",
    "random" or "grid"; workers: processes; callback: called with each Trial that ends meanwhile, on whatever machine.

    A trial that does worse than the others' median on its way, diverges, or has settings that exclude one another is pruned.
    ImportError without Optuna.
    """
    _optuna()
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
    options = {"seed": 42 if seed is None else seed, "engine": engine or DEFAULT, "threads": threads, "long": long}
    parts = _parts(docs, val_docs, found, (config, training, evaluation), options)
    with tempfile.TemporaryDirectory() as folder:
        address = os.path.join(folder, "study.log") if study is None else os.fspath(study)
        plan = Plan(docs, val_docs, found, parts, options, address, sampler, trials)
        joined = _join(plan)
        watch = _Watch(Study(joined, plan), callback)
        deadline = None if seconds is None else time.monotonic() + seconds
        if workers == 1:
            _Worker(plan, joined).work(deadline, watch.look)
        else:
            _supervise(plan, workers, seconds, watch)
        watch.look()
        if study is None:
            watch.study.study = _in_memory(joined)
    return watch.study


def _parts(docs, val_docs, space, parts, options):
    """GPTConfig, TrainConfig, EvalConfig of all trials, with measurements that do not depend on what varies. ValueError where no trial can be."""
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


def _fixed(space):
    return {name: values.ends()[0] for name, values in space.items() if len(values.ends()) == 1}


# ---- The study -------------------------------------------------------------------------------------------------------


def _optuna():
    optuna = require("optuna", "a sweep", "sweep")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _storage(address):
    """Optuna's storage at a path or URL. ValueError, OSError."""
    optuna = _optuna()
    from optuna.storages import journal

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a storage is experimental
        if "://" not in address:
            _refuse_other_files(address)
            path = os.path.abspath(address)  # the lock is a link to it, which must not depend on the current folder
            lock = journal.JournalFileOpenLock(path) if os.name == "nt" else None
            return optuna.storages.JournalStorage(journal.JournalFileBackend(path, lock_obj=lock))
        try:
            if address.startswith(("redis://", "rediss://")):
                require("redis", "a study in Redis")
                return optuna.storages.JournalStorage(journal.JournalRedisBackend(address))
            return optuna.storages.RDBStorage(address)
        except ImportError:
            raise
        except Exception as error:  # of whatever library reads the URL
            raise ValueError(f"the study {quoted(address)} cannot be opened: {shortened(str(error), 120)}; check its address") from error


def _refuse_other_files(path):
    """ValueError where the path has something else than a journal: Optuna would write into it."""
    if not os.path.exists(path):
        if not path:
            raise ValueError("a study needs the name of a file; it was given an empty one")
        open(path, "ab").close()  # OSError where it cannot be
        return
    if os.path.isfile(path):
        with open(path, "rb") as file:
            line = file.readline(10**6)
        if not line or line.startswith(b'{"op_code"'):
            return
    raise ValueError(f"{quoted_path(path)} is no study, and would be overwritten; give another name")


def _join(plan):
    """The Optuna study of a Plan, made where it is not there yet. ValueError where the one there is of other data or settings."""
    optuna, storage = _optuna(), _storage(plan.address)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5)
    try:
        study = optuna.create_study(storage=storage, study_name=NAME, pruner=pruner)
        made = True
    except optuna.exceptions.DuplicatedStudyError:
        study, made = optuna.load_study(storage=storage, study_name=NAME, pruner=pruner), False
    mine, patience = plan.identity(), time.monotonic() + 10
    while not made and "plan" not in study.user_attrs and time.monotonic() < patience:  # who made it is about to say
        time.sleep(0.1)
    if "plan" not in study.user_attrs:
        study.set_user_attr("plan", json.dumps(mine))
    theirs = json.loads(study.user_attrs["plan"])
    mine = json.loads(json.dumps(mine))
    different = [name for name in mine | theirs if mine.get(name) != theirs.get(name)]
    if "data" in different:
        raise ValueError(f"the study {quoted(plan.address, 160)} is of other data; give the same data, or another study")
    if different:
        name = different[0]
        ours, its = (shortened(str(values.get(name))) for values in (mine, theirs))
        raise ValueError(f"the study {quoted(plan.address, 160)} has {name} {its}, not {ours}; give the same settings, or another study")
    return study


def _in_memory(study):
    """A copy of a study that needs no file."""
    copied = _optuna().create_study()
    copied.add_trials(study.get_trials(deepcopy=False))
    return copied


def _described(trial):
    seconds = (trial.datetime_complete - trial.datetime_start).total_seconds() if trial.datetime_complete else 0.0
    loss = trial.value if trial.state.name == "COMPLETE" else None
    return Trial(trial.number, trial.state.name.lower(), loss, dict(trial.params), trial.user_attrs.get("reason", ""), seconds)


class _Watch:
    """Tells the callback of each trial that has ended since the last look, whoever did it."""

    def __init__(self, study, callback):
        self.study, self.callback = study, callback
        self.told = {trial.number for trial in study.trials if trial.state != "running"}

    def look(self):
        for trial in self.study.trials if self.callback else ():
            if trial.state != "running" and trial.number not in self.told:
                self.told.add(trial.number)
                self.callback(trial)


# ---- Workers ---------------------------------------------------------------------------------------------------------


class _Worker:
    """Does trials of a study, one after another."""

    def __init__(self, plan, study):
        self.plan, self.study, self.storage = plan, study, study._storage
        self.states = _optuna().trial.TrialState
        self.place = _place()
        self.signs = {}  # id of a running trial -> its last sign of life, and when that was first seen here
        self.grid = spaces.grid(plan.space) if plan.sampler == "grid" else None

    def work(self, deadline=None, after=lambda: None):
        """Until all slots are done, or time.monotonic() is at the deadline; after: called after each trial."""
        while deadline is None or time.monotonic() < deadline:
            trials = [trial for trial in self.study.get_trials(deepcopy=False) if not self._free_where_lost(trial)]
            slot = self._free_slot(trials)
            if slot is not None:
                trial = self._take(slot)
                if trial is not None:
                    self._do(trial)
            elif any(trial.state == self.states.RUNNING for trial in trials):  # whose worker may be lost yet
                time.sleep(POLL)
            else:
                break
            after()

    def _free_slot(self, trials, among=1):
        taken = {trial.user_attrs.get("slot") for trial in trials if trial.state != self.states.FAIL}
        last = len(taken) + among if self.plan.trials is None else self.plan.trials
        free = [slot for slot in range(last) if slot not in taken]
        return random.choice(free[:among]) if free else None

    def _take(self, slot):
        """A new Optuna trial in the slot or, where another worker was faster, in another one; None where none is left."""
        optuna = _optuna()
        while slot is not None:
            before = [trial for trial in self.study.get_trials(deepcopy=False) if trial.user_attrs.get("slot") == slot]
            if self.grid:
                params = self.grid[slot]
            else:  # what is repeated has the settings that it had
                params = next((trial.params for trial in reversed(before) if trial.params), {})
            self.study.sampler = self._sampler(slot)
            attributes = {"slot": slot, "place": self.place, "pid": os.getpid(), "heartbeat": time.time()}
            template = optuna.trial.create_trial(
                state=self.states.RUNNING, user_attrs=attributes, system_attrs={"fixed_params": params} if params else {}
            )
            number = self.storage.create_new_trial(self.study._study_id, template_trial=template)
            own = self.storage.get_trial(number).number
            trials = self.study.get_trials(deepcopy=False)
            rivals = [trial for trial in trials if trial.user_attrs.get("slot") == slot and trial.number < own]
            if all(trial.state == self.states.FAIL for trial in rivals):
                return optuna.trial.Trial(self.study, number)
            self._fail(number)
            slot = self._free_slot(self.study.get_trials(deepcopy=False), APART)
        return None

    def _sampler(self, slot):
        samplers = _optuna().samplers
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that constant_liar is experimental
            return samplers.TPESampler(seed=slot, constant_liar=True) if self.plan.sampler == "tpe" else samplers.RandomSampler(seed=slot)

    def _fail(self, trial_id):
        """Mark a trial as failed, which frees its slot, unless it has ended meanwhile."""
        try:
            self.storage.set_trial_state_values(trial_id, state=self.states.FAIL)
        except _optuna().exceptions.UpdateFinishedTrialError:
            pass

    def _free_where_lost(self, trial):
        """Whether a running trial's worker is gone; then its slot is free."""
        if trial.state != self.states.RUNNING:
            return False
        sign, now = trial.user_attrs.get("heartbeat"), time.monotonic()
        if self.signs.get(trial._trial_id, (None,))[0] != sign:
            self.signs[trial._trial_id] = sign, now
        silent = now - self.signs[trial._trial_id][1]
        gone = trial.user_attrs.get("place") == self.place and not _alive(trial.user_attrs["pid"])
        if gone or silent > STALE:
            self._fail(trial._trial_id)
            return True
        return False

    def _do(self, trial):
        """Train with what the trial draws, and tell the study; where others took this worker for dead, the result is theirs."""
        ended = threading.Event()
        threading.Thread(target=self._beat, args=(trial, ended), daemon=True).start()
        try:
            loss, reason = self._loss(trial)
            if reason:
                trial.set_user_attr("reason", reason)
            self.study.tell(trial, loss, state=self.states.PRUNED if loss is None else None, skip_if_finished=True)
        except _optuna().exceptions.UpdateFinishedTrialError:
            pass
        except BaseException:
            self._fail(trial._trial_id)
            raise
        finally:
            ended.set()

    def _beat(self, trial, ended):
        while not ended.wait(BEAT):
            try:
                self.storage.set_trial_user_attr(trial._trial_id, "heartbeat", time.time())
            except Exception:  # the trial has ended, or the storage is away, of which the worker itself hears
                return

    def _loss(self, trial):
        """(held-out loss, "") of a whole run; (None, reason) of one that is pruned."""
        plan = self.plan
        pruned = []

        def callback(step):
            if step.val_loss is None:
                return False
            if not math.isfinite(step.val_loss):
                pruned.append("diverged: the held-out loss is not finite")
            elif step.step < step.num_steps:
                trial.report(step.val_loss, step.step)
                if trial.should_prune():
                    pruned.append(f"worse than the others' median after step {step.step}")
            return bool(pruned)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is to be said of the data was said before
            values = spaces.suggest(plan.space, trial)
            try:
                config, training, evaluation = spaces.applied(plan.parts, values)
                run = start(plan.docs, config, training, evaluation=evaluation, val_docs=plan.val_docs, **plan.options)
            except (ValueError, TypeError, MemoryError) as error:
                return None, f"refused: {error}"
            try:
                run.train(callback)
            except DivergenceError as error:
                return None, f"diverged: {error}"
            except MemoryError as error:
                return None, f"refused: {error}"
            if not pruned and run.diverged:
                pruned.append("diverged: the last losses are worse than those of guessing")
            if pruned:
                return None, pruned[0]
            if not run.val_losses:  # no step was asked for
                return run.evaluate(), ""
            return run.best[1] if evaluation.patience is not None else run.val_losses[-1][1], ""


def _place():
    """What tells whether a pid is one of this machine's: its name and, in Linux, the namespace of its processes."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _alive(pid):
    if os.name != "posix":  # where asking would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _supervise(plan, workers, seconds, watch):
    """Start processes and wait for them. RuntimeError where all are gone and trials are left."""
    code = "import pickle, sys; from microgpt.lab import sweep; sweep.work(*pickle.load(sys.stdin.buffer))"
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    processes = []
    try:
        processes += (subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, env=environment) for _ in range(workers))
        for process in processes:
            try:
                with process.stdin as pipe:
                    pipe.write(pickle.dumps((plan, seconds)))
            except BrokenPipeError:  # it ended at once, which is seen below
                pass
        while any(process.poll() is None for process in processes):
            watch.look()
            time.sleep(POLL)
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
        for process in processes:
            process.wait()
    if all(process.returncode for process in processes):
        raise RuntimeError("all workers ended before the study did; call it again to go on, with one worker to see why")


def work(plan, seconds):
    """What a process of _supervise does."""
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which frees the trial at once
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        _Worker(plan, _join(plan)).work(deadline)
    except KeyboardInterrupt:
        sys.exit(130)
