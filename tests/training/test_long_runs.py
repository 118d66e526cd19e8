"""`microgpt train` with files: saving, stopping, killing, resuming, saved weights, logs and held-out documents."""

import csv
import json
import math
import operator
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest
from command_line import SMALL, driver, fail, microgpt_command, posix, succeed, without_comment, without_seconds
from command_line import TEN_NAMES as DOCS

import microgpt
from microgpt import EvalConfig, GPTConfig, TrainConfig
from microgpt.cli.commands import train as train_command
from microgpt.common import interrupts
from microgpt.display import history


def steps_of(text):
    return [line for line in text.splitlines() if line.startswith("step ")]


def samples_of(text):
    return text[text.index("--- inference") :]


# ---- Saving and resuming ---------------------------------------------------------------------------------------------


def test_train_then_sample(folder):
    printed = succeed("train", "docs.txt", "--steps", 50, "--out", "m.safetensors", *SMALL)
    assert printed == succeed("train", "docs.txt", "--steps", 50, *SMALL)  # saving changes nothing
    run = microgpt.train(DOCS, GPTConfig(n_embd=8, n_head=2), TrainConfig(num_steps=50))
    model = microgpt.load("m.safetensors")
    assert bytes(model.params) == bytes(run.model.params)
    expected = run.model.generate(5, temperature=0.8, prompt="a", seed=3, top_k=4)
    options = ["--temperature", 0.8, "--prompt", "a", "--seed", 3, "--top-k", 4]
    assert succeed("sample", "m.safetensors", "-n", 5, *options).splitlines() == expected
    assert samples_of(succeed("train", "docs.txt", "--resume", "m.safetensors")) == samples_of(printed)


@pytest.mark.parametrize("preset", ["current", "first"])
def test_a_resumed_run_prints_the_rest(folder, preset):
    options = ["train", "docs.txt", "--preset", preset, "--steps", 30, "--val-fraction", 0.2, "--eval-every", 7, *SMALL]
    whole = succeed(*options, "--log", "whole.csv")
    run = microgpt.training.start(
        DOCS, microgpt.GPTConfig(**{**vars(microgpt.PRESETS[preset].config), "n_embd": 8, "n_head": 2}),
        microgpt.TrainConfig(**{**vars(microgpt.PRESETS[preset].training), "num_steps": 30}), evaluation=EvalConfig(0.2, 7),
        engine="graph",
    )  # fmt: skip
    run.train(callback=lambda step: step.step == 11)
    run.save("run")
    rest = succeed("train", "docs.txt", "--resume", "run", "--log", "rest.csv")
    assert steps_of(rest) == steps_of(whole)[11:]
    assert samples_of(rest) == samples_of(whole)
    assert without_seconds(folder / "rest.csv") == without_seconds(folder / "whole.csv")
    assert samples_of(succeed(*options, "--resume", "run")) == samples_of(whole)  # giving the same options again is allowed


def test_changed_options_are_refused(folder):
    microgpt.train(DOCS, GPTConfig(n_embd=8), TrainConfig(num_steps=9), callback=lambda step: step.step == 3).save("run")
    resume = "train", "docs.txt", "--resume", "run"
    assert fail(*resume, "--n-embd", 16) == ("'run' was started with --n-embd 8, not 16; omit --n-embd, or start a new run")
    assert "'run' has done 3 steps; --steps must be at least 3, not 2" in fail(*resume, "--steps", 2)
    assert "was started with --learning-rate 0.01, not 0.1" in fail(*resume, "--learning-rate", 0.1)
    assert "was started with seed 42, not 7" in fail(*resume, "--seed", 7)
    assert "was started with --long-docs truncate, not split" in fail(*resume, "--long-docs", "split")
    assert "was started with --val-fraction 0.0, not 0.1" in fail(*resume, "--val-fraction", 0.1)
    for option in ("--resume", "--init"):
        assert fail("train", "docs.txt", option, "run", "--preset", "first") == (
            "'run' has --n-embd 8, and --preset first has 16; omit --preset, or start a new run"
        )
    assert "'run' has --steps 9, and --preset current has 1000;" in fail(*resume, "--preset", "current", "--n-embd", 8)
    (folder / "docs.txt").write_text("\n".join(DOCS[1:]), encoding="utf-8")
    assert "the data are not those that 'run' was trained on: 9 documents to train on, not 10" in fail(*resume)


