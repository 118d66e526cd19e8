"""Ctrl-C at every stage of a program: one sentence while it starts, a run that can continue while it trains."""

import signal
import subprocess
import sys
import time

import pytest
from command_line import SMALL, driver, environment, microgpt_command, posix, succeed, without_seconds
from command_line import TEN_NAMES as DOCS

import microgpt
from microgpt import EvalConfig, GPTConfig, TrainConfig
from microgpt.common import interrupts
from microgpt.training import start

CONFIG, TRAINING = GPTConfig(n_embd=2, n_head=1, block_size=4), TrainConfig(num_steps=40)  # small, because pure Python trains it too


def steps_in(path):
    return len(start(DOCS, resume=path).losses)


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
    """If KeyboardInterrupt is raised in a destructor, Python drops it; the command still ends as interrupted."""
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
    """Ctrl-C as in a notebook, however this process was started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("at", ["a step", "an evaluation", "a callback"])
def test_an_interrupted_run_goes_on(engine, ctrl_c, monkeypatch, folder, at):
    """Wherever the signal arrives, the run is intact: it continues, or is saved and resumed, like one that was never stopped."""
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
        once_in(run.model.engine, "losses", 2)
    else:
        callback = lambda step: ctrl_c() if step.step == 9 else None
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
def test_a_second_ctrl_c_between_two_steps_leaves_the_run_whole(engine, ctrl_c, folder, patience):
    """During a measurement of the held-out loss, which may take minutes: whoever continues the run repeats it."""
    evaluation = EvalConfig(0.3, 7, patience)
    whole = microgpt.train(DOCS, CONFIG, TRAINING, engine=engine, evaluation=evaluation)
    run = start(DOCS, CONFIG, TRAINING, engine=engine, evaluation=evaluation)
    real, patch = run.model.engine.losses, pytest.MonkeyPatch()  # a separate one, because that of `folder` must stay

    def twice(corpus, which):
        if len(run.losses) == 14:
            patch.undo()
            ctrl_c()
            time.sleep(interrupts.IMPATIENT)
            ctrl_c()
        return real(corpus, which)

    patch.setattr(run.model.engine, "losses", twice)
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
    assert done.returncode == 130 and done.stderr.startswith("microgpt: interrupted after step 14 of 40; resume with: "), done.stderr
    succeed("train", *options, "--resume", "run")
    assert (folder / "run").read_bytes() == (folder / "whole").read_bytes()
    assert without_seconds(folder / "log.csv") == without_seconds(folder / "whole.csv")


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
    code = "import os, signal; from microgpt.training import Run; Run.generate = lambda *_, **options: os.kill(os.getpid(), signal.SIGINT)"
    for more, left in ([], "the model was not saved; to save it, give --out FILE\n"), (["--out", "run"], "resume with: microgpt train "):
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
        with pytest.raises(RuntimeError, match="this run was ended in the middle of step 4, .*; resume from a file"):
            use()
    assert steps_in("run") == 3


# ---- Long measurements -----------------------------------------------------------------------------------


@posix
def test_a_signal_does_not_wait_for_a_measurement(folder):
    """A measurement is postponed: the file has the step, and a resumed run measures first, so log and file are as without a signal."""
    code = (
        "import os, signal, time; from microgpt.engines.exact import ExactEngine; real, calls = ExactEngine.losses, []\n"
        "def slow(self, corpus, which):\n"
        "    assert len(calls) < 2, 'measured on'\n"
        "    calls.extend([1] * (which.start == 0))\n"
        "    if len(calls) == 2: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return real(self, corpus, which)\n"
        "ExactEngine.losses = slow"
    )
    options = ["--steps", 40, *SMALL, "--val-fraction", 0.4, "--eval-every", 10, "--samples", 1]
    succeed("train", "docs.txt", *options, "--out", "whole", "--log", "whole.csv")
    done = subprocess.run(
        driver(code, "train", "docs.txt", *options, "--out", "run", "--log", "run.csv"), capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 143 and done.stderr.startswith("microgpt: terminated after step 20 of 40; resume with: "), done.stderr
    succeed("train", "docs.txt", "--resume", "run", "--log", "run.csv", "--samples", 1)
    assert (folder / "run").read_bytes() == (folder / "whole").read_bytes()
    assert without_seconds(folder / "run.csv") == without_seconds(folder / "whole.csv")


def test_the_list_of_names_is_not_replaced(folder):
    text = "\n".join(DOCS)
    (folder / "names.txt").write_text(text, encoding="utf-8")
    done = microgpt_command("train", "names", "--out", "names.txt", "--force", env=environment(MICROGPT_NAMES="names.txt"))
    assert done.returncode == 2 and "is the training data, which would be lost" in done.stderr
    assert (folder / "names.txt").read_text(encoding="utf-8") == text


CELLS = [
    """
import signal, sys, microgpt
from microgpt import GPTConfig, TrainConfig
again = []
def callback(step):
    if step.step == 3 and not again:
        signal.raise_signal(signal.SIGINT)
run = microgpt.train(["emma", "bob"], GPTConfig(n_embd=4), TrainConfig(num_steps=9), callback=callback)
""",
    "run = sys.last_value.run; again.append(1); run.train(); print('done', len(run.losses))",
]


def test_a_notebook_s_interrupt_keeps_the_run():
    """A cell is interrupted, and the next one continues as the message says."""
    pytest.importorskip("IPython", reason="IPython is not installed")
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell; "
        "shell = InteractiveShell.instance(colors='NoColor'); [shell.run_cell(cell) for cell in sys.argv[1:]]"
    )
    done = subprocess.run([sys.executable, "-c", code, *CELLS], capture_output=True, text=True)
    assert "interrupted after step 3 of 9" in done.stdout and done.stdout.endswith("done 9\n")
