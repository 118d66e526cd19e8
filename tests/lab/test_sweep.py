"""Sweeps: what is tried, that no trial is lost or done twice, and that the best run can be repeated to the last bit."""

import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from command_line import TEN_NAMES, environment, microgpt_command, posix

import microgpt
from microgpt import EvalConfig, GPTConfig, TrainConfig, cli
from microgpt.lab import space as spaces

optuna = pytest.importorskip("optuna", reason="sweeps need Optuna")
from microgpt.lab import study as studies  # noqa: E402 - after what they need
from microgpt.lab import workers  # noqa: E402

CONFIG = GPTConfig(n_embd=4, n_head=2, block_size=8)
TRAINING = TrainConfig(num_steps=20)
EVALUATION = EvalConfig(val_fraction=0.2)
RATES = {"learning_rate": "1e-4..1e-1"}


def swept(space=RATES, **options):
    return microgpt.sweep(TEN_NAMES, space, CONFIG, TRAINING, **({"evaluation": EVALUATION} | options))


# ---- The space -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, text, found",
    [
        ("learning_rate", "1e-4..1e-1", spaces.Range(1e-4, 1e-1)),
        ("n_layer", "1..4", spaces.Range(1, 4)),
        ("n_embd", "16, 32,64", spaces.Choice((16, 32, 64))),
        ("clip_norm", "none,1", spaces.Choice((None, 1.0))),
        ("schedule", "cosine", spaces.Choice(("cosine",))),
        ("scale_init", "yes,no", spaces.Choice((True, False))),
    ],
)
def test_parse(name, text, found):
    assert spaces.parse(spaces.OPTIONS[name], text) == found
    assert spaces.parse(spaces.OPTIONS[name], str(found)) == found  # which a study says of itself


def test_a_scale_is_logarithmic_over_a_factor_of_ten():
    assert spaces.Range(1e-4, 1e-1).log and spaces.Range(1, 10).log
    assert not spaces.Range(0.8, 0.95).log and not spaces.Range(0.0, 1.0).log


@pytest.mark.parametrize(
    "space, message",
    [
        ({"learning_rat": "1,2"}, "a sweep cannot vary 'learning_rat'"),
        ({"learning_rate": "0.1..0.01"}, "must begin below its end"),
        ({"learning_rate": "-1..1"}, "learning_rate must be at least 0"),
        ({"n_embd": "16,16"}, "n_embd needs different values"),
        ({"n_embd": "16.5"}, "n_embd takes whole numbers, such as 1..4 or 1,2,4, not '16.5'"),
        ({"schedule": "linear..cosine"}, "schedule has no range"),
        ({"n_embd": [16]}, "a sweep needs something to vary"),
        ({"n_embd": "5,7"}, "n_embd 5 is not divisible by n_head 2"),
    ],
)
def test_a_space_that_is_refused(space, message):
    with pytest.raises(ValueError, match=message):
        swept(space)


# ---- Trials ----------------------------------------------------------------------------------------------------------


def test_a_grid_takes_every_combination_once():
    told = []
    study = swept({"n_embd": "4,6", "learning_rate": [0.01, 0.1], "n_head": "2,3"}, sampler="grid", callback=told.append)
    assert len(study.trials) == 8 and study.trials == told
    assert len({tuple(sorted(trial.settings.items())) for trial in told}) == 8
    refused = [trial for trial in told if trial.settings["n_embd"] == 4 and trial.settings["n_head"] == 3]
    assert [trial.state for trial in refused] == ["pruned", "pruned"] and "n_embd 4 is not divisible by n_head 3" in refused[0].reason
    assert sum(trial.state == "complete" for trial in told) == 6
    best = study.best
    config, training, evaluation = study.settings(best)
    run = microgpt.train(TEN_NAMES, config, training, evaluation=evaluation)
    assert run.val_losses[-1][1] == best.loss == min(trial.loss for trial in told if trial.loss is not None)
    assert set(study.importance()) == {"n_embd", "learning_rate", "n_head"}


def test_a_run_that_diverges_is_pruned():
    study = swept({"learning_rate": [0.01, 1e3, 1e300]}, sampler="grid")
    assert [trial.state for trial in study.trials] == ["complete", "pruned", "pruned"]
    assert all(trial.reason.startswith("diverged: ") for trial in study.trials[1:])


def test_a_run_worse_than_the_median_is_pruned():
    study = swept({"learning_rate": [0.01, 0.011, 0.012, 0.013, 0.014, 1e-7]}, sampler="grid")
    assert study.trials[5].state == "pruned" and study.trials[5].reason == "worse than the others' median after step 4"


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_study_is_continued_with_the_same_data_and_settings_only(sampler, tmp_path):
    path = tmp_path / "sweep.log"
    first = swept(study=path, trials=2, sampler=sampler).trials
    again = swept(study=path, trials=4, sampler=sampler)
    assert len(again.trials) == 4 and again.trials[:2] == first
    assert swept(study=path, trials=3, sampler=sampler).trials == again.trials
    for docs, space, options, message in (
        (TEN_NAMES[1:], RATES, {}, "is of other data"),
        (TEN_NAMES, {"learning_rate": "1e-3..1e-1"}, {}, "has learning_rate 0.0001..0.1, not 0.001..0.1"),
        (TEN_NAMES, RATES, {"seed": 1}, "has seed 42, not 1"),
    ):
        with pytest.raises(ValueError, match=message):
            microgpt.sweep(docs, space, CONFIG, TRAINING, evaluation=EVALUATION, study=path, sampler=sampler, **options)


