"""Arguments of the package's functions: numbers of other libraries, files, wrong names."""

import json
import random
from dataclasses import asdict
from fractions import Fraction

import pytest

import microgpt
from microgpt import GPT, DataWarning, EvalConfig, GPTConfig, TrainConfig
from microgpt.config import SampleConfig
from microgpt.display import explore
from microgpt.training import start

DOCS = ["emma", "olivia", "ava"]
CONFIG, TRAINING = GPTConfig(n_embd=4, n_head=2), TrainConfig(num_steps=3)


class Index:
    """An integer of another type, like NumPy's."""

    def __init__(self, number):
        self.number = number

    def __index__(self):
        return self.number


@pytest.fixture(scope="module")
def run():
    return microgpt.train(DOCS, CONFIG, TRAINING)


# ---- Numbers -----------------------------------------------------------------------------------------------------------


def test_numbers_of_other_types_become_python_s():
    given = TrainConfig(num_steps=Index(3), learning_rate=Fraction(1, 4), clip_norm=1, warmup_steps=Index(1))
    expected = TrainConfig(num_steps=3, learning_rate=0.25, clip_norm=1.0, warmup_steps=1)
    assert given == expected and json.dumps(asdict(given)) == json.dumps(asdict(expected))
    assert EvalConfig(0.1, split_seed=Index(3)) == EvalConfig(0.1, split_seed=3)


def test_numpy_s_numbers(run):
    np = pytest.importorskip("numpy")
    config = GPTConfig(n_embd=np.int64(4), n_head=np.uint8(2), init_std=np.float64(0.08))
    training = TrainConfig(num_steps=np.int32(3), learning_rate=np.float32(0.5))
    assert {type(value) for value in (*asdict(config).values(), *asdict(training).values())} == {int, float, str, bool, type(None)}
    assert config == CONFIG and training.learning_rate == 0.5
    assert microgpt.train(DOCS, config, TRAINING, seed=np.int64(42)).losses == run.losses
    for engine in ("exact", "fast"):
        expected = run.model.generate(3, 0.5, seed=5, engine=engine, threads=1)
        assert run.model.generate(np.int64(3), np.float64(0.5), seed=np.int16(5), engine=engine, threads=np.int8(1)) == expected
    assert type(start(DOCS, config, engine="fast", threads=np.int64(2)).model.engine.threads) is int
    for wrong in (np.True_, np.float64(4), np.array([4])):
        with pytest.raises(TypeError, match="n_embd must be a whole number, not "):
            GPTConfig(n_embd=wrong)


@pytest.mark.parametrize("wrong", [True, 4.0, "4", None, [4]])
def test_what_is_no_whole_number(run, wrong):
    with pytest.raises(TypeError, match="n_embd must be a whole number, not "):
        GPTConfig(n_embd=wrong)
    with pytest.raises(TypeError, match="the number of documents must be a whole number, not "):
        run.model.generate(wrong)
    with pytest.raises(TypeError, match="the number of documents must be a whole number, not "):
        run.generate(wrong)
    if wrong is not None:
        with pytest.raises(TypeError, match="seed must be a whole number, not "):
            start(DOCS, CONFIG, seed=wrong)


@pytest.mark.parametrize("wrong", [True, "4", None, [4], 1j])
def test_what_is_no_number(wrong):
    with pytest.raises(TypeError, match="learning_rate must be a number, not "):
        TrainConfig(learning_rate=wrong)


@pytest.mark.parametrize(
    "kind, options",
    [(SampleConfig, dict(top_k=0)), (SampleConfig, dict(top_p=0)), (TrainConfig, dict(clip_norm="x")), (EvalConfig, dict(patience=0.5))],
)
def test_how_to_switch_an_option_off(kind, options):
    with pytest.raises((ValueError, TypeError), match=rf"{next(iter(options))} must be .*; otherwise omit it$"):
        kind(**options)


def test_what_is_on_cannot_be_switched_off():
    with pytest.raises(ValueError, match="n_embd must be at least 1, not 0$"):
        GPTConfig(n_embd=0)


# ---- Documents ---------------------------------------------------------------------------------------------------------


def test_an_open_file_is_no_list_of_documents(tmp_path):
    path = tmp_path / "docs.txt"
    path.write_text("emma\nava\n")
    with open(path) as file, pytest.raises(TypeError, match="docs must be a list of documents, not .*; load_docs reads one from a file"):
        microgpt.train(file)
    for other in ("emma", b"emma", path, 3):
        with pytest.raises(TypeError, match="docs must be a list of documents, not .*; load_docs reads one from a file"):
            microgpt.train(other)
    with open(path) as file, pytest.warns(DataWarning, match="in docs, 2 of 2 documents end with a newline, .* load_docs") as caught:
        start(file.readlines(), CONFIG)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_set_has_no_order():
    with pytest.raises(TypeError, match=r"docs must be a list of documents, not a set, which has no order; give sorted\(...\) of it"):
        microgpt.train(set(DOCS))
    assert start(dict.fromkeys(DOCS), CONFIG).corpus.tokens == start(iter(DOCS), CONFIG).corpus.tokens


def test_documents_to_exclude_are_no_string(run):
    for generate in (run.generate, run.model.generate):
        with pytest.raises(TypeError, match="exclude must be a list of documents, not 'emma'"):
            generate(1, exclude="emma")


# ---- Names -------------------------------------------------------------------------------------------------------------


def test_a_name_that_does_not_exist_is_an_error_of_what_was_called(run, tmp_path):
    model, tokenizer = run.model, run.model.tokenizer
    calls = {
        "train": lambda **wrong: microgpt.train(DOCS, **wrong),
        "start": lambda **wrong: start(DOCS, **wrong),
        "Run.generate": run.generate,
        "GPT.generate": model.generate,
        "GPT.portions": model.portions,
        "GPT.generate_from": lambda **wrong: model.generate_from(random.Random(1), **wrong),
        "GPT.load": lambda **wrong: GPT.load("x", **wrong),
        "GPT.from_json": lambda **wrong: GPT.from_json(model.to_json(), **wrong),
        "GPT.from_values": lambda **wrong: GPT.from_values(model.to_values(), CONFIG, tokenizer, **wrong),
        "GPT.from_numpy": lambda **wrong: GPT.from_numpy({}, CONFIG, tokenizer, **wrong),
        "GPT.from_torch": lambda **wrong: GPT.from_torch(None, **wrong),
        "write": lambda **wrong: explore.write(tmp_path / "page.html", model, **wrong),
    }
    for name, call in calls.items():
        with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected keyword argument 'temprature'"):
            call(temprature=1)


def test_the_run_s_own_documents_take_every_option(run):
    state = run.rng.getstate()
    options = dict(prompt="a", top_k=3, top_p=0.9, unique=True, exclude=["ava"])
    rng = random.Random()
    rng.setstate(state)
    assert run.generate(3, 2.0, **options) == run.model.generate_from(rng, 3, 2.0, **options)
