"""Runs that must not be lost: a terminal that closes, output and disks that fail, places that cannot be written, Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from command_line import SMALL, TEN_NAMES as DOCS, driver, environment, fail, microgpt_command, posix, succeed, without_comment

import microgpt
from microgpt import EvalConfig, GPTConfig, TrainConfig
from microgpt.common import files, interrupts
from microgpt.training import start

CONFIG, TRAINING = GPTConfig(n_embd=8, n_head=2), TrainConfig(num_steps=40)
LONG_RUN = ["--steps", 1_000_000, "--engine", "graph", *SMALL]


def steps_in(path):
    return len(start(DOCS, resume=path).losses)


# ---- The terminal ----------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("close", [True, False], ids=["its terminal is closed", "SIGHUP alone"])
def test_a_closed_terminal_saves_the_run(folder, close):
    """The terminal gone, nothing can be written to it either, and SIGHUP comes twice: by the kernel and by the shell."""
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
    """`microgpt train ... | head -2`: what was asked for is there all the same; the exit code says that output was lost."""
    name = {"--out": "run", "--log": "log.csv"}[kept]
    with subprocess.Popen(driver("", "train", "docs.txt", "--steps", 20_000, *SMALL, kept, name), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, encoding="utf-8", env=environment()) as child:  # fmt: skip
        child.stdout.readline()
        child.stdout.close()
        err = child.stderr.read()
    assert child.returncode == 1
    assert without_comment(err) == (
        f"microgpt: the output cannot be written: Broken pipe; training goes on, for {name!r}\n"
    )
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
        "microgpt: the output cannot be written: No space left on device; training goes on, for 'run'\n"
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
        code = f"{code}\nhistory.Log.__init__ = lambda self, run, path: vars(self).update(run=run, written=0, csv=True, file=open('/dev/full', 'w'))"
    done = subprocess.run(
        driver(code, "train", "docs.txt", "--steps", 30, *SMALL, "--out", "run", "--log", name),
        capture_output=True, encoding="utf-8", env=environment(),
    )  # fmt: skip
    assert done.returncode == 1 and "step   30 /   30" in done.stdout and "sample 20" in done.stdout
    assert without_comment(done.stderr) == (
        f"microgpt: the log {name!r} cannot be written: No space left on device; it is incomplete, and nothing more is added\n"
    )
    assert steps_in("run") == 30


@posix
def test_a_save_that_fails_in_the_end(folder):
    """The samples are printed, the run is kept elsewhere, and the message says where."""
    (folder / "tmp").mkdir()
    code = (
        "import os, errno, microgpt.common.files as files; real = files._write\n"
        "def full(path, data):\n"
        "    if path.endswith('/run'): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "    real(path, data)\n"
        "files._write = full"
    )
    options = ["train", "docs.txt", "--steps", 30, *SMALL, "--out", "run"]
    done = subprocess.run(driver(code, *options), capture_output=True, encoding="utf-8", env=environment(TMPDIR=str(folder / "tmp")))
    found = re.fullmatch(
        r"microgpt: 'run' cannot be written: No space left on device; what was there before is unchanged; "
        r"the run is in '(.*/tmp/run-.*)' instead\n",
        without_comment(done.stderr),
    )
    assert done.returncode == 1 and found, done.stderr
    assert "sample 20: " in done.stdout and not os.path.exists("run")
    assert steps_in(found[1]) == 30
    code = code.replace("if path.endswith('/run')", "if True")
    done = subprocess.run(driver(code, *options), capture_output=True, encoding="utf-8", env=environment(TMPDIR=str(folder / "tmp")))
    assert done.returncode == 1 and "nor could it be kept anywhere else\n" in done.stderr and "sample 20: " in done.stdout
    assert [os.path.join(folder, "tmp", name) for name in os.listdir("tmp")] == [found[1]]
    assert not [name for name in os.listdir(folder) if name.endswith(".part")]


# ---- Places ----------------------------------------------------------------------------------------------------------

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
    done = microgpt_command("train", "docs.txt", "--steps", 2, *SMALL, option, name + suffix, "--force")
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
            done = microgpt_command("train", os.path.basename(data), *small, option, data, *force)
            assert done.returncode == 2 and f"{data!r} is the training data, which would be lost" in done.stderr
    for option, name, what in (
        ("--out", "mine", "a model that microgpt saved"), ("--log", "mine.csv", "a log of microgpt train"),
        ("--log", "mine.jsonl", "a log of microgpt train"), ("--out", "data.csv", "a model that microgpt saved"),
    ):  # fmt: skip
        before = (folder / name).read_bytes()
        assert fail("train", "docs.txt", *small, option, name) == (
            f"{option}: {name!r} is there already and is not {what}; name another file, or replace it with --force"
        )
        assert (folder / name).read_bytes() == before
        for _ in range(2):  # by force, and then as microgpt's own
            succeed("train", "docs.txt", *small, option, name, *(["--force"] if (folder / name).read_bytes() == before else []))
    assert (folder / "docs.txt").read_text(encoding="utf-8") == text
    succeed("train", "docs.txt", *small, "--out", "run.csv")
    done = microgpt_command("train", "docs.txt", "--resume", "run.csv", "--out", "other", "--log", "run.csv", "--force")
    assert done.returncode == 2 and "'run.csv' is what --resume goes on with, which would be lost" in done.stderr
    if os.path.exists("/dev/stdin"):
        with open("docs.txt") as data:
            done = microgpt_command("train", "-", *small, "--out", "docs.txt", "--force", stdin=data)
        assert done.returncode == 2 and "'docs.txt' is the training data, which would be lost" in done.stderr
    (folder / "empty").touch()
    succeed("train", "docs.txt", *small, "--out", "empty")
    done = microgpt_command("train", "docs.txt", *small, "--init", "empty", "--log", "empty")
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
    """It is the whole process's: other threads would make files that everybody may write."""
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


