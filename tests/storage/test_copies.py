"""Copies by copy and pickle, in this process and in others: they have the same bits and continue in the same way."""

import copy
import functools
import io
import pickle
import random
import struct
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from multiprocessing import get_context

import pytest
from command_line import TEN_NAMES
from programs import Program, exact

from microgpt import GPT, PRESETS, DivergenceError, EvalConfig, GPTConfig, Step, Tokenizer, TrainConfig, reference, train
from microgpt.compiled import scalar
from microgpt.config import SampleConfig
from microgpt.corpus.tokens import Corpus
from microgpt.engines import ENGINES
from microgpt.training import Interrupted, start

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
WAYS = {"copy": copy.copy, "deepcopy": copy.deepcopy} | {
    f"pickle{protocol}": lambda thing, protocol=protocol: pickle.loads(pickle.dumps(thing, protocol)) for protocol in PROTOCOLS
}
DOCS, SMALL = TEN_NAMES * 5, GPTConfig(n_embd=8, n_head=2, block_size=8)
OPTIONS = dict(batch_size=2, weight_decay=0.1, clip_norm=1.0, schedule="cosine")


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def copied(request):
    return request.param


def shown(run):
    """The whole state of a run, to the last bit."""
    return (
        [loss.hex() for loss in run.losses], run.val_losses, run.model.params.tobytes(), run.rng.getstate(), run.fingerprint(),
        [moments.tobytes() for moments in run.model.engine.moments()], run._best_params, run.seed, run.long_docs,
        run.training, run.evaluation, run.model.config, run.model.tokenizer, run.model.engine.name, run.model.engine.threads,
    )  # fmt: skip


# ---- Models and runs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_a_copied_model_is_the_same_and_has_its_own_weights(copied, engine):
    model = train(DOCS, SMALL, TrainConfig(num_steps=2), engine=engine, threads=2 if engine == "fast" else 1).model
    twin = copied(model)
    assert twin.params.tobytes() == model.params.tobytes() and twin.generate(3, seed=1) == model.generate(3, seed=1)
    assert (twin.engine.name, twin.engine.threads) == (engine, model.engine.threads)
    assert (twin.config, twin.tokenizer) == (model.config, model.tokenizer)
    before = model.loss("emma")
    for i in range(len(twin.params)):
        twin.params[i] = 0.0
    assert model.loss("emma") == before != twin.loss("emma")


def test_what_users_add_to_a_model_is_copied(copied):
    twin = copied(named())
    assert type(twin) is Named and twin.label == "mine" and twin.loss("emma") == named().loss("emma")


class Named(GPT):
    """A subclass with an attribute, as users write them."""

    def __init__(self, label, *arguments):
        super().__init__(*arguments)
        self.label = label


def named():
    model = GPT.init(SMALL, Tokenizer.from_docs(DOCS), random.Random(1))
    return Named("mine", model.config, model.tokenizer, model.params)


@pytest.mark.parametrize("engine, done", [("graph", 3), ("exact", 0), ("exact", 3), ("exact", 8), ("fast", 0), ("fast", 3), ("fast", 8)])
def test_a_copied_run_goes_on_alike(copied, engine, done):
    """A copied run continues like the original, which the copy does not change."""

    def fresh():
        run = start(
            DOCS, SMALL, TrainConfig(num_steps=8, **OPTIONS), engine=engine, threads=2 if engine == "fast" else 1,
            evaluation=EvalConfig(0.2, eval_every=2, patience=3),
        )  # fmt: skip
        if done:
            run.train(lambda step: step.step == done)
        return run

    expected, run = fresh(), fresh()
    twin = copied(run)
    assert shown(twin) == shown(run) == shown(expected)
    for each in (expected, twin):
        each.train()
    assert shown(twin) == shown(expected) and twin.generate(3) == expected.generate(3)
    assert shown(run) == shown(fresh())
    run.train()
    assert run.generate(3) and run.losses == expected.losses


def test_a_run_and_its_model_are_copied_together():
    run = train(DOCS, SMALL, TrainConfig(num_steps=2))
    model, twin, documents = pickle.loads(pickle.dumps((run.model, run, run.corpus)))
    assert twin.model is model and twin.corpus is documents


def test_a_run_is_pickled_in_its_callback_and_not_from_elsewhere():
    run = start(DOCS, SMALL, TrainConfig(num_steps=4))
    twins = []
    run.train(lambda step: twins.append(pickle.dumps(run)))
    for i, twin in enumerate(map(pickle.loads, twins), 1):
        assert len(twin.losses) == i
        twin.train()
        assert shown(twin) == shown(run)


