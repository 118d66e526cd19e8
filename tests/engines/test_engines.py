"""Every engine computes what the reference does: losses, parameters, logits, samples, errors, for random shapes."""

import hashlib
import random
import re
from array import array
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from microgpt import GPT, DivergenceError, GPTConfig, Tokenizer, TrainConfig, engines, reference, train
from microgpt.corpus.tokens import Corpus
from microgpt.reference import SCHEDULES
from microgpt.training import start

ALPHABETS = ["ab", "abcdefghij", "äöüßé", "한국어이름", "अआइई", "🙂🙃😀", "x"]


# The standard for each engine: the reference for the compiled graph, and the graph, which takes a tenth of the time, for the others.
ORACLES = {name: "python" if name == "graph" else "graph" for name in engines.ENGINES}
COMPILED = [name for name in engines.EXACT if name != "python"]
EVERY_OPTION = dict(
    batch_size=3, schedule="cosine", warmup_steps=2, clip_norm=0.5, weight_decay=0.1, min_learning_rate=1e-3
)  # fmt: skip


def params_hash(model):
    return hashlib.sha256(bytes(model.params)).hexdigest()


@st.composite
def cases(draw):
    """(docs, config, training, seed): small models of every shape, with documents of every length."""
    n_head = draw(st.integers(1, 4))
    config = GPTConfig(
        n_layer=draw(st.integers(1, 3)),
        n_embd=n_head * draw(st.integers(1, 4)),
        n_head=n_head,
        block_size=draw(st.sampled_from([1, 2, 3, 5, 8, 13])),
        activation=draw(st.sampled_from(["relu", "relu2"])),
        init_std=draw(st.sampled_from([0.02, 0.08, 0.5])),
        zero_init_out=draw(st.booleans()),
        scale_init=draw(st.booleans()),
        bos_first=draw(st.booleans()),
    )
    alphabet = draw(st.sampled_from(ALPHABETS))
    docs = draw(st.lists(st.text(alphabet, max_size=20), min_size=1, max_size=6).filter(any))
    training = TrainConfig(
        num_steps=draw(st.integers(1, 3)),
        learning_rate=draw(st.sampled_from([0.0, 0.001, 0.01, 0.3])),
        beta1=draw(st.sampled_from([0.0, 0.85, 0.9])),
        beta2=draw(st.sampled_from([0.0, 0.99, 0.95])),
    )
    return docs, config, training, draw(st.integers(0, 2**32))


@st.composite
def options(draw):
    """The options of TrainConfig beyond the reference's own settings."""
    return dict(
        batch_size=draw(st.integers(1, 3)),
        schedule=draw(st.sampled_from([*SCHEDULES])),
        warmup_steps=draw(st.integers(0, 5)),
        clip_norm=draw(st.sampled_from([None, 1e-3, 0.3, 1.0, 1e9])),
        weight_decay=draw(st.sampled_from([0.0, 0.1, 1.0, 30.0])),
    )


@pytest.mark.parametrize("name", COMPILED)
@given(case=cases(), options=options(), least=st.sampled_from([0.0, 0.1, 1.0]))
@settings(max_examples=8, deadline=None)
def test_training_options_equal_the_reference(name, case, options, least):
    docs, config, training, seed = case
    options["warmup_steps"] = min(options["warmup_steps"], max(training.num_steps - 1, 0))
    if options["schedule"] != "constant":
        options["min_learning_rate"] = least * training.learning_rate
    case = docs, config, replace(training, **options), seed
    assert outcome(name, *case) == outcome(ORACLES[name], *case)


@pytest.mark.parametrize("name", [pytest.param("graph", marks=pytest.mark.slow), "exact"])
@given(case=cases())
@example(case=(["a"], GPTConfig(n_embd=1, n_head=1, block_size=1), TrainConfig(num_steps=3), 0))
@settings(max_examples=15, deadline=None)
def test_whole_runs_equal_the_reference(name, case):
    assert outcome(name, *case) == outcome(ORACLES[name], *case)


def outcome(engine, docs, config, training, seed):
    """Everything observable about a run, as texts."""
    try:
        run = train(docs, config, training, seed=seed, engine=engine)
    except DivergenceError as error:
        return [str(error), [loss.hex() for loss in error.losses]]
    text = docs[0][: config.block_size - 1]
    shown = [[loss.hex() for loss in run.losses], params_hash(run.model), run.model.loss(docs[0]).hex()]
    shown += [[logit.hex() for logit in logits] for logits in run.model.logits(text)]
    try:
        shown += run.generate(3, temperature=0.8)
    except (ValueError, ArithmeticError) as error:  # the last update left weights that overflow
        shown.append(f"{type(error).__name__}: {error}")
    return [*shown, run.rng.getstate()]


