"""What a model is worth on documents, and where two runs first differ: each number beside its definition."""

import json
import math
from dataclasses import replace

import pytest
from command_line import fail, microgpt_command, succeed

import microgpt
from microgpt import GPT, EvalConfig, GPTConfig, TrainConfig
from microgpt.lab.differences import units_apart

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
    assert f"loss                {found.loss!r} nats a token\n" in shown and f"{found.losses[1]:.4f}  2  isabella\n" in shown
    path.write_text("ava\nzoë\n")
    assert fail("eval", saved, path).startswith("the model does not know 2 characters of these data: 'z' 'ë' (in 1 document, first in 'zoë'); ")


def test_the_command_info_of_a_model(run, saved, tmp_path):
    facts = json.loads(succeed("info", saved, "--json"))
    assert (facts["last loss"], facts["held-out loss"]) == (run.losses[-1], run.val_losses[-1][1])
    assert (facts["data fingerprint"], facts["alphabet"], facts["model"]["n_embd"]) == (run.fingerprint(), run.model.tokenizer.chars, 4)
    run.model.save(tmp_path / "model")
    assert "training" not in (model := json.loads(succeed("info", tmp_path / "model", "--json"))) and model["parameters"] == run.model.num_params
    assert f"SHA-256            {facts['SHA-256']}\n" in succeed("info", saved)


# ---- diff --------------------------------------------------------------------------------------------------------------


def test_runs_that_are_equal_in_all_forms(run, saved, tmp_path):
    printed, hexes, exported = tmp_path / "printed.txt", tmp_path / "hex.txt", tmp_path / "model.json"
    lines = [f"step {i:4d} / {12:4d} | loss {loss:.4f}" for i, loss in enumerate(run.losses, 1)]
    printed.write_text("num docs: 5\n" + "\n".join(lines) + "\n\n--- inference ---\nsample  1: 0x1\n")
    hexes.write_text("\n".join(map(float.hex, run.losses)))
    exported.write_text(run.model.to_json())
    for other in (run, run.model, run.losses, saved, printed, hexes, exported):
        assert microgpt.diff(saved, other) is None
    done = microgpt_command("diff", saved, printed)
    assert (done.returncode, done.stdout) == (0, "equal\n")


def test_the_first_difference(run, saved):
    other = microgpt.load(saved)
    other.params[5] = math.nextafter(other.params[5], 9)
    found = microgpt.diff(run, other)
    assert (found.part, found.name, found.distance, found.count) == ("weight", "wte[1][1]", 1, 1)
    losses = [*run.losses[:7], run.losses[7] * (1 + 2**-50), *run.losses[8:]]
    found = microgpt.diff(run, losses)
    assert (found.part, found.name, found.a, found.b) == ("loss", "of step 8", run.losses[7], losses[7]) and 1 < found.distance < 9
    assert losses[7].hex() in str(found)
    assert microgpt.diff(run.losses, run.losses[:-1]).b is None
    more = microgpt.train(DOCS, CONFIG, replace(TRAINING, eps=2e-8), evaluation=EvalConfig(0.2, 4))
    assert microgpt.diff(run, more).name == "eps"
    data = microgpt.train([*DOCS, "a"], CONFIG, TRAINING, evaluation=EvalConfig(0.2, 4))
    assert microgpt.diff(run, data).part == "data"
    assert microgpt.diff(run, GPT.from_json(microgpt.train(["ab"], CONFIG, TRAINING).model.to_json())).part == "alphabet"


def test_rounded_losses_are_compared_as_far_as_they_go(run, saved, tmp_path):
    path = tmp_path / "losses.txt"
    for digits in (3, 8):
        path.write_text("".join(f"{loss:.{digits}f}\n" for loss in run.losses))
        assert microgpt.diff(path, saved) is None
    path.write_text("".join(f"{loss + 2e-8:.8f}\n" for loss in run.losses))
    done = microgpt_command("diff", path, saved)
    assert done.returncode == 1 and done.stdout.startswith("loss of step 1 differs (12 of 12 do)\n  A  ")


def test_what_cannot_be_compared(saved, tmp_path):
    (tmp_path / "names.txt").write_text("emma\n")
    for other in (tmp_path / "names.txt", tmp_path / "none.txt"):
        assert microgpt_command("diff", saved, other).returncode == 2
    with pytest.raises(ValueError, match="nothing to compare: one has only loss, and the other only settings, alphabet, weight"):
        microgpt.diff([2.5], microgpt.load(saved))


def test_units_apart():
    assert units_apart(0.0, 5e-324) == 1 and units_apart(-0.0, 0.0) == 1 and units_apart(1.0, 1.0) == 0
    assert units_apart(-5e-324, 5e-324) == 3 and units_apart(1.0, math.nextafter(1, 2)) == 1 and units_apart(math.nan, 1.0) is None
