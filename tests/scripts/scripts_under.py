"""Runs scripts under Python and under `microgpt run`, each in a separate process."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

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


# ---- Many short scripts --------------------------------------------------------------------------------------------------------

FORKING = """
import os, runpy, signal, sys
from microgpt.scripts import run_script

def start(folder, how):
    signal.setitimer(signal.ITIMER_VIRTUAL, 20)  # seconds of processor time, for a script without an end
    os.chdir(folder)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{how}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    package = not os.path.exists("main.py")
    if how == "run":
        return run_script("net" if package else "main.py", arguments, module=package, explain=explain == "explain")
    sys.argv, sys.path[0] = ["main.py", *arguments], os.getcwd()
    runpy.run_module("net", run_name="__main__", alter_sys=True) if package else runpy.run_path("main.py", run_name="__main__")
    return 0

explain, arguments, *folders = sys.argv[1:]
arguments = arguments.split()
for folder in folders:
    for how in ("python", "run"):
        child = os.fork()
        if child == 0:
            try:
                code = start(folder, how)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        status = os.waitpid(child, 0)[1]
        open(os.path.join(folder, f"{how}.code"), "w").write(str(os.waitstatus_to_exitcode(status)))
"""


class Done(NamedTuple):
    out: str
    code: int
    err: str  # without the report of `microgpt run`
    report: str


def both_in_forks(folder, scripts, arguments="", explain=""):
    """name -> (Done under Python, Done under microgpt run), for scripts: name -> {file: source} with main.py or a package net.

    One process forks for each, because most of a short script's time is Python's and this package's start.
    """
    folders = {name: folder / str(i) for i, name in enumerate(scripts)}
    for name, sources in scripts.items():
        for file, source in sources.items():
            path = folders[name] / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
    subprocess.run([sys.executable, "-c", FORKING, explain, arguments, *map(str, folders.values())], check=True)
    return {name: (done(path, "python"), done(path, "run")) for name, path in folders.items()}


def done(folder, how):
    out, code, err = ((folder / f"{how}.{part}").read_text() for part in ("out", "code", "err"))
    lines = err.splitlines(keepends=True)
    report = "".join(line for line in lines if line.startswith("microgpt run: "))
    return Done(out, int(code), "".join(line for line in lines if not line.startswith("microgpt run: ")), report)
