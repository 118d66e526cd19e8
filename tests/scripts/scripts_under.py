"""Runs a script under Python and under `microgpt run`, each in a separate process."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parent / "public"
RUN = ("-m", "microgpt", "run")


def start(folder, *command, **options):
    """The output of this Python with `command` in `folder`."""
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, **options)


def both(folder, *script, **options):
    """(under Python, under microgpt run) for a script and its arguments."""
    return start(folder, *script, **options), start(folder, *RUN, *script, **options)


def outcome(folder, sources, run, *command):
    """(standard output, exit code, the last line of the error, the report)"""
    for name, source in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source, encoding="utf-8")
    done = start(folder, *(RUN if run else ()), *command)
    report = [line for line in done.stderr.splitlines() if line.startswith("microgpt run: ")]
    errors = [line for line in done.stderr.splitlines() if not line.startswith("microgpt run: ")]
    return done.stdout, done.returncode, errors, report


def assert_same(folder, sources, *command):
    python, run = outcome(folder, sources, False, *command), outcome(folder, sources, True, *command)
    assert run[:3] == python[:3]
    assert python[1] == 0, python[2]
    return run[3][0]