@pytest.mark.parametrize("options", [{}, EVERY_OPTION], ids=["defaults", "options"])
def test_the_reference_s_own_loop_and_sampling(options):
    """train() and Run.generate() against reference.train_with and reference.sample, which share no code with them."""
    docs, config, training = ["emma", "olivia", "ava"], GPTConfig(n_embd=8, block_size=6), TrainConfig(num_steps=4, **options)
    rng, shuffled = random.Random(5), list(docs)
    rng.shuffle(shuffled)
    tokenizer = Tokenizer.from_docs(shuffled)
    shapes = reference.shapes(config, tokenizer.vocab_size)
    params = {name: reference.matrix(*shape, config.std(name), rng) for name, shape in shapes.items()}
    losses = list(reference.train_with([tokenizer.document(doc) for doc in shuffled], params, config, training))
    samples = [reference.sample(params, config, tokenizer.bos, tokenizer.vocab_size, rng, 0.7) for _ in range(4)]
    for engine in engines.EXACT:
        run = train(docs, config, training, seed=5, engine=engine)
        assert run.losses == losses, engine
        assert {name: view.tolist() for name, view in run.model.state_dict().items()} == {
            name: [[p.data for p in row] for row in matrix] for name, matrix in params.items()
        }
        assert run.generate(4, temperature=0.7) == [tokenizer.decode(tokens) for tokens in samples]


@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
@pytest.mark.parametrize("learning_rate", [5.0, 1e3, 1e30, 1e160])
def test_divergence(activation, learning_rate):
    """All engines stop at the same step with the same error, and keep the losses before it."""

    def diverge(name):
        with pytest.raises(DivergenceError) as info:
            train(
                ["emma", "ava"],
                GPTConfig(n_embd=4, n_head=2, activation=activation),
                TrainConfig(num_steps=200, learning_rate=learning_rate),
                engine=name,
            )
        error = info.value
        return error.step, error.losses, str(error), type(error.__cause__), str(error.__cause__)

    outcomes = list(map(diverge, engines.EXACT))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    step, losses, message, *_ = outcomes[0]
    assert len(losses) == step - 1
    assert message.startswith(f"training diverged at step {step} of 200: ")
    assert f"learning_rate {learning_rate:g} is far too large" in message


def test_steps_in_portions_equal_steps_at_once(engine):
    docs, config, training = ["emma", "olivia", "ava"], GPTConfig(n_embd=4), TrainConfig(num_steps=5)
    at_once = train(docs, config, training, engine=engine)
    one_by_one = train(docs, config, training, engine=engine, callback=lambda step: None)
    assert one_by_one.losses == at_once.losses
    assert params_hash(one_by_one.model) == params_hash(at_once.model)


@pytest.mark.parametrize("options", [{}, EVERY_OPTION], ids=["defaults", "options"])
@pytest.mark.parametrize("other", engines.EXACT)
def test_moments_move_from_engine_to_engine(engine, other, options):
    """Half a run on one engine and half on another, which gets its moments, equals a whole run."""
    docs, config, training = ["emma", "olivia", "ava"], GPTConfig(n_embd=4), TrainConfig(num_steps=6, **options)
    whole, half = train(docs, config, training, engine="graph"), start(docs, config, training, engine=engine)
    corpus, losses = half.corpus, []
    assert [list(moments) for moments in half.model.engine.moments()] == [[0.0] * half.model.num_params] * 2
    half.model.engine.train(corpus, range(3), training, losses)
    rest = engines.create(other, config, half.model.tokenizer.vocab_size, half.model.params)
    rest.restore(training, *half.model.engine.moments(), 3)
    rest.train(corpus, range(3, 6), training, losses)
    assert losses == whole.losses
    assert params_hash(half.model) == params_hash(whole.model)
    assert [bytes(m) for m in rest.moments()] == [bytes(m) for m in whole.model.engine.moments()]


