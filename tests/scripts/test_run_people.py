"""`microgpt run` on whole scripts of different people (people.py), some of them nasty: what they print is what they print under Python.

They are run by one process that forks for each, because most of a short script's time is Python's and this package's start.
"""

import os
import subprocess
import sys

import pytest
from nasty import NASTY
from people import SCRIPTS

ALL = SCRIPTS | {name: {"main.py": source} for name, source in NASTY.items()}

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


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """name -> the folder in which the script has been run both ways."""
    root = tmp_path_factory.mktemp("people")
    for name, files in ALL.items():
        for file, source in files.items():
            path = root / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
    found = {name: root / name for name in ALL}
    subprocess.run([sys.executable, "-c", DRIVER, *map(str, found.values())], check=True)
    return found


@pytest.mark.parametrize("name", ALL)
def test_script(folders, name):
    def read(how):
        return {part: (folders[name] / f"{how}.{part}").read_text() for part in ("out", "code", "err")}

    python, run = read("python"), read("run")
    assert python["code"] == "0", python["err"]
    report, _, rest = run["err"].partition("\n")
    assert (run["out"], run["code"], rest) == (python["out"], python["code"], python["err"])
    assert name in NASTY or report.startswith("microgpt run: compiled: ") or "backward" in report
