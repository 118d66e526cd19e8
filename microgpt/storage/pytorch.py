"""The model in PyTorch, as a starting point for further work: GPT, an nn.Module; pad and cross_entropy for batches.

Copy this file into your own project: it needs only a configuration (GPTConfig, or any object with
the same attributes) and a tokenizer, of which it uses vocab_size. Read it together with microgpt/reference.py.

The parameters are the reference's, in its order, with PyTorch's ".weight" after the name: layer0.attn_wq is
layer0.attn_wq.weight in state_dict(), of the same shape (outputs, inputs).
"""

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

NO_TARGET = -100  # after the end of a document; the default ignore_index of F.cross_entropy


def rmsnorm(x):
    """Scale vectors to root mean square 1. (..., n_embd) -> (..., n_embd)"""
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5)


def relu2(x):
    x = torch.relu(x)
    return x * x


# mutant: torch-activations
ACTIVATIONS = {  # by their names in a configuration
    "relu": torch.relu,
    "relu2": relu2,
    "gelu": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
}


class Block(nn.Module):
    """Attention, then the MLP, each added to the residual stream. (batch, positions, n_embd) -> the same"""

    def __init__(self, config, **factory):
        super().__init__()
        if config.activation not in ACTIVATIONS:
            raise ValueError(f"the PyTorch module cannot compute the activation {config.activation!r}, only {', '.join(ACTIVATIONS)}")
        n = config.n_embd
        self.n_head, self.activation = config.n_head, config.activation
        self.attn_wq = nn.Linear(n, n, bias=False, **factory)
        self.attn_wk = nn.Linear(n, n, bias=False, **factory)
        self.attn_wv = nn.Linear(n, n, bias=False, **factory)
        self.attn_wo = nn.Linear(n, n, bias=False, **factory)
        self.mlp_fc1 = nn.Linear(n, 4 * n, bias=False, **factory)
        self.mlp_fc2 = nn.Linear(4 * n, n, bias=False, **factory)

    def forward(self, x):
        x = x + self.attention(rmsnorm(x))
        return x + self.mlp(rmsnorm(x))

    def attention(self, x):
        batch, positions, n = x.shape
        heads = batch, positions, self.n_head, n // self.n_head
        q, k, v = (wide(x).view(heads).transpose(1, 2) for wide in (self.attn_wq, self.attn_wk, self.attn_wv))
        found = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (batch, n_head, positions, head_dim)
        return self.attn_wo(found.transpose(1, 2).reshape(batch, positions, n))

    def mlp(self, x):
        return self.mlp_fc2(ACTIVATIONS[self.activation](self.mlp_fc1(x)))


class GPT(nn.Module):
    """The reference's GPT on batches. config and tokenizer travel with it, for microgpt.GPT.from_torch.

    Its weights are PyTorch's own random ones, until load_state_dict or training; `to_torch` copies those of a model.
    """

    def __init__(self, config, tokenizer, dtype=None, device=None):
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        factory = {"dtype": dtype, "device": device}
        self.wte = nn.Embedding(tokenizer.vocab_size, config.n_embd, **factory)
        self.wpe = nn.Embedding(config.block_size, config.n_embd, **factory)
        self.lm_head = nn.Linear(config.n_embd, tokenizer.vocab_size, bias=False, **factory)
        for i in range(config.n_layer):
            self.add_module(f"layer{i}", Block(config, **factory))

    def forward(self, tokens):
        """The logits of each next token. tokens: ids, (batch, positions), at most block_size positions.

        -> (batch, positions, vocab_size). A position sees only those before it, so padding at the end of shorter documents changes nothing
        before it.
        """
        x = rmsnorm(self.wte(tokens) + self.wpe.weight[: tokens.shape[1]])
        for i in range(self.config.n_layer):
            x = getattr(self, f"layer{i}")(x)
        return self.lm_head(x)


def pad(documents, block_size):
    """Token ids [BOS, ..., BOS], or windows of a text without BOS, truncated to block_size -> inputs, targets (documents, longest).

    After the end of a document the inputs are 0 and the targets NO_TARGET.
    """
    lengths = [min(block_size, len(tokens) - 1) for tokens in documents]
    longest = max(lengths)
    inputs = [tokens[:n] + [0] * (longest - n) for tokens, n in zip(documents, lengths)]
    targets = [tokens[1 : n + 1] + [NO_TARGET] * (longest - n) for tokens, n in zip(documents, lengths)]
    return torch.tensor(inputs), torch.tensor(targets)


def cross_entropy(logits, targets):
    """The reference's loss of a batch: the mean over documents of each one's mean over its own positions.

    logits: (documents, positions, vocab_size); targets: (documents, positions), NO_TARGET if there is none.
    (F.cross_entropy's own mean would give long documents more weight.)
    """
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=NO_TARGET, reduction="none")
    positions = (targets != NO_TARGET).sum(1)
    return (losses.view_as(targets).sum(1) / positions).mean()


# ---- From and to microgpt.GPT ----------------------------------------------------------------------------------------


def to_torch(model, dtype=None):
    """The module of a microgpt.GPT, with a copy of its weights. dtype: None means torch.float64.

    Raises ValueError if ACTIVATIONS lacks the model's activation.
    """
    module = GPT(model.config, model.tokenizer, device="meta")  # without weights, because random ones would only be replaced
    weights = {}
    for name, view in model.state_dict().items():
        shared = torch.frombuffer(view, dtype=torch.float64).view(view.shape)
        weights[f"{name}.weight"] = shared.to(dtype or torch.float64, copy=True)
    module.load_state_dict(weights, assign=True)
    return module


def rows_of(module):
    """(config, tokenizer, name -> list of rows of floats) of a GPT, bare or wrapped by torch.compile or in parallel."""
    while (wrapped := getattr(module, "module", None) or getattr(module, "_orig_mod", None)) is not None:
        module = wrapped
    if not isinstance(module, nn.Module) or not hasattr(module, "config") or not hasattr(module, "tokenizer"):
        raise TypeError(
            f"from_torch takes the module that to_torch made, or one with its config, tokenizer and parameters; not {type(module).__name__}"
        )
    rows = {}
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            raise TypeError(f"the weights {name!r} are of {tensor.dtype}; a model has floats")
        rows[name.removesuffix(".weight")] = tensor.detach().to("cpu", torch.float64).tolist()
    return module.config, module.tokenizer, rows
