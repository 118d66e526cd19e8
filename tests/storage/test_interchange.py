"""Models in other formats and back: Values, JSON, NumPy. Every bit is preserved, and invalid input is refused."""

import json
import math
import random
import subprocess
import sys
from array import array
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt import GPT, GPTConfig, Tokenizer, Value, reference
from microgpt.engines.graph import GraphEngine
from microgpt.reference import ACTIVATIONS
from microgpt.storage.checkpoint import CheckpointError

DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
HARD = [0.0, -0.0, 5e-324, -2.2250738585072009e-308, 1.7976931348623157e308, 0.1, 1 / 3, 2.0**53 + 2]


@st.composite
def models(draw):
    n_head = draw(st.integers(1, 3))
    config = GPTConfig(
        n_layer=draw(st.integers(1, 3)),
        n_embd=n_head * draw(st.integers(1, 3)),
        n_head=n_head,
        block_size=draw(st.integers(1, 5)),
        activation=draw(st.sampled_from([*ACTIVATIONS])),
        init_std=draw(st.sampled_from([0.08, 0.5])),
        bos_first=draw(st.booleans()),
    )
    tokenizer = Tokenizer(sorted(draw(st.sets(st.characters(), min_size=1, max_size=4))), config.bos_first)
    model = GPT.init(config, tokenizer, random.Random(draw(st.integers(0, 99))))
    for number in draw(st.lists(DOUBLES | st.sampled_from(HARD), max_size=4)):
        model.params[draw(st.integers(0, model.num_params - 1))] = number
    return model


def bits(model):
    return bytes(model.params)


def check_same(model, again):
    assert again.config == model.config and again.tokenizer == model.tokenizer and bits(again) == bits(model)
    text = model.tokenizer.chars[:1] * (model.config.block_size - 1)
    try:
        expected = model.logits(text)
    except (ValueError, ArithmeticError):  # the random weights are far too large
        return
    assert str(again.logits(text)) == str(expected)


@pytest.fixture
def model():
    return GPT.init(GPTConfig(n_embd=4, n_head=2, block_size=3), Tokenizer("abc"), random.Random(1))


# ---- the reference's state_dict -----------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(models(), st.sampled_from([Value, reference.Value]))
def test_values(model, kind):
    weights = model.to_values(kind)
    assert list(weights) == list(model.state_dict())
    assert all(type(p) is kind and p.grad == 0 for matrix in weights.values() for row in matrix for p in row)
    check_same(model, GPT.from_values(weights, model.config, model.tokenizer))


def test_values_and_the_reference_agree_on_the_logits(model, layer):
    """The reference's own gpt() computes the same from a state_dict as the model, before and after a change."""
    ops = reference if layer is reference else GraphEngine.ops
    weights = model.to_values(layer.Value)
    weights["wte"][1][2].data -= 0.01  # like an optimizer
    again = GPT.from_values(weights, model.config, model.tokenizer)
    keys, values = [[]], [[]]
    logits = [
        [logit.data for logit in ops.gpt(token, position, keys, values, weights, model.config, ops.ACTIVATIONS[model.config.activation])]
        for position, token in enumerate([model.tokenizer.bos, *model.tokenizer.encode("ab")])
    ]
    assert again.logits("ab") == logits != model.logits("ab")


def test_values_of_a_scripts_own_class(model):
    class Mine:
        def __init__(self, data):
            self.data = data

    check_same(model, GPT.from_values(model.to_values(Mine), model.config, model.tokenizer))


def test_values_that_are_ints():
    config, tokenizer = GPTConfig(n_embd=1, n_head=1, block_size=1), Tokenizer("a")
    weights = {name: [[Value(2)] * columns] * rows for name, (rows, columns) in config.shapes(2).items()}
    assert set(GPT.from_values(weights, config, tokenizer).params) == {2.0}


def test_values_are_copies(model):
    before = bits(model)
    weights = model.to_values()
    weights["wte"][0][0].data = 7.0
    again = GPT.from_values(weights, model.config, model.tokenizer)
    weights["wte"][0][0].data = 8.0
    assert bits(model) == before and again.state_dict()["wte"][0, 0] == 7.0


# ---- JSON ---------------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(models())
def test_json(model):
    text = model.to_json()
    assert text.isascii()
    check_same(model, GPT.from_json(text))
    check_same(model, GPT.from_json(json.dumps(json.loads(text), indent=1).encode()))


def test_what_is_in_json(model):
    whole = json.loads(model.to_json())
    assert list(whole) == ["format", "config", "characters", "weights"]
    assert whole["characters"] == "abc" and whole["config"]["n_embd"] == 4
    assert whole["weights"] == {name: view.tolist() for name, view in model.state_dict().items()}


