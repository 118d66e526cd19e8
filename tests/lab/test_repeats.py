"""Several seeds: each run equals that of its seed alone, and the summary follows the definitions of statistics."""

import json
import math
import re
import statistics
import subprocess
from pathlib import Path

import pytest
from command_line import SMALL, TEN_NAMES, driver, environment, microgpt_command, posix, succeed, without_seconds

import microgpt
from microgpt import EvalConfig, GPTConfig, TrainConfig
from microgpt.lab.repeats import Estimate, t_quantile

CONFIG, TRAINING = GPTConfig(n_embd=4, n_head=2, block_size=8), TrainConfig(num_steps=12)


def test_student_s_t():
    """Two-sided, 95 %, compared with the tables of the NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2."""
    table = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 10: 2.228, 29: 2.045, 30: 2.042, 100: 1.984}
    assert {df: round(t_quantile(df), 3) for df in table} == table
    assert t_quantile(1, 0.5) == pytest.approx(1, rel=1e-12) and t_quantile(2, 0.5) == pytest.approx(math.sqrt(2 / 3), rel=1e-12)
    assert t_quantile(10**5) == pytest.approx(statistics.NormalDist().inv_cdf(0.975), rel=1e-4)


def test_an_estimate():
    found = Estimate([1.0, 2.0, 4.0])
    half = 4.302652729749462 * statistics.stdev([1, 2, 4]) / math.sqrt(3)
    assert (found.mean, found.sd) == (7 / 3, statistics.stdev([1, 2, 4]))
    assert (found.low, found.high) == pytest.approx((7 / 3 - half, 7 / 3 + half), rel=1e-12)
    one = Estimate([2.5])
    assert one.mean == 2.5 and math.isnan(one.sd) and math.isnan(one.low) and math.isnan(one.high)


@pytest.mark.parametrize("engine", ["graph", "exact", "fast"])
@pytest.mark.parametrize("workers", [1, 3])
def test_each_run_is_the_one_of_its_seed(engine, workers):
    evaluation, finished = EvalConfig(0.3, 5), []
    found = microgpt.repeat(
        iter(TEN_NAMES),
        CONFIG,
        TRAINING,
        seeds=[7, 1, 2**70],
        engine=engine,
        evaluation=evaluation,
        workers=workers,
        gradient_norms=True,
        callback=finished.append,
    )
    assert found.seeds == [7, 1, 2**70] and not found.diverged and sorted(map(id, finished)) == sorted(map(id, found.runs))
    for run in found.runs:
        alone = microgpt.train(TEN_NAMES, CONFIG, TRAINING, seed=run.seed, engine=engine, evaluation=evaluation, gradient_norms=True)
        assert run.gradient_norms == alone.gradient_norms and len(alone.gradient_norms) == len(run.losses)
        assert run.losses == alone.losses and run.val_losses == alone.val_losses and bytes(run.model.params) == bytes(alone.model.params)
        assert run.generate(3) == alone.generate(3)
        assert [*run.held_out] == [*found.runs[0].held_out]  # the same documents
    assert found.loss.values == [statistics.fmean(run.losses) for run in found.runs]
    assert found.val_loss.values == [run.val_losses[-1][1] for run in found.runs]


def test_a_number_of_seeds():
    found = microgpt.repeat(TEN_NAMES, CONFIG, TRAINING, seeds=3)
    assert found.seeds == [42, 43, 44] and found.val_loss is None and repr(found) == "<Repeats of 3 runs, seeds 42, 43, 44>"


def test_the_best_weights_have_the_loss():
    found = microgpt.repeat(TEN_NAMES, CONFIG, TrainConfig(num_steps=60, learning_rate=0.3), seeds=3, evaluation=EvalConfig(0.3, 2, 5))
    assert (
        found.val_loss.values == [min(loss for _, loss in run.val_losses) for run in found.runs] == [run.evaluate() for run in found.runs]
    )


@pytest.mark.parametrize("seeds", [0, 1001, [], [1, 1], [1.5], "3", [True]])
def test_seeds_that_are_refused(seeds):
    with pytest.raises((ValueError, TypeError), match="^seeds? must be"):
        microgpt.repeat(TEN_NAMES, CONFIG, TRAINING, seeds=seeds)


def test_divergence_is_no_part_of_the_estimate(monkeypatch):
    real = microgpt.Run.train

    def train(run, *arguments, **options):
        if run.seed == 43:
            raise microgpt.DivergenceError(run, ValueError("because"))
        return real(run, *arguments, **options)

    monkeypatch.setattr(microgpt.Run, "train", train)
    found = microgpt.repeat(TEN_NAMES, CONFIG, TRAINING, seeds=3)
    assert found.seeds == [42, 44] and [*found.diverged] == [43] and len(found.loss.values) == 2
    with pytest.raises(ValueError, match="diverged with every seed; try a smaller learning_rate"):
        microgpt.repeat(TEN_NAMES, CONFIG, TRAINING, seeds=[43])


