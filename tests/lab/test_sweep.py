"""Sweeps: the settings tried, no trial lost or done twice, and the best run repeated to the last bit."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import pytest
from command_line import TEN_NAMES, environment, microgpt_command, on_terminal, posix

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
    assert spaces.parse(spaces.OPTIONS[name], str(found)) == found  # the form in which a study stores it


def test_a_scale_is_logarithmic_over_a_factor_of_ten():
    assert spaces.Range(1e-4, 1e-1).log and spaces.Range(1, 10).log
    assert not spaces.Range(0.8, 0.95).log and not spaces.Range(0.0, 1.0).log


@pytest.mark.parametrize(
    "space, message",
    [
        ({"learning_rat": "1,2"}, "a sweep cannot vary 'learning_rat'"),
        ({"learning_rate": "0.1..0.01"}, "must begin below its end"),
        ({"learning_rate": "-1..1"}, "learning_rate must be at least 0"),
        ({"n_embd": "16,16"}, "n_embd needs distinct values"),
        ({"n_embd": "16.5"}, "n_embd takes whole numbers, such as 1..4 or 1,2,4, not '16.5'"),
        ({"schedule": "linear..cosine"}, "schedule cannot have a range"),
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
    assert study.trials[5].state == "pruned" and study.trials[5].reason == "worse than the median of the others after step 4"


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_study_is_continued_with_the_same_data_and_settings_only(sampler, tmp_path):
    path = tmp_path / "sweep.log"
    first = swept(study=path, trials=2, sampler=sampler).trials
    again = swept(study=path, trials=4, sampler=sampler)
    assert len(again.trials) == 4 and again.trials[:2] == first
    assert swept(study=path, trials=3, sampler=sampler).trials == again.trials
    for docs, space, options, message in (
        (TEN_NAMES[1:], RATES, {}, "has other data"),
        (TEN_NAMES, {"learning_rate": "1e-3..1e-1"}, {}, "has learning_rate 0.0001..0.1, not 0.001..0.1"),
        (TEN_NAMES, RATES, {"seed": 1}, "has seed 42, not 1"),
    ):
        with pytest.raises(ValueError, match=message):
            microgpt.sweep(docs, space, CONFIG, TRAINING, evaluation=EVALUATION, study=path, sampler=sampler, **options)


def test_what_is_no_study_stays(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("emma\n")
    with pytest.raises(ValueError, match="is not a study"):
        swept(study=path)
    assert path.read_text() == "emma\n"


def test_time_ends_a_study_without_a_number_of_trials():
    assert len(swept(seconds=0.5).trials) > 1


def test_a_trial_of_a_worker_that_fell_silent_is_repeated(monkeypatch, tmp_path):
    """On another machine, whose processes cannot be checked; the result of a worker that was only slow does not count twice."""
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


def serving(command, port, **options):
    """A server, once it accepts connections."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    for _ in range(200):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return server
        time.sleep(0.05)
    server.kill()
    raise TimeoutError(f"{command[0]} does not answer")


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def journal(tmp_path):
    return str(tmp_path / "sweep.log")


@pytest.fixture
def redis(port, tmp_path):
    pytest.importorskip("redis", reason="the package redis is missing")
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is missing")
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with serving(command, port) as server:
        yield f"redis://127.0.0.1:{port}"
        server.terminate()


@pytest.fixture
def postgresql(port):
    pytest.importorskip("psycopg2", reason="the package psycopg2-binary is missing")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))  # Debian's location, which is not on the path
    initdb, postgres = (shutil.which(name, path=os.pathsep.join([*map(str, found), os.environ["PATH"]])) for name in ("initdb", "postgres"))
    if not (initdb and postgres):
        pytest.skip("postgresql is missing")
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path, which other users cannot read
        other = {}
        if os.geteuid() == 0:  # as root, the server refuses to run
            shutil.chown(folder, "postgres")
            other = {"user": "postgres"}
        data = os.path.join(folder, "data")
        subprocess.run([initdb, "-D", data, "-U", "postgres", "-A", "trust", "-N"], check=True, capture_output=True, cwd=folder, **other)
        command = [postgres, "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", folder, "-F"]
        with serving(command, port, cwd=folder, **other) as server:
            yield f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres"
            server.send_signal(signal.SIGINT)  # a shutdown that does not wait for clients


@pytest.fixture(params=["journal", *(pytest.param(name, marks=pytest.mark.slow) for name in ("redis", "postgresql"))])
def storage(request):
    return request.getfixturevalue(request.param)


