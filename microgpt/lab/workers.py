"""The workers of a study, in this process and in others.

A study of N trials has N slots. A worker takes a free slot by creating a trial in it; if two workers take the same slot, it belongs to the
trial with the lower number. A trial whose worker is gone is marked as failed, which frees its slot, and the next trial there repeats
its settings. So no slot is lost and none counts twice, on any storage that numbers its trials.
"""

import math
import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

from microgpt.lab import space as spaces
from microgpt.lab.repeats import held_out_loss
from microgpt.lab.study import join, optuna_or_error
from microgpt.training import DivergenceError, start

BEAT, STALE = 5.0, 60.0  # seconds between two signs of life of a worker; seconds without one after which it counts as dead
POLL = 0.5  # seconds between two checks of the study
APART = 64  # free slots among which a worker chooses if the first one was taken


class Worker:
    """Does trials of a study, one after another."""

    def __init__(self, plan, study):
        self.plan, self.study, self.storage = plan, study, study._storage
        self.states = optuna_or_error().trial.TrialState
        self.place, self.look = _place(), lambda: None
        self.signs = {}  # id of a running trial -> its last sign of life, and the time when it was first seen here
        self.grid = spaces.grid(plan.space) if plan.sampler == "grid" else None

    def work(self, deadline=None, look=lambda: None):
        """Work until all slots are done or time.monotonic() reaches the deadline; look: called after each measurement and each trial."""
        self.look = look
        while deadline is None or time.monotonic() < deadline:
            trials = [trial for trial in self.study.get_trials(deepcopy=False) if not self._free_where_lost(trial)]
            slot = self._free_slot(trials)
            if slot is not None:
                trial = self._take(slot)
                if trial is not None:
                    self._do(trial)
            elif any(trial.state == self.states.RUNNING for trial in trials):  # their workers may still be lost
                time.sleep(POLL)
            else:
                break
            look()

    def _free_slot(self, trials, among=1):
        taken = {trial.user_attrs.get("slot") for trial in trials if trial.state != self.states.FAIL}
        last = len(taken) + among if self.plan.trials is None else self.plan.trials
        free = [slot for slot in range(last) if slot not in taken]
        return random.choice(free[:among]) if free else None

    def _take(self, slot):
        """A new Optuna trial in the slot or, if another worker was faster, in another one; None if no slot is left."""
        optuna = optuna_or_error()
        while slot is not None:
            before = [trial for trial in self.study.get_trials(deepcopy=False) if trial.user_attrs.get("slot") == slot]
            if self.grid:
                params = self.grid[slot]
            else:  # a repeated trial keeps its settings
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
        samplers = optuna_or_error().samplers
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that constant_liar is experimental
            return samplers.TPESampler(seed=slot, constant_liar=True) if self.plan.sampler == "tpe" else samplers.RandomSampler(seed=slot)

    def _fail(self, trial_id):
        """Mark a trial as failed, which frees its slot, unless it has ended in the meantime."""
        try:
            self.storage.set_trial_state_values(trial_id, state=self.states.FAIL)
        except optuna_or_error().exceptions.UpdateFinishedTrialError:
            pass

    def _free_where_lost(self, trial):
        """Whether the worker of a running trial is gone, so that its slot is free."""
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
        """Train with the settings that the trial draws, and report to the study, unless others have declared this worker dead."""
        ended = threading.Event()
        threading.Thread(target=self._beat, args=(trial, ended), daemon=True).start()
        try:
            loss, reason = self._loss(trial)
            if reason:
                trial.set_user_attr("reason", reason)
            self.study.tell(trial, loss, state=self.states.PRUNED if loss is None else None, skip_if_finished=True)
        except optuna_or_error().exceptions.UpdateFinishedTrialError:
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
            except Exception:  # the trial has ended, or the storage is gone, which the worker itself will notice
                return

    def _loss(self, trial):
        """(held-out loss, "") of a complete run; (None, reason) of a pruned one."""
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
                    pruned.append(f"worse than the median of the others after step {step.step}")
                self.look()
            return bool(pruned)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about the data were already shown
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
                pruned.append("diverged: the last losses are worse than that of guessing")
            if pruned:
                return None, pruned[0]
            if not run.val_losses:  # a run without steps
                return run.evaluate(), ""
            return held_out_loss(run), ""


def _place():
    """The scope in which a pid is unique: the machine's name and, on Linux, its namespace of processes."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _alive(pid):
    if os.name != "posix":  # on Windows, os.kill would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def supervise(plan, workers, seconds, watch):
    """Start processes and wait for them. Raises RuntimeError if all have ended and trials are left."""
    code = "import pickle, sys; from microgpt.lab import workers; workers.work(*pickle.load(sys.stdin.buffer))"
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    processes = []
    try:
        processes += (subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, env=environment) for _ in range(workers))
        for process in processes:
            try:
                with process.stdin as pipe:
                    pipe.write(pickle.dumps((plan, seconds)))
            except BrokenPipeError:  # it ended at once, which is noticed below
                pass
        while None in [process.poll() for process in processes]:  # polls every process, because an ended one looks alive until it is polled
            watch.look()
            time.sleep(POLL)
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
        for process in processes:
            process.wait()
    if all(process.returncode for process in processes):
        raise RuntimeError("all workers ended before the study did; call it again to continue, with one worker to see why")


def work(plan, seconds):
    """The main function of a process of `supervise`."""
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which frees the trial at once
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        Worker(plan, join(plan)).work(deadline)
    except KeyboardInterrupt:
        sys.exit(130)