def edited(edit):
    def make(model):
        whole = json.loads(model.to_json())
        edit(whole)
        return json.dumps(whole)

    return make


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda m: m.to_json()[:-5], "not JSON, or only a part of it"),
        (lambda m: "[" * 100_000, "not JSON"),
        (lambda m: b"\xff\xfe\xff", "not JSON"),
        (lambda m: "[]", "not a model that to_json wrote"),
        (lambda m: '{"format": "microgpt-json-2"}', "not a model that to_json wrote"),
        (lambda m: m.to_json().replace('"format"', '"format": "microgpt-json-1", "format"', 1), "has the same key twice"),
        (edited(lambda w: w.pop("weights")), "lacks the key 'weights'"),
        (edited(lambda w: w.update(more=1)), "or a newer microgpt wrote it: it has an unknown key 'more'"),
        (edited(lambda w: w["config"].pop("n_embd")), "'wte' are 4 rows of 4 numbers, .* 4 rows of 16"),
        (edited(lambda w: w["config"].update(more=1)), "newer microgpt wrote it: it has an unknown option 'more' in its"),
        (edited(lambda w: w.update(config=[])), "its 'config' and 'weights' must be objects"),
        (edited(lambda w: w["config"].update(n_head=3)), "not divisible by n_head 3"),
        (edited(lambda w: w["config"].update(n_layer=100)), "fewer layers than the 100 of the configuration"),
        (edited(lambda w: w["config"].update(n_layer=10**12)), "'config' describes a model larger than the file"),
        (edited(lambda w: w["config"].update(n_embd=10**18, n_head=7)), "describes a model larger than the file"),
        (edited(lambda w: w["config"].update(block_size=100)), "'wpe' are 3 rows of 4 numbers, but"),
        (edited(lambda w: w["config"].update(n_embd="4")), "n_embd must be a whole number"),
        (edited(lambda w: w.update(characters="cba")), "distinct and sorted"),
        (edited(lambda w: w.update(characters=["a"])), "and its 'characters' a string"),
        (edited(lambda w: w.update(characters="abcd")), "'wte' are 4 rows of 4 numbers, .* 5 rows of 4"),
        (edited(lambda w: w.update(weights=[])), "'weights' must be objects"),
        (edited(lambda w: w["weights"].pop("wpe")), "'wpe' are missing"),
        (edited(lambda w: w["weights"].update(bias=[[0.0]])), "no weights 'bias'"),
        (edited(lambda w: w["weights"]["wte"].pop()), "'wte' are 3 rows of 4 numbers, .* 4 rows of 4"),
        (edited(lambda w: w["weights"]["wte"][1].pop()), "'wte' are 4 rows of 3 or 4 numbers"),
        (edited(lambda w: w["weights"].update(wte=[])), "'wte' are 0 rows of 0 numbers"),
        (edited(lambda w: w["weights"].update(wte=5)), "'wte' are not a list of rows"),
        (edited(lambda w: w["weights"].update(wte=[1.0] * 4)), "'wte' are not a list of rows"),
        (edited(lambda w: w["weights"]["wte"][0].__setitem__(0, math.nan)), "'wte' have .* not a finite double: nan"),
        (edited(lambda w: w["weights"]["wte"][0].__setitem__(0, math.inf)), "finite double: inf"),
        (lambda m: m.to_json().replace('"wte": [[', '"wte": [[1e999, ', 1), "rows of 4 or 5"),
        (edited(lambda w: w["weights"]["wte"][0].__setitem__(0, 2**53 + 1)), "finite double: 9007199254740993"),
        (edited(lambda w: w["weights"]["wte"][0].__setitem__(0, 10**400)), "finite double: 1000"),
        (edited(lambda w: w["weights"]["wte"][0].__setitem__(0, True)), "finite double: True"),
        (edited(lambda w: w["weights"]["wte"][0].__setitem__(0, "1.0")), "finite double: '1.0'"),
        (edited(lambda w: w["weights"]["wte"][0].__setitem__(0, None)), "finite double: None"),
    ],
)
def test_json_that_is_refused(model, make, message):
    with pytest.raises(CheckpointError, match=message) as error:
        GPT.from_json(make(model))
    assert "\n" not in str(error.value) and len(str(error.value)) < 250


def test_json_without_an_option_takes_its_default(model):
    """As written by an older version, before the option existed."""
    for field in fields(GPTConfig):
        whole = json.loads(model.to_json())
        if whole["config"].pop(field.name) == field.default:
            check_same(model, GPT.from_json(json.dumps(whole)))


def test_the_same_model_gives_the_same_json(model):
    assert GPT.from_json(model.to_json()).to_json() == model.to_json()


