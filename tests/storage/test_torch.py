"""The PyTorch module computes the same as the model, and its gradients are an independent check of the backward pass."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt import GPT, PRESETS, GPTConfig, Tokenizer, TrainConfig, train
from microgpt.corpus.tokens import Corpus
from microgpt.reference import ACTIVATIONS

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from microgpt.storage import pytorch  # noqa: E402

TOLERANCE = 1e-12  # absolute, or relative to the largest of all gradients (or logits) if that is above 1
DOCS = ["emma", "olivia", "a", "isabella", "ava", "mia", "ella", ""]
CHARS = "".join(sorted(set("".join(DOCS))))


@st.composite
def configs(draw):
    n_head = draw(st.integers(1, 4))
    return GPTConfig(
        n_layer=draw(st.integers(1, 3)),
        n_embd=n_head * draw(st.integers(1, 5)),
        n_head=n_head,
        block_size=draw(st.integers(1, 12)),
        activation=draw(st.sampled_from([*ACTIVATIONS])),
        init_std=draw(st.sampled_from([0.02, 0.08, 0.5])),
        bos_first=draw(st.booleans()),
    )


def make(config=GPTConfig(n_embd=8, n_head=2, block_size=6), seed=1):
    return GPT.init(config, Tokenizer(CHARS, config.bos_first), random.Random(seed))


def gradients(model, docs):
    """The loss of a batch and its gradients, name -> rows, by the exact engine."""
    network = model.engine.network
    loss = network.backward(Corpus(docs, model.tokenizer), 0, TrainConfig(batch_size=len(docs)))
    flat, rows = iter(network.gradients), {}
    for name, (n_rows, columns) in model.config.shapes(model.tokenizer.vocab_size).items():
        rows[name] = [[next(flat) for _ in range(columns)] for _ in range(n_rows)]
    return loss, rows


def check_close(found, expected):
    """found: tensors of float64; expected: as many lists of rows."""
    expected = [torch.tensor(rows, dtype=torch.float64) for rows in expected]
    most = TOLERANCE * max(1.0, *(rows.abs().max() for rows in expected))
    for tensor, rows in zip(found, expected, strict=True):
        assert tensor.dtype == torch.float64 and tensor.shape == rows.shape
        assert (tensor - rows).abs().max() <= most


def batch_loss(module, docs):
    documents = [module.tokenizer.document(doc) for doc in docs]
    inputs, targets = pytorch.pad(documents, module.config.block_size)
    return pytorch.cross_entropy(module(inputs), targets)


@settings(max_examples=60, deadline=None)
@given(configs(), st.lists(st.sampled_from(DOCS), min_size=1, max_size=9), st.integers(0, 99))
def test_logits_losses_and_gradients_of_batches(config, docs, seed):
    model = make(config, seed)
    module = model.to_torch()
    text = "olivia"[: config.block_size - 1]
    tokens = torch.tensor([[model.tokenizer.bos, *model.tokenizer.encode(text)]])
    check_close([module(tokens)[0]], [model.logits(text)])
    loss, expected = gradients(model, docs)
    found = batch_loss(module, docs)
    found.backward()
    assert found.item() == pytest.approx(loss, rel=TOLERANCE, abs=TOLERANCE)
    assert [name.removesuffix(".weight") for name, _ in module.named_parameters()] == list(expected)
    check_close([parameter.grad for parameter in module.parameters()], expected.values())


def test_a_wrong_gradient_would_show():
    model = make()
    loss, expected = gradients(model, DOCS)
    module = model.to_torch()
    with torch.no_grad():
        module.lm_head.weight[0, 0] += 1e-9
    batch_loss(module, DOCS).backward()
    with pytest.raises(AssertionError):
        check_close([parameter.grad for parameter in module.parameters()], expected.values())


@settings(max_examples=30, deadline=None)
@given(configs(), st.integers(0, 99))
def test_there_and_back_every_bit(config, seed):
    model = make(config, seed)
    again = GPT.from_torch(model.to_torch())
    assert bytes(again.params) == bytes(model.params)
    assert (again.config, again.tokenizer) == (model.config, model.tokenizer)
    text = "olivia"[: config.block_size - 1]
    assert again.logits(text) == model.logits(text)


def test_an_activation_that_torch_does_not_have_is_refused(monkeypatch):
    assert set(pytorch.ACTIVATIONS) == set(ACTIVATIONS)
    monkeypatch.delitem(pytorch.ACTIVATIONS, "relu2")
    with pytest.raises(ValueError, match="the PyTorch module cannot compute the activation 'relu2', only relu"):
        make(GPTConfig(n_embd=8, n_head=2, block_size=6, activation="relu2")).to_torch()


def test_a_new_module_becomes_a_model():
    config = GPTConfig(n_layer=2, n_embd=8, n_head=2, block_size=6, activation="relu2")
    module = pytorch.GPT(config, Tokenizer(CHARS), dtype=torch.float64)
    model = GPT.from_torch(module)
    tokens = torch.tensor([[model.tokenizer.bos, *model.tokenizer.encode("mia")]])
    check_close([module(tokens)[0]], [model.logits("mia")])


def test_the_module_has_a_copy_and_leaves_torchs_random_numbers_alone():
    model = make()
    before, state = bytes(model.params), torch.get_rng_state()
    module = model.to_torch()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.requires_grad and not p.is_meta for p in module.parameters())
    with torch.no_grad():
        for p in module.parameters():
            p.add_(1)
    assert bytes(model.params) == before
    assert GPT.from_torch(module).params[0] == model.params[0] + 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_smaller_floats_are_widened(dtype):
    model = make()
    module = model.to_torch(dtype)
    assert {p.dtype for p in module.parameters()} == {dtype}
    again = GPT.from_torch(module)
    for name, p in module.named_parameters():
        assert again.state_dict()[name.removesuffix(".weight")].tolist() == p.tolist()
    assert bytes(GPT.from_torch(again.to_torch(dtype)).params) == bytes(again.params)


def test_what_wraps_a_module_is_taken_off():
    model = make()
    module = model.to_torch()
    assert bytes(GPT.from_torch(torch.compile(module, backend="eager")).params) == bytes(model.params)
    assert bytes(GPT.from_torch(torch.nn.DataParallel(module)).params) == bytes(model.params)


@pytest.mark.parametrize("preset", PRESETS)
def test_training_in_torch_is_training_here(preset):
    """Training with torch.optim.Adam gives the reference's losses, up to rounding."""
    config = PRESETS[preset].config
    training = TrainConfig(num_steps=30, batch_size=3, beta1=0.9, beta2=0.95)
    docs = DOCS[:-1] * 3
    run = train(docs, config, training)
    start = train(docs, config, TrainConfig(num_steps=0))  # the same weights, the same order of documents
    module = start.model.to_torch()
    optimizer = torch.optim.Adam(module.parameters(), betas=(0.9, 0.95), eps=training.eps)
    losses = []
    for step in range(training.num_steps):
        documents = [start.corpus[i] for i in training.batch(step, len(start.corpus))]
        inputs, targets = pytorch.pad(documents, config.block_size)
        loss = pytorch.cross_entropy(module(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = training.lr(step)
        optimizer.step()
        losses.append(loss.item())
    assert losses == pytest.approx(run.losses, rel=1e-6)
    assert GPT.from_torch(module).loss("emma") == pytest.approx(run.model.loss("emma"), rel=1e-6)


def test_padding():
    inputs, targets = pytorch.pad([[9, 1, 2, 3, 9], [9, 9], [9, 4, 9]], block_size=3)
    none = pytorch.NO_TARGET
    assert inputs.tolist() == [[9, 1, 2], [9, 0, 0], [9, 4, 0]]
    assert targets.tolist() == [[1, 2, 3], [9, none, none], [4, 9, none]]


def without(name):
    def change(module):
        delattr(module, name)
        return module

    return change


def with_(name, make_parameter):
    def change(module):
        setattr(module, name, make_parameter())
        return module

    return change


@pytest.mark.parametrize(
    "change, error, message",
    [
        (lambda m: torch.nn.Linear(2, 2), TypeError, "from_torch takes the module that to_torch made, .* not Linear"),
        (lambda m: m.state_dict(), TypeError, "not OrderedDict"),
        (without("wpe"), ValueError, "'wpe' are missing"),
        (with_("bias", lambda: torch.nn.Parameter(torch.zeros(3))), ValueError, "no weights 'bias'"),
        (with_("wpe", lambda: torch.nn.Embedding(9, 8)), ValueError, "'wpe' are 9 rows of 8 numbers, .* 6 rows of 8"),
        (with_("wte", lambda: torch.nn.Embedding(3, 8, dtype=torch.complex64)), TypeError, "of torch.complex64"),
        (
            with_("wte", lambda: torch.nn.Embedding(len(CHARS) + 1, 8).apply(lambda m: m.weight.data.fill_(torch.inf))),
            ValueError,
            "'wte' have an entry that is not a finite double: inf",
        ),
    ],
)
def test_modules_that_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        GPT.from_torch(change(make().to_torch()))