def test_the_other_public_things(copied):
    docs = ["é😀", "a"]
    tokenizer = Tokenizer.from_docs(docs, bos_first=True)
    for thing in (tokenizer, GPTConfig(), TrainConfig(), EvalConfig(0.1), SampleConfig(), PRESETS, Step(1, 2, 0.5, 0.1)):
        twin = copied(thing)
        assert (twin, type(twin)) == (thing, type(thing))
    assert copied(tokenizer).document("é😀a") == tokenizer.document("é😀a")
    corpus = Corpus(docs, tokenizer)
    twin = copied(corpus)
    assert [twin[i] for i in range(len(twin))] == [corpus[i] for i in range(2)]


@pytest.mark.parametrize(
    "damage", [{"params": b"1234"}, {"config": GPTConfig(n_embd=4, n_head=1)}, {"engine": "none"}, {"threads": "2"}, {"tokenizer": None}]
)
def test_a_damaged_model_is_an_error(damage):
    model = named()
    with pytest.raises((ValueError, TypeError, AttributeError)):
        GPT.__new__(GPT).__setstate__(model.__getstate__() | damage)


def test_errors_are_copied_as_they_are(copied):
    run = train(DOCS, SMALL, TrainConfig(num_steps=2))
    for error in (DivergenceError(run, ValueError("because")), Interrupted(run)):
        twin = copied(error)
        assert (type(twin), str(twin), sorted(vars(twin))) == (type(error), str(error), sorted(vars(error)))
    assert copied(DivergenceError(run, "")).losses == run.losses and shown(copied(Interrupted(run)).run) == shown(run)


# ---- Values ----------------------------------------------------------------------------------------------------------


class Copied(Program):
    """A random program in which all Values are sometimes replaced by copies."""

    def __init__(self, layer, seed, wild, duplicate):
        super().__init__(layer, seed, wild)
        self.duplicate = duplicate

    def replace(self):
        self.pool = self.duplicate(self.pool)

    STEPS = (*Program.STEPS, replace, replace)


@pytest.mark.parametrize("wild", [False, True], ids=["ordinary", "wild"])
@pytest.mark.parametrize("name", ["deepcopy", "pickle0", "pickle2", "pickle5", "pickle in Python", "one by one"])
def test_copied_graphs_go_on_as_those_of_the_reference(name, wild):
    """Shared nodes stay shared, numbers keep their types and bits, and edges their order."""
    others = {
        "pickle in Python": lambda pool: pickle._loads(pickle._dumps(pool)),
        "one by one": lambda pool: pickle.loads(pickle.dumps(pool[::-1]))[::-1],
    }
    duplicate = {**WAYS, **others}[name]
    for seed in range(60):
        assert Copied(scalar, seed, wild, duplicate).run(40) == outcome_of_the_reference(seed, wild), f"seed {seed}"


@functools.cache
def outcome_of_the_reference(seed, wild):
    return Copied(reference, seed, wild, list).run(40)


@pytest.mark.parametrize("layer", [reference, scalar], ids=["python", "compiled"])
def test_small_graphs_are_copied_in_both_layers(layer):
    a = layer.Value(2)
    b = a * a + 1.0
    b.backward()
    for duplicate in (copy.deepcopy, WAYS["pickle5"]):
        twin, leaf = duplicate([b, a])
        assert (exact(twin.data), exact(leaf.data), exact(leaf.grad)) == ("float 0x1.4000000000000p+2", "int 2", exact(a.grad))
        twin.backward()
        assert leaf.grad == 12  # the product had its gradient of the first pass
    twin = copy.copy(b)
    assert twin is not b and twin._children == b._children and (twin.data, twin.grad, twin._local_grads) == (5.0, 1, (1, 1))


class Labelled(scalar.Value):
    """A subclass whose graphs consist of its own instances, with an attribute and a slot."""

    __slots__ = ("label", "__dict__")

    def __add__(self, other):
        made = Labelled(self.data + 1, (self,), (1,))
        made.label, made.note = "sum", [self]
        return made


class Custom(scalar.Value):
    """A subclass that keeps its data elsewhere and defines its own pickling."""

    data = property(lambda self: self.held, lambda self, data: setattr(self, "held", data))

    def __getstate__(self):
        return {"held": self.held, "more": 1}

    def __setstate__(self, state):
        scalar.Value.__init__(self, state["held"])
        self.more = state["more"]