def test_json_from_javascript(model):
    """JSON.stringify writes 1.0 as 1."""
    model.params[0] = 1.0
    assert bits(GPT.from_json(model.to_json().replace("[[1.0,", "[[1,", 1))) == bits(model)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_model_that_is_not_finite_is_not_written(model, number):
    model.params[5] = number
    with pytest.raises(CheckpointError, match="not all numbers are finite"):
        model.to_json()
    with pytest.raises(ValueError, match="not a finite double"):
        GPT.from_values(model.to_values(), model.config, model.tokenizer)


def test_json_is_text(model):
    with pytest.raises(TypeError, match="from_json takes JSON text, as to_json gives it, not dict"):
        GPT.from_json(json.loads(model.to_json()))


# ---- NumPy --------------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(models())
def test_numpy(model):
    pytest.importorskip("numpy")
    arrays = model.to_numpy()
    assert list(arrays) == list(model.state_dict())
    assert all(a.dtype == "float64" and a.ndim == 2 for a in arrays.values())
    check_same(model, GPT.from_numpy(arrays, model.config, model.tokenizer))


def test_numpy_arrays_are_the_model_itself(model, engine):
    numpy = pytest.importorskip("numpy")
    model = GPT(model.config, model.tokenizer, array("d", model.params), engine)
    arrays, before = model.to_numpy(), model.logits("ab")
    arrays["lm_head"] *= 2
    assert model.logits("ab") != before
    assert numpy.shares_memory(arrays["wte"], numpy.frombuffer(model.params))
    model.params[0] = 42.0
    assert arrays["wte"][0, 0] == 42.0
    again = GPT.from_numpy(arrays, model.config, model.tokenizer, engine=engine)
    assert again.engine.name == engine
    arrays["wte"][0, 0] = 43.0
    assert again.params[0] == 42.0
    wte = arrays["wte"]
    del model, arrays
    assert wte[0, 0] == 43.0  # the memory lives as long as a view of it


def test_numpy_widens_and_transposed_arrays_are_read_right(model):
    numpy = pytest.importorskip("numpy")
    halves = {name: a.astype("float16") for name, a in model.to_numpy().items()}
    halves["lm_head"] = numpy.asfortranarray(halves["lm_head"])
    again = GPT.from_numpy(halves, model.config, model.tokenizer)
    assert all((again.to_numpy()[name] == a).all() for name, a in halves.items())


@pytest.mark.parametrize(
    "change, error, message",
    [
        (lambda np, a: a.pop("wpe"), ValueError, "'wpe' are missing"),
        (lambda np, a: a.update(bias=np.zeros((1, 4))), ValueError, "no weights 'bias'; omit them"),
        (lambda np, a: a.update(wte=a["wte"][:, :3]), ValueError, "'wte' are 4 rows of 3 numbers, .* 4 rows of 4"),
        (lambda np, a: a.update(wte=a["wte"].ravel()), ValueError, "'wte' are not a list of rows"),
        (lambda np, a: a.update(wte=a["wte"][None]), ValueError, "'wte' are 1 rows of 4 numbers"),
        (lambda np, a: a.update(wte=a["wte"].astype(int)), TypeError, "'wte' are of int64; give float64"),
        (lambda np, a: a.update(wte=a["wte"].astype(complex)), TypeError, "complex128"),
        (lambda np, a: a.update(wte=a["wte"] * np.nan), ValueError, "not a finite double"),
    ],
)
def test_arrays_that_are_refused(model, change, error, message):
    numpy = pytest.importorskip("numpy")
    arrays = dict(model.to_numpy())
    change(numpy, arrays)
    with pytest.raises(error, match=message):
        GPT.from_numpy(arrays, model.config, model.tokenizer)


def test_a_tokenizer_of_the_other_revision_is_refused(model):
    with pytest.raises(ValueError, match="differ in bos_first"):
        GPT.from_values(model.to_values(), model.config, Tokenizer("abc", bos_first=True))


def test_floats_where_values_should_be(model):
    with pytest.raises(TypeError, match="lists of rows of Values, not of float"):
        GPT.from_values({name: view.tolist() for name, view in model.state_dict().items()}, model.config, model.tokenizer)


# ---- without the optional modules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "module, use",
    [
        ("numpy", "model.to_numpy()"),
        ("numpy", "GPT.from_numpy({}, model.config, model.tokenizer)"),
        ("torch", "model.to_torch()"),
        ("torch", "GPT.from_torch(None)"),
    ],
)
def test_what_is_missing_is_named(module, use):
    code = f"""
import random, sys
from microgpt import GPT, GPTConfig, Tokenizer
assert not {{"numpy", "torch", "subprocess", "microgpt.storage.arrays", "microgpt.storage.jsontext"}} & sys.modules.keys()
sys.modules[{module!r}] = None
model = GPT.init(GPTConfig(n_embd=4), Tokenizer("a"), random.Random(1))
try:
    {use}
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"install it with: pip install 'microgpt-cython[{module}]'" in done.stdout
