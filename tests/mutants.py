"""Puts defects into the sources, one at a time, and sees that the tests notice.

    python tests/mutants.py                  # all of them, an hour
    python tests/mutants.py relu_float ...   # those
    python tests/mutants.py --list

Each mutant is a copy of the checkout in a temporary folder with one piece of text replaced, built there, on which the
tests that should fail are run. One that they pass has SURVIVED: then a test is missing (exit code 1). Run by hand, with an
environment in which the package can be built (setuptools, Cython) and tested (the extra "test").
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from mutants_exact import EXACT
from mutants_fast import FAST
from mutants_scalar import SCALAR

ROOT = Path(__file__).resolve().parent.parent
BUILD_SECONDS, TEST_SECONDS = 300, 300


class Mutant(NamedTuple):
    name: str
    file: str  # relative to the root
    old: str  # must be in the file exactly once
    new: str
    tests: str  # arguments of pytest, relative to tests/
    before: tuple = ()  # more (file, old, new), where one place is not enough


MUTANTS = [Mutant(*row) for row in (*SCALAR, *EXACT, *FAST) if row]


def copy_checkout(to):
    """Everything but what was built. The tests import the package from the copy they are in."""
    skip = shutil.ignore_patterns(
        ".git", "build", "dist", "*.so", "*.pyd", "*.egg-info", "__pycache__", ".*", "benchmarks"
    )
    shutil.copytree(ROOT, to, ignore=skip)


def mutate(folder, mutant):
    for file, old, new in ((mutant.file, mutant.old, mutant.new), *mutant.before):
        path = folder / file
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise SystemExit(f"{mutant.name}: {old!r} is {text.count(old)} times in {file}, not once")
        path.write_text(text.replace(old, new), encoding="utf-8")


def run(command, folder, seconds, environment):
    """(exit code, output); a process that hangs counts as one that failed."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return -1, f"took more than {seconds} s"
    return done.returncode, done.stdout


def fate(mutant):
    """What becomes of a mutant: ("killed" or "SURVIVED", which test saw it)."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "checkout"
        copy_checkout(folder)
        mutate(folder, mutant)
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        code, output = run(
            [sys.executable, "setup.py", "-q", "build_ext", "--inplace"], folder, BUILD_SECONDS, environment
        )
        if code:
            raise SystemExit(f"{mutant.name} does not build:\n{output}")
        check = "import microgpt.compiled.scalar as s, sys; sys.exit(not s.__file__.startswith(sys.argv[1]))"
        code, output = run([sys.executable, "-c", check, str(folder)], folder, 60, environment)
        if code not in (0, -11, -6):
            raise SystemExit(f"{mutant.name} is not what would be tested:\n{output}")
        tests = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", *split(mutant.tests)]
        code, output = run([sys.executable, *tests], folder / "tests", TEST_SECONDS, environment)
    if code in (0, 2, 3, 4, 5):  # passed, or no test was run
        return "SURVIVED", f"pytest's exit code {code}" if code else ""
    failed = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", output, re.MULTILINE)
    return "killed", failed[1] if failed else output.strip().splitlines()[-1] if code == -1 else f"exit code {code}"


def split(tests):
    """The arguments of `tests`; what follows -k is one of them."""
    arguments, _, expression = tests.partition(" -k ")
    return arguments.split() + (["-k", expression] if expression else [])


def main(names):
    if "--list" in names:
        print(*[mutant.name for mutant in MUTANTS], sep="\n")
        return 0
    unknown = set(names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        raise SystemExit(f"there is no mutant {', '.join(sorted(unknown))}")
    survived = 0
    for mutant in MUTANTS:
        if not names or mutant.name in names:
            started = time.monotonic()
            result, witness = fate(mutant)
            survived += result == "SURVIVED"
            print(f"{mutant.name:40} {result:8} {time.monotonic() - started:5.0f} s  {witness}", flush=True)
    print(f"{survived} survived" if survived else "all killed")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
