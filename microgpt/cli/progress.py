"""What `microgpt train` shows while it trains: the reference's line for every step, or on a terminal one live line.

Training calls `update` once for many steps (see Run.train), so showing them costs a fast engine next to nothing.
"""

import os
import time

from microgpt.cli.output import say
from microgpt.verdict import smoothed

BEGIN_SECONDS = 0.2  # a live line appears only when training has lasted so long ...
REMAINING_SECONDS = 2  # ... and still has so long to go: a short run must not wait for rich's import
REFRESH_SECONDS = 0.1
FIRST_NOTE, NEXT_NOTES = 10, 30  # seconds; where no line can be redrawn, a long run says on standard error how far it is


def display(run, out):
    """The context manager that shows the training of `run` on the stream `out`; `update` is Run.train's `progress`."""
    return (LiveLine if is_terminal(out) else Lines)(run, out)


def is_terminal(out):
    """Whether the stream `out` is a terminal that can redraw a line."""
    return out.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


class Lines:
    """The reference's output, byte for byte: a line for each step. A run that takes long says on standard error how far it is."""

    def __init__(self, run, out):
        self.run, self.out, self.before = run, out, len(run.losses)  # a resumed run has some
        self.shown = self.before

    def __enter__(self):
        self.started = time.perf_counter()
        self.next_note = self.started + FIRST_NOTE
        return self

    def update(self):
        # One write for all the steps since the last call; where a step is slow that is each step, as it happens
        losses, num_steps = self.run.losses, self.run.training.num_steps
        first, self.shown = self.shown, len(losses)
        line = f"step %4d / {num_steps:4d} | loss %.4f\n".__mod__  # twice as fast as an f-string for each step
        self.out.write("".join(map(line, zip(range(first + 1, self.shown + 1), losses[first:]))))
        self.out.flush()
        now = time.perf_counter()
        if now >= self.next_note and self.before < self.shown < num_steps:
            self.next_note = now + NEXT_NOTES
            rate, left = _pace(now - self.started, self.before, self.shown, num_steps)
            say(f"step {self.shown}/{num_steps} | smoothed {smoothed(losses):.4f} | {rate} | {_clock(left)} left")

    def note(self, text):
        """A line between those of the steps."""
        self.out.write(f"{text}\n")
        self.out.flush()

    def __exit__(self, kind, error, trace):
        if not isinstance(error, OSError):  # nothing can be written where writing failed
            self.update()


class LiveLine:
    """On a terminal: one line that is redrawn while training lasts, and a last one with the totals."""

    def __init__(self, run, out):
        self.run, self.out, self.live, self.before = run, out, None, len(run.losses)

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
        rate, left = _pace(seconds, self.before, done, self.run.training.num_steps)
        if self.live is None and left >= REMAINING_SECONDS:
            self.live = _live(self.out)
        if self.live is not None:
            from rich.text import Text

            tokens = f"{_rounded(self.tokens * (done - self.before) / seconds)} tokens/s"
            time_left, (step, *losses) = f"{_clock(left)} left", self._figures()
            # The steps, the rate and the time that is left are wanted most, then the newest loss
            lines = [" | ".join([step, *losses, rate, tokens, time_left])]
            lines += [" | ".join([step, *losses[:n], rate, time_left]) for n in range(len(losses), -1, -1)]
            lines += [f"{step} {rate} {time_left}", f"{step} {time_left}"]
            text = next((line for line in lines if len(line) <= self.live.console.width), lines[-1])
            self.live.update(Text(text, no_wrap=True, overflow="crop"), refresh=True)
        self.next_refresh = time.perf_counter() + REFRESH_SECONDS

    def note(self, text):
        """A line above the live one."""
        if self.live is None:
            self.out.write(f"{text}\n")
            self.out.flush()
        else:
            self.live.console.print(text, markup=False, highlight=False, emoji=False)

    def __exit__(self, kind, error, trace):
        seconds = time.perf_counter() - self.started
        if self.live is not None:
            self.live.stop()
        if len(self.run.losses) > self.before and not isinstance(error, OSError):
            rate, _ = _pace(seconds, self.before, len(self.run.losses), self.run.training.num_steps)
            self.out.write("\r" + " | ".join([*self._figures(), rate, _clock(seconds)]) + "\n")

    def _figures(self):
        losses, num_steps = self.run.losses, self.run.training.num_steps
        held_out = [f"held-out {self.run.val_losses[-1][1]:.4f}"] if self.run.val_losses else []
        step = f"step {len(losses):{len(str(num_steps))}d}/{num_steps}"
        return [step, f"loss {losses[-1]:.4f}", f"smoothed {smoothed(losses):.4f}", *held_out]


def _live(out):
    from rich.console import Console
    from rich.live import Live

    # transient: the line is wiped at the end, for the last one; no refresh thread, which would compete with training
    live = Live(console=Console(file=out), auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
    live.start()
    return live


def _pace(seconds, before, done, num_steps):
    """(steps a second, in words; the seconds that are left) of a run that has done so many steps, and some of them before."""
    each = seconds / max(1, done - before)
    return f"{_rounded(1 / each)} steps/s", each * (num_steps - done)


def _rounded(rate):
    return f"{rate / 1000:,.0f}k" if rate >= 10_000 else f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _clock(seconds):
    """A duration as people say it: 4.2 s, 3:05, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
