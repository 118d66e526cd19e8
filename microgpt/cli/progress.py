"""What `microgpt train` shows while it trains: the reference's line for every step, or on a terminal one live line."""

from microgpt.live import LiveLine, Notes, is_terminal


def display(run, out):
    """The context manager that shows the training of `run` on the stream `out`; `update` is Run.train's `progress`."""
    return (LiveLine if is_terminal(out) else Lines)(run, out)


class Lines(Notes):
    """The reference's output, byte for byte: a line for each step. A run that takes long says on standard error how far it is."""

    def __init__(self, run, out):
        super().__init__(run)
        self.out, self.shown = out, self.before

    def update(self):
        self._write()
        super().update()

    def _write(self):
        # One write for all the steps since the last call; where a step is slow that is each step, as it happens
        losses, num_steps = self.run.losses, self.run.training.num_steps
        first, self.shown = self.shown, len(losses)
        line = f"step %4d / {num_steps:4d} | loss %.4f\n".__mod__  # twice as fast as an f-string for each step
        self.out.write("".join(map(line, zip(range(first + 1, self.shown + 1), losses[first:]))))
        self.out.flush()

    def note(self, text):
        """A line between those of the steps."""
        self.out.write(f"{text}\n")
        self.out.flush()

    def __exit__(self, kind, error, trace):
        if not isinstance(error, OSError):  # nothing can be written where writing failed
            self._write()
