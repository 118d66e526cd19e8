"""Evaluating a model on documents, and finding where two runs first differ: each number is compared with its definition."""

import csv
import json
import math
from dataclasses import replace

import pytest
from command_line import fail, microgpt_command, succeed

import microgpt
from microgpt import GPT, EvalConfig, GPTConfig, TrainConfig
from microgpt.display import history
from microgpt.lab.differences import units_apart
from microgpt.training import start

DOCS = ["emma", "olivia", "ava", "isabella", "sophia", "mia"]
CONFIG = GPTConfig(n_embd=4, n_head=2, block_size=8)
TRAINING = TrainConfig(num_steps=12)


@pytest.fixture(scope="module")
def run():
    return microgpt.train(DOCS, CONFIG, TRAINING, evaluation=EvalConfig(0.2, 4))


@pytest.fixture(scope="module")
def saved(run, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("lab") / "run.safetensors")
    run.save(path)
    return path


# ---- eval --------------------------------------------------------------------------------------------------------------


def test_an_evaluation_is_the_mean_of_the_tokens_losses(run):
    docs = ["ava", "isabella", "m"]  # of 4, 8 (its end is cut) and 2 tokens
    found = microgpt.evaluate(run.model, docs)
    assert found.losses == [run.model.loss(doc) for doc in docs]
    total = math.fsum(loss * size for loss, size in zip(found.losses, (4, 8, 2)))
    assert (found.documents, found.tokens, found.characters) == (3, 14, 12)
    assert found.loss == total / 14 and found.perplexity == math.exp(found.loss)
    assert found.bits_per_character == pytest.approx(total / math.log(2) / 12, rel=1e-15)


@pytest.mark.parametrize("kind, docs", [("paragraphs", ["ab\nba", "b"]), ("text", ["abba\nbab\nba"])])
def test_an_evaluation_of_other_documents(kind, docs):
    model = microgpt.train(["ab\nba"], replace(CONFIG, documents=kind), TRAINING).model
    found = microgpt.evaluate(model, docs)
    if kind == "text":
        assert (found.documents, found.tokens, found.characters) == (2, 10, 10)
        assert found.bits_per_character == pytest.approx(found.loss / math.log(2), rel=1e-15)
    else:
        assert (found.documents, found.tokens, found.characters) == (2, 8, 6)
        assert found.losses == [model.loss(doc) for doc in docs]


def test_the_command_eval(run, saved, tmp_path):
    path = tmp_path / "docs.txt"
    path.write_text("ava\nisabella\n")
    found = microgpt.evaluate(saved, ["ava", "isabella"])
    told = json.loads(succeed("eval", saved, path, "--json", "--per-document"))
    assert told["loss"] == found.loss and [doc["loss"] for doc in told["per_document"]] == found.losses
    shown = succeed("eval", saved, path, "--per-document")
    assert f"loss                {found.loss!r} nats per token\n" in shown and f"{found.losses[1]:.4f}  2  isabella\n" in shown
    path.write_text("ava\nzoë\n")
    assert fail("eval", saved, path).startswith(
        "the model does not know 2 characters of these data: 'z' 'ë' (in 1 document, first in 'zoë'); "
    )


def test_the_command_info_of_a_model(run, saved, tmp_path):
    facts = json.loads(succeed("info", saved, "--json"))
    assert (facts["last loss"], facts["held-out loss"]) == (run.losses[-1], run.val_losses[-1][1])
    assert (facts["data fingerprint"], facts["alphabet"], facts["model"]["n_embd"]) == (run.fingerprint(), run.model.tokenizer.chars, 4)
    run.model.save(tmp_path / "model")
    assert (
        "training" not in (model := json.loads(succeed("info", tmp_path / "model", "--json")))
        and model["parameters"] == run.model.num_params
    )
    assert f"SHA-256            {facts['SHA-256']}\n" in succeed("info", saved)


# ---- diff --------------------------------------------------------------------------------------------------------------


def test_runs_that_are_equal_in_all_forms(run, saved, tmp_path):
    printed, hexes, exported = tmp_path / "printed.txt", tmp_path / "hex.txt", tmp_path / "model.json"
    lines = [f"step {i:4d} / {12:4d} | loss {loss:.4f}" for i, loss in enumerate(run.losses, 1)]
    printed.write_text("num docs: 5\n" + "\n".join(lines) + "\n\n--- inference ---\nsample  1: 0x1\n")
    hexes.write_text("\n".join(map(float.hex, run.losses)))
    exported.write_text(run.model.to_json())
    for other in (run, run.model, run.losses, saved, printed, hexes, exported):
        assert microgpt.diff(saved, other) == []
    done = microgpt_command("diff", saved, printed)
    assert (done.returncode, done.stdout) == (0, "equal\n")