def test_subclasses(copied):
    root = Labelled(1.5)
    node = root + 1
    node.backward()
    twin = copied(node)
    assert (type(twin), twin.label, twin.data, twin.grad, twin._local_grads) == (Labelled, "sum", 2.5, 1, (1,))
    assert type(twin._children[0]) is Labelled and twin.note == [twin._children[0]]
    assert (twin._children[0] is root) == (copied is copy.copy) and not hasattr(twin._children[0], "label")
    twin = copied(Custom(3.5))
    assert (type(twin), twin.data, twin.more) == (Custom, 3.5, 1)


@pytest.mark.parametrize("number", [1, -(2**53), 10**30, True, 1.5, -0.0, float("inf"), Fraction(1, 3), 2j, None, "text"], ids=repr)
def test_numbers_keep_their_types(copied, number):
    node = scalar.Value(number, (scalar.Value(1),), (number,))
    node.grad = number
    twin = copied(node)
    assert [exact(x) for x in (twin.data, twin.grad, *twin._local_grads)] == [exact(number)] * 3


def chain(length, kind=scalar.Value, keep=False):
    node, kept = kind(0.0), []
    for _ in range(length):
        node = node + 1
        if keep:
            kept.append(node)
    return node, kept


@pytest.mark.parametrize("duplicate", [copy.deepcopy, WAYS["pickle5"]], ids=["deepcopy", "pickle"])
def test_a_chain_of_a_million(duplicate):
    node, _ = chain(10**6)
    twin = duplicate(node)
    assert twin.data == 1e6
    twin.backward()
    node.backward()
    del node
    length = 0
    while twin._children:
        twin, length = twin._children[0], length + 1
        assert twin.grad == 1
    assert length == 10**6


@pytest.mark.slow
@pytest.mark.parametrize("kind", [scalar.Value, Labelled])
@pytest.mark.parametrize("order", [slice(-1, None), slice(None), slice(None, None, -1)], ids=["last", "all", "reversed"])
def test_chains_of_which_every_node_is_held(kind, order):
    """Graphs of any depth, in any order, in a time proportional to their size."""
    _, kept = chain(10_000, kind, keep=True)
    for twins in (copy.deepcopy(kept[order]), pickle.loads(pickle.dumps(kept[order]))):
        last, length = max(twins, key=lambda node: node.data), 0
        twins = {id(twin) for twin in twins}
        while last._children:
            assert len(twins) == 1 or id(last) in twins
            last, length = last._children[0], length + 1
        assert length == 10_000


def test_pickles_are_small():
    node, _ = chain(10_000)
    assert len(pickle.dumps(node)) < 11 * 20_000
    a = [scalar.Value(i + 0.5) for i in range(1000)]
    assert len(pickle.dumps(a)) < 32 * len(a)
    assert len(pickle.dumps(scalar.linear(a, [a]))) < 32 * len(a) + 60 * 1000


def test_one_pickler_for_several_values():
    """A pickler remembers the Values that it has seen; a later pickler has the changed numbers."""
    a = scalar.Value(1.0)
    b, c = a * 2, a * 3
    file = io.BytesIO()
    pickler = pickle.Pickler(file)
    for node in (b, c, [a, b]):
        pickler.dump(node)
    b.data = 7.0
    assert pickle.loads(pickle.dumps(b)).data == 7.0
    file.seek(0)
    unpickler = pickle.Unpickler(file)
    first, second, (leaf, again) = (unpickler.load() for _ in range(3))
    assert again is first and first._children[0] is leaf is second._children[0] and first.data == 2.0


def test_threads_pickle_the_same_graph():
    node, kept = chain(300, keep=True)
    with ThreadPoolExecutor(4) as threads:
        for twins in threads.map(lambda _: pickle.loads(pickle.dumps(kept)), range(40)):
            assert twins[-1].data == node.data and all(a._children[0] is b for a, b in zip(twins[1:], twins))


def test_an_error_in_the_middle_of_a_pickle_leaves_nothing_behind():
    node, kept = chain(5, Labelled, keep=True)
    kept[2].note = threading.Lock()
    for duplicate in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="lock"):
            duplicate(node)
    kept[2].note = None
    assert pickle.loads(pickle.dumps(node)).data == node.data


