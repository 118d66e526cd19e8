"""`microgpt run` on whole scripts in different styles (people.py), some of them hostile: they print the same as under Python.

A group of them is run by one process that forks for each, because most of a short script's time is Python's and this package's start.
"""

import os
import subprocess
import sys

import pytest
from nasty import NASTY
from people import SCRIPTS

ALL = SCRIPTS | {name: {"main.py": source} for name, source in NASTY.items()}
GROUP = 10  # scripts per process

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

DRIVER = """
import os, runpy, sys
from microgpt.scripts import run_script

def start(script, how):
    os.chdir(script)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{how}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    package = not os.path.exists("main.py")
    if how == "run":
        return run_script("net" if package else "main.py", module=package)
    sys.argv, sys.path[0] = ["main.py"], os.getcwd()
    runpy.run_module("net", run_name="__main__", alter_sys=True) if package else runpy.run_path("main.py", run_name="__main__")
    return 0

for script in sys.argv[1:]:
    for how in ("python", "run"):
        child = os.fork()
        if child == 0:
            try:
                code = start(script, how)
            except BaseException as error:
                print(type(error).__name__, error, file=sys.stderr)
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        status = os.waitpid(child, 0)[1]
        open(os.path.join(script, f"{how}.code"), "w").write(str(os.waitstatus_to_exitcode(status)))
"""


@pytest.mark.parametrize("first", range(0, len(ALL), GROUP))
def test_scripts(tmp_path, first):
    names = [*ALL][first : first + GROUP]
    for name in names:
        for file, source in ALL[name].items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
    subprocess.run([sys.executable, "-c", DRIVER, *(str(tmp_path / name) for name in names)], check=True)
    for name in names:
        check(tmp_path / name, name)


def check(folder, name):
    """Assert that the script in `folder` did the same both ways; pytest shows its name if it did not."""

    def read(how):
        return {part: (folder / f"{how}.{part}").read_text() for part in ("out", "code", "err")}

    python, run = read("python"), read("run")
    assert python["code"] == "0", python["err"]
    report, _, rest = run["err"].partition("\n")
    assert (run["out"], run["code"], rest) == (python["out"], python["code"], python["err"])
    assert name in NASTY or report.startswith("microgpt run: compiled: ") or "backward" in report