def test_what_is_no_study_stays(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("emma\n")
    with pytest.raises(ValueError, match="is no study"):
        swept(study=path)
    assert path.read_text() == "emma\n"


def test_time_ends_a_study_without_a_number_of_trials():
    assert len(swept(seconds=0.5).trials) > 1


def test_a_trial_of_a_worker_that_fell_silent_is_repeated(monkeypatch, tmp_path):
    """On another machine, where no process can be asked for; a worker that was only slow does not count a second time."""
    monkeypatch.setattr(workers, "STALE", 0.2)
    monkeypatch.setattr(workers, "POLL", 0.05)
    plans = []
    monkeypatch.setattr(workers.Worker, "work", lambda self, *_: plans.append(self))
    swept(study=tmp_path / "sweep.log", trials=1)
    monkeypatch.undo()
    monkeypatch.setattr(workers, "STALE", 0.2)
    monkeypatch.setattr(workers, "POLL", 0.05)
    [slow] = plans
    slow.place = "elsewhere"
    trial = slow._take(0)
    rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    study = swept(study=tmp_path / "sweep.log", trials=1)
    [repeated] = study.trials
    assert repeated.state == "complete" and repeated.settings == {"learning_rate": rate} and repeated.number > trial.number
    slow._do(trial)
    assert study.trials == [repeated]


# ---- Many processes --------------------------------------------------------------------------------------------------


@pytest.fixture(params=["journal", pytest.param("redis", marks=pytest.mark.slow)])
def storage(request, tmp_path):
    if request.param == "journal":
        yield str(tmp_path / "sweep.log")
        return
    pytest.importorskip("redis", reason="the package redis is missing")
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is missing")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@posix
def test_a_worker_that_is_killed_costs_nothing(storage, folder):
    """A command, and another one that joins it with two workers; the first is killed in the middle of a trial."""
    arguments = ["sweep", "docs.txt", "--sampler", "grid", "--learning-rate", "0.01,0.02,0.03,0.04,0.05,0.06", "--n-layer", "1,2"]
    arguments += ["--steps", "200", "--n-embd", "8", "--n-head", "2", "--study", storage, "--eval-every", "200"]
    command = [sys.executable, "-Werror", "-m", "microgpt", *arguments]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment())
    killed.stdout.readline()  # it is in its second trial or further
    time.sleep(random.random() * 0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    done = microgpt_command(*arguments, "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert "12 trials, 0 of them pruned" in done.stdout
    kept = optuna.load_study(study_name=studies.NAME, storage=studies.storage_at(storage)).get_trials()
    counted = [trial for trial in kept if trial.state.name != "FAIL"]
    assert all(trial.state.name == "COMPLETE" for trial in counted)
    assert sorted(trial.user_attrs["slot"] for trial in counted) == list(range(12))
    assert len({tuple(trial.params.values()) for trial in counted}) == 12
    assert killed.pid in {trial.user_attrs["pid"] for trial in counted} and len({trial.user_attrs["pid"] for trial in counted}) > 1


# ---- The command -----------------------------------------------------------------------------------------------------


def test_the_best_run_is_repeated_bit_for_bit(folder, capsys):
    arguments = "--learning-rate 1e-3..1 --n-embd 4,8 --n-head 2 --steps 30 --trials 4 --scale-init yes --clip-norm none,1 --seed 7 --beta1 0.8..0.9"
    assert cli.main(["sweep", "docs.txt", *arguments.split()]) == 0
    printed = capsys.readouterr().out
    *_, best = [line for line in printed.splitlines() if line.startswith("microgpt train ")]
    assert printed.count("trial ") >= 4 and "importance: --" in printed
    assert cli.main([*shlex.split(best)[1:], "--samples", "0", "--out", "best"]) == 0
    saved = microgpt.storage.checkpoint.read("best")
    loss = saved.progress.val_losses[-1][1]
    assert f"held-out loss {loss:.4f}\n" in printed


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "a sweep needs something to vary; give an option a range, such as 1e-4..1e-1, or a list, such as 16,32,64"),
        (["--n-embd", "16,32", "--study", "docs.txt"], "'docs.txt' is no study, and would be overwritten; give another name"),
        (["--n-embd", "16..x"], "--n-embd takes whole numbers, such as 1..4 or 1,2,4, not 'x'"),
        (["--n-embd", "16,32", "--trials", "0"], "--trials must be at least 1, not 0"),
        (["--n-embd", "16,32", "--workers", "999"], "--workers must be at least 1 and at most 256, not 999"),
    ],
)
def test_wrong_calls_are_explained(folder, capsys, arguments, message):
    assert cli.main(["sweep", "docs.txt", *arguments]) in (1, 2)
    assert capsys.readouterr().err == f"microgpt: error: {message}\n"
    assert (folder / "docs.txt").read_text().startswith("emma")


def test_without_optuna(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert cli.main(["sweep", "docs.txt", "--n-embd", "16,32"]) == 1
    assert "install it with: pip install 'microgpt-cython[sweep]'" in capsys.readouterr().err
