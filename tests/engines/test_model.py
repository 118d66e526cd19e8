"""Configuration, tokenizer, corpus and model: what they accept and refuse, and their messages."""

import random
import subprocess
import sys
from array import array
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import microgpt
from microgpt import GPT, PRESETS, GPTConfig, Tokenizer, TrainConfig, train
from microgpt.corpus.tokens import Corpus

# ---- configuration ------------------------------------------------------------------------------------------------------


def test_defaults_are_the_current_reference():
    config, training, temperature = PRESETS["current"]
    assert (config, training, temperature) == (GPTConfig(), TrainConfig(), 0.5)
    assert (config.n_layer, config.n_embd, config.n_head, config.block_size, config.init_std) == (1, 16, 4, 16, 0.08)
    assert (training.num_steps, training.learning_rate, training.beta1, training.beta2, training.eps) == (1000, 0.01, 0.85, 0.99, 1e-8)
    assert config.num_params(27) == 4192
    assert PRESETS["first"].config.num_params(27) == 4064


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: GPTConfig(n_head=3), ValueError, "n_embd 16 is not divisible by n_head 3.*1, 2, 4, 8, 16"),
        (lambda: GPTConfig(n_head=32), ValueError, "not divisible"),
        (lambda: GPTConfig(n_layer=0), ValueError, "n_layer must be at least 1, not 0"),
        (lambda: GPTConfig(n_embd=16.0), TypeError, "n_embd must be a whole number, not 16.0"),
        (lambda: GPTConfig(block_size=True), TypeError, "block_size must be a whole number"),
        (lambda: GPTConfig(activation="mish"), ValueError, "activation must be one of relu, relu2, gelu, silu, not 'mish'"),
        (lambda: GPTConfig(init_std=-1.0), ValueError, "init_std must be at least 0"),
        (lambda: GPTConfig(init_std=float("nan")), ValueError, "init_std"),
        (lambda: GPTConfig(bos_first=1), TypeError, "bos_first must be True or False"),
        (lambda: TrainConfig(num_steps=-1), ValueError, "num_steps must be at least 0"),
        (lambda: TrainConfig(learning_rate=float("inf")), ValueError, "learning_rate must be at least 0 and finite"),
        (lambda: TrainConfig(learning_rate="fast"), TypeError, "learning_rate must be a number"),
        (lambda: TrainConfig(beta1=1.0), ValueError, "beta1 must be at least 0 and less than 1"),
        (lambda: TrainConfig(eps=0.0), ValueError, "eps must be more than 0"),
    ],
)
def test_configurations_are_checked_when_made(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_configurations_are_frozen():
    with pytest.raises(FrozenInstanceError):
        GPTConfig().n_layer = 2


# ---- tokenizer and corpus -----------------------------------------------------------------------------------------------


def test_tokens():
    last, first = Tokenizer.from_docs(["ba", "cab"]), Tokenizer.from_docs(["ba", "cab"], bos_first=True)
    assert (last.chars, last.bos, last.vocab_size, last.document("cab")) == ("abc", 3, 4, [3, 2, 0, 1, 3])
    assert (first.chars, first.bos, first.vocab_size, first.document("cab")) == ("abc", 0, 4, [0, 3, 1, 2, 0])
    assert last.decode([3, 2, 0, 1, 3]) == first.decode([0, 3, 1, 2, 0]) == "cab"
    assert last == Tokenizer("abc") != first


@pytest.mark.parametrize(
    "use, text",
    [
        (lambda t: t.encode("abx"), r"the character 'x' \(U\+0078\) is not in the model's vocabulary; it knows 'abc'"),
        (lambda t: t.decode([4]), "token id 4 is out of range: this vocabulary has 4 tokens"),
        (lambda t: t.decode([-1]), "token id -1 is out of range"),
        (lambda t: Tokenizer("ba"), "distinct and sorted"),
        (lambda t: Corpus(["a", "é"], t), r"'é' \(U\+00E9\)"),
    ],
)
def test_tokenizer_errors(use, text):
    with pytest.raises(ValueError, match=text):
        use(Tokenizer("abc"))


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=1, max_size=5), st.booleans())
def test_a_corpus_holds_the_documents_tokens(docs, bos_first):
    tokenizer = Tokenizer.from_docs(docs, bos_first)
    corpus = Corpus(docs, tokenizer)
    assert len(corpus) == len(docs)
    assert [corpus[i] for i in range(len(docs))] == [tokenizer.document(doc) for doc in docs]


def test_a_vocabulary_larger_than_the_surrogates():
    docs = ["".join(map(chr, range(0x10000, 0x1F000)))]
    tokenizer = Tokenizer.from_docs(docs)
    assert Corpus(docs, tokenizer)[0] == tokenizer.document(docs[0])


# ---- model --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def model(engine):
    return GPT.init(GPTConfig(n_embd=8, n_head=2, block_size=5), Tokenizer("abc"), random.Random(1), engine)


def test_state_dict_is_a_view_in_parameter_order(model):
    state = model.state_dict()
    assert list(state)[:4] == ["wte", "wpe", "lm_head", "layer0.attn_wq"]
    assert [view.shape for view in state.values()] == list(model.config.shapes(4).values())
    assert [x for view in state.values() for row in view.tolist() for x in row] == model.params.tolist()
    state["wpe"][1, 2] = 42.0
    assert 42.0 in model.params.tolist()


