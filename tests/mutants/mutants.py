"""Inserts defects into the sources, one at a time, and checks that the tests detect them.

    python tests/mutants/mutants.py                  # all of them, an hour
    python tests/mutants/mutants.py relu_float ...   # those
    python tests/mutants/mutants.py --list

Each mutant is a copy of the checkout in a temporary folder with the statements at one or a few tags changed (see
mutants_changes.py), built there, on which the tests that should fail are run; before the first, all these tests are
run on a copy without changes. A mutant that they pass has SURVIVED: then a test is missing (exit code 1). Run by hand,
with an environment in which the package can be built (setuptools, Cython) and tested (the extra "test"). With
CC="ccache gcc" and CCACHE_NOHASHDIR=1 only what a change reaches is compiled.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mutants_changes import language, mutate, tags
from mutants_exact import EXACT
from mutants_fast import FAST
from mutants_package import PACKAGE
from mutants_scalar import NOT_HERE, SCALAR

ROOT = Path(__file__).resolve().parents[2]
BUILD_SECONDS, TEST_SECONDS = 300, 300


class Mutant(NamedTuple):
    tests: str  # arguments of pytest, relative to tests/
    changes: dict  # tag -> change


MUTANTS = {name: Mutant(*row) for table in (SCALAR, EXACT, FAST, PACKAGE) for name, row in table.items()}


def sources(folder):
    """The files of a checkout that may have tags."""
    found = [path for part in ("microgpt", "src") for path in (folder / part).rglob("*")]
    return [folder / "setup.py", *(path for path in found if path.suffix in (".c", ".h", ".js", ".py", ".pxi", ".pyx"))]


def tagged(folder):
    """Tag -> the files that have it, one entry for each occurrence."""
    files = {}
    for path in sources(folder):
        for tag in tags(path.read_text(encoding="utf-8"), language(path)):
            files.setdefault(tag, []).append(path)
    return files


def copy_checkout(to):
    """Copies everything except build products. The tests import the package from their own copy."""
    skip = shutil.ignore_patterns(".git", "build", "dist", "*.so", "*.pyd", "*.egg-info", "__pycache__", ".*", "benchmarks")
    shutil.copytree(ROOT, to, ignore=skip)


def mutate_checkout(folder, changes):
    files = tagged(folder)
    for tag, change in changes.items():
        (path,) = files[tag]
        text = path.read_text(encoding="utf-8")
        path.write_text(mutate(text, tag, change, language(path)), encoding="utf-8")


def run(command, folder, seconds, root):
    """(exit code, output); a process that hangs counts as failed."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return -1, f"took more than {seconds} s"
    return done.returncode, done.stdout


@contextmanager
def checkout(name, changes):
    """A copy of the checkout with these changes, built."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "checkout"
        copy_checkout(folder)
        mutate_checkout(folder, changes)
        code, output = run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], folder, BUILD_SECONDS, folder)
        if code:
            raise SystemExit(f"{name} does not build:\n{output}")
        check = "import microgpt.compiled.scalar as s, sys; sys.exit(not s.__file__.startswith(sys.argv[1]))"
        code, output = run([sys.executable, "-c", check, str(folder)], folder, 60, folder)
        if code not in (0, -11, -6):
            raise SystemExit(f"{name} is not what would be tested:\n{output}")
        yield folder


def outcome(folder, tests):
    """The outcome of tests in a checkout: ("passed", "failed" or "skipped", the test that failed or the reason why none did)."""
    command = ["-m", "pytest", "-m", "", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", *split(tests)]
    code, output = run([sys.executable, *command], folder / "tests", TEST_SECONDS, folder)
    if code in (0, 5) and " skipped" in output and " passed" not in output:
        return "skipped", "its tests need more than is installed"
    if code in (0, 2, 3, 4, 5):  # passed, or no test was run
        return "passed", f"pytest's exit code {code}" if code else ""
    failed = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", output, re.MULTILINE)
    return "failed", failed[1] if failed else output.strip().splitlines()[-1] if code == -1 else f"exit code {code}"


def check_tests(names):
    """Raise SystemExit if a test that these mutants should fail also fails without them."""
    with checkout("the checkout", {}) as folder:
        for tests in sorted({MUTANTS[name].tests for name in names}):
            result, witness = outcome(folder, tests)
            if result == "failed":
                raise SystemExit(f"without a mutant, {tests} {result}: {witness}")


def fate(name):
    """The outcome of a mutant: ("killed", "SURVIVED" or "skipped", the test that detected it)."""
    if name in NOT_HERE:
        return "skipped", "it is no defect with this version of Python"
    with checkout(name, MUTANTS[name].changes) as folder:
        result, witness = outcome(folder, MUTANTS[name].tests)
    return {"failed": "killed", "passed": "SURVIVED"}.get(result, result), witness


def split(tests):
    """The arguments in `tests`; everything after -k is one argument."""
    arguments, _, expression = tests.partition(" -k ")
    return arguments.split() + (["-k", expression] if expression else [])


def main(names):
    if "--list" in names:
        print(*MUTANTS, sep="\n")
        return 0
    unknown = set(names) - MUTANTS.keys()
    if unknown:
        raise SystemExit(f"there is no mutant {', '.join(sorted(unknown))}")
    names = [name for name in MUTANTS if not names or name in names]
    check_tests(names)
    results = []
    for name in names:
        started = time.monotonic()
        result, witness = fate(name)
        results.append(result)
        print(f"{name:40} {result:8} {time.monotonic() - started:5.0f} s  {witness}", flush=True)
    print(*(f"{results.count(result)} {result}" for result in sorted(set(results))), sep=", ")
    return 1 if "SURVIVED" in results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
