"""The progress of training. `microgpt train` prints a line for each step to a pipe, and shows a live line on a terminal, which
train(progress=True) shows too, on standard error or in a notebook."""

import re
import subprocess
import sys

import pytest
from command_line import NAMES, TINY, driver, environment, microgpt_command, on_terminal, posix, printed, without_comment

import microgpt
from microgpt import GPTConfig, TrainConfig, live
from microgpt.cli import progress


class Counting:
    """A stream that counts flushes."""

    def __init__(self):
        self.text, self.flushes = "", 0

    def write(self, text):
        self.text += text

    def flush(self):
        self.flushes += 1


class Steps:
    """A run for the displays, with losses that the test determines."""

    def __init__(self, num_steps):
        self.training, self.losses, self.val_losses = TrainConfig(num_steps=num_steps), [], []


def test_steps_are_written_as_they_happen_but_not_one_by_one():
    run, out = Steps(1000), Counting()
    with progress.Lines(run, out) as lines:
        run.losses.append(3.0)
        lines.update()
        assert out.text == "step    1 / 1000 | loss 3.0000\n" and out.flushes == 1
        run.losses.extend([2.0] * 500)
        lines.update()
        assert out.text.count("\n") == 501 and out.flushes == 2
        run.losses.append(1.25)  # a step before the interruption
    assert out.text.endswith("step  501 / 1000 | loss 2.0000\nstep  502 / 1000 | loss 1.2500\n")


# ---- On a terminal ----------------------------------------------------------------------------------------------

EAGER = """
from microgpt import live
live.BEGIN_SECONDS = live.REMAINING_SECONDS = live.REFRESH_SECONDS = 0
"""


FINAL = r"step {0}/{0} \| loss \d+\.\d{{4}} \| smoothed \d+\.\d{{4}} \| [\d.,]+k? steps/s \| [\d.]+ s"


def frames(shown):
    """The states of the live line: the texts between carriage returns, without escape sequences."""
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown)
    return [frame for frame in re.split(r"[\r\n]", text) if frame.startswith("step ")]


@posix
def test_a_live_line(data):
    code, shown, err = on_terminal(driver(EAGER, "train", data, "--steps", 16, "--samples", 2, *TINY))
    assert (code, without_comment(err)) == (0, "")
    assert shown.startswith("num docs: 6\nvocab size: 12\nnum params: 320\n")
    assert " / " not in shown  # none of the reference's step lines
    *live, last = frames(shown)
    assert len(live) > 3
    for frame in live:
        assert re.fullmatch(r"step +\d+/16 \| loss .* \| smoothed .* \| .* steps/s \| [\d.,]+k? tokens/s \| .* left", frame)
    assert re.fullmatch(FINAL.format(16), last)
    assert "\x1b[1A\x1b[2K" in shown[shown.rindex(" left") :]  # the live line is erased before the final one
    after = shown[shown.rindex("step 16/16") :].split("\n")
    assert re.fullmatch(r"loss \d\.\d{4}, the mean of the last 16 steps .*; guessing at random has ln\(12\) = 2.4849", after[1])
    assert after[2:4] == ["", "--- inference (new, hallucinated names) ---"]
    assert after[4].startswith("sample  1: ") and after[5].startswith("sample  2: ")
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is visible again


def test_samples_on_the_way(data):
    """Samples during training do not change the run, and each is drawn from the weights of its step."""
    options = ["train", data, "--steps", 32, "--samples", 3, *TINY]
    lines = microgpt_command(*options, "--sample-every", 15).stdout.splitlines()
    samples = [line for line in lines if line.startswith("sample at step ")]
    assert "\n".join(line for line in lines if line not in samples) + "\n" == microgpt_command(*options).stdout
    assert [line.split(":")[0] for line in samples] == ["sample at step 15", "sample at step 30"]
    assert lines[lines.index(samples[1]) - 1].startswith("step   30 /")
    config = GPTConfig(n_embd=4, n_head=2, block_size=8)
    run = microgpt.train(NAMES, config, TrainConfig(num_steps=32), callback=lambda step: step.step == 15)
    assert samples[0] == f"sample at step 15: {run.model.generate(1, seed=15)[0]}"


