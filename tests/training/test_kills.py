"""Signals at random moments, from the first millisecond of a process: no saved data are lost, and no file is incomplete.

MICROGPT_KILLS says how many signals are sent, instead of 12; a thousand take 20 minutes (pytest -o faulthandler_timeout=3000).
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from command_line import SMALL, TEN_NAMES, environment, posix, succeed, without_seconds

from microgpt.storage import checkpoint
from microgpt.training import start

KILLS = int(os.environ.get("MICROGPT_KILLS", "12"))
STEPS = 3000
OPTIONS = ["train", "docs.txt", "--steps", STEPS, "--engine", "graph", *SMALL, "--checkpoint-every", 50, "--samples", 2]
OPTIONS += ["--val-fraction", 0.2, "--eval-every", 30]
NUMBERS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"]
ENDED = {"SIGINT": (130, "interrupted"), "SIGTERM": (143, "terminated"), "SIGHUP": (129, "hung up")}


def began_in_python(err):
    """Whether a Ctrl-C arrived while Python itself was starting, before microgpt's first line."""
    return "KeyboardInterrupt" in err and not re.search(r'File ".*microgpt/(?!__main__|common/interrupts|common/__init__|__init__)', err)


@pytest.mark.slow
@posix
def test_killed_at_random_moments(folder):
    """A run that is repeatedly killed and resumed ends like an undisturbed one."""
    succeed(*OPTIONS, "--out", "whole", "--log", "whole.csv")
    whole, log = (folder / "whole").read_bytes(), without_seconds(folder / "whole.csv")
    rng, outcomes, kills, reached, resumed = random.Random(KILLS), Counter(), 0, 0, 0
    deadline = time.monotonic() + 120 + KILLS
    while (more := kills < KILLS or not resumed) or reached:
        assert time.monotonic() < deadline, outcomes
        resume = ["--resume", "run"] if os.path.exists("run") else []
        command = [sys.executable, "-m", "microgpt", *map(str, OPTIONS), "--out", "run", "--log", "run.csv", *resume]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8", env=environment()) as child:
            try:
                _, err = child.communicate(timeout=rng.uniform(0.001, 1.2) if more else 100)
                name = None
            except subprocess.TimeoutExpired:
                name = rng.choice(NUMBERS)
                child.send_signal(getattr(signal, name))
                _, err = child.communicate(timeout=60)
                kills += 1
        code = child.returncode
        outcomes[name, code] += 1
        if name is None:
            assert code == 0, err
            assert (folder / "run").read_bytes() == whole and without_seconds(folder / "run.csv") == log
            os.remove("run")
            os.remove("run.csv")
            reached = 0
            continue
        if name in ENDED and code == ENDED[name][0]:
            assert re.fullmatch(rf"microgpt: {ENDED[name][1]}( after step .*|, before the first step)?\n", err), err
        elif name == "SIGINT":
            assert code in (0, -signal.SIGINT) or began_in_python(err), err
        else:
            assert code in (0, -getattr(signal, name)), (name, code, err)
        if os.path.exists("run"):
            done = len(checkpoint.read("run").progress.losses)
            assert done >= reached
            resumed += done > reached
            reached = done
        leftovers = Counter(entry[: -len("12345678.part")] for entry in os.listdir(folder) if entry.endswith(".part"))
        assert leftovers.keys() <= {".run.", ".run.csv."} and set(leftovers.values()) <= {1}  # the next run removes it
    print(*sorted(outcomes.items(), key=str), sep="\n")
    assert not [entry for entry in os.listdir(folder) if entry.endswith(".part")]


@posix
@pytest.mark.parametrize("name", NUMBERS)
def test_a_signal_during_the_last_save(folder, name):
    """The signal arrives when all steps are done and the file is being written: the file still exists, except after SIGKILL."""
    code = f"import os, signal, microgpt.common.files as files; real = os.fsync\nfiles.os.fsync = lambda fd: (os.kill(os.getpid(), signal.{name}), real(fd))"
    program = f"import sys\n{code}\nfrom microgpt.cli import main\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "train", "docs.txt", "--steps", "20", *SMALL, "--out", "run"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment())
    if name == "SIGKILL":
        assert done.returncode == -signal.SIGKILL and not os.path.exists("run")
        return
    assert done.returncode == ENDED[name][0] and done.stderr.startswith(f"microgpt: {ENDED[name][1]} after step 20 of 20; resume with: ")
    assert start(TEN_NAMES, resume="run").finished