def test_what_goes_wrong_ends_all_runs():
    begun = []

    def watch(run):
        begun.append(run)

        def update():
            if run.seed == 43 and len(run.losses) > 5:
                raise KeyboardInterrupt

        return update

    with pytest.raises(KeyboardInterrupt):
        microgpt.repeat(TEN_NAMES, CONFIG, TrainConfig(num_steps=10**7), seeds=3, workers=2, engine="graph", watch=watch)
    assert [run.seed for run in begun] == [42, 43] and all(0 < len(run.losses) < 10**7 for run in begun)


# ---- The command -----------------------------------------------------------------------------------------------------


def test_the_command(folder):
    options = ["train", "docs.txt", "--steps", 12, *SMALL, "--val-fraction", 0.3, "--log-gradient-norm"]
    printed = succeed(*options, "--seed", "5,6", "--out", "m.safetensors", "--log", "l.csv")
    for seed in (5, 6):
        succeed(*options, "--seed", seed, "--out", "alone", "--log", "alone.csv", "--samples", 0)
        assert (folder / f"m-seed-{seed}.safetensors").read_bytes() == (folder / "alone").read_bytes()
        assert without_seconds(folder / f"l-seed-{seed}.csv") == without_seconds(folder / "alone.csv")
    runs = [microgpt.training.start(TEN_NAMES, resume=f"m-seed-{seed}.safetensors") for seed in (5, 6)]
    losses, held_out = Estimate([statistics.fmean(run.losses) for run in runs]), Estimate([run.val_losses[-1][1] for run in runs])
    lines = printed.splitlines()
    assert sorted(re.sub(r", \d+\.\d s$", "", line) for line in lines[3:5]) == [
        f"seed {run.seed}: loss {loss:.4f}, held-out loss {other:.4f}" for run, loss, other in zip(runs, losses.values, held_out.values)
    ]
    assert lines[5:] == [
        "",
        "2 runs                      mean      sd   95 % interval of the mean",
        f"loss, last 12 steps       {losses.mean:.4f} {losses.sd:7.4f}   {losses.low:.4f} to {losses.high:.4f}",
        f"held-out loss             {held_out.mean:.4f} {held_out.sd:7.4f}   {held_out.low:.4f} to {held_out.high:.4f}",
    ]


def test_folders_say_how_to_repeat_one_run(folder):
    succeed("train", "docs.txt", "--seeds", 2, "--steps", 3, *SMALL, "--run-dir", "runs", "--workers", 1)
    assert succeed("train", "docs.txt", "--seeds=2", "--steps", 3, *SMALL, "--run-dir", "runs").count(", in '") == 2
    made = sorted(Path("runs").iterdir())
    assert len(made) == 4
    facts = json.loads((made[1] / "config.json").read_text())
    assert facts["seed"] == 43 and facts["command"] == f"microgpt train docs.txt --steps 3 {' '.join(SMALL)} --run-dir runs --seed 43"


@pytest.mark.parametrize(
    "options, message",
    [
        (["--seeds", 0], "--seeds must be at least 1 and at most 1000, not 0"),
        (["--seed", "1,1"], "--seed must be one or more distinct whole numbers, not [1, 1]"),
        (["--seed", "1,2", "--seeds", 2], "--seed already lists the seeds; omit --seeds"),
        (["--workers", 2], "--workers needs several runs; give --seeds N too, or omit it"),
        (["--seeds", 2, "--workers", 0], "--workers must be at least 1 and at most 256, not 0"),
        (["--seeds", 2, "--samples", 3], "--samples is for a single run; omit it, or train with one seed"),
        (["--seeds", 2, "--resume", "x"], "--resume is for a single run; omit it, or train with one seed"),
        (["--seeds", 2, "--out", "docs.txt"], None),
    ],
)
def test_what_does_not_go_together(folder, options, message):
    (folder / "docs-seed-43.txt").write_text("somebody's own")
    done = microgpt_command("train", "docs.txt", "--steps", 2, *SMALL, *options)
    assert (
        done.returncode in (1, 2) and (message or "'docs-seed-43.txt' exists already and is not a model that microgpt saved") in done.stderr
    )
    assert sorted(path.name for path in folder.iterdir()) == ["docs-seed-43.txt", "docs.txt"]


@posix
def test_ctrl_c_keeps_the_runs_that_are_finished(folder):
    code = (
        "import os, signal; from microgpt.cli import repeats; real = repeats.smoothed\n"
        "def smoothed(losses):\n    os.kill(os.getpid(), signal.SIGINT)\n    return real(losses)\n"
        "repeats.smoothed = smoothed"
    )
    options = ["train", "docs.txt", "--seeds", 5, "--steps", 20, *SMALL, "--out", "m", "--workers", 1]
    done = subprocess.run(driver(code, *options), capture_output=True, encoding="utf-8", env=environment())
    assert done.returncode == 130 and done.stderr == "microgpt: interrupted after 1 of 5 runs, which are saved\n", done.stderr
    assert microgpt_command("sample", "m-seed-42", "-n", 1).returncode == 0
