"""The progress of `microgpt train`: the reference's line for every step, or one live line on a terminal."""

from microgpt.live import LiveLine, Notes, is_terminal


def display(run, out):
    """A context manager that shows the training of `run` on the stream `out`; its `update` is for the argument `progress` of Run.train."""
    return (LiveLine if is_terminal(out) else Lines)(run, out)


class Lines(Notes):
    """The reference's output, byte for byte: a line for each step. A long run reports its progress on standard error."""

    def __init__(self, run, out):
        super().__init__(run)
        self.out, self.shown = out, self.before

    def update(self):
        self._write()
        super().update()

    def _write(self):
        # One write for all the steps since the last call; if steps are slow, that is each step at once
        losses, num_steps = self.run.losses, self.run.training.num_steps
        first, self.shown = self.shown, len(losses)
        line = f"step %4d / {num_steps:4d} | loss %.4f\n".__mod__  # twice as fast as an f-string for each step
        self.out.write("".join(map(line, zip(range(first + 1, self.shown + 1), losses[first:]))))
        self.out.flush()

    def note(self, text):
        """Print a line between those of the steps."""
        self.out.write(f"{text}\n")
        self.out.flush()

    def __exit__(self, kind, error, trace):
        if not isinstance(error, OSError):  # after an OSError, nothing can be written
            self._write()
