"""Output files are checked before the first step, and no file of the user's own is replaced."""

import os
import signal
import subprocess
import sys

import pytest
from command_line import SMALL, fail, microgpt_command, microgpt_here, posix, succeed
from command_line import TEN_NAMES as DOCS

import microgpt
from microgpt import GPTConfig, TrainConfig
from microgpt.common import files
from microgpt.training import start

CONFIG, TRAINING = GPTConfig(n_embd=8, n_head=2), TrainConfig(num_steps=40)
MINE = "somebody's own\n"


@posix
@pytest.mark.parametrize(
    "name, reason",
    [
        ("/dev/null", "it is not a regular file"),
        ("dangling", "there is no folder '"),
        ("loop", "Too many levels of symbolic links"),
        ("n" * 300, "File name too long"),
        ("no/run", "there is no folder 'no'; make it first"),
        ("docs.txt/run", "there is no folder 'docs.txt'; make it first"),
        ("folder", "is a folder; name a file in it"),
        ("readonly", "it is write-protected"),
        ("/proc/run", "cannot be written: "),
    ],
)
@pytest.mark.parametrize("option", ["--out", "--log"])
def test_a_place_that_cannot_be_written_is_refused_before_the_first_step(folder, option, name, reason):
    suffix = ".csv" if option == "--log" and name != "/dev/null" else ""
    os.symlink("no/run", "dangling" + suffix)
    os.symlink("loop" + suffix, "loop" + suffix)
    os.mkdir("folder" + suffix)
    (folder / ("readonly" + suffix)).touch()
    os.chmod("readonly" + suffix, 0o444)
    done = microgpt_here("train", "docs.txt", "--steps", 2, *SMALL, option, name + suffix, "--force")
    if option == "--log" and name == "/dev/null":
        assert done.returncode == 2 and "--log must end in" in done.stderr
        return
    assert done.returncode == 1 and done.stdout == "" and done.stderr.startswith(f"microgpt: error: {option}: "), done
    assert reason in done.stderr and done.stderr.count("\n") == 1 and len(done.stderr) < 300
    assert os.stat("readonly" + suffix).st_size == 0 and stat_mode("readonly" + suffix) == 0o444


def stat_mode(path):
    return os.stat(path).st_mode & 0o777


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(folder):
    os.mkdir("mine", 0o555)
    assert "Permission denied" in fail("train", "docs.txt", "--out", "mine/run")


def test_nobody_s_file_is_replaced(folder):
    for name in ("mine", "mine.csv", "mine.jsonl"):
        (folder / name).write_text(MINE)
    text = (folder / "docs.txt").read_text(encoding="utf-8")
    (folder / "data.csv").write_text(text, encoding="utf-8")
    small = ["--steps", 2, *SMALL]
    for option, data in (("--out", "docs.txt"), ("--log", "data.csv"), ("--out", "./docs.txt")):
        for force in ([], ["--force"]):
            done = microgpt_here("train", os.path.basename(data), *small, option, data, *force)
            assert done.returncode == 2 and f"{data!r} is the training data, which would be lost" in done.stderr
    for option, name, what in (
        ("--out", "mine", "a model that microgpt saved"), ("--log", "mine.csv", "a log of microgpt train"),
        ("--log", "mine.jsonl", "a log of microgpt train"), ("--out", "data.csv", "a model that microgpt saved"),
    ):  # fmt: skip
        before = (folder / name).read_bytes()
        assert fail("train", "docs.txt", *small, option, name) == (
            f"{option}: {name!r} exists already and is not {what}; name another file, or replace it with --force"
        )
        assert (folder / name).read_bytes() == before
        for _ in range(2):  # by --force, and then because microgpt wrote it
            succeed("train", "docs.txt", *small, option, name, *(["--force"] if (folder / name).read_bytes() == before else []))
    assert (folder / "docs.txt").read_text(encoding="utf-8") == text
    succeed("train", "docs.txt", *small, "--out", "run.csv")
    done = microgpt_here("train", "docs.txt", "--resume", "run.csv", "--out", "other", "--log", "run.csv", "--force")
    assert done.returncode == 2 and "'run.csv' is the file of --resume, which would be lost" in done.stderr
    if os.path.exists("/dev/stdin"):
        with open("docs.txt") as data:
            done = microgpt_command("train", "-", *small, "--out", "docs.txt", "--force", stdin=data)
        assert done.returncode == 2 and "'docs.txt' is the training data, which would be lost" in done.stderr
    (folder / "empty").touch()
    succeed("train", "docs.txt", *small, "--out", "empty")
    done = microgpt_here("train", "docs.txt", *small, "--init", "empty", "--log", "empty")
    assert done.returncode == 2
    os.chmod("empty", 0o444)
    assert "'empty' cannot be written: it is write-protected" in fail("train", "docs.txt", "--resume", "empty", "--steps", 3)
    with pytest.raises(OSError, match="it is write-protected"):
        microgpt.load("empty").save("empty")


def test_a_damaged_model_of_ours_is_ours(folder):
    succeed("train", "docs.txt", "--steps", 2, *SMALL, "--out", "run")
    whole = (folder / "run").read_bytes()
    (folder / "run").write_bytes(whole[:-8])
    succeed("train", "docs.txt", "--steps", 2, *SMALL, "--out", "run")
    assert (folder / "run").read_bytes() == whole


@posix
@pytest.mark.parametrize("letters", ["r", "ë" * 100])
def test_what_a_killed_save_left_is_removed_by_the_next_save_or_resume(folder, letters):
    run = microgpt.train(DOCS, CONFIG, TRAINING)
    run.save(letters)
    kill = "import os, signal\nos.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    code = f"{kill}\nimport microgpt\nmicrogpt.load({letters!r}).save({letters!r})"
    live = files._temporary(os.path.realpath(letters))  # of a process that still writes
    with live:
        there = set(os.listdir(folder))
        for clean in (lambda: run.save(letters), lambda: start(DOCS, resume=letters)):
            assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
            assert len(os.listdir(folder)) == len(there) + 1
            clean()
            assert set(os.listdir(folder)) == there
    assert set(os.listdir(folder)) == {"docs.txt", letters}


@posix
def test_a_temporary_file_that_another_sweep_removes_before_its_lock(folder, monkeypatch):
    import fcntl

    real, sweeps = fcntl.flock, []

    def flock(file, how):
        if not how & fcntl.LOCK_NB and len(sweeps) < 3:
            sweeps.append(1)
            files.sweep("run")
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    files.write_atomically("run", b"whole")
    assert (folder / "run").read_bytes() == b"whole" and len(sweeps) == 3 and set(os.listdir(folder)) == {"docs.txt", "run"}


@posix
def test_saving_leaves_the_umask_alone(folder, monkeypatch):
    """The umask must not be changed: it belongs to the whole process, and other threads would make files that everybody may write."""
    before = os.umask(0o027)
    try:
        monkeypatch.setattr(os, "umask", None)
        files.write_atomically("new", b"")
        assert stat_mode("new") == 0o640
        os.chmod("new", 0o606)
        files.write_atomically("new", b"")
        assert stat_mode("new") == 0o606
    finally:
        monkeypatch.undo()
        os.umask(before)
