"""The progress of `microgpt sweep`: a line for each trial that has ended, or a live table on a terminal."""

import time

from microgpt.cli.commands import for_output
from microgpt.cli.options import FLAGS
from microgpt.common.options import shown
from microgpt.common.words import counted, shortened
from microgpt.live import clock, is_terminal, rounded

BEST = 8  # trials in the table, besides those that are running
REFRESH_SECONDS = 0.2


def display(out, names, seconds, explained):
    """A context manager for a sweep: its `tell` is for the argument `callback` of `sweep`, its `look` for `progress`.

    out: a stream; names: the options that vary; seconds: the time after which no trial begins, or None; explained: turns a
    trial's reason into a message for the user.
    """
    return (Table if is_terminal(out) else Lines)(out, names, seconds, explained)


def value_of(value):
    return f"{value:.4g}" if isinstance(value, float) else shown(value)


class Lines:
    """A line for each trial that has ended."""

    look = None

    def __init__(self, out, names, seconds, explained):
        self.out, self.explained = out, explained

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def tell(self, trial):
        what = f"{trial.loss:.4f}" if trial.state == "complete" else trial.state
        reason = f"  ({shortened(self.explained(trial.reason), 100)})" if trial.reason else ""
        settings = "  ".join(f"{FLAGS[name]} {value_of(value)}" for name, value in trial.settings.items())
        print(f"trial {trial.number:4}  {what:8}  {trial.seconds:6.1f} s  {settings}{reason}", file=self.out, flush=True)


class Table:
    """The best trials and those that are running, the number of trials done, their rate, and the time left."""

    def __init__(self, out, names, seconds, explained):
        self.out, self.names, self.seconds = out, names, seconds
        self.began = self.before = None  # the start, and the number of trials that had ended by then

    def __enter__(self):
        from rich.console import Console
        from rich.live import Live

        # no refresh thread, which would compete with training; a table that is too long is cropped, so that it can be redrawn
        self.live = Live(console=Console(file=self.out), auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self.live.start()
        self.next_refresh = time.monotonic()
        return self

    def __exit__(self, *_):
        self.live.stop()

    def tell(self, trial):
        """Does nothing: `look` shows the trials."""

    def look(self, study):
        now = time.monotonic()
        trials = study.trials
        ended = [trial for trial in trials if trial.state != "running"]
        if self.began is None:
            self.began, self.before = now, len(ended)
        if now >= self.next_refresh or len(ended) == study.wanted:
            self.next_refresh = now + REFRESH_SECONDS
            self.live.update(self.table(trials, ended, study.wanted, now - self.began), refresh=True)

    def table(self, trials, ended, wanted, seconds):
        from rich import box
        from rich.table import Table

        table = Table(
            title=self.progress(ended, wanted, seconds), title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False
        )
        for name in ("trial", "held-out loss", "seconds", *(FLAGS[name] for name in self.names)):
            table.add_column(name, justify="right", no_wrap=True)
        complete = sorted((trial for trial in ended if trial.state == "complete"), key=lambda trial: (trial.loss, trial.number))
        for trial in complete[:BEST]:
            self.add(table, trial, f"{trial.loss:.4f}")
        running = [trial for trial in trials if trial.state == "running"]
        if running:
            table.add_section()
        for trial in running:
            step = f"{trial.measured[1]:.4f} after {trial.measured[0]:,}" if trial.measured else "running"
            self.add(table, trial, step, style="dim")
        return table

    def add(self, table, trial, loss, **style):
        settings = (value_of(trial.settings[name]) if name in trial.settings else "" for name in self.names)
        table.add_row(str(trial.number), loss, f"{trial.seconds:.1f}", *map(for_output, settings), **style)

    def progress(self, ended, wanted, seconds):
        """The progress line: trials, pruned trials, trials per minute, and the time left."""
        pruned = sum(trial.state == "pruned" for trial in ended)
        parts = [f"{len(ended)} of {counted(wanted, 'trial')}" if wanted else counted(len(ended), "trial"), f"{pruned} pruned"]
        done, left = len(ended) - self.before, []
        if done and seconds > 0:
            parts.append(f"{rounded(60 * done / seconds)} trials/min")
            left += [] if wanted is None else [(wanted - len(ended)) * seconds / done]
        left += [] if self.seconds is None else [max(0.0, self.seconds - seconds)]
        return " | ".join([*parts, *([f"{clock(min(left))} left"] if left else [])])