@posix
def test_samples_on_a_terminal(data):
    code, shown, err = on_terminal(driver(EAGER, "train", data, "--steps", 40, "--samples", 0, "--sample-every", 20, *TINY))
    assert (code, without_comment(err)) == (0, "")
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown)
    assert [re.search(rf"[\r\n]sample at step {step}: \w", text) is not None for step in (20, 40)] == [True, True]


@posix
def test_the_held_out_loss_on_a_terminal(data):
    options = ["--steps", 40, "--samples", 0, "--val-fraction", 0.2, "--eval-every", 15, *TINY]
    code, shown, err = on_terminal(driver(EAGER, "train", data, *options))
    assert (code, without_comment(err)) == (0, "")
    *live, last = frames(shown)
    for frame in live:
        step = int(re.match(r"step +(\d+)/40 ", frame)[1])
        assert (" | held-out " in frame) == (step >= 15), frame
    held_out = re.fullmatch(r"step 40/40 \| .* \| held-out (\d\.\d{4}) \| .* steps/s \| .* s", last)[1]
    assert f"\nheld-out loss {held_out} per token after step 40, on 1 document not trained on" in shown


@posix
@pytest.mark.parametrize("columns", [30, 40, 60])
def test_a_narrow_terminal(data, columns):
    code, shown, err = on_terminal(driver(EAGER, "train", data, "--steps", 8, "--samples", 2, *TINY), columns=columns)
    assert (code, without_comment(err)) == (0, "")
    live = frames(shown)[:-1]
    assert live and all(len(frame) <= columns and frame.endswith(" left") for frame in live)
    assert all(("steps/s" in frame) == (columns >= 40) for frame in live) or columns == 30
    assert all(("loss" in frame) == (columns == 60) for frame in live) or columns == 40


def test_a_long_run_without_a_terminal_says_how_far_it_is(data):
    """Occasional notes on standard error; standard output stays the reference's."""
    code = "from microgpt import live; live.FIRST_NOTE, live.NEXT_NOTES = 0.0, 1e9"
    done = subprocess.run(
        driver(code, "train", data, "--steps", 6, "--samples", 3, *TINY), capture_output=True, encoding="utf-8", env=environment()
    )
    assert done.stdout == printed(NAMES)
    assert re.fullmatch(r"microgpt: step [1-5]/6 \| smoothed \d\.\d{4} \| \S+ steps/s \| \d+\.\d s left\n", without_comment(done.stderr))
    plain = microgpt_command("train", data, "--steps", 6, "--samples", 3, *TINY)
    assert plain.stderr == ""  # a short run prints no notes


@posix
def test_a_short_run_on_a_terminal_does_not_wait_for_rich(data):
    code = (
        "import atexit; atexit.register(lambda: print('rich' in sys.modules, file=sys.stderr))\n"
        "import itertools, types; from microgpt import live; live.BEGIN_SECONDS = 0; ticks = itertools.count()\n"
        "live.time = types.SimpleNamespace(perf_counter=lambda: next(ticks) / 1000)"  # independent of the load of this machine
    )
    code, shown, err = on_terminal(driver(code, "train", data, "--steps", 40, "--samples", 0, *TINY))
    assert (code, without_comment(err)) == (0, "False\n")
    assert len(frames(shown)) == 1 and re.fullmatch(FINAL.format(40), frames(shown)[0])


@posix
@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"TERM": "dumb", "NO_COLOR": "1"}])
def test_a_dumb_terminal_gets_the_reference_s_lines(data, variables):
    code, shown, err = on_terminal(driver(EAGER, "train", data, "--steps", 6, "--samples", 3, *TINY), **variables)
    assert (code, without_comment(err), shown) == (0, "", printed(NAMES))


@posix
def test_no_color(data):
    code, shown, _ = on_terminal(driver(EAGER, "train", data, "--steps", 8, "--samples", 2, *TINY), NO_COLOR="1")
    assert code == 0 and len(frames(shown)) > 2
    assert not re.search(r"\x1b\[[\d;]*m", shown)