def test_logits_and_loss(model):
    logits = model.logits("abca")
    assert [len(row) for row in logits] == [4] * 5
    assert model.logits("ab") == logits[:3]
    assert model.loss("abcabc") == model.loss("abcabccc")  # only the first five tokens are seen
    assert 0.5 < model.loss("abc") < 3


def test_an_impossible_character_has_infinite_loss(model):
    for name, view in model.state_dict().items():
        for i in range(view.shape[0]):
            for j in range(view.shape[1]):
                view[i, j] = 300.0 if name in ("wte", "lm_head") and i == 0 else 0.0
    assert model.loss("ab") == float("inf")


def test_generation(model):
    names = model.generate(8, temperature=1.0, prompt="ab", seed=3)
    assert all(name.startswith("ab") and len(name) <= 5 for name in names)
    assert names == model.generate(8, temperature=1.0, prompt="ab", seed=3)
    assert names != model.generate(8, temperature=1.0, prompt="ab", seed=4)
    assert len(set(model.generate(8, temperature=0.0))) == 1
    assert model.generate(3, temperature=0.0) == model.generate(3, temperature=1.0, top_k=1)
    assert model.generate(8, 1.0, seed=3, top_k=4) == model.generate(8, 1.0, seed=3)
    assert model.generate(0) == []


@pytest.mark.parametrize(
    "use, error, text",
    [
        (lambda m: m.generate(-1), ValueError, "at least 0"),
        (lambda m: m.generate(1.5), TypeError, "whole number"),
        (lambda m: m.generate(1, temperature=-0.5), ValueError, "temperature must be at least 0"),
        (lambda m: m.generate(1, temperature=float("nan")), ValueError, "temperature"),
        (lambda m: m.generate(1, temperature=1e-310), ValueError, "too small"),
        (lambda m: m.generate(1, top_k=0), ValueError, "top_k must be at least 1"),
        (lambda m: m.generate(1, prompt="xyz"), ValueError, "'x'"),
        (lambda m: m.generate(1, length=-1), ValueError, "length must be at least 0"),
        (lambda m: m.generate(1, length=1.5), TypeError, "length must be a whole number"),
        (lambda m: m.loss("z"), ValueError, "'z'"),
        (lambda m: GPT(m.config, m.tokenizer, array("d", [0.0])), ValueError, "parameters; give them as one flat buffer"),
        (lambda m: GPT(m.config, m.tokenizer, bytes(8 * m.num_params)), ValueError, "flat buffer of doubles"),
    ],
)
def test_model_errors(model, use, error, text):
    with pytest.raises(error, match=text):
        use(model)


# ---- training -----------------------------------------------------------------------------------------------------------


def test_a_callback_sees_every_step_and_can_end_the_run(engine):
    seen = []
    run = train(
        ["abc"], GPTConfig(n_embd=4), TrainConfig(num_steps=10), engine=engine, callback=lambda step: seen.append(step) or step.step == 3
    )
    assert [step.step for step in seen] == [1, 2, 3] and seen[0].num_steps == 10
    assert [step.loss for step in seen] == run.losses
    assert [step.lr for step in seen] == [0.01 * (1 - s / 10) for s in range(3)]


def test_no_steps_leave_a_fresh_model(engine):
    run = train(["abc"], training=TrainConfig(num_steps=0), engine=engine)
    assert run.losses == [] and len(run.generate(2)) == 2


@pytest.mark.parametrize(
    "docs, error, text",
    [
        ([], ValueError, "nothing to train on"),
        (["", ""], ValueError, "nothing to train on"),
        ("names.txt", TypeError, "load_docs"),
        (["a", 3], TypeError, "must be a string, not 3"),
        (None, TypeError, "docs must be a list of documents, not None"),
    ],
)
def test_bad_documents(docs, error, text):
    with pytest.raises(error, match=text):
        train(docs)


def test_a_configuration_in_the_wrong_place():
    with pytest.raises(TypeError, match="config must be a GPTConfig, not TrainConfig"):
        train(["a"], TrainConfig())


def test_the_number_of_parameters_is_the_sum_over_their_shapes():
    for config in (GPTConfig(), GPTConfig(n_layer=3, n_embd=12, block_size=7)):
        assert config.num_params(11) == sum(rows * columns for rows, columns in config.shapes(11).values())


def test_documents_are_not_changed():
    docs = ["c", "b", "a"] * 10
    train(docs, training=TrainConfig(num_steps=0))
    assert docs == ["c", "b", "a"] * 10


# ---- import -------------------------------------------------------------------------------------------------------------


def test_the_import_needs_the_standard_library_only():
    code = (
        "import sys; before = set(sys.modules); import microgpt; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(*sorted(new - set(sys.stdlib_module_names) - {'microgpt', '_cython_runtime', 'cython_runtime'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert [name for name in out.split() if not name.startswith("_cython_")] == []


def test_everything_public_is_there():
    for name in [
        "Value",
        "linear",
        "softmax",
        "rmsnorm",
        "matrix",
        "Adam",
        "GPTConfig",
        "TrainConfig",
        "Tokenizer",
        "GPT",
        "PRESETS",
        "load_docs",
        "train",
    ]:
        assert hasattr(microgpt, name), name
