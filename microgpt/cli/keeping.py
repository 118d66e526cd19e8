"""The files that training writes: the saved run and the log. A file that cannot be written does not end the training."""

import os

from microgpt.cli.commands import Failure
from microgpt.common.saying import say
from microgpt.common.words import quoted_path
from microgpt.display import history
from microgpt.lab import folders
from microgpt.storage.checkpoint import CheckpointError


class Keeping:
    """Saves a Run to the file `out`, at intervals and at the end, and writes its losses to the file `log`; both may be None.

    newest: (file, its number of steps) of the newest saved run, or of the one resumed from; None if there is none. failed:
    whether a file could not be written.
    """

    def __init__(self, run, out, log, every, resumed_from):
        self.run, self.out, self.every, self.failed = run, out, every, False
        self.newest = (resumed_from, len(run.losses)) if resumed_from else None
        self.log_name = log
        try:
            self.log = history.Log(run, log, self._log_before(resumed_from)) if log else None
        except OSError as error:  # before the first step, if the disk is already full
            raise Failure(f"--log: {quoted_path(log)} cannot be written: {error.strerror or error}") from None

    def _log_before(self, resumed_from):
        """The log with the seconds of the earlier steps: beside the run that is resumed, in its folder."""
        if resumed_from is None or os.path.exists(self.log_name):
            return None
        return os.path.join(os.path.dirname(resumed_from), folders.LOSSES)

    def update(self):
        """Called after some steps of the training."""
        self.update_log()
        done = len(self.run.losses)
        if self.every and done % self.every == 0 and not self.run.finished:
            try:
                self._save(self.out)
            except (OSError, CheckpointError) as error:  # the next attempt may succeed
                say(f"{error}; training continues")

    def update_log(self):
        if self.log:
            self._try_log(self.log.update)

    def close_log(self):
        if self.log:
            self._try_log(self.log.close)
            self.log = None

    def finish(self):
        """Save the run as it is. If that fails, save it elsewhere and say where."""
        try:
            self._save(self.out)
        except CheckpointError as error:
            self._fail(error)
        except OSError as error:
            place = self._save_elsewhere()
            instead = f"the run is in {quoted_path(place)} instead" if place else "it could not be saved anywhere else either"
            self._fail(f"{error}; {instead}")

    def state(self):
        """A phrase that says which weights are saved."""
        if self.newest is None:
            return "nothing was saved"
        return f"{quoted_path(self.newest[0])} has the weights after step {self.newest[1]}"

    def _save(self, path):
        self.run.save(path)
        self.newest = path, len(self.run.losses)

    def _save_elsewhere(self):
        import tempfile

        stem, suffix = os.path.splitext(os.path.basename(self.out))
        for folder in (tempfile.gettempdir(), os.getcwd(), os.path.expanduser("~")):
            try:
                handle, path = tempfile.mkstemp(suffix, f"{stem[:40]}-", folder)
                os.close(handle)
                try:
                    self._save(path)
                    return path
                except OSError:
                    os.unlink(path)
            except OSError:
                pass
        return None

    def _try_log(self, action):
        try:
            action()
        except OSError as error:
            self.log.abandon()
            self.log = None
            reason = error.strerror or error
            self._fail(f"the log {quoted_path(self.log_name)} cannot be written: {reason}; it stays incomplete")

    def _fail(self, sentence):
        self.failed = True
        say(sentence)
