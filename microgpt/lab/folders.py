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
from dataclasses import asdict

from microgpt import __version__
from microgpt.corpus.loading import chosen

MODEL, LOSSES, SAMPLES, CONFIG = "model.safetensors", "losses.csv", "samples.txt", "config.json"


def create(parent, data):
    """Makes a new folder in `parent`, and `parent` if needed: 2026-11-27-names-001, with the next free number. Returns its path. OSError.

    data: what load_docs was given.
    """
    os.makedirs(parent, exist_ok=True)
    stem = "stdin" if data == "-" else chosen(data)
    stem = re.sub(r"[^\w-]+", "-", os.path.basename(stem.rstrip("/")).partition(".")[0])[:40].strip("-") or "data"
    number = 1
    while True:
        path = os.path.join(parent, f"{datetime.date.today()}-{stem}-{number:03d}")
        try:
            os.mkdir(path)
            return path
        except FileExistsError:  # it belongs to an earlier run, or to one that began at the same time
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
        "long": run.long,
        "engine": run.model.engine.name,
        "threads": run.model.engine.threads,
        "model": asdict(run.model.config),
        "training": asdict(run.training),
        "evaluation": asdict(run.evaluation),
        "temperature": temperature,
    }


def write(folder, name, text):
    """Write a file of the folder. OSError."""
    with open(os.path.join(folder, name), "w", encoding="utf-8", newline="\n", errors="backslashreplace") as file:
        file.write(text)


def write_config(folder, facts):
    write(folder, CONFIG, json.dumps(facts, indent=2) + "\n")