def test_the_first_difference_of_a_part(run, saved):
    other = microgpt.load(saved)
    other.params[5] = math.nextafter(other.params[5], 9)
    [found] = microgpt.diff(run, other)
    assert (found.part, found.name, found.distance, found.count) == ("weight", "wte[1][1]", 1, 1)
    losses = [*run.losses[:7], run.losses[7] * (1 + 2**-50), *run.losses[8:]]
    [found] = microgpt.diff(run, losses)
    assert (found.part, found.name, found.a, found.b) == ("loss", "of step 8", run.losses[7], losses[7]) and 1 < found.distance < 9
    assert losses[7].hex() in str(found)
    assert microgpt.diff(run.losses, run.losses[:-1])[0].b is None
    data = microgpt.train([*DOCS, "a"], CONFIG, TRAINING, evaluation=EvalConfig(0.2, 4))
    assert microgpt.diff(run, data)[0].part == "data"
    assert microgpt.diff(run, GPT.from_json(microgpt.train(["ab"], CONFIG, TRAINING).model.to_json()))[0].part == "alphabet"


def test_every_setting_that_differs_and_where_the_losses_part(run, saved, tmp_path):
    """Two runs that differ in eps, and two whose gradients are clipped only in step 5."""
    norms = microgpt.train(DOCS, CONFIG, TRAINING, evaluation=EvalConfig(0.2, 4), gradient_norms=True).gradient_norms
    step = next(
        step for step in norms if step > 1 and norms[step] == max(list(norms.values())[:step])
    )  # no earlier step had a longer gradient
    clip_norm = max(norm for before, norm in norms.items() if before < step)
    other = microgpt.train(DOCS, CONFIG, replace(TRAINING, clip_norm=clip_norm), seed=None, evaluation=EvalConfig(0.2, 4, patience=9))
    found = microgpt.diff(run, other)
    assert [(one.part, one.name) for one in found[:3]] == [
        ("settings", "clip_norm"), ("settings", "patience"), ("loss", f"of step {step + 1}")
    ]  # fmt: skip
    assert [one.part for one in found[3:]] == ["held-out loss", "weight"] and (found[0].a, found[0].b) == (None, clip_norm)
    other.save(tmp_path / "other")
    done = microgpt_command("diff", saved, tmp_path / "other")
    assert done.returncode == 1 and done.stdout == "".join(f"{one}\n" for one in found)
    told = json.loads(microgpt_command("diff", saved, tmp_path / "other", "--json").stdout)
    assert [one["name"] for one in told] == [one.name for one in found] and told[2]["a_hex"] == found[2].a.hex()


def test_rounded_losses_are_compared_as_far_as_they_go(run, saved, tmp_path):
    path = tmp_path / "losses.txt"
    for digits in (3, 8):
        path.write_text("".join(f"{loss:.{digits}f}\n" for loss in run.losses))
        assert microgpt.diff(path, saved) == []
    path.write_text("".join(f"{loss + 2e-8:.8f}\n" for loss in run.losses))
    done = microgpt_command("diff", path, saved)
    assert done.returncode == 1 and done.stdout.startswith("loss of step 1 differs (12 of 12 do)\n  A  ")


def test_what_cannot_be_compared(saved, tmp_path):
    (tmp_path / "names.txt").write_text("emma\n")
    for other in (tmp_path / "names.txt", tmp_path / "none.txt"):
        assert microgpt_command("diff", saved, other).returncode == 2
    with pytest.raises(ValueError, match="nothing to compare, because one has only loss and the other only settings, alphabet, weight"):
        microgpt.diff([2.5], microgpt.load(saved))


def test_units_apart():
    assert units_apart(0.0, 5e-324) == 1 and units_apart(-0.0, 0.0) == 1 and units_apart(1.0, 1.0) == 0
    assert units_apart(-5e-324, 5e-324) == 3 and units_apart(1.0, math.nextafter(1, 2)) == 1 and units_apart(math.nan, 1.0) is None


