"""The losses of a run: smoothed, written to a log and read back, and summarized in a few sentences."""

import csv
import json
import math
import operator
import os
from array import array
from typing import NamedTuple

from microgpt.common.words import counted, quoted_path
from microgpt.storage import checkpoint
from microgpt.verdict import SMOOTHED_STEPS, smoothed

OLD_HEADER = "step,loss,smoothed,lr,val_loss\n"  # of version 0.1
COLUMNS = ("step", "loss", "smoothed", "lr", "val_loss", "seconds", "tokens", "gradient_norm")
OPTIONAL = ("val_loss", "seconds", "tokens")  # the columns of these that are read, besides step and loss
HEADER = ",".join(COLUMNS) + "\n"
FORMATS = (".csv", ".jsonl")


class Log:
    """A file with one line for each step: step, loss, smoothed loss, learning rate, held-out loss; the seconds of training and the tokens
    predicted until then; and the norm of the gradients. Unknown values are omitted: an empty cell in a table.

    A resumed run writes the lines of its earlier steps again, so that all but the seconds equals the log of an uninterrupted run. before:
    a log of these steps, which has their seconds and norms; None: path. Between two measurements, some 20 ms apart, seconds are evenly
    distributed. path: ends in .csv or .jsonl. Raises OSError if it cannot be written.
    """

    def __init__(self, run, path, before=None):
        self.run, self.written, self.csv = run, 0, path.endswith(".csv")
        self.resumed, self.known = len(run.losses), _known(run, before or path)
        self.began = self.known.get(self.resumed, {}).get("seconds", 0.0) - run.seconds
        self.seconds, self.tokens = self.began + run.seconds, 0
        self.file = open(path, "w", encoding="utf-8", newline="\n")
        try:
            if self.csv:
                self.file.write(HEADER)
            self.file.flush()  # no steps yet: the last one of a resumed run may still have to be measured
        except OSError:
            self.abandon()
            raise

    def update(self):
        """Write the steps since the last call."""
        run, losses = self.run, self.run.losses
        first, self.written = self.written, len(losses)
        evaluated = {step: loss for step, loss in run.val_losses if step > first}
        begun, self.seconds = self.seconds, self.began + run.seconds
        each = (self.seconds - begun) / max(1, self.written - max(first, self.resumed))
        for step in range(first + 1, self.written + 1):
            row = {"step": step, "loss": losses[step - 1], "smoothed": smoothed(losses, step), "lr": run.lr(step - 1)}
            self.tokens += self._tokens_of(step - 1)
            row |= {"val_loss": evaluated.get(step), "tokens": self.tokens, "gradient_norm": run.gradient_norms.get(step)}
            if step > self.resumed:
                row["seconds"] = round(begun + each * (step - max(first, self.resumed)), 6)
            else:
                row |= self.known.get(step, {})
            if self.csv:
                self.file.write(",".join("" if row.get(name) is None else repr(row[name]) for name in COLUMNS) + "\n")
            else:
                self.file.write(json.dumps({name: row[name] for name in COLUMNS if row.get(name) is not None}) + "\n")
        self.file.flush()

    def _tokens_of(self, step):
        run = self.run
        block_size = run.model.config.block_size
        return sum(run.corpus.predictions(i, block_size) for i in run.training.batch(step, len(run.corpus)))

    def close(self):
        self.update()
        self.file.close()

    def abandon(self):
        """Close a file that cannot be written, whatever is lost."""
        try:
            self.file.close()
        except OSError:
            pass


def _known(run, path):
    """Step -> what only an earlier log of this run has of it: {"seconds": ..., "gradient_norm": ...}."""
    found = {}
    if not run.losses:
        return found
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for row in rows(file, path):
                step = int(row["step"])
                if step > len(run.losses) or float(row["loss"]) != run.losses[step - 1]:
                    break
                found[step] = {name: float(row[name]) for name in ("seconds", "gradient_norm") if row.get(name) not in (None, "")}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError, csv.Error):
        pass  # there is no log, or it was cut off here
    return found


def rows(file, path):
    """The rows of an open log, of which some may be damaged: dicts of strings in a table (.csv), of any values in JSON lines."""
    return csv.DictReader(file) if os.fsdecode(path).endswith(".csv") else map(json.loads, file)


def is_log(path):
    """Whether a Log wrote this file, or began to. Raises OSError if it cannot be read."""
    with open(path, encoding="utf-8", errors="replace") as file:
        first = file.readline(1000)
    if os.fsdecode(path).endswith(".csv"):
        return first in (HEADER, OLD_HEADER)
    try:
        return {"step", "loss", "smoothed", "lr"} <= json.loads(first).keys()
    except (ValueError, AttributeError, RecursionError):
        return False


class History(NamedTuple):
    """The losses of a run, read from a file."""

    steps: array  # of int64, increasing; 1, 2, 3, ... in files that microgpt wrote
    losses: array  # of doubles, one for each of `steps`, in nats per token
    val_losses: list  # of (step, held-out loss), in order; empty if nothing was held out
    seconds: array | None = None  # of training until each of `steps`; None if some are unknown, as in saved runs
    tokens: array | None = None  # predicted until then, likewise