@posix
def test_ctrl_c_on_a_terminal(data):
    command = driver(
        f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{EAGER}",
        "train",
        data,
        "--steps",
        1_000_000,
        *TINY,
    )
    code, shown, err = on_terminal(command, when=r"step +1\d/1000000")
    assert code == 130
    step = re.fullmatch(r"microgpt: interrupted after step (\d+) of 1000000; the model was not saved; .*\n", err)[1]
    assert re.match(rf"step +{step}/1000000 \| .* steps/s \| [\d.]+ s$", frames(shown)[-1])
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_smoothed_loss_rate_and_time():
    run, out = Steps(1000), Counting()
    line = live.LiveLine(run, out)
    run.losses.extend([5.0] * 400 + [1.0] * 50 + [2.0] * 50)
    assert line.figures() == ["step  500/1000", "loss 2.0000", "smoothed 1.5000"]
    rates = [live.pace(seconds, 0, 500, 1000)[0] for seconds in (2.0, 0.01, 1000)]
    assert rates == ["250 steps/s", "50k steps/s", "0.5 steps/s"]
    run.val_losses += [(200, 2.5), (400, 2.25)]
    assert line.figures() == ["step  500/1000", "loss 2.0000", "smoothed 1.5000", "held-out 2.2500"]
    assert [live.clock(seconds) for seconds in (4.24, 185, 3723)] == ["4.2 s", "3:05", "1:02:03"]


# ---- train(progress=True) --------------------------------------------------------------------------------------------

TRAIN = """
import sys, microgpt
from microgpt import GPTConfig, TrainConfig
def report(step):
    if step.step % 8 == 0:
        print("at", step.step)
options = dict(callback=report) if "callback" in sys.argv else {}
microgpt.train(["emma", "bob"], GPTConfig(n_embd=4, n_head=2), TrainConfig(num_steps=16), engine="python", progress=True, **options)
"""


def train_with_progress(*arguments, eager=EAGER):
    return [sys.executable, "-Werror", "-c", eager + TRAIN, *arguments]


@posix
@pytest.mark.parametrize("streams", [("stderr",), ("stdout", "stderr")], ids=str)
def test_progress_on_a_terminal(streams):
    """The line is on standard error; the output of a callback goes to its usual place and does not mix with the line."""
    code, shown, other = on_terminal(train_with_progress("callback"), streams=streams)
    *live_ones, last = [frame for frame in frames(shown) if not frame.startswith("at ")]
    assert code == 0 and len(live_ones) > 3 and re.fullmatch(FINAL.format(16), last)
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown) if "stdout" in streams else other
    assert re.findall(r"^\r?(at \d+)$", text.replace("\r", "\n"), re.MULTILINE) == ["at 8", "at 16"]


def test_progress_without_a_terminal():
    """Nothing for a short training, occasional notes for a long one, all on standard error."""
    for eager, expected in [
        ("", ""),
        ("from microgpt import live; live.FIRST_NOTE, live.NEXT_NOTES = 0.0, 1e9", r"microgpt: step \d+/16 \| .* left\n"),
    ]:
        done = subprocess.run(train_with_progress(eager=eager), capture_output=True, encoding="utf-8", env=environment())
        assert (done.returncode, done.stdout) == (0, "") and re.fullmatch(expected, done.stderr)


def test_without_progress_nothing_is_shown(capfd):
    config, training = GPTConfig(n_embd=4, n_head=2), TrainConfig(num_steps=4)
    for options in ({}, {"progress": False}):
        microgpt.train(NAMES, config, training, **options)
    assert capfd.readouterr() == ("", "")


@posix
def test_a_terminal_that_is_closed_ends_no_training():
    code = (
        f"{EAGER}import os, pty, microgpt, sys; from microgpt import TrainConfig\n"
        "master, slave = pty.openpty(); sys.stderr = os.fdopen(slave, 'w')\n"
        "callback = lambda step: step.step == 5 and os.close(master)\n"
        "run = microgpt.train(['emma'] * 9, microgpt.GPTConfig(n_embd=4), TrainConfig(num_steps=40), callback=callback, progress=True)\n"
        "print(len(run.losses))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=environment())
    assert (done.returncode, done.stdout, done.stderr) == (0, "40\n", "")