def test_learning_rates():
    rates = lambda **options: [TrainConfig(num_steps=4, learning_rate=1.0, **options).lr(step) for step in range(4)]
    assert rates() == [1.0, 0.75, 0.5, 0.25]
    assert rates(schedule="constant") == [1.0] * 4
    assert rates(schedule="cosine") == pytest.approx([1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2])
    assert rates(schedule="constant", warmup_steps=3) == [1 / 3, 2 / 3, 1.0, 1.0]
    assert rates(warmup_steps=2) == [0.5, 0.75, 0.5, 0.25]
    assert rates(min_learning_rate=0.5) == [1.0, 0.875, 0.75, 0.625]
    assert rates(min_learning_rate=1.0, schedule="cosine", warmup_steps=2) == [0.5, 1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="min_learning_rate 2.0 is more than learning_rate 1.0, at which the schedule starts"):
        rates(min_learning_rate=2.0)
    with pytest.raises(ValueError, match="min_learning_rate has no effect on a constant schedule"):
        rates(min_learning_rate=0.5, schedule="constant")


@pytest.mark.parametrize("n_embd, std", [(16, 0.5), (4, 1.0), (64, 0.25)])
def test_initial_weights_that_suit_the_width(n_embd, std):
    config = GPTConfig(n_embd=n_embd, init_std=0.5, scale_init=True, zero_init_out=True)
    assert [config.std(name) for name in config.shapes(3)] == [std] * 6 + [0.0, std, 0.0]
    model = GPT.init(config, Tokenizer("ab"), random.Random(1))
    rng = random.Random(1)
    assert list(model.params)[:9] == [rng.gauss(0, std) for _ in range(9)]


def test_batches_clipping_and_decay_by_hand():
    assert [TrainConfig(batch_size=2).batch(step, 3) for step in range(3)] == [[0, 1], [2, 0], [1, 2]]
    a, b = reference.Value(1.0), reference.Value(2.0)
    a.grad, b.grad = 3.0, -4.0
    reference.clip_gradients([a, b], 5.0)
    assert (a.grad, b.grad) == (3.0, -4.0)
    reference.clip_gradients([a, b], 2.5)
    assert (a.grad, b.grad) == (1.5, -2.0)
    reference.decay_weights([a, b], 0.1, 0.5)
    assert (a.data, b.data) == (0.95, 1.9)
    params = {"wte": [[reference.Value(0.0)]]}  # a loss with known parts: the mean, as one graph
    parts = iter([reference.Value(1.0), reference.Value(2.0), reference.Value(4.5)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "document_loss", lambda *_: next(parts))
        assert reference.batch_loss([[]] * 3, params, GPTConfig()).data == (1 / 3) * 7.5


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
    """The published script ends with RecursionError here; compiled and pure still agree."""
    config, training = GPTConfig(n_layer=16, n_embd=8), TrainConfig(num_steps=1)  # a path of 1,246 nodes
    runs = [train(["ab"], config, training, engine=name) for name in engines.EXACT]
    assert len({(run.losses[0], params_hash(run.model)) for run in runs}) == 1


@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
def test_the_gradients_of_a_step(activation):
    """Settings that only the step uses change nothing by themselves, and training can continue."""
    docs, training = ["emma", "ava", "a"], TrainConfig(num_steps=4, batch_size=2)
    config = GPTConfig(n_layer=2, n_embd=4, n_head=2, block_size=4, activation=activation, init_std=0.5)
    runs = [start(docs, config, training, engine=name) for name in engines.ENGINES]  # that of pure Python first
    for step in range(2):
        found = [run.model.engine.gradients(run.corpus, step, training) for run in runs]
        expected_loss, expected = found[0]
        for run, (loss, gradients) in zip(runs, found):
            assert type(gradients) is array and len(gradients) == run.model.num_params
            if run.model.engine.exact:
                assert (loss, bytes(gradients)) == (expected_loss, bytes(expected))
            else:
                assert loss == pytest.approx(expected_loss, rel=1e-5)
                assert list(gradients) == pytest.approx(list(expected), rel=1e-3, abs=1e-5)
            run.model.engine.train(run.corpus, range(step, step + 1), training, losses := [])
            assert losses == [pytest.approx(expected_loss, rel=1e-5)]


def test_the_gradients_of_a_loss_that_is_not_finite(engine):
    config = GPTConfig(n_embd=8, init_std=1e3)
    with pytest.raises((ArithmeticError, ValueError)) as expected:
        pure = start(["emma", "olivia"], config, engine="python")
        pure.model.engine.gradients(pure.corpus, 0, pure.training)
    with pytest.raises(type(expected.value), match=re.escape(str(expected.value))):
        run = start(["emma", "olivia"], config, engine=engine)
        run.model.engine.gradients(run.corpus, 0, run.training)