@posix
def test_a_worker_that_is_killed_costs_nothing(storage, folder):
    """If one of four workers is killed during a trial, another repeats it with the same settings; no trial is lost or done twice."""
    arguments = ["sweep", "docs.txt", "--sampler", "grid", "--learning-rate", "0.01,0.02,0.03,0.04", "--n-layer", "1,2"]
    arguments += ["--steps", "4000", "--n-embd", "8", "--n-head", "2", "--study", storage, "--eval-every", "4000"]
    command = [sys.executable, "-Werror", "-m", "microgpt", *arguments, "--workers", "4"]
    opened = studies.storage_at(storage)  # before the sweep starts, because this takes as long as some trials
    sweep = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True)
    first = sweep.stdout.readline()
    assert first.startswith("trial "), sweep.communicate()
    study = optuna.load_study(study_name=studies.NAME, storage=opened)
    study._storage = opened  # without the cache, see lab/study.py

    def running(number=None):
        trials = study.get_trials()
        first = min(trial.user_attrs["pid"] for trial in trials)  # the worker whose process the parent checks first
        found = (t for t in trials if t.state.name == "RUNNING" and t.params and t.user_attrs["pid"] > first and number in (None, t.number))
        return next(found, None)

    while True:
        assert sweep.poll() is None, sweep.communicate()
        begun = running()
        if begun is not None:
            os.kill(begun.user_attrs["pid"], signal.SIGSTOP)
            if running(begun.number):  # it has not ended in the meantime
                break
            os.kill(begun.user_attrs["pid"], signal.SIGCONT)
    os.kill(begun.user_attrs["pid"], signal.SIGKILL)
    killed = datetime.now()
    out, err = sweep.communicate()
    assert sweep.returncode == 0 and "8 trials, 0 of them pruned" in out, (out, err)
    kept = study.get_trials()
    [failed] = [trial for trial in kept if trial.state.name == "FAIL" and trial.params]
    done = [trial for trial in kept if trial.state.name != "FAIL"]
    assert (
        failed.datetime_complete - killed
    ).total_seconds() < workers.STALE - 2 * workers.BEAT  # sooner than after a minute without a sign of life
    assert failed.number == begun.number and all(trial.state.name == "COMPLETE" for trial in done)
    assert sorted(trial.user_attrs["slot"] for trial in done) == list(range(8))
    assert len({tuple(trial.params.values()) for trial in done}) == 8
    [repeated] = [trial for trial in done if trial.user_attrs["slot"] == failed.user_attrs["slot"]]
    assert repeated.params == failed.params and repeated.user_attrs["pid"] != failed.user_attrs["pid"]


# ---- The command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        "--learning-rate 1e-3..1 --n-embd 4,8 --n-head 2 --steps 30 --trials 4 --scale-init yes --clip-norm none,1 --seed 7 --beta1 0.8..0.9",
        "--preset shakespeare --n-layer 1 --n-embd 4 --n-head 2 --block-size 8 --steps 60 --learning-rate 0.02,0.03,0.04,0.05 --clip-norm none "
        "--eval-every none --sampler grid",  # options for which the preset has numbers
    ],
)
def test_the_best_run_is_repeated_bit_for_bit(folder, capsys, arguments):
    assert cli.main(["sweep", "docs.txt", *arguments.split()]) == 0
    printed = capsys.readouterr().out
    *_, best = [line for line in printed.splitlines() if line.startswith("microgpt train ")]
    assert printed.count("trial ") >= 4 and "importance: --" in printed
    assert cli.main([*shlex.split(best)[1:], "--samples", "0", "--out", "best"]) == 0
    saved = microgpt.storage.checkpoint.read("best")
    loss = saved.progress.val_losses[-1][1]
    assert f"held-out loss {loss:.4f}\n" in printed


def test_a_picture_of_a_study(folder, capsys):
    """Each setting has its own axes, the best trial is marked, and a second picture of the same trials has the same bytes."""
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    arguments = ["sweep", "docs.txt", "--n-embd", "4,8", "--learning-rate", "1e-3..1e-1", "--n-head", "2", "--steps", "30"]
    arguments += ["--trials", "5", "--study", "study", "--plot"]
    assert cli.main([*arguments, "a.svg"]) == 0 and "plot: a.svg\n" in capsys.readouterr().out
    drawn = (folder / "a.svg").read_bytes()
    assert all(text in drawn for text in (b"- -n-embd -->", b"- -learning-rate -->", b", the best -->", b"<!-- importance "))
    assert cli.main([*arguments, "b.svg"]) == 0 and (folder / "b.svg").read_bytes() == drawn
    (folder / "c.svg").write_text("somebody's")
    for path, message in (("c.svg", "is not a picture of microgpt plot"), ("c.jpg", "--plot must end in .png, .svg, .pdf")):
        capsys.readouterr()
        assert cli.main([*arguments, path]) in (1, 2) and message in capsys.readouterr().err
    assert (folder / "c.svg").read_text() == "somebody's"


@posix
def test_a_table_on_a_terminal(folder):
    """The table has the best trials in order, their number and settings; the conclusion is the same as in a pipe."""
    arguments = ["--learning-rate", "0.01,0.02,0.03", "--n-embd", "4", "--n-head", "2", "--steps", "30", "--sampler", "grid"]
    _, shown, _ = on_terminal([sys.executable, "-Werror", "-m", "microgpt", "sweep", "docs.txt", *arguments])
    assert "3 of 3 trials | 0 pruned | " in shown and "trials/min" in shown
    piped = microgpt_command("sweep", "docs.txt", *arguments).stdout
    table, _, conclusion = shown.rpartition("3 trials, 0 of them pruned")
    assert conclusion.strip() == piped.rpartition("3 trials, 0 of them pruned")[2].strip()
    losses = [line.split()[2] for line in piped.splitlines() if line.startswith("trial ")]
    last = table[table.rindex("3 of 3 trials") :]
    rows = [line.split() for line in last.splitlines() if re.match(r" *\d+ +\d+\.\d{4} ", line)]
    assert "--learning-rate" in last and [row[1] for row in rows] == sorted(losses, key=float) and [row[3] for row in rows] != []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "a sweep needs something to vary; give an option a range, such as 1e-4..1e-1, or a list, such as 16,32,64"),
        (["--n-embd", "16,32", "--study", "docs.txt"], "'docs.txt' is not a study, and would be overwritten; give another name"),
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
