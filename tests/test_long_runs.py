"""`microgpt train` with files: saving, stopping, killing, going on, saved weights, logs and what is held out."""

import csv
import json
import math
import os
import random
import re
import shlex
import signal
import subprocess
import sys

import pytest

import microgpt
from microgpt import EvalConfig, GPTConfig, TrainConfig, history
from microgpt.commands import train as train_command

DOCS = ["emma", "olivia", "ava", "isabella", "sophia", "mia", "amelia", "harper", "evelyn", "abigail"]
SMALL = ["--n-embd", "8", "--n-head", "2"]
posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder with some data in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs.txt").write_text("\n".join(DOCS), encoding="utf-8")
    return tmp_path


def command(*arguments, code=""):
    code = f"import sys\n{code}\nfrom microgpt.cli import main\nsys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-Werror", "-c", code, *map(str, arguments)]


def microgpt_command(*arguments, **options):
    return subprocess.run(command(*arguments), capture_output=True, encoding="utf-8", timeout=120, **options)


def succeed(*arguments):
    done = microgpt_command(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fail(*arguments):
    done = microgpt_command(*arguments)
    assert done.returncode == 1, done
    assert done.stderr.startswith("microgpt: error: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("microgpt: error: ").rstrip("\n")


def steps_of(text):
    return [line for line in text.splitlines() if line.startswith("step ")]


def samples_of(text):
    return text[text.index("--- inference") :]


# ---- Saving and going on ---------------------------------------------------------------------------------------------


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
    assert (folder / "rest.csv").read_bytes() == (folder / "whole.csv").read_bytes()
    assert samples_of(succeed(*options, "--resume", "run")) == samples_of(whole)  # the same options are no difference


def test_changed_options_are_refused(folder):
    microgpt.train(DOCS, GPTConfig(n_embd=8), TrainConfig(num_steps=9), callback=lambda step: step.step == 3).save(
        "run"
    )
    resume = "train", "docs.txt", "--resume", "run"
    assert fail(*resume, "--n-embd", 16) == (
        "'run' was started with --n-embd 8, not 16; leave --n-embd away, or begin a new run"
    )
    assert "was started with --steps 9, not 10" in fail(*resume, "--steps", 10)
    assert "was started with --learning-rate 0.01, not 0.1" in fail(*resume, "--learning-rate", 0.1)
    assert "was started with seed 42, not 7" in fail(*resume, "--seed", 7)
    assert "was started with long truncate, not split" in fail(*resume, "--long", "split")
    assert "was started with --val-fraction 0.0, not 0.1" in fail(*resume, "--val-fraction", 0.1)
    assert "was started with --n-embd 8, not 16" in fail(*resume, "--preset", "current")
    (folder / "docs.txt").write_text("\n".join(DOCS[1:]), encoding="utf-8")
    assert "the data are not those that 'run' was trained on: 9 documents to train on, not 10" in fail(*resume)


def test_fine_tuning(folder):
    succeed("train", "docs.txt", "--steps", 40, "--out", "base", *SMALL)
    (folder / "more.txt").write_text("mimi\nlila\nsoso", encoding="utf-8")
    printed = succeed("train", "more.txt", "--init", "base", "--out", "tuned")
    assert "step 1000 / 1000 |" in printed  # its training's settings are not the base's
    expected = microgpt.train(["mimi", "lila", "soso"], init="base").model.params
    assert bytes(microgpt.load("tuned").params) == bytes(expected)
    (folder / "more.txt").write_text("zoë", encoding="utf-8")
    assert "the character 'z' (U+007A) is not in the model's vocabulary; it knows 'abegh" in fail(
        "train", "more.txt", "--init", "base"
    )
    assert "the model to start from has --n-embd 8, not 16" in fail(
        "train", "docs.txt", "--init", "base", "--n-embd", 16
    )


def test_files_that_cannot_be_used(folder):
    assert fail("sample", "nothing") == "there is no file 'nothing'; check the path"
    assert "'docs.txt' is not a saved model" in fail("sample", "docs.txt")
    assert "'docs.txt' is not a saved model" in fail("train", "docs.txt", "--resume", "docs.txt")
    assert fail("train", "docs.txt", "--out", "no/where") == "--out: there is no folder 'no'; make it first"
    assert fail("train", "docs.txt", "--out", str(folder)) == f"--out: {str(folder)!r} is a folder; name a file in it"
    microgpt.train(DOCS, training=TrainConfig(num_steps=2)).model.save("m")
    assert "is a model without its training; to train it on, start from it with init" in fail(
        "train", "docs.txt", "--resume", "m"
    )
    assert "the character 'X' (U+0058) is not in" in fail("sample", "m", "--prompt", "X")
    assert "has room for 15 after BOS" in fail("sample", "m", "--prompt", "a" * 16)


# ---- Stopping and killing --------------------------------------------------------------------------------------------


def open_training(*options, code=""):
    """A training that hears signals even where this process was started to ignore them; its step lines can be read."""
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{code}"
    return subprocess.Popen(
        command("train", "docs.txt", *options, code=code),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def wait_for_steps(child):
    for line in child.stdout:
        if line.startswith("step "):
            return


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_run_and_says_how_to_go_on(folder, number):
    options = ["--steps", 30_000, "--engine", "graph", "--schedule", "constant", *SMALL]
    with open_training(*options, "--out", "the run") as child:
        wait_for_steps(child)
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    found = re.fullmatch(
        r"microgpt: interrupted after step (\d+) of 30000; go on with: (microgpt train docs.txt .* --resume 'the run')\n",
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


@posix
def test_a_second_signal_does_not_wait():
    """For a step that takes minutes: the first signal is noted, the second interrupts at once; then all is as before."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        with train_command._stopping_signals() as stopped:
            signal.raise_signal(signal.SIGTERM)
            assert stopped == [signal.SIGTERM]
            signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@posix
def test_a_signal_without_out(folder):
    with open_training("--steps", 1_000_000, "--engine", "graph", *SMALL) as child:
        wait_for_steps(child)
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130 and re.fullmatch(r"microgpt: interrupted after step \d+ of 1000000\n", err)
    assert os.listdir(folder) == ["docs.txt"]


@posix
def test_killed_at_random_moments(folder):
    """SIGINT, SIGTERM and SIGKILL, again and again, until the run is through: it ends as one that was left alone."""
    options = ["--steps", 60_000, *SMALL, "--checkpoint-every", 50, "--out", "run", "--samples", 3]
    whole = succeed("train", "docs.txt", "--steps", 60_000, *SMALL, "--samples", 3, "--out", "whole")
    rng, kills, reached = random.Random(os.getpid()), 0, 0
    for attempt in range(60):
        resume = ["--resume", "run"] if os.path.exists("run") else []
        with open_training(*options, *resume) as child:
            try:
                wait_for_steps(child)
                _, err = child.communicate(timeout=rng.uniform(0.0, 0.15) if kills < 8 else 60)
                assert child.returncode == 0, err
                break
            except subprocess.TimeoutExpired:
                child.send_signal(rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
                child.communicate()
                kills += 1
        if os.path.exists("run"):
            done = len(microgpt.training.start(DOCS, resume="run").losses)  # whole, whatever happened
            assert done >= reached
            reached = done
    assert kills >= 1 and reached > 0
    out = succeed("train", "docs.txt", *options, "--resume", "run")  # it is through, and prints its samples again
    assert samples_of(out) == samples_of(whole)
    ours, other = microgpt.checkpoint.read("run"), microgpt.checkpoint.read("whole")
    assert ours == other


@posix
def test_killed_while_saving(folder):
    """SIGKILL just before the new file gets its name, and in the middle of writing it: the old one is there, and whole."""
    microgpt.train(DOCS, GPTConfig(n_embd=8), TrainConfig(num_steps=200), callback=lambda step: step.step == 5).save(
        "run"
    )
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
        command("train", "docs.txt", "--steps", 30, *SMALL, "--checkpoint-every", 10, "--out", "run", code=code),
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == (
        "microgpt: 'run' cannot be written: No space left on device; what was there before is unchanged; training goes on\n"
    )
    assert len(microgpt.training.start(DOCS, resume="run").losses) == 30
    assert sorted(os.listdir(folder)) == ["docs.txt", "run"]


# ---- Numbers ---------------------------------------------------------------------------------------------------------


def test_holding_out_changes_no_step(engine):
    """The same documents trained on, evaluated at different times, or not at all: the same bits."""
    config, training = GPTConfig(n_embd=8), TrainConfig(num_steps=20)
    runs = [
        microgpt.train(DOCS, config, training, engine=engine, evaluation=EvalConfig(0.3, every))
        for every in (1, 6, 1000)
    ]
    assert len({tuple(run.losses) for run in runs}) == len({bytes(run.model.params) for run in runs}) == 1
    assert len({run.rng.getstate() for run in runs}) == 1
    assert [step for step, _ in runs[1].val_losses] == [6, 12, 18, 20]
    assert runs[0].val_losses[5::6] == runs[1].val_losses[:-1] and runs[2].val_losses == runs[1].val_losses[-1:]
    shuffled = list(DOCS)
    random.Random(42).shuffle(shuffled)
    losses = [runs[0].model.loss(doc) for doc in shuffled[-3:]]
    assert runs[0].evaluate() == math.fsum(losses) / 3 == runs[0].val_losses[-1][1]
    assert [runs[0].corpus[i] for i in range(7)] == [runs[0].model.tokenizer.document(doc) for doc in shuffled[:7]]


def test_nothing_held_out_is_the_reference_s_run():
    plain, asked = (
        microgpt.train(DOCS, training=TrainConfig(num_steps=5), **more)
        for more in ({}, {"evaluation": EvalConfig(0.0, 1)})
    )
    assert plain.losses == asked.losses and asked.val_losses == []


def test_patience():
    """A model that memorises: training stops, where it stops is the same on resuming, and the summary says so."""
    training, evaluation = TrainConfig(num_steps=2000, schedule="constant"), EvalConfig(0.3, 10, 3)
    run = microgpt.train(DOCS, GPTConfig(), training, evaluation=evaluation)
    assert run.finished and run.stopped_early and len(run.losses) < 2000
    steps = [step for step, _ in run.val_losses]
    assert steps[-1] == len(run.losses) == run.best[0] + 30
    assert history.summary(run)[-1] == "stopped early: no better held-out loss in 3 evaluations"


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
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == run.losses
    assert [(line["step"], line["val_loss"]) for line in lines if "val_loss" in line] == run.val_losses
    first, second = done.stderr.splitlines()
    vocab_size = run.model.tokenizer.vocab_size
    assert first.startswith(f"microgpt: loss {smoothed:.4f}, the mean of the last 100 steps (the last step's own, ")
    assert first.endswith(f"guessing at random has ln({vocab_size}) = {math.log(vocab_size):.4f}")
    assert f"held-out loss {run.val_losses[-1][1]:.4f} after step 150, on 2 documents" in second
    assert f"the best was {run.best[1]:.4f} after step {run.best[0]}" in second


# ---- The data --------------------------------------------------------------------------------------------------------


def test_long_documents(folder):
    (folder / "prose.txt").write_text(
        "it was the best of times, it was the worst of times\n" * 4 + "end", encoding="utf-8"
    )
    done = microgpt_command("train", "prose.txt", "--steps", 2, *SMALL)
    assert done.stderr == (
        "microgpt: 80% of the documents are longer than --block-size 16, and 68% of the text is never learned; see "
        "microgpt inspect, and --long for what can be done\n"
    )
    done = microgpt_command("train", "prose.txt", "--steps", 2, *SMALL, "--long", "split")
    assert done.stderr == "" and done.stdout.startswith("num docs: 17\n")
    assert (
        "a document has 51 characters, but a --block-size of 16 has room for 15 and the end: 'it was the best"
        in fail("train", "prose.txt", "--long", "error")
    )


def test_inspect(folder):
    (folder / "docs.txt").write_text("\n".join([*DOCS, "emma", "a" * 20]), encoding="utf-8")
    facts = dict(re.split(r"  +", line, maxsplit=1) for line in succeed("inspect", "docs.txt", *SMALL).splitlines())
    assert facts["encoding"] == "UTF-8"
    assert facts["documents"] == "12, 1 of them repeat another"
    assert facts["characters"] == "79, 15 different: 'abeghilmnoprsvy'; 3 occur only once"
    assert facts["lengths"] == "3 to 20 characters, median 6, 99% have at most 8"
    assert facts["block_size 16"] == "cuts 8.3% of the documents; 5.5% of the text is never learned"
    assert facts["suggestion"].startswith("--block-size 9, which cuts 8.3%")
    run = microgpt.training.start([*DOCS, "emma", "a" * 20], GPTConfig(n_embd=8, n_head=2))
    assert facts["parameters"] == f"{run.model.num_params:,}"
    assert re.match(r"about [\d.e-]+ (s|min|h) for 1000 steps on the exact engine, which see 83.3 times", facts["time"])
    (folder / "latin.txt").write_bytes("zoé\nnoël".encode("latin-1"))
    assert "likely latin-1" in fail("inspect", "latin.txt")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--n-embd", "128", "--engine", "exact"], None),  # where the pure script ends with RecursionError
        (["--n-embd", "64", "--n-layer", "2", "--engine", "exact"], None),
        (
            ["--n-embd", "16", "--n-head", "3"],
            "--n-embd 16 is not divisible by --n-head 3: every head needs the same width",
        ),
        (
            ["--n-embd", "16", "--n-head", "32"],
            "--n-embd 16 is not divisible by --n-head 32: every head needs the same width",
        ),
        (["--temperature", "0"], None),
        (["--learning-rate", "5", "--steps", "1000"], "training diverged at step "),
        (["--learning-rate", "1e200"], "training diverged at step 2 of 2: "),
        (["--val-fraction", "0.99"], "of 10 documents a --val-fraction of 0.99 leaves none to train on"),
    ],
)
def test_the_table_of_bad_input(folder, arguments, message):
    """The rows of the reference's own failures: what worked not at all there works, or is one sentence."""
    done = microgpt_command("train", "docs.txt", "--steps", 2, "--samples", 2, *arguments)
    if message is None:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode in (1, 2) and done.stderr.startswith(f"microgpt: error: {message}"), done.stderr
        assert done.stderr.count("\n") == 1


def test_a_million_lines(folder):
    rng = random.Random(1)
    text = "\n".join("".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(1_000_000))
    (folder / "many.txt").write_text(text, encoding="utf-8")
    code = (
        "import microgpt, resource, time\nstarted = time.process_time()\n"
        "microgpt.train(microgpt.load_docs('many.txt'), training=microgpt.TrainConfig(num_steps=10))\n"
        "print(time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    seconds, kilobytes = map(float, done.stdout.split())
    assert seconds < 20 and kilobytes < 600_000