# ---- Logs and folders --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("engine, threads", [("python", 1), ("graph", 1), ("exact", 1), ("exact", 2), ("fast", 1), ("fast", 2)])
def test_gradient_norms_change_no_bit(engine, threads, clip_norm):
    """Each norm is that of the reference's clipping, and in an exact engine equal in every bit."""
    training, options = TrainConfig(num_steps=3, clip_norm=clip_norm, batch_size=3), {"engine": engine, "threads": threads}
    told = []
    measured = microgpt.train(DOCS, CONFIG, training, gradient_norms=True, callback=lambda step: told.append(step.gradient_norm), **options)
    plain, stepwise = microgpt.train(DOCS, CONFIG, training, **options), start(DOCS, CONFIG, training, **options)
    assert microgpt.diff(measured, plain) == [] and measured.model.engine.moments() == plain.model.engine.moments()
    assert measured.gradient_norms == dict(enumerate(told, 1)) and plain.gradient_norms == {}
    for step, norm in enumerate(told):
        _, gradients = stepwise.model.engine.gradients(stepwise.corpus, step, training)
        squares = 0.0
        for gradient in gradients:
            squares += gradient**2
        assert norm == (squares**0.5 if engine != "fast" else pytest.approx(squares**0.5, rel=1e-6))
        stepwise.train(lambda done: True)


@pytest.mark.parametrize("engine", ["graph", "exact", "fast"])
def test_a_run_that_fails_has_the_norms_of_its_steps(engine):
    """The weights are those of a run without norms: Adam's update ends at the gradient whose square overflows."""
    training = TrainConfig(num_steps=30, learning_rate=1e10, schedule="constant")
    runs = [start(DOCS, CONFIG, training, engine=engine) for _ in range(2)]
    for run, asked in zip(runs, (True, False)):
        with pytest.raises(microgpt.DivergenceError):
            run.train(gradient_norms=asked)
    assert runs[0].losses == runs[1].losses and bytes(runs[0].model.params) == bytes(runs[1].model.params)
    assert [*runs[0].gradient_norms] == [*range(1, len(runs[0].losses) + 1)] != []


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_what_a_log_says_beside_the_losses(tmp_path, ending):
    def rows():
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file)) if ending == ".csv" else list(map(json.loads, file))

    def cells(name):
        return [None if row.get(name) in (None, "") else float(row[name]) for row in rows()]

    path, saved = str(tmp_path / f"log{ending}"), tmp_path / "run"
    run = start(DOCS, CONFIG, TRAINING)
    log = history.Log(run, path)
    run.train(lambda step: step.step == 7, log.update, gradient_norms=True)
    log.close()
    run.save(saved)
    sizes = [run.corpus.predictions(i % len(DOCS), 8) for i in range(12)]
    seconds, norms = cells("seconds"), cells("gradient_norm")
    assert cells("tokens") == [sum(sizes[: i + 1]) for i in range(7)] and norms == list(run.gradient_norms.values())
    assert seconds == sorted(seconds) and seconds[0] > 0 and seconds[-1] == round(run.seconds, 6)
    resumed = start(DOCS, resume=saved)
    log = history.Log(resumed, path)  # has the seconds of the earlier steps
    resumed.train(progress=log.update)
    log.close()
    assert cells("tokens") == [sum(sizes[: i + 1]) for i in range(12)] and cells("gradient_norm") == norms + [None] * 5
    assert cells("seconds")[:7] == seconds and cells("seconds") == sorted(cells("seconds")) and len(cells("seconds")) == 12
    assert history.read(path).losses.tolist() == resumed.losses


def test_a_log_of_version_0_1_goes_on(tmp_path):
    path, saved = tmp_path / "log.csv", tmp_path / "run"
    run = microgpt.train(DOCS, CONFIG, TRAINING, callback=lambda step: step.step == 2)
    run.save(saved)
    rows = [f"{i},{loss!r},{loss!r},0.01,\n" for i, loss in enumerate(run.losses, 1)]
    path.write_text("step,loss,smoothed,lr,val_loss\n" + "".join(rows))
    (tmp_path / "docs.txt").write_text("\n".join(DOCS))
    assert history.read(path).losses.tolist() == run.losses
    succeed("train", tmp_path / "docs.txt", "--resume", saved, "--log", path)
    lines = path.read_text().splitlines()
    assert lines[0] == "step,loss,smoothed,lr,val_loss,seconds,tokens,gradient_norm" and len(lines) == 13
    assert lines[2].split(",")[5] == "" and float(lines[3].split(",")[5]) > 0