# ---- Ctrl-C ----------------------------------------------------------------------------------------------------------

PROGRAM = "import sys; from microgpt.__main__ import main; sys.exit(main())"


@posix
def test_ctrl_c_while_it_starts(folder):
    """At any moment after microgpt's first line: one sentence, exit code 130, never a traceback."""
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from microgpt.common import interrupts\n"
        "interrupts.end_at_once()\n"
        "calls = 0\n"
        "def trace(*_):\n"
        "    global calls\n"
        "    calls += 1\n"
        "    if calls == int(os.environ['CALL']):\n"
        "        sys.setprofile(None)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.setprofile(trace)\n"
        "from microgpt.__main__ import main\n"
        "sys.argv[1:] = ['sample', '--help']\n"
        "code = main()\n"
        "sys.setprofile(None); print(calls); sys.exit(code)"
    )
    command = [sys.executable, "-c", code]
    total = int(subprocess.run(command, capture_output=True, encoding="utf-8", env=environment(CALL="-1")).stdout.split()[-1])
    assert total > 10_000
    for call in range(1, total * 3 // 4, total // 12):  # before it prints anything
        done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment(CALL=str(call)))
        assert (done.returncode, done.stderr, done.stdout) == (130, "microgpt: interrupted\n", ""), call


def test_a_ctrl_c_whose_exception_got_lost(monkeypatch, capsys):
    """Raised in a destructor, KeyboardInterrupt is dropped; the command ends as interrupted all the same."""
    from microgpt import cli
    from microgpt.cli.commands import info

    def swallow(arguments):
        try:
            interrupts._raise(2, None)
        except KeyboardInterrupt:
            pass

    monkeypatch.setattr(info, "run", swallow)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr().err == "microgpt: interrupted\n"
    monkeypatch.setattr(info, "run", lambda arguments: None)
    assert cli.main(["info"]) == 0


