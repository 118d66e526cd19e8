"""The progress of training: a line that is redrawn, by rich on a terminal and by IPython in a notebook; if nothing can be redrawn,
occasional notes on standard error.

Each display is a context manager for a Run. Training calls its `update` once for many steps (see Run.train), so it costs even a fast
engine almost nothing.
"""

import os
import sys
import time

from microgpt.common.saying import say, settle
from microgpt.verdict import smoothed

BEGIN_SECONDS = 0.2  # a live line appears only after this time ...
REMAINING_SECONDS = 2  # ... and if at least this much remains: a short run must not wait for the import of rich
REFRESH_SECONDS = 0.1
FIRST_NOTE, NEXT_NOTES = 10, 30  # seconds


def display(run):
    """The display for `train(..., progress=True)`: in a notebook the output of a cell, elsewhere standard error."""
    if in_notebook():
        return NotebookLine(run)
    return LiveLine(run, Stderr()) if sys.stderr is not None and is_terminal(sys.stderr) else Notes(run)


def is_terminal(out):
    """Whether the stream `out` is a terminal that can redraw a line."""
    return out.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def in_notebook():
    """Whether this is the kernel of a notebook: Jupyter, VS Code, Colab and others, but not IPython on a terminal."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class Notes:
    """Reports the progress of a long run on standard error."""

    def __init__(self, run):
        self.run, self.before = run, len(run.losses)  # a resumed run already has some

    def __enter__(self):
        self.started = time.perf_counter()
        self.next_note = self.started + FIRST_NOTE
        return self

    def update(self):
        now, done, num_steps = time.perf_counter(), len(self.run.losses), self.run.training.num_steps
        if now >= self.next_note and self.before < done < num_steps:
            self.next_note = now + NEXT_NOTES
            rate, left = pace(now - self.started, self.before, done, num_steps)
            say(f"step {done}/{num_steps} | smoothed {smoothed(self.run.losses):.4f} | {rate} | {clock(left)} left")

    def __exit__(self, kind, error, trace):
        pass


class Line:
    """One line that is redrawn during training, and a final one with the totals. Subclasses define how."""

    def __init__(self, run):
        self.run, self.begun, self.before = run, False, len(run.losses)

    def begin(self):
        """Make room for the line."""

    def draw(self, lines):
        """Show the first of `lines`, ordered from long to short, that fits."""

    def end(self, line):
        """Show the final line in place of the redrawn one, if there is one; line: None if no step was done."""

    def __enter__(self):
        self.tokens = self.run.tokens_per_step()
        self.started = time.perf_counter()
        self.next_refresh = self.started + BEGIN_SECONDS
        return self

    def update(self):
        now = time.perf_counter()
        if now < self.next_refresh:
            return
        seconds, done = now - self.started, len(self.run.losses)
        rate, left = pace(seconds, self.before, done, self.run.training.num_steps)
        if not self.begun and left >= REMAINING_SECONDS:
            self.begin()
            self.begun = True
        if self.begun:
            tokens = f"{rounded(self.tokens * (done - self.before) / seconds)} tokens/s"
            time_left, (step, *losses) = f"{clock(left)} left", self.figures()
            # The steps, the rate and the time left are the most important, then the newest loss
            lines = [" | ".join([step, *losses, rate, tokens, time_left])]
            lines += [" | ".join([step, *losses[:n], rate, time_left]) for n in range(len(losses), -1, -1)]
            self.draw([*lines, f"{step} {rate} {time_left}", f"{step} {time_left}"])
        self.next_refresh = time.perf_counter() + REFRESH_SECONDS

    def __exit__(self, kind, error, trace):
        seconds, line = time.perf_counter() - self.started, None
        if len(self.run.losses) > self.before and not isinstance(error, OSError):  # after an OSError, nothing can be written
            rate, _ = pace(seconds, self.before, len(self.run.losses), self.run.training.num_steps)
            line = " | ".join([*self.figures(), rate, clock(seconds)])
        self.end(line)

    def figures(self):
        losses, num_steps = self.run.losses, self.run.training.num_steps
        held_out = [f"held-out {self.run.val_losses[-1][1]:.4f}"] if self.run.val_losses else []
        step = f"step {len(losses):{len(str(num_steps))}d}/{num_steps}"
        return [step, f"loss {losses[-1]:.4f}", f"smoothed {smoothed(losses):.4f}", *held_out]


class LiveLine(Line):
    """The line on a terminal, the stream `out`."""

    def __init__(self, run, out):
        super().__init__(run)
        self.out, self.live = out, None

    def begin(self):
        from rich.console import Console
        from rich.live import Live

        # transient: the line is erased at the end, before the final one; no refresh thread, which would compete with training
        live = Live(
            console=Console(file=self.out), auto_refresh=False, transient=True,
            redirect_stdout=self.prints_go_above(), redirect_stderr=False,
        )  # fmt: skip
        live.start()
        self.live = live

    def prints_go_above(self):
        """Whether output of a callback must be written above the line, because both go to a terminal."""
        return isinstance(self.out, Stderr) and sys.stdout is not None and sys.stdout.isatty()

    def draw(self, lines):
        from rich.text import Text

        line = next((line for line in lines if len(line) <= self.live.console.width), lines[-1])
        self.live.update(Text(line, no_wrap=True, overflow="crop"), refresh=True)

    def note(self, text):
        """Print a line above the live one."""
        if self.live is None:
            self.out.write(f"{text}\n")
            self.out.flush()
        else:
            self.live.console.print(text, markup=False, highlight=False, emoji=False)

    def end(self, line):
        if self.live is not None:
            self.live.stop()
        if line is not None:
            self.out.write(f"\r{line}\n")
            self.out.flush()


class NotebookLine(Line):
    """The line as the output of a notebook cell, updated in place."""

    def begin(self):
        self.handle = self._display("")

    def draw(self, lines):
        self._display(lines[0], self.handle)

    def end(self, line):
        if line is not None:
            self._display(line, self.handle if self.begun else None)

    def _display(self, line, handle=None):
        from IPython.display import display

        shown = {"text/plain": line}
        return display(shown, raw=True, display_id=True) if handle is None else handle.update(shown, raw=True)


class Stderr:
    """Standard error, as long as it can be written: closing the terminal does not end the training."""

    def __init__(self):
        self.stream, self.failed = sys.stderr, False

    def write(self, text):
        self._try(self.stream.write, text)

    def flush(self):
        self._try(self.stream.flush)

    def _try(self, action, *arguments):
        if not self.failed:
            try:
                action(*arguments)
            except OSError:
                self.failed = True
                settle(self.stream)

    def __getattr__(self, name):  # isatty, encoding, fileno: used by rich
        return getattr(self.stream, name)


def pace(seconds, before, done, num_steps):
    """(steps per second, in words; seconds left) of a run; done: its steps so far, of which `before` were done earlier."""
    each = seconds / max(1, done - before)
    return f"{rounded(1 / each)} steps/s", each * (num_steps - done)


def rounded(rate):
    return f"{rate / 1000:,.0f}k" if rate >= 10_000 else f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def clock(seconds):
    """A duration in a readable form: 4.2 s, 3:05, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
