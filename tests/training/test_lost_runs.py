"""Runs that must not be lost: a terminal that closes, output and disks that fail."""

import os
import re
import signal
import subprocess
import threading

import pytest
from command_line import SMALL, driver, environment, microgpt_command, posix, without_comment
from command_line import TEN_NAMES as DOCS

from microgpt.training import start

LONG_RUN = ["--steps", 1_000_000, "--engine", "graph", *SMALL]


def steps_in(path):
    return len(start(DOCS, resume=path).losses)


# ---- The terminal ----------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("close", [True, False], ids=["its terminal is closed", "SIGHUP alone"])
def test_a_closed_terminal_saves_the_run(folder, close):
    """When the terminal is gone, nothing can be written to it, and SIGHUP arrives twice: from the kernel and from the shell."""
    import pty

    master, slave = pty.openpty()
    command = driver("import os; os.setsid(); import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)", "train", "docs.txt",
                     *LONG_RUN, "--out", "run", "--log", "log.csv")  # fmt: skip
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment(TERM="dumb")) as child:
        os.close(slave)
        shown = b""
        while b"step    5 /" not in shown:
            shown += os.read(master, 1000)
        if close:
            os.close(master)
        else:
            reader = threading.Thread(target=drain, args=[master])
            reader.start()
        child.send_signal(signal.SIGHUP)
        assert child.wait(60) == 129
        if not close:
            reader.join()
    assert steps_in("run") >= 5
    assert (folder / "log.csv").read_text().count("\n") == 1 + steps_in("run")


def drain(master):
    try:
        while os.read(master, 1000):
            pass
    except OSError:
        pass
    os.close(master)


@posix
def test_nohup_is_obeyed(folder):
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    with subprocess.Popen(driver(code, "train", "docs.txt", *LONG_RUN, "--out", "run"), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, encoding="utf-8") as child:  # fmt: skip
        wait_for_step(child)
        child.send_signal(signal.SIGHUP)
        wait_for_step(child)
        child.send_signal(signal.SIGTERM)
        assert child.communicate(timeout=60) and child.returncode == 143


def wait_for_step(child):
    for line in child.stdout:
        if line.startswith("step "):
            return


# ---- Output and disks that fail --------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("kept", ["--out", "--log"])
def test_a_reader_that_has_seen_enough(folder, kept):
    """`microgpt train ... | head -2`: the requested files are still written; the exit code says that output was lost."""
    name = {"--out": "run", "--log": "log.csv"}[kept]
    with subprocess.Popen(driver("", "train", "docs.txt", "--steps", 20_000, *SMALL, kept, name), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, encoding="utf-8", env=environment()) as child:  # fmt: skip
        child.stdout.readline()
        child.stdout.close()
        err = child.stderr.read()
    assert child.returncode == 1
    assert without_comment(err) == (f"microgpt: the output cannot be written: Broken pipe; training continues, to write {name!r}\n")
    if kept == "--out":
        assert steps_in("run") == 20_000
        assert microgpt_command("sample", "run", "-n", 1).returncode == 0
    else:
        assert (folder / "log.csv").read_text().count("\n") == 20_001


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("steps", [2, 3000])
def test_a_full_disk_under_the_output(folder, steps):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            driver("", "train", "docs.txt", "--steps", steps, *SMALL, "--out", "run"), stdout=full, stderr=subprocess.PIPE,
            encoding="utf-8", env=environment(),
        )  # fmt: skip
    assert done.returncode == 1
    assert without_comment(done.stderr) == (
        "microgpt: the output cannot be written: No space left on device; training continues, to write 'run'\n"
    )
    assert steps_in("run") == steps


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_standard_error_that_cannot_be_written(folder):
    with open("/dev/full", "w") as full:
        done = subprocess.run(driver("", "train", "docs.txt", "--steps", 2, *SMALL, "--out", "run"), stdout=full, stderr=full)
        assert done.returncode == 1 and steps_in("run") == 2
        assert subprocess.run(driver("", "train", "no"), stderr=full).returncode == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_a_full_disk_under_the_log(folder, name):
    code = "from microgpt.display import history; history.open = lambda path, *_, **how: open('/dev/full', 'w', **how)"
    if name == "log.csv":  # full before the first step
        done = subprocess.run(driver(code, "train", "docs.txt", "--log", name), capture_output=True, encoding="utf-8")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "microgpt: error: --log: 'log.csv' cannot be written: No space left on device\n"
        code = f"{code}\nhistory.Log.__init__ = lambda self, run, path, before: vars(self).update(run=run, written=0, csv=True, resumed=0, known=dict(), began=0, seconds=0, tokens=0, file=open('/dev/full', 'w'))"
    done = subprocess.run(
        driver(code, "train", "docs.txt", "--steps", 30, *SMALL, "--out", "run", "--log", name),
        capture_output=True, encoding="utf-8", env=environment(),
    )  # fmt: skip
    assert done.returncode == 1 and "step   30 /   30" in done.stdout and "sample 20" in done.stdout
    assert without_comment(done.stderr) == (f"microgpt: the log {name!r} cannot be written: No space left on device; it stays incomplete\n")
    assert steps_in("run") == 30


@posix
def test_a_save_that_fails_in_the_end(folder):
    """The samples are printed, the run is saved elsewhere, and the message says where."""
    (folder / "spare").mkdir()
    code = (
        "import os, errno, microgpt.common.files as files; real = files._write\n"
        "def full(path, data):\n"
        "    if path.endswith('/run'): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "    real(path, data)\n"
        "files._write = full"
    )
    options = ["train", "docs.txt", "--steps", 30, *SMALL, "--out", "run"]
    done = subprocess.run(driver(code, *options), capture_output=True, encoding="utf-8", env=environment(TMPDIR=str(folder / "spare")))
    found = re.fullmatch(
        r"microgpt: 'run' cannot be written: No space left on device; an existing file is unchanged; "
        r"the run is in '(.*/spare/run-.*)' instead\n",
        without_comment(done.stderr),
    )
    assert done.returncode == 1 and found, done.stderr
    assert "sample 20: " in done.stdout and not os.path.exists("run")
    assert steps_in(found[1]) == 30
    code = code.replace("if path.endswith('/run')", "if True")
    done = subprocess.run(driver(code, *options), capture_output=True, encoding="utf-8", env=environment(TMPDIR=str(folder / "spare")))
    assert done.returncode == 1 and "it could not be saved anywhere else either\n" in done.stderr and "sample 20: " in done.stdout
    assert [os.path.join(folder, "spare", name) for name in os.listdir("spare")] == [found[1]]
    assert not [name for name in os.listdir(folder) if name.endswith(".part")]


# ---- Hints -----------------------------------------------------------------------------------------------------------


def test_a_model_that_was_not_saved(folder):
    """At the end, on standard error, as after Ctrl-C (see test_ctrl_c in test_cli.py)."""
    hint = "microgpt: the model was not saved; to save it, give --out FILE\n"
    for more, expected in ([], hint), (["--out", "run"], ""), (["--samples", 0], hint), (["--log", "log.csv"], hint):
        done = subprocess.run(driver("", "train", "docs.txt", "--steps", 300, *SMALL, *more), capture_output=True, encoding="utf-8")
        assert (done.returncode, done.stderr) == (0, expected)