def test_the_preset_may_be_given_again(folder):
    options = ["docs.txt", "--preset", "first", "--steps", 12, "--n-embd", 8, "--val-fraction", 0.2, "--out", "run"]
    printed = succeed("train", *options)
    again = succeed("train", "docs.txt", "--preset", "first", "--steps", 12, "--n-embd", 8, "--resume", "run")
    assert samples_of(again) == samples_of(printed)


def test_fine_tuning(folder):
    succeed("train", "docs.txt", "--steps", 40, "--out", "base", *SMALL)
    (folder / "more.txt").write_text("mimi\nlila\nsoso", encoding="utf-8")
    printed = succeed("train", "more.txt", "--init", "base", "--out", "tuned")
    assert "step 1000 / 1000 |" in printed  # the training settings are not those of the base model
    expected = microgpt.train(["mimi", "lila", "soso"], init="base").model.params
    assert bytes(microgpt.load("tuned").params) == bytes(expected)
    (folder / "more.txt").write_text("zoë", encoding="utf-8")
    assert "the character 'z' (U+007A) is not in the model's vocabulary; it knows 'abegh" in fail("train", "more.txt", "--init", "base")
    assert "the model to start from has --n-embd 8, not 16" in fail("train", "docs.txt", "--init", "base", "--n-embd", 16)


# ---- Stopping and killing --------------------------------------------------------------------------------------------


