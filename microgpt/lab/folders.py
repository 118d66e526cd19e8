"""A new folder for each run, with its settings and results.

config.json         the command, and every setting
losses.csv          a line for each step, see microgpt.display.history.Log
model.safetensors   the run, to sample from and to resume
samples.txt         the samples at the end
"""

import datetime
import json
import os
import platform
import re
import warnings
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict

from microgpt import __version__
from microgpt.common.words import quoted_path
from microgpt.config import SampleConfig
from microgpt.corpus.loading import chosen
from microgpt.display import history
from microgpt.training import DivergenceError, TrainingWarning

MODEL, LOSSES, SAMPLES, CONFIG = "model.safetensors", "losses.csv", "samples.txt", "config.json"


def create(parent, data):
    """Make a new folder in `parent`, and `parent` if needed: 2026-11-27-names-001, with the next free number. Returns its path.

    data: the source given to load_docs; None if the documents come from a program: 2026-11-27-run-001. Raises OSError.
    """
    os.makedirs(parent, exist_ok=True)
    stem = {"-": "stdin", None: "run"}.get(data) or chosen(data)
    stem = re.sub(r"[^\w-]+", "-", os.path.basename(stem.rstrip("/")).partition(".")[0])[:40].strip("-") or "data"
    number = 1
    while True:
        path = os.path.join(parent, f"{datetime.date.today()}-{stem}-{number:03d}")
        try:
            os.mkdir(path)
            return path
        except FileExistsError:  # of an earlier run, or of one that started at the same time
            number += 1


def describe(run, command, data, temperature, resumed_from=None):
    """The contents of config.json for a Run: a dict."""
    return {
        "command": command,
        "microgpt": __version__,
        "python": platform.python_version(),
        "data": data,
        "data_fingerprint": run.fingerprint(),
        "resumed_from": resumed_from,
        "seed": run.seed,
        "long_docs": run.long_docs,
        "engine": run.model.engine.name,
        "threads": run.model.engine.threads,
        "model": asdict(run.model.config),
        "training": asdict(run.training),
        "evaluation": asdict(run.evaluation),
        "temperature": temperature,
    }


def write(folder, name, text):
    """Write a file of the folder. Raises OSError if this fails."""
    with open(os.path.join(folder, name), "w", encoding="utf-8", newline="\n", errors="backslashreplace") as file:
        file.write(text)


def write_config(folder, facts):
    write(folder, CONFIG, json.dumps(facts, indent=2) + "\n")


@contextmanager
def kept(run, parent, resumed_from=None):
    """A context that writes a Run into a new folder in `parent`, run.folder, and at the end its samples: those that run.generate will draw.

    Yields a function to call after some of the steps. The folder has the run also after Ctrl-C, but not its weights if it diverged.
    Raises OSError if the folder cannot be made. If a file cannot be written later, this is a TrainingWarning, so that the run is not lost.
    """
    folder = run.folder = create(parent, None)
    write_config(folder, describe(run, None, None, SampleConfig.temperature, None if resumed_from is None else os.fsdecode(resumed_from)))
    before = None if resumed_from is None else os.path.join(os.path.dirname(os.path.abspath(os.fsdecode(resumed_from))), LOSSES)
    log = history.Log(run, os.path.join(folder, LOSSES), before)

    def attempt(action, *arguments):
        try:
            action(*arguments)
        except OSError as error:
            warnings.warn(
                f"{quoted_path(folder)} cannot be written: {error.strerror or error}; save the run with run.save(path)",
                TrainingWarning, stacklevel=4,
            )  # fmt: skip

    whole = True
    try:
        yield lambda: attempt(log.update)
    except DivergenceError:  # its weights are useless
        whole = False
        raise
    finally:
        attempt(log.close)
        if whole and not run._torn:
            attempt(run.save, os.path.join(folder, MODEL))
    attempt(_write_samples, run, folder)


def _write_samples(run, folder):
    kind = run.model.config.documents
    try:
        texts = run.model.generate_from(deepcopy(run.rng), 1 if kind == "text" else 20)
    except (ArithmeticError, ValueError):  # the weights after the last step are out of range
        return
    write(folder, SAMPLES, "".join(f"{text}\n" if kind == "lines" else f"{text}\n\n" for text in texts))
