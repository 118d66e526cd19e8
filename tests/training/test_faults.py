"""Every system call on the files of a training fails in turn: the newest promised file is complete, or a message says what is lost.

In the manner of https://www.sqlite.org/testing.html. tests/training/faults.c makes write, fsync, rename, close and open fail, once or from
then on; and a real disk, where this user may mount one, is full at some time or other.
"""

import errno
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from command_line import SMALL, driver, environment, without_comment
from command_line import TEN_NAMES as DOCS

import microgpt
from microgpt.display import history
from microgpt.training import start

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = 30
ARGUMENTS = ["--steps", STEPS, *SMALL, "--checkpoint-every", 10, "--out", "run", "--log", "log.csv", "--samples", 1]
FAULTS = [
    ("write", errno.ENOSPC, False), ("write", errno.ENOSPC, True), ("write", errno.EIO, False), ("write", errno.EINTR, False),
    ("fsync", errno.EIO, False), ("fsync", errno.ENOSPC, True), ("fsync", errno.EINTR, False),
    ("rename", errno.EIO, False), ("rename", errno.ENOSPC, True), ("rename", errno.EINTR, False),
    ("close", errno.EIO, False), ("close", errno.ENOSPC, True), ("close", errno.EINTR, False),
    ("open", errno.ENOSPC, False), ("open", errno.EACCES, True), ("open", errno.EINTR, False),
]  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if not sys.platform.startswith("linux") or shutil.which("gcc") is None:
        pytest.skip("needs Linux and gcc")
    path = tmp_path_factory.mktemp("faults") / "faults.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", os.path.join(HERE, "faults.c"), "-o", path, "-ldl"]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def session(library):
    """A function that trains with a fault in a separate folder, and returns the report of tests/training/fault_driver.py."""
    command = [sys.executable, os.path.join(HERE, "fault_driver.py")]
    with subprocess.Popen(
        command, env=environment(LD_PRELOAD=str(library)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:

        def train(folder, call, nth, number, lasting):
            folder.mkdir()
            (folder.parent / "tmp").mkdir(exist_ok=True)
            (folder / "docs.txt").write_text("\n".join(DOCS), encoding="utf-8")
            case = {"folder": str(folder), "call": call, "nth": nth, "errno": number, "lasting": int(lasting),
                    "arguments": list(map(str, ARGUMENTS))}  # fmt: skip
            print(json.dumps(case), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())

        yield train


@pytest.fixture(scope="module")
def whole():
    return microgpt.train(DOCS, microgpt.GPTConfig(n_embd=8, n_head=2), microgpt.TrainConfig(num_steps=STEPS))


def check(folder, code, out, err, whole):
    """Check everything that must hold after any fault. Returns the number of steps in the newest file."""
    assert code in (0, 1) and "Traceback" not in err, (code, err)
    lines = without_comment(err).splitlines()
    assert all(line.startswith("microgpt: ") for line in lines), lines
    begun = "step   30 /   30" in out  # otherwise it was refused before the first step
    newest = 0
    places = ([folder / "run"] if os.path.exists(folder / "run") else []) + re.findall(r"the run is in '(.*)' instead", err)
    for place in places:  # an existing file is complete, and equals that of a run without faults
        run = start(DOCS, resume=place)
        assert run.losses == whole.losses[: len(run.losses)]
        newest = max(newest, len(run.losses))
        if not run.finished:
            run.train()
        assert bytes(run.model.params) == bytes(whole.model.params)
    if newest < STEPS:
        assert code == 1 and lines and ("run" in lines[-1] or "docs.txt" in lines[-1] or not begun), lines
    if begun:
        assert "sample  1: " in out
    log = folder / "log.csv"
    logged = list(history.read(log).losses) if log.exists() and log.stat().st_size > 100 else []
    assert logged == whole.losses[: len(logged)]
    if len(logged) < STEPS:
        assert code == 1 and (not begun or any("log.csv" in line for line in lines)), lines
    if code == 0:
        assert newest == len(logged) == STEPS and all(line.endswith("training continues") for line in lines), lines
    assert [name for name in os.listdir(folder) if name.endswith(".part")] == []
    return newest


@pytest.mark.parametrize("call, number, lasting", FAULTS)
def test_every_call_fails_in_turn(session, whole, tmp_path, call, number, lasting):
    result = session(tmp_path / "none", call, 1_000_000, number, lasting)
    assert result["code"] == 0 and check(tmp_path / "none", 0, result["out"], result["err"], whole) == STEPS
    count = result["calls"]
    assert count >= 3  # one for each time the run is saved
    kept = 0
    for nth in range(1, count + 1):
        folder = tmp_path / str(nth)
        result = session(folder, call, nth, number, lasting)
        assert result["calls"] >= nth
        kept += check(folder, result["code"], result["out"], result["err"], whole) == STEPS
        if number == errno.EINTR and call in ("write", "fsync", "open"):  # Python tries again
            assert result["code"] == 0 and result["err"].count("\n") <= 1
    assert kept >= 3 or lasting


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux") or os.getuid() != 0, reason="only root may mount a disk, on Linux")
def test_a_disk_that_is_really_full(whole, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    full = 0
    for pages in range(1, 40):
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={4 * pages}k", "tmpfs", disk], capture_output=True).returncode:
            pytest.skip("this root may not mount a disk")
        try:
            (disk / "docs.txt").write_text("\n".join(DOCS), encoding="utf-8")
            (tmp_path / "tmp").mkdir(exist_ok=True)
            done = subprocess.run(
                driver("", "train", "docs.txt", *ARGUMENTS), cwd=disk, capture_output=True, encoding="utf-8",
                env=environment(TMPDIR=str(tmp_path / "tmp")),
            )  # fmt: skip
            newest = check(disk, done.returncode, done.stdout, done.stderr, whole)
            full += done.returncode
            if "step   30 /" in done.stdout:
                assert newest == STEPS  # on the disk, or elsewhere
            if done.returncode == 0:
                break
        finally:
            subprocess.run(["umount", disk], check=True)
    assert full >= 5 and done.returncode == 0
