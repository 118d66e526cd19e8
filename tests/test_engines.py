"""Every engine computes what the reference does: losses, parameters, logits, samples, errors, for shapes nobody chose."""

import hashlib
import random
from array import array

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from microgpt import GPT, DivergenceError, GPTConfig, Tokenizer, TrainConfig, engines, reference, train
from microgpt.tokenizer import Corpus

ALPHABETS = ["ab", "abcdefghij", "äöüßé", "한국어이름", "अआइई", "🙂🙃😀", "x"]


def params_hash(model):
    return hashlib.sha256(bytes(model.params)).hexdigest()


@st.composite
def cases(draw):
    """(docs, config, training, seed): small models of every shape, with documents of every length."""
    n_head = draw(st.integers(1, 4))
    config = GPTConfig(
        n_layer=draw(st.integers(1, 3)), n_embd=n_head * draw(st.integers(1, 4)), n_head=n_head,
        block_size=draw(st.sampled_from([1, 2, 3, 5, 8, 13])), activation=draw(st.sampled_from(["relu", "relu2"])),
        init_std=draw(st.sampled_from([0.02, 0.08, 0.5])), zero_init_out=draw(st.booleans()), bos_first=draw(st.booleans()),
    )
    alphabet = draw(st.sampled_from(ALPHABETS))
    docs = draw(st.lists(st.text(alphabet, max_size=20), min_size=1, max_size=6).filter(any))
    training = TrainConfig(
        num_steps=draw(st.integers(1, 4)), learning_rate=draw(st.sampled_from([0.0, 0.001, 0.01, 0.3])),
        beta1=draw(st.sampled_from([0.0, 0.85, 0.9])), beta2=draw(st.sampled_from([0.0, 0.99, 0.95])),
    )
    return docs, config, training, draw(st.integers(0, 2**32))


@pytest.mark.parametrize("name", [name for name in engines.ENGINES if name != "python"])
@given(case=cases())
@example(case=(["a"], GPTConfig(n_embd=1, n_head=1, block_size=1), TrainConfig(num_steps=3), 0))
@settings(max_examples=60, deadline=None)
def test_whole_runs_equal_the_reference(name, case):
    assert outcome(name, *case) == outcome("python", *case)


def outcome(engine, docs, config, training, seed):
    """All of a run, or how it ended where it diverged."""
    try:
        run = train(docs, config, training, seed=seed, engine=engine)
    except DivergenceError as error:
        return str(error), [loss.hex() for loss in error.losses]
    try:
        loss = run.model.loss(docs[0]).hex()
    except ValueError as error:  # a document that training has made impossible
        loss = str(error)
    logits = run.model.logits(docs[0][: config.block_size - 1])
    samples = run.generate(3, temperature=0.8)
    return [loss.hex() for loss in run.losses], bytes(run.model.params), samples, loss, logits, run.rng.getstate()


def test_the_reference_s_own_loop_and_sampling(engine):
    """train() and Run.generate() against reference.train and reference.sample, which share no code with them."""
    docs, config, training = ["emma", "olivia", "ava"], GPTConfig(n_embd=8, block_size=6), TrainConfig(num_steps=7)
    rng, shuffled = random.Random(5), list(docs)
    rng.shuffle(shuffled)
    tokenizer = Tokenizer.from_docs(shuffled)
    params = reference.init_params(config, tokenizer.vocab_size, rng)
    losses = list(reference.train([tokenizer.document(doc) for doc in shuffled], params, config, training))
    samples = [reference.sample(params, config, tokenizer.bos, tokenizer.vocab_size, rng, 0.7) for _ in range(4)]
    run = train(docs, config, training, seed=5, engine=engine)
    assert run.losses == losses
    assert {name: view.tolist() for name, view in run.model.state_dict().items()} == {
        name: [[p.data for p in row] for row in matrix] for name, matrix in params.items()
    }
    assert run.generate(4, temperature=0.7) == [tokenizer.decode(tokens) for tokens in samples]


@pytest.mark.parametrize("activation", ["relu", "relu2"])
@pytest.mark.parametrize("learning_rate", [5.0, 1e3, 1e30, 1e160])
def test_divergence(engine, activation, learning_rate):
    """All engines stop at the same step with the same error, and keep the losses before it."""
    def diverge(name):
        with pytest.raises(DivergenceError) as info:
            train(["emma", "olivia"], GPTConfig(n_embd=8, n_head=2, activation=activation),
                  TrainConfig(num_steps=200, learning_rate=learning_rate), engine=name)
        error = info.value
        return error.step, error.losses, str(error), type(error.__cause__), str(error.__cause__)
    outcome = diverge(engine)
    assert outcome == diverge("graph" if engine == "python" else "python")
    step, losses, message, *_ = outcome
    assert len(losses) == step - 1
    assert message.startswith(f"training diverged at step {step} of 200: ")
    assert f"learning rate below {learning_rate:g}" in message


def test_steps_in_portions_equal_steps_at_once(engine):
    docs, config, training = ["emma", "olivia", "ava"], GPTConfig(n_embd=8), TrainConfig(num_steps=9)
    at_once = train(docs, config, training, engine=engine)
    one_by_one = train(docs, config, training, engine=engine, callback=lambda step: None)
    assert one_by_one.losses == at_once.losses
    assert params_hash(one_by_one.model) == params_hash(at_once.model)


def test_an_engine_sees_parameters_that_somebody_changed(engine):
    tokenizer, corpus = Tokenizer("ab"), Corpus(["ab"], Tokenizer("ab"))
    model = GPT.init(GPTConfig(n_embd=4, n_head=1), tokenizer, random.Random(1), engine)
    before, losses = model.logits("a"), []
    model.state_dict()["wte"][0, 0] += 1.0
    fresh = GPT(model.config, tokenizer, array("d", model.params), "python")
    assert before != model.logits("a") == fresh.logits("a")
    model.engine.train(corpus, range(1), TrainConfig(num_steps=2), losses)
    model.state_dict()["wpe"][0, 0] += 1.0
    fresh = GPT(model.config, tokenizer, array("d", model.params), "python")
    assert model.loss("ab") == fresh.loss("ab")


def test_unknown_engine():
    with pytest.raises(ValueError, match="there is no engine 'gpu'; choose from python, graph"):
        train(["a"], engine="gpu")


def test_a_graph_too_deep_for_plain_recursion():
    """Where the published script ends with RecursionError; compiled and pure still agree."""
    config, training = GPTConfig(n_layer=2, n_embd=64), TrainConfig(num_steps=1)
    runs = [train(["ab"], config, training, engine=name) for name in engines.ENGINES]
    assert len({(run.losses[0], params_hash(run.model)) for run in runs}) == 1