def read(path):
    """The History in a log that `--log` or Log wrote (.csv or .jsonl), or in a saved run.

    A last line without a newline is omitted: it is still being written, or was cut off. Raises OSError if the file
    cannot be read, and ValueError, with the line, if its contents are not valid.
    """
    name = os.fsdecode(path)
    if not name.endswith(FORMATS):
        return _read_saved(path, name)
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return _read_log(file, name)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {quoted_path(path)}; check the path") from None
    except OSError as error:
        raise OSError(f"{quoted_path(path)} cannot be read: {error.strerror or error}") from error


def _read_saved(path, name):
    try:
        progress = checkpoint.read(path).progress
    except checkpoint.CheckpointError as error:
        raise ValueError(f"{error}; a log's name ends in {' or '.join(FORMATS)}") from None
    if progress is None:
        raise ValueError(f"{quoted_path(name)} is a model without its training; give a run saved by microgpt train, or its log")
    if not progress.losses:
        raise ValueError(f"{quoted_path(name)} has no steps yet")
    return History(array("q", range(1, len(progress.losses) + 1)), progress.losses, progress.val_losses)


def _read_log(file, name):
    history, before, first, parse = History(array("q"), array("d"), [], array("d"), array("d")), 0, 1, _parse_json
    if name.endswith(".csv"):
        columns, first = file.readline().rstrip("\n").split(","), 2
        if columns != [""]:
            if not {"step", "loss"} <= set(columns):
                raise ValueError(f"{quoted_path(name)} is not a log of microgpt train: its first line does not name step and loss")
            parse = _csv_parser(columns)
    for number, line in enumerate(file, first):
        if not line.endswith("\n"):
            break
        try:
            step, loss, val_loss, *more = parse(line)
            history.steps.append(step)
            history.losses.append(loss)
            for known, value in zip(history[3:], more):
                if value is not None:
                    known.append(value)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
            raise ValueError(f"{quoted_path(name)} is damaged, or not a log of microgpt train: see line {number}") from None
        if step <= before:
            raise ValueError(f"{quoted_path(name)} is damaged: in line {number}, step {step} comes after step {before}")
        before = step
        if val_loss is not None:
            history.val_losses.append((step, val_loss))
    if not history.steps:
        raise ValueError(f"{quoted_path(name)} has no steps yet")
    return History(*history[:3], *(known if len(known) == len(history.steps) else None for known in history[3:]))


def _csv_parser(columns):
    """A function that parses a line into (step, loss, and held-out loss, seconds, tokens or None); it raises ValueError if it cannot."""
    step, loss = columns.index("step"), columns.index("loss")
    others = [columns.index(name) if name in columns else None for name in OPTIONAL]

    def parse(line):
        cells = line.rstrip("\n").split(",")
        if len(cells) != len(columns):
            raise ValueError
        found = [float(cells[at]) if at is not None and cells[at] else None for at in others]
        return int(cells[step]), float(cells[loss]), *found

    return parse


def _parse_json(line):
    row = json.loads(line)
    found = [None if row.get(name) is None else float(row[name]) for name in OPTIONAL]
    return operator.index(row["step"]), float(row["loss"]), *found


def _held_out(run):
    """The held-out documents of a Run, in words."""
    first = f"the first {run.measured:,} of " if run.measured < len(run.held_out) else ""
    if run.model.config.documents == "text":
        of = f"{run.measured * run.model.config.block_size:,} characters of " if first else ""
        trained = "also trained on" if run.held_out.is_within(run.corpus) else "not trained on"
        return f"{of}a text of {counted(len(run.held_out.tokens), 'character')} that is {trained}"
    repeated = run.held_out.count_in(run.corpus)
    also = f"of which {repeated:,} are also trained on" if repeated else "not trained on"
    return f"{first}{counted(len(run.held_out), 'document')} {also}"


def summary(run):
    """A few sentences about the losses of a Run: a list of lines."""
    if not run.losses:
        return []
    vocab_size, losses = run.model.tokenizer.vocab_size, run.losses
    count = min(SMOOTHED_STEPS, len(losses))
    batch = run.training.batch_size
    each = "a single document's" if batch == 1 else f"that of {batch:,} documents"
    lines = [
        f"loss {smoothed(losses):.4f}, the mean of the last {counted(count, 'step')} (the last step's own, {each}: "
        f"{losses[-1]:.4f}); guessing at random has ln({vocab_size}) = {math.log(vocab_size):.4f}"
    ]
    if run.val_losses:
        step, loss = run.val_losses[-1]
        mean = "per token" if run.evaluation.val_mean == "tokens" else "as a mean over documents"
        lines.append(
            f"held-out loss {loss:.4f} {mean} after step {step}, on {_held_out(run)}; "
            f"the best was {run.best[1]:.4f} after step {run.best[0]}"
            + (", and its weights are kept" if run.finished and run.evaluation.patience is not None else "")
        )
    if run.stopped_early:
        lines.append(f"stopped early: no better held-out loss in {counted(run.evaluation.patience, 'evaluation')}")
    return lines