def test_damaged_pickles_are_errors():
    """Any byte may change; the result is an error or a graph, never a crash."""
    a, b = scalar.Value(2.0), scalar.Value(3)
    root = (a * b + 1.5) ** 2 + a
    root.backward()
    function, (order, outside, data) = root.__reduce__()
    assert function((), outside, data).data == root.data
    refused = 0
    for i in range(len(data)):
        for byte in (0, 1, 2, 3, 0x40, 0x7F, 0x80, 0xC0, 0xFF, data[i] ^ 1, data[i] ^ 4, data[i] ^ 16):
            try:
                made = function((), outside, data[:i] + bytes([byte]) + data[i + 1 :])
                made.backward()
                pickle.loads(pickle.dumps(made))
            except (ValueError, OverflowError):
                refused += 1
    assert refused > 100
    for damaged in (data[:-1], data + b"0", b"", b"\x00", b"\xff" * 30, b"\x01" * 9, data[:1]):
        with pytest.raises(ValueError, match="^this pickle of a graph is damaged$"):
            function((), outside, damaged)
    for damaged in ((), outside[:1], (1.0,) * len(outside), [None] * len(outside)):
        with pytest.raises(ValueError, match="damaged"):
            function((), damaged, data)
    for arguments in (((), None, data), ((), outside, None), ((), outside, "text")):
        with pytest.raises(TypeError):
            function(*arguments)
    with pytest.raises(ValueError, match="damaged"):  # an invalid int
        function((), (), b"\x01" + bytes([4 | 64]) + struct.pack("<d", 0.5))


# ---- Adam ------------------------------------------------------------------------------------------------------------


class LabelledAdam(scalar.Adam):
    """A subclass with its own constructor and an attribute."""

    def __init__(self, params, label):
        super().__init__(params, 0.5)
        self.label = label


@pytest.mark.parametrize("odd", [None, Fraction(1, 3)], ids=["floats", "odd"])
@pytest.mark.parametrize("kind", [reference.Adam, scalar.Adam, LabelledAdam])
@pytest.mark.parametrize("name", ["deepcopy", "pickle2", "pickle5"])
def test_a_copied_optimizer_goes_on_alike(name, kind, odd):
    layer = reference if kind is reference.Adam else scalar
    values = [layer.Value(x) for x in (0.5, -1.5, 2.0)]
    optimizer = kind(values, "mine" if kind is LabelledAdam else 0.5)

    def steps(values, optimizer):
        for step in range(3):
            for i, value in enumerate(values):
                value.grad = odd if odd and i == 1 else 0.1 * (i - step)
            optimizer.step()
        return [exact(x) for x in (*optimizer.m, *optimizer.v, *[value.data for value in values], optimizer.num_steps)]

    steps(values, optimizer)
    twin_values, twin = WAYS[name]((values, optimizer))
    assert type(twin) is kind and getattr(twin, "label", "") == getattr(optimizer, "label", "")
    assert steps(twin_values, twin) == steps(values, optimizer)


def test_a_shallow_copy_of_an_optimizer_has_its_own_moments():
    value = scalar.Value(1.0)
    optimizer = scalar.Adam([value])
    value.grad = 1.0
    twin = copy.copy(optimizer)
    optimizer.step()
    assert twin.m == (0.0,) != optimizer.m and twin.num_steps == 0
    value.grad = 1.0
    before = value.data
    twin.step()
    assert value.data != before


def test_a_damaged_optimizer_is_an_error():
    optimizer = scalar.Adam([scalar.Value(1.0), scalar.Value(2.0)])
    _, _, (numbers, moments, odd, attributes) = optimizer.__reduce__()
    for damaged in [
        (numbers[:-1], moments, odd, attributes), (numbers, moments[:1], odd, attributes), (numbers, ([1.0], [1.0]), odd, attributes),
        (numbers, moments, {2: (1j, 1j)}, attributes), (numbers, moments, {-3: (1.0, 1.0)}, attributes),
        (numbers, moments, {"0": (1, 1)}, attributes), (numbers, moments, None, attributes),
        (numbers, moments, odd, {"no": 1}), None,
    ]:  # fmt: skip
        with pytest.raises((ValueError, TypeError, IndexError, AttributeError)):
            optimizer.__setstate__(damaged)
    optimizer.step()


# ---- Other processes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_return_runs_models_and_errors(method):
    try:
        context = get_context(method)
    except ValueError:
        pytest.skip(f"no {method} here")
    training, diverging = TrainConfig(num_steps=3), TrainConfig(num_steps=50, learning_rate=1e300)
    with ProcessPoolExecutor(2, context) as processes:
        found = [processes.submit(train, DOCS, SMALL, training, engine=name) for name in ENGINES]
        for name, run in zip(ENGINES, (future.result() for future in found)):
            here = train(DOCS, SMALL, training, engine=name)
            assert shown(run) == shown(here) and run.model.generate(2, seed=1) == here.model.generate(2, seed=1)
        with pytest.raises(DivergenceError, match="training diverged at step") as caught:
            processes.submit(train, DOCS, SMALL, diverging).result()
        assert caught.value.step == len(caught.value.losses) + 1