def test_a_folder_for_each_run(tmp_path):
    data, runs = tmp_path / "some names.txt", tmp_path / "runs"
    data.write_text("\n".join(DOCS))
    options = ["train", data, "--steps", 6, "--n-embd", 4, "--n-head", 2]
    printed = succeed(*options, "--run-dir", runs, "--log-gradient-norm", "--samples", 3)
    [first] = runs.iterdir()
    assert first.name.endswith("-some-names-001")
    assert {path.name for path in first.iterdir()} == {"config.json", "losses.csv", "model.safetensors", "samples.txt"}
    config = json.loads((first / "config.json").read_text())
    assert config["command"].startswith(f"microgpt train '{data}' --steps 6 ") and config["training"]["num_steps"] == 6
    assert (first / "samples.txt").read_text().split("\n")[:-1] == [line.split(": ")[1] for line in printed.splitlines()[-3:]]
    before = {path: path.read_bytes() for path in first.iterdir()}
    succeed(*options[:2], "--resume", first / "model.safetensors", "--steps", 8, "--run-dir", runs)
    second = runs / first.name.replace("001", "002")
    assert before == {path: path.read_bytes() for path in first.iterdir()}  # none of them has changed
    assert json.loads((second / "config.json").read_text())["resumed_from"] == str(first / "model.safetensors")
    old, new = ((folder / "losses.csv").read_text().splitlines() for folder in (first, second))
    assert [row.split(",")[5] for row in new[1:7]] == [row.split(",")[5] for row in old[1:7]] and len(new) == 9


def test_a_folder_for_each_run_of_train(tmp_path):
    """The folder has the files of the command for the same settings; the run's own generator does not advance."""
    data = tmp_path / "names.txt"
    data.write_text("\n".join(DOCS))
    options = ["--steps", 6, "--n-embd", 4, "--n-head", 2, "--block-size", 8, "--log-gradient-norm"]
    succeed("train", data, *options, "--run-dir", tmp_path / "by command")
    plain = microgpt.train(DOCS, CONFIG, TrainConfig(num_steps=6))
    run = microgpt.train(DOCS, CONFIG, TrainConfig(num_steps=6), run_dir=tmp_path / "runs", gradient_norms=True)
    [command], [first] = ([*(tmp_path / name).iterdir()] for name in ("by command", "runs"))
    assert run.folder == str(first) and first.name.endswith("-run-001") and plain.folder is None
    assert {path.name for path in first.iterdir()} == {"config.json", "losses.csv", "model.safetensors", "samples.txt"}
    for name in ("model.safetensors", "samples.txt"):
        assert (first / name).read_bytes() == (command / name).read_bytes()
    ours, theirs = (
        [row.split(",")[:5] + row.split(",")[6:] for row in (at / "losses.csv").read_text().splitlines()] for at in (first, command)
    )
    assert ours == theirs and len(ours) == 7  # all but the seconds
    ours, theirs = (json.loads((at / "config.json").read_text()) for at in (first, command))
    assert {name for name in ours if ours[name] != theirs[name]} == {"command", "data"}
    assert run.generate(3) == plain.generate(3)

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(microgpt.Interrupted) as stopped:
        microgpt.train(DOCS, CONFIG, TrainConfig(num_steps=6), run_dir=tmp_path / "runs", callback=stop)
    second = stopped.value.run.folder
    assert second.endswith("-run-002") and microgpt.load(f"{second}/model.safetensors").params[:] == stopped.value.run.model.params[:]
    run = microgpt.train(DOCS, resume=f"{second}/model.safetensors", run_dir=tmp_path / "runs")
    assert microgpt.diff(run, plain) == [] and len(history.read(f"{run.folder}/losses.csv").losses) == 6
    with pytest.raises(microgpt.DivergenceError):
        microgpt.train(DOCS, CONFIG, TrainConfig(num_steps=60, learning_rate=1e300), run_dir=tmp_path / "runs")
    [last] = (path for path in (tmp_path / "runs").iterdir() if path.name.endswith("-004"))
    assert {path.name for path in last.iterdir()} == {"config.json", "losses.csv"}


@pytest.mark.parametrize(
    "options, message",
    [
        (["--run-dir", "x", "--out", "y"], "--run-dir also writes the file of --out, in a new folder; omit one of them"),
        (["--run-dir", ""], "--run-dir needs the name of a folder"),
        (["--log-gradient-norm"], "--log-gradient-norm adds a column to the log; give --log FILE too, or --run-dir"),
    ],
)
def test_options_of_folders_and_logs(options, message):
    done = microgpt_command("train", "names", *options)
    assert done.returncode == 2 and message in done.stderr
