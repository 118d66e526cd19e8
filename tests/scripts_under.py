"""Runs a script under Python and under `microgpt run`, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parent / "scripts"
RUN = ("-m", "microgpt", "run")


def start(folder, *command, **options):
    """What this Python prints with `command` in `folder`."""
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, **options)


def both(folder, *script, **options):
    """(under Python, under microgpt run) for a script and its arguments."""
    return start(folder, *script, **options), start(folder, *RUN, *script, **options)