def open_training(*options, code=""):
    """A training that handles signals even if this process ignores them, and whose lines for steps can be read."""
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{code}"
    return subprocess.Popen(
        driver(code, "train", "docs.txt", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def wait_for_steps(child):
    for line in child.stdout:
        if line.startswith("step "):
            return


@posix
@pytest.mark.parametrize("number, code, ended", [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")])
def test_a_signal_saves_the_run_and_says_how_to_go_on(folder, number, code, ended):
    options = ["--steps", 30_000, "--engine", "graph", "--schedule", "constant", *SMALL]
    with open_training(*options, "--out", "the run") as child:
        wait_for_steps(child)
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    assert child.returncode == code
    found = re.fullmatch(
        rf"microgpt: {ended} after step (\d+) of 30000; resume with: (microgpt train docs.txt .* --resume 'the run')\n",
        err,
    )
    assert found, err
    done = int(found[1])
    assert "inference" not in out
    run = microgpt.training.start(DOCS, resume="the run")
    assert len(run.losses) == done
    assert shlex.split(found[2])[1:] == ["train", "docs.txt", *map(str, options), "--resume", "the run"]
    expected = microgpt.train(DOCS, run.model.config, run.training, callback=lambda step: step.step == done)
    assert bytes(run.model.params) == bytes(expected.model.params) and run.losses == expected.losses


A_B = "'a b.txt'" if os.name == "posix" else '"a b.txt"'


@pytest.mark.parametrize(
    "given, command",
    [
        (["names", "--out", "run"], "microgpt train names --resume run"),
        (["--out=run", "--seed", "3"], "microgpt train --seed 3 --resume run"),
        (["--resume", "run", "a b.txt"], f"microgpt train {A_B} --resume run"),
        (["--init", "base", "--out", "-run"], "microgpt train --resume=-run"),
        (["--out", "run", "--", "-docs.txt"], f"microgpt train {os.path.join('.', '-docs.txt')} --resume run"),
        (["--out", "run", "--", "--out"], f"microgpt train {os.path.join('.', '--out')} --resume run"),
        (["--out", "run", "--", "names"], "microgpt train names --resume run"),
        (["--out", "run", "--", "-"], "microgpt train - --resume run"),
    ],
)
def test_the_command_to_go_on(given, command):
    assert train_command._command_to_go_on(["train", *given], shlex.split(command)[-1].removeprefix("--resume=")) == command


def test_the_command_to_go_on_is_quoted_as_windows_does(monkeypatch):
    given = ["train", "a b.txt", "--out", r"runs\a"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        command = train_command._command_to_go_on(given, given[-1])
    assert command == r'microgpt train "a b.txt" --resume runs\a'


@posix
@pytest.mark.parametrize("data, again", [("-docs.txt", ""), ("-", ", giving the same text on standard input,")])
def test_going_on_with_data_of_other_kinds(folder, data, again):
    (folder / "docs.txt").rename("-docs.txt")
    code = (
        "import os, signal; from microgpt.display import history\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "once = [signal.SIGINT]\n"
        "history.Log.update = lambda log: os.kill(os.getpid(), once.pop()) if once and log.run.losses else None"
    )
    options = ["--steps", 40, *SMALL, "--out", "run", "--log", "log.csv"]
    with open("-docs.txt") as text:
        stopped = subprocess.run(driver(code, "train", *options, "--", data), stdin=text, capture_output=True, encoding="utf-8")
    found = re.fullmatch(r"microgpt: interrupted after step 1 of 40; resume(.*) with: microgpt (.*)\n", stopped.stderr)
    assert stopped.returncode == 130 and found and found[1] == again, stopped.stderr
    with open("-docs.txt") as text:
        done = microgpt_command(*shlex.split(found[2]), stdin=text)
    assert (done.returncode, done.stderr) == (0, "")
    assert steps_of(done.stdout)[-1].startswith("step   40 /")


def test_what_is_left_after_a_divergence(folder):
    options = ["--steps", 60, *SMALL, "--learning-rate", 10, "--warmup-steps", 59, "--out", "run"]
    every = ["--checkpoint-every", 2]
    message = fail("train", "docs.txt", *options)
    diverged = int(re.match(r"training diverged at step (\d+) of 60: ", message)[1])
    assert message.endswith("; try 0.01") and not os.path.exists("run") and diverged > 3
    kept = (diverged - 1) // 2 * 2
    left = f"; 'run' has the weights after step {kept}; start from it with --init"
    assert fail("train", "docs.txt", *options, *every) == message + left
    assert fail("train", "docs.txt", "--resume", "run") == message + left
    assert len(microgpt.training.start(DOCS, resume="run").losses) == kept
    succeed("train", "docs.txt", "--init", "run", "--steps", 1, "--learning-rate", 0, "--samples", 0)


@posix
def test_a_second_signal_does_not_wait():
    """For a step that takes minutes: the first signal is recorded, the second interrupts at once, and then the handlers are restored."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        with interrupts.Noted(interrupts.STOPPING, []) as stopped:
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):  # as when a terminal is closed: none counts as a second Ctrl-C
                signal.raise_signal(number)
            assert stopped == [signal.SIGTERM, signal.SIGTERM, signal.SIGINT]
            time.sleep(interrupts.IMPATIENT)
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
    assert stopped[3:] == [signal.SIGTERM, signal.SIGINT]  # the last one determines the exit code
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@posix
def test_a_signal_without_out(folder):
    with open_training("--steps", 1_000_000, "--engine", "graph", *SMALL) as child:
        wait_for_steps(child)
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 143 and re.fullmatch(rf"microgpt: terminated after step \d+ of 1000000; {train_command.NOT_SAVED}\n", err)
    assert os.listdir(folder) == ["docs.txt"]


@posix
def test_killed_while_saving(folder):
    """SIGKILL just before the new file is renamed, and while it is written: the old file exists and is complete."""
    microgpt.train(DOCS, GPTConfig(n_embd=8), TrainConfig(num_steps=200), callback=lambda step: step.step == 5).save("run")
    before = (folder / "run").read_bytes()
    for name in ("replace", "fsync", "chmod"):
        code = f"import os, signal\nos.{name} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
        with open_training("--resume", "run", "--checkpoint-every", 10, code=code) as child:
            child.communicate(timeout=60)
        assert child.returncode == -signal.SIGKILL
        assert (folder / "run").read_bytes() == before
        assert len(microgpt.training.start(DOCS, resume="run").losses) == 5


@posix
def test_a_checkpoint_that_fails_does_not_end_the_training(folder):
    code = (
        "import os, errno\nreplace, calls = os.replace, []\n"
        "def once(*paths):\n"
        "    calls.append(paths)\n"
        "    if len(calls) == 2: raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "    replace(*paths)\n"
        "os.replace = once"
    )
    done = subprocess.run(
        driver(code, "train", "docs.txt", "--steps", 30, *SMALL, "--checkpoint-every", 10, "--out", "run"),
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0
    assert without_comment(done.stderr) == (
        "microgpt: 'run' cannot be written: No space left on device; an existing file is unchanged; training continues\n"
    )
    assert len(microgpt.training.start(DOCS, resume="run").losses) == 30
    assert sorted(os.listdir(folder)) == ["docs.txt", "run"]


# ---- Numbers ---------------------------------------------------------------------------------------------------------


def test_holding_out_changes_no_step(engine):
    """The same documents trained on, evaluated at different times, or not at all: the same bits."""
    config, training = GPTConfig(n_embd=4, n_head=2), TrainConfig(num_steps=14)
    runs = [microgpt.train(DOCS, config, training, engine=engine, evaluation=EvalConfig(0.3, every)) for every in (1, 6, 1000)]
    assert len({tuple(run.losses) for run in runs}) == len({bytes(run.model.params) for run in runs}) == 1
    assert len({run.rng.getstate() for run in runs}) == 1
    assert [step for step, _ in runs[1].val_losses] == [6, 12, 14]
    assert runs[0].val_losses[5::6] == runs[1].val_losses[:-1] and runs[2].val_losses == runs[1].val_losses[-1:]
    losses, n = list(map(runs[0].model.token_loss, runs[0].held_out)), [len(tokens) - 1 for tokens in runs[0].held_out]
    mean = math.fsum(map(operator.mul, losses, n)) / sum(n)
    assert len(losses) == 3 and runs[0].evaluate() == mean == runs[0].val_losses[-1][1]


def test_nothing_held_out_is_the_reference_s_run():
    plain, asked = (microgpt.train(DOCS, training=TrainConfig(num_steps=5), **more) for more in ({}, {"evaluation": EvalConfig(0.0)}))
    assert plain.losses == asked.losses and asked.val_losses == []


def test_patience():
    """A model that memorizes: training stops, at the same step after resuming, and the summary says so."""
    training, evaluation = TrainConfig(num_steps=2000, schedule="constant"), EvalConfig(0.3, 10, 3)
    run = microgpt.train(DOCS, GPTConfig(), training, evaluation=evaluation)
    assert run.finished and run.stopped_early and len(run.losses) < 2000
    steps = [step for step, _ in run.val_losses]
    assert steps[-1] == len(run.losses) == run.best[0] + 30
    *_, held_out, stopped = history.summary(run)
    assert held_out.endswith(f"the best was {run.best[1]:.4f} after step {run.best[0]}, and its weights are kept")
    assert stopped == "stopped early: no better held-out loss in 3 evaluations"


@pytest.mark.parametrize("patience", [3, 1000], ids=["stopped early", "all steps"])
def test_patience_keeps_the_best_weights(engine, patience):
    config, training = GPTConfig(n_embd=4, n_head=2, block_size=4), TrainConfig(num_steps=24, learning_rate=0.03, schedule="constant")
    run = microgpt.train(DOCS, config, training, evaluation=EvalConfig(0.3, 4, patience), engine=engine)
    assert run.stopped_early == (patience == 3) and run.best[0] < len(run.losses)
    at_best = microgpt.training.start(DOCS, config, training, evaluation=EvalConfig(0.3), engine=engine)
    at_best.train(callback=lambda step: step.step == run.best[0])
    assert bytes(run.model.params) == bytes(at_best.model.params)
    assert run.evaluate() == run.best[1] and run.generate(2) == at_best.generate(2)


def test_samples_after_patience_are_the_best_model_s(folder):
    options = ["--val-fraction", 0.3, "--eval-every", 10, "--patience", 3, "--schedule", "constant", *SMALL]
    printed = succeed("train", "docs.txt", "--steps", 2000, *options, "--out", "run")
    run = microgpt.training.start(DOCS, resume="run")
    assert run.finished and run.evaluate() == run.best[1]
    assert [line.split(": ")[1] for line in printed.splitlines()[-20:]] == run.generate(20)
    assert samples_of(succeed("train", "docs.txt", "--resume", "run")) == samples_of(printed)


def test_the_log_and_the_summary(folder):
    options = ["train", "docs.txt", "--steps", 150, *SMALL, "--val-fraction", 0.2, "--eval-every", 60]
    done = microgpt_command(*options, "--log", "log.csv")
    config, training = GPTConfig(n_embd=8, n_head=2), TrainConfig(num_steps=150)
    run = microgpt.train(DOCS, config, training, evaluation=EvalConfig(0.2, 60))
    with open("log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == run.losses
    assert [int(row["step"]) for row in rows] == list(range(1, 151))
    assert [float(row["lr"]) for row in rows] == [training.lr(step) for step in range(150)]
    assert [(int(row["step"]), float(row["val_loss"])) for row in rows if row["val_loss"]] == run.val_losses
    assert float(rows[29]["smoothed"]) == pytest.approx(sum(run.losses[:30]) / 30)
    smoothed = sum(run.losses[-100:]) / 100
    assert float(rows[-1]["smoothed"]) == pytest.approx(smoothed)
    succeed(*options, "--log", "log.jsonl")
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["loss"] for line in lines] == run.losses
    assert [(line["step"], line["val_loss"]) for line in lines if "val_loss" in line] == run.val_losses
    first, second = done.stderr.splitlines()
    vocab_size = run.model.tokenizer.vocab_size
    assert first.startswith(f"microgpt: loss {smoothed:.4f}, the mean of the last 100 steps (the last step's own, ")
    assert first.endswith(f"guessing at random has ln({vocab_size}) = {math.log(vocab_size):.4f}")
    assert f"held-out loss {run.val_losses[-1][1]:.4f} per token after step 150, on 2 documents not trained on; " in second
    assert f"the best was {run.best[1]:.4f} after step {run.best[0]}" in second


# ---- The data --------------------------------------------------------------------------------------------------------


def test_long_documents(folder):
    (folder / "prose.txt").write_text("it was the best of times, it was the worst of times\n" * 4 + "end", encoding="utf-8")
    done = microgpt_command("train", "prose.txt", "--steps", 2, *SMALL)
    assert done.stderr == (
        "microgpt: 80% of the documents are longer than --block-size 16, and 68% of the text is never learned; see "
        "microgpt inspect, and use --documents text or --long-docs to learn the rest\n"
    )
    done = microgpt_command("train", "prose.txt", "--steps", 2, *SMALL, "--long-docs", "split")
    assert done.stderr == "" and done.stdout.startswith("num docs: 17\n")
    by_its_old_name = microgpt_command("train", "prose.txt", "--steps", 2, *SMALL, "--long", "split")
    assert (by_its_old_name.stdout, by_its_old_name.stderr) == (done.stdout, "microgpt: --long is now --long-docs; use that name\n")
    assert "unrecognized arguments: --lon, did you mean --long-docs?" in microgpt_command("train", "prose.txt", "--lon").stderr
    assert "--long " not in succeed("train", "--help")
    assert "a document has 51 characters, but a --block-size of 16 has room for 15 and the end: 'it was the best" in fail(
        "train", "prose.txt", "--long-docs", "error"
    )


def test_inspect(folder):
    (folder / "docs.txt").write_text("\n".join([*DOCS, "emma", "a" * 20]), encoding="utf-8")
    facts = dict(re.split(r"  +", line, maxsplit=1) for line in succeed("inspect", "docs.txt", *SMALL).splitlines())
    assert facts["encoding"] == "UTF-8"
    assert facts["documents"] == "12, with 1 repetition"
    assert facts["characters"] == "79, 15 different: 'abeghilmnoprsvy'; 3 of them only once"
    assert facts["lengths"] == "3 to 20 characters, median 6, 99% have at most 20"
    assert facts["block_size 16"] == "cuts 8.3% of the documents; 5.5% of the text is never learned"
    assert facts["suggestion"].startswith("--block-size 9, which cuts 8.3%")
    run = microgpt.training.start([*DOCS, "emma", "a" * 20], GPTConfig(n_embd=8, n_head=2))
    assert facts["parameters"] == f"{run.model.num_params:,}"
    assert re.fullmatch(r"2\.7\d*, where guessing has 2.773", facts["first loss"])
    wide = ["inspect", "docs.txt", "--n-embd", 128, "--n-layer", 4, "--steps", 1]
    assert re.search(r"first loss .*; --scale-init begins there\n", succeed(*wide))
    assert re.search(r"first loss +2\.\d*, where guessing has 2.773\n", succeed(*wide, "--scale-init"))
    assert re.match(r"about [\d.e-]+ (s|min|h) for 1,000 steps on the engine exact; each document is seen 83 times", facts["time"])
    (folder / "one.txt").write_text("a", encoding="utf-8")
    one = succeed("inspect", "one.txt", *SMALL, "--steps", 1)
    assert "  1, all different\n" in one and "  1 to 1 character, median" in one and "  cuts nothing\n" in one
    assert " for 1 step on the engine exact; each document is seen 1.0 times\n" in one
    (folder / "line.txt").write_text("to be or not " * 999, encoding="utf-8")
    line = succeed("inspect", "line.txt", *SMALL, "--steps", 1)
    assert "suggestion     --documents text: it is one long line\n" in line
    assert "12,986 to 12,986 characters" in line
    (folder / "lines.txt").write_text(("to be or not " * 99 + "\n") * 3, encoding="utf-8")
    lines = succeed("inspect", "lines.txt", *SMALL, "--steps", 1)
    assert "suggestion     --documents text: it has lines of 1,286 characters, longer than a block should be\n" in lines
    (folder / "latin.txt").write_bytes("zoé\nnoël".encode("latin-1"))
    assert "likely latin-1" in fail("inspect", "latin.txt")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="this system does not tell how much memory is used")
def test_a_million_lines(folder):
    rng = random.Random(1)
    text = "\n".join("".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(1_000_000))
    (folder / "many.txt").write_text(text, encoding="utf-8")
    code = (
        "import microgpt, re, time\nstarted = time.process_time()\n"
        "microgpt.train(microgpt.load_docs('many.txt'), training=microgpt.TrainConfig(num_steps=10))\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())\n"  # ru_maxrss counts the parent too
        "print(time.process_time() - started, peak[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    seconds, kilobytes = map(float, done.stdout.split())
    assert seconds < 20 and kilobytes < 300_000


def test_a_run_that_changes_its_precision_says_so(folder):
    succeed("train", "docs.txt", "--steps", 4, *SMALL, "--engine", "fast", "--out", "run")
    same = microgpt_command("train", "docs.txt", "--resume", "run", "--samples", 1)
    assert same.stderr == ""
    other = microgpt_command("train", "docs.txt", "--resume", "run", "--samples", 1, "--engine", "exact")
    assert other.stderr.startswith("microgpt: this run was computed by the engine fast; exact rounds differently")
