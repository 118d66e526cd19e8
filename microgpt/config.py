"""What is trained and how: the model's shape, the optimizer's settings, and the reference's two published revisions."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

ACTIVATIONS = ("relu", "relu2")
SCHEDULES = ("linear", "cosine", "constant")


def _check_int(name, value, least):
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")


def _check_float(name, value, least=0.0, below=math.inf, above=-math.inf):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not (least <= value < below and value > above):
        bounds = f"more than {above:g}" if above > -math.inf else f"at least {least:g}"
        bounds += f" and less than {below:g}" if below < math.inf else " and finite"
        raise ValueError(f"{name} must be {bounds}, not {value!r}")


def _check_bool(name, value):
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a model. Checked when made: `ValueError` or `TypeError` names the field and its bounds."""

    n_layer: int = 1  # transformer blocks
    n_embd: int = 16  # width of the residual stream
    n_head: int = 4  # attention heads; each is n_embd // n_head wide
    block_size: int = 16  # longest context, in tokens
    activation: str = "relu"  # of the MLP: "relu", or "relu2" for relu squared
    init_std: float = 0.08  # standard deviation of the initial weights
    zero_init_out: bool = False  # start attn_wo and mlp_fc2 at zero
    bos_first: bool = False  # BOS is token 0 and characters start at 1; else BOS comes after the characters

    def __post_init__(self):
        for name in ("n_layer", "n_embd", "n_head", "block_size"):
            _check_int(name, getattr(self, name), 1)
        if self.n_embd % self.n_head:
            raise ValueError(
                f"n_embd {self.n_embd} is not divisible by n_head {self.n_head}: every head needs the same width; "
                f"choose n_head from {', '.join(map(str, _divisors(self.n_embd)))}"
            )
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {self.activation!r}")
        _check_float("init_std", self.init_std)
        _check_bool("zero_init_out", self.zero_init_out)
        _check_bool("bos_first", self.bos_first)

    @property
    def head_dim(self) -> int:
        return self.n_embd // self.n_head

    @property
    def n_mlp(self) -> int:
        return 4 * self.n_embd

    def starts(self, vocab_size):
        """(start of each matrix outside the layers and in the first one, how many parameters a layer has)."""
        starts, at = {}, 0
        for name, (rows, columns) in replace(self, n_layer=1).shapes(vocab_size).items():
            starts[name] = at
            at += rows * columns
        return starts, replace(self, n_layer=self.n_layer + 1).num_params(vocab_size) - self.num_params(vocab_size)

    def shapes(self, vocab_size: int) -> dict[str, tuple[int, int]]:
        """Name and (rows, columns) of every parameter matrix, in parameter order."""
        n = self.n_embd
        shapes = {"wte": (vocab_size, n), "wpe": (self.block_size, n), "lm_head": (vocab_size, n)}
        for i in range(self.n_layer):
            for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo"):
                shapes[f"layer{i}.{name}"] = (n, n)
            shapes[f"layer{i}.mlp_fc1"] = (4 * n, n)
            shapes[f"layer{i}.mlp_fc2"] = (n, 4 * n)
        return shapes

    def num_params(self, vocab_size: int) -> int:
        """How many parameters there are: the sum over `shapes`."""
        n = self.n_embd
        return (2 * vocab_size + self.block_size) * n + 12 * self.n_layer * n * n

    def std(self, name: str) -> float:
        """Standard deviation of the initial entries of the matrix `name`."""
        return 0.0 if self.zero_init_out and name.endswith((".attn_wo", ".mlp_fc2")) else self.init_std


@dataclass(frozen=True)
class TrainConfig:
    """How to train: the steps and their documents, Adam's settings and what is added to Adam. Checked when made."""

    num_steps: int = 1000
    learning_rate: float = 0.01  # at the first step, or after the warm-up
    beta1: float = 0.85  # decay of Adam's first moment, the mean of the gradients
    beta2: float = 0.99  # decay of Adam's second moment, the mean of their squares
    eps: float = 1e-8  # keeps Adam's division finite
    batch_size: int = 1  # documents a step; the loss is the mean of theirs
    schedule: str = "linear"  # of the learning rate: "linear" or "cosine", which fall to 0, or "constant"
    warmup_steps: int = 0  # first steps, over which the learning rate rises to what the schedule says
    clip_norm: float | None = None  # longest gradient, all parameters taken as one vector; longer ones are scaled down
    weight_decay: float = 0.0  # share of each parameter that a step takes away, times the learning rate (AdamW)

    def __post_init__(self):
        _check_int("num_steps", self.num_steps, 0)
        _check_float("learning_rate", self.learning_rate)
        _check_float("beta1", self.beta1, below=1.0)
        _check_float("beta2", self.beta2, below=1.0)
        _check_float("eps", self.eps, above=0.0)
        _check_int("batch_size", self.batch_size, 1)
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, not {self.schedule!r}")
        _check_int("warmup_steps", self.warmup_steps, 0)
        if self.clip_norm is not None:
            _check_float("clip_norm", self.clip_norm, above=0.0)
        _check_float("weight_decay", self.weight_decay)

    def lr(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if self.schedule == "linear":
            lr = self.learning_rate * (1 - step / self.num_steps)
        elif self.schedule == "cosine":
            lr = self.learning_rate * (0.5 * (1 + math.cos(math.pi * step / self.num_steps)))
        else:
            lr = self.learning_rate
        return lr * ((step + 1) / self.warmup_steps) if step < self.warmup_steps else lr

    def batch(self, step: int, n_docs: int) -> list[int]:
        """Which of n_docs documents a step takes, in order; after the last comes the first again."""
        return [(step * self.batch_size + j) % n_docs for j in range(self.batch_size)]


@dataclass(frozen=True)
class EvalConfig:
    """How to measure a run on documents held out; measuring changes none of its steps. Checked when made."""

    val_fraction: float = 0.0  # share of the documents that is held out, after they were shuffled
    eval_every: int = 100  # steps between two evaluations; there is one after the last step too
    patience: int | None = None  # evaluations in a row without a new best that end training; the best weights are kept

    def __post_init__(self):
        _check_float("val_fraction", self.val_fraction, below=1.0)
        _check_int("eval_every", self.eval_every, 1)
        if self.patience is not None:
            _check_int("patience", self.patience, 1)
            if not self.val_fraction:
                raise ValueError("patience needs documents to measure on; give a val_fraction too, such as 0.1")


class Preset(NamedTuple):
    """A published revision of the reference: what it trains, how, and the temperature it samples at."""

    config: GPTConfig
    training: TrainConfig
    temperature: float


PRESETS = {
    "current": Preset(GPTConfig(), TrainConfig(), 0.5),
    "first": Preset(
        GPTConfig(block_size=8, activation="relu2", init_std=0.02, zero_init_out=True, bos_first=True),
        TrainConfig(num_steps=500, beta1=0.9, beta2=0.95),
        0.6,
    ),
}


def _divisors(n):
    small = [d for d in range(1, math.isqrt(n) + 1) if n % d == 0]
    return sorted({*small, *(n // d for d in small)})