@pytest.fixture
def ctrl_c():
    """Ctrl-C as a notebook has it, whatever this process was started with."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("at", ["a step", "an evaluation", "a callback"])
def test_an_interrupted_run_goes_on(engine, ctrl_c, monkeypatch, folder, at):
    """Wherever the signal comes in, the run is whole: it goes on, or is saved and resumed, as one that was never stopped."""
    evaluation = EvalConfig(0.3, 7)
    whole = microgpt.train(DOCS, CONFIG, TRAINING, engine=engine, evaluation=evaluation)

    def once_in(place, name, when):
        real, calls = getattr(place, name), []

        def interrupted(*arguments):
            calls.append(1)
            if len(calls) == when:
                ctrl_c()
            return real(*arguments)

        monkeypatch.setattr(place, name, interrupted)

    run = start(DOCS, CONFIG, TRAINING, engine=engine, evaluation=evaluation)
    callback = None
    if at == "a step":
        once_in(run.model.engine, "train", 3)
    elif at == "an evaluation":
        once_in(run.model, "token_loss", 4)
    else:
        callback = lambda step: ctrl_c() if step.step == 9 else None  # noqa: E731
    with pytest.raises(microgpt.Interrupted, match=r"interrupted after step \d+ of 40; get the run back") as caught:
        run.train(callback)
    assert caught.value.run is run and isinstance(caught.value, KeyboardInterrupt) and not run.finished
    run.save("run")
    resumed = start(DOCS, resume="run")
    for again in (run, resumed):
        again.train()
        assert again.losses == whole.losses and again.val_losses == whole.val_losses
        assert bytes(again.model.params) == bytes(whole.model.params) and again.generate(3) == resumed_samples(whole)


def resumed_samples(run):
    state = run.rng.getstate()
    samples = run.generate(3)
    run.rng.setstate(state)
    return samples


@pytest.mark.parametrize("patience", [None, 3])
def test_a_second_ctrl_c_between_two_steps_leaves_the_run_whole(engine, ctrl_c, folder, monkeypatch, patience):
    """While the held-out loss is measured, which may take minutes: it is measured by whoever goes on."""
    evaluation = EvalConfig(0.3, 7, patience)
    whole = microgpt.train(DOCS, CONFIG, TRAINING, engine=engine, evaluation=evaluation)
    run = start(DOCS, CONFIG, TRAINING, engine=engine, evaluation=evaluation)
    real = run.model.token_loss

    def twice(tokens):
        if len(run.losses) == 14:
            monkeypatch.undo()
            ctrl_c()
            time.sleep(interrupts.IMPATIENT)
            ctrl_c()
        return real(tokens)

    monkeypatch.setattr(run.model, "token_loss", twice)
    with pytest.raises(microgpt.Interrupted, match="after step 14 of 40"):
        run.train()
    run.save("run")
    for again in (run, start(DOCS, resume="run")):
        again.train()
        assert again.losses == whole.losses and again.val_losses == whole.val_losses
        assert bytes(again.model.params) == bytes(whole.model.params)


@posix
def test_a_second_ctrl_c_between_two_steps_saves_the_run(folder):
    succeed("train", "docs.txt", "--steps", 40, *SMALL, "--val-fraction", 0.3, "--eval-every", 7, "--out", "whole", "--log", "whole.csv")
    code = (
        "import os, signal, time; from microgpt.training import Run; real = Run._evaluate\n"
        "def twice(run, ended):\n"
        "    if len(run.losses) == 14:\n"
        "        os.kill(os.getpid(), signal.SIGINT); time.sleep(0.3); os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(run, ended)\n"
        "Run._evaluate = twice"
    )
    options = ["docs.txt", "--steps", 40, *SMALL, "--val-fraction", 0.3, "--eval-every", 7, "--log", "log.csv"]
    done = subprocess.run(driver(code, "train", *options, "--out", "run"), capture_output=True, encoding="utf-8", env=environment())
    assert done.returncode == 130 and done.stderr.startswith("microgpt: interrupted after step 14 of 40; go on with: "), done.stderr
    succeed("train", *options, "--resume", "run")
    assert (folder / "run").read_bytes() == (folder / "whole").read_bytes()
    assert (folder / "log.csv").read_bytes() == (folder / "whole.csv").read_bytes()


def test_a_callback_s_own_keyboard_interrupt_leaves_the_run_whole():
    def callback(step):
        if step.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(microgpt.Interrupted, match="after step 5 of 40") as caught:
        microgpt.train(DOCS, CONFIG, TRAINING, callback=callback)
    caught.value.run.train()
    assert caught.value.run.finished


@pytest.mark.parametrize("engine", ["graph", "python"])
def test_a_ctrl_c_while_weights_are_handed_over_is_one_in_a_step(folder, ctrl_c, engine, monkeypatch):
    run = start(DOCS, CONFIG, TRAINING, engine=engine)

    def store():
        monkeypatch.undo()
        ctrl_c()
        time.sleep(interrupts.IMPATIENT)
        ctrl_c()

    monkeypatch.setattr(run.model.engine, "_store", store)
    with pytest.raises(KeyboardInterrupt) as caught:
        run.train()
    assert not isinstance(caught.value, microgpt.Interrupted)
    with pytest.raises(RuntimeError, match="this run was ended in the middle of step 1"):
        run.save("run")


@posix
def test_ctrl_c_while_samples_are_printed_says_what_there_is(folder):
    code = "import os, signal; from microgpt.training import Run; Run.generate = lambda *_: os.kill(os.getpid(), signal.SIGINT)"
    for more, left in ([], "the model was not saved, for which there is --out FILE\n"), (["--out", "run"], "go on with: microgpt train "):
        done = subprocess.run(driver(code, "train", "docs.txt", "--steps", 300, *SMALL, *more), capture_output=True, encoding="utf-8")
        assert done.returncode == 130 and done.stderr.startswith(f"microgpt: interrupted after step 300 of 300; {left}"), done.stderr


def test_train_hands_the_run_over(ctrl_c):
    with pytest.raises(KeyboardInterrupt) as caught:
        microgpt.train(DOCS, CONFIG, TRAINING, callback=lambda step: step.step == 5 and ctrl_c())
    run = caught.value.run
    assert len(run.losses) == 5 and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    run.train()
    assert run.finished


def test_a_ctrl_c_beside_a_callback_that_ends_the_run_is_heard(ctrl_c):
    with pytest.raises(microgpt.Interrupted, match="after step 5 of 40"):
        microgpt.train(DOCS, CONFIG, TRAINING, callback=lambda step: step.step == 5 and (ctrl_c() or True))


def test_somebody_s_own_handler_is_left_alone(ctrl_c):
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    run = microgpt.train(DOCS, CONFIG, TRAINING, callback=lambda step: step.step == 5 and ctrl_c())
    signal.signal(signal.SIGINT, before)
    assert heard == [1] and run.finished


@pytest.mark.parametrize("engine", ["graph", "python"])
def test_a_run_torn_in_the_middle_of_a_step_is_not_saved(ctrl_c, folder, engine, monkeypatch):
    run = start(DOCS, CONFIG, TRAINING, engine=engine)
    run.train(callback=lambda step: step.step == 3)
    run.save("run")
    real = run.model.engine.ops.update

    def update(*arguments):
        real(*arguments)
        ctrl_c()
        time.sleep(interrupts.IMPATIENT)
        ctrl_c()

    monkeypatch.setattr(run.model.engine.ops, "update", update)
    with pytest.raises(KeyboardInterrupt) as caught:
        run.train()
    assert not isinstance(caught.value, microgpt.Interrupted)
    for use in (run.train, lambda: run.save("run")):
        with pytest.raises(RuntimeError, match="this run was ended in the middle of step 4, .*; go on from a file"):
            use()
    assert steps_in("run") == 3


# ---- Hints -----------------------------------------------------------------------------------------------------------


def test_a_model_that_was_not_saved(folder):
    """At the end, on standard error, as after Ctrl-C (see test_ctrl_c in test_cli.py)."""
    hint = "microgpt: the model was not saved, for which there is --out FILE\n"
    for more, expected in ([], hint), (["--out", "run"], ""), (["--samples", 0], hint), (["--log", "log.csv"], hint):
        done = subprocess.run(driver("", "train", "docs.txt", "--steps", 300, *SMALL, *more), capture_output=True, encoding="utf-8")
        assert (done.returncode, done.stderr) == (0, expected)


# ---- More steps ------------------------------------------------------------------------------------------------------


def test_more_steps_for_a_finished_run(folder, engine):
    """Steps done stay; each one left has the learning rate of a run of so many steps: Adam by hand says the same."""
    from microgpt import reference

    first = microgpt.train(DOCS, CONFIG, TrainConfig(num_steps=12), engine=engine)
    first.save("run")
    more = microgpt.train(DOCS, training=TrainConfig(num_steps=20), resume="run")
    assert more.losses[:12] == first.losses and len(more.losses) == 20 and more.model.engine.name == engine
    assert more.extended == [(12, TrainConfig(num_steps=12))]
    rates = [TrainConfig(num_steps=12).lr(step) for step in range(12)] + [TrainConfig(num_steps=20).lr(step) for step in range(12, 20)]
    assert [more.lr(step) for step in range(20)] == rates and rates[12] > rates[11] > 0

    by_hand = start(DOCS, CONFIG, TrainConfig(num_steps=20), engine="python")
    weights = by_hand.model.to_values(reference.Value)
    values = [value for matrix in weights.values() for row in matrix for value in row]
    training = TrainConfig()
    adam = reference.Adam(values, training.learning_rate, training.beta1, training.beta2, training.eps)
    losses = []
    for step, rate in enumerate(rates):
        loss = reference.batch_loss([by_hand.corpus[step % len(DOCS)]], weights, CONFIG)
        loss.backward()
        adam.step(rate)
        losses.append(loss.data)
    if engine != "fast":
        assert losses == more.losses and [value.data for value in values] == list(more.model.params)

    # stopped and extended again, it is the same run
    more.save("run")
    microgpt.train(DOCS, training=TrainConfig(num_steps=25), resume="run", callback=lambda step: step.step == 22).save("run")
    last = microgpt.train(DOCS, resume="run")
    at_once = microgpt.train(DOCS, training=TrainConfig(num_steps=25), resume=saved_again(more))
    assert last.losses == at_once.losses and bytes(last.model.params) == bytes(at_once.model.params)
    assert last.extended == at_once.extended == [(12, TrainConfig(num_steps=12)), (20, TrainConfig(num_steps=20))]


def saved_again(run):
    run.save("again")
    return "again"


def test_more_steps_on_the_command_line(folder):
    succeed("train", "docs.txt", "--steps", 12, *SMALL, "--out", "run", "--log", "log.csv", "--val-fraction", 0.2, "--eval-every", 5)
    printed = succeed("train", "docs.txt", "--resume", "run", "--steps", 20, "--log", "log.csv")
    assert [line[:16] for line in printed.splitlines() if line.startswith("step")] == [f"step {i:4} /   20" for i in range(13, 21)]
    rows = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()[1:]]
    assert [float(row[3]) for row in rows] == [TrainConfig(num_steps=12).lr(i) for i in range(12)] + [
        TrainConfig(num_steps=20).lr(i) for i in range(12, 20)
    ]
    assert [int(row[0]) for row in rows if row[4]] == [5, 10, 12, 15, 20]
    assert fail("train", "docs.txt", "--resume", "run", "--steps", 19) == (
        "'run' has done 20 steps; --steps must be at least 20, not 19"
    )
    assert steps_in("run") == 20
    succeed("train", "docs.txt", "--steps", 30, *SMALL, "--out", "run", "--val-fraction", 0.2, "--eval-every", 5, "--patience", 90)
    assert "ended with the weights of its best held-out loss" in fail("train", "docs.txt", "--resume", "run", "--steps", 40)


def test_another_number_of_steps_twice_with_no_step_between(folder):
    microgpt.train(DOCS, CONFIG, TrainConfig(num_steps=12)).save("run")
    for num_steps in (20, 30, 12, 25):
        start(DOCS, training=TrainConfig(num_steps=num_steps), resume="run").save("run")
    run = start(DOCS, resume="run")
    assert run.extended == [(12, TrainConfig(num_steps=12))] and run.training.num_steps == 25


def test_fewer_steps_for_a_run_that_is_not_finished(folder):
    microgpt.train(DOCS, CONFIG, TrainConfig(num_steps=12), callback=lambda step: step.step == 4).save("run")
    run = microgpt.train(DOCS, training=TrainConfig(num_steps=6), resume="run")
    assert run.finished and len(run.losses) == 6 and run.lr(5) == TrainConfig(num_steps=6).lr(5)
    start(DOCS, CONFIG, TrainConfig(num_steps=12)).save("run")
    assert start(DOCS, training=TrainConfig(num_steps=6), resume="run").extended == []  # it had not begun


def test_a_run_with_patience_that_is_made_to_end_where_it_is_has_its_best_weights(folder):
    evaluation, training = EvalConfig(0.3, 5, patience=50), TrainConfig(num_steps=60)
    run = start(DOCS, CONFIG, training, evaluation=evaluation)
    run.train(callback=lambda step: step.step == 40)
    run.save("run")
    run = start(DOCS, training=TrainConfig(num_steps=40), resume="run")
    assert run.best[0] < 40 and run.evaluate() > run.best[1]
    run.train()
    assert run.finished and run.evaluate() == run.best[1]


# ---- A measurement that takes long -----------------------------------------------------------------------------------


@posix
def test_a_signal_does_not_wait_for_a_measurement(folder):
    """It is put off: the file has the step, and the run that goes on measures first, so that log and file are as if nothing was."""
    code = (
        "import os, signal, time; from microgpt.model import GPT; real, calls = GPT.token_loss, []\n"
        "def slow(self, tokens):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 6: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    assert len(calls) < 7, 'measured on'\n"
        "    return real(self, tokens)\n"
        "GPT.token_loss = slow"
    )
    options = ["--steps", 40, *SMALL, "--val-fraction", 0.4, "--eval-every", 10, "--samples", 1]
    succeed("train", "docs.txt", *options, "--out", "whole", "--log", "whole.csv")
    done = subprocess.run(
        driver(code, "train", "docs.txt", *options, "--out", "run", "--log", "run.csv"), capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 143 and done.stderr.startswith("microgpt: terminated after step 20 of 40; go on with: "), done.stderr
    succeed("train", "docs.txt", "--resume", "run", "--log", "run.csv", "--samples", 1)
    assert (folder / "run").read_bytes() == (folder / "whole").read_bytes()
    assert (folder / "run.csv").read_bytes() == (folder / "whole.csv").read_bytes()


def test_the_list_of_names_is_not_replaced(folder):
    text = "\n".join(DOCS)
    (folder / "names.txt").write_text(text, encoding="utf-8")
    done = microgpt_command("train", "names", "--out", "names.txt", "--force", env=environment(MICROGPT_NAMES="names.txt"))
    assert done.returncode == 2 and "is the training data, which would be lost" in done.stderr
    assert (folder / "names.txt").read_text(encoding="utf-8") == text
