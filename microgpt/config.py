"""Every option of a model and of its training, stated once; and the reference's two published revisions.

What an option means is in microgpt/reference.py. An engine refuses those that it does not compute, see microgpt.engines.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

from microgpt import reference
from microgpt.common.options import Settings, documented, option
from microgpt.common.words import quoted, shortened

SIZES = "n_layer", "n_embd", "n_head", "block_size"  # the sizes that every summary of a model states


@documented
@dataclass(frozen=True)
class GPTConfig(Settings):
    """The shape of a model. Making one raises ValueError or TypeError if an option is out of bounds or options contradict each other."""

    n_layer: int = option(1, "number of transformer blocks", least=1)
    n_embd: int = option(16, "width of the residual stream", least=1)
    n_head: int = option(4, "number of attention heads; must divide n_embd", least=1)
    block_size: int = option(16, "length of the longest context", unit="tokens", least=1)
    activation: str = option("relu", "activation function of the MLP; relu2 is relu squared", choices=reference.ACTIVATIONS)
    init_std: float = option(0.08, "standard deviation of the initial weights", least=0.0)
    zero_init_out: bool = option(False, "start attn_wo and mlp_fc2 at zero")
    documents: str = option(
        "lines", "what a document is: a line, a paragraph (between blank lines), or a window of the whole text, without BOS",
        choices=("lines", "paragraphs", "text"), since="0.2",
    )  # fmt: skip
    bos_first: bool = option(False, "make BOS, which begins and ends a document, token 0; otherwise it is the last token")
    scale_init: bool = option(
        False,
        "scale the initial weights to the width: init_std, which suits an n_embd of 16, times the square root of 16 / n_embd",
        since="0.2",
    )

    def check_together(self) -> None:
        if self.n_embd % self.n_head:
            able = ", ".join(str(n) for n in range(1, 1025) if self.n_embd % n == 0)
            raise ValueError(
                f"n_embd {quoted(self.n_embd)} is not divisible by n_head {quoted(self.n_head)}: every head needs the same "
                f"width; choose n_head from {shortened(able)}"
            )

    @property
    def head_dim(self) -> int:
        """The width of an attention head: n_embd // n_head."""
        return self.n_embd // self.n_head

    @property
    def n_mlp(self) -> int:
        """The width of the MLP's hidden layer."""
        return replace(self, n_layer=1).shapes(1)["layer0.mlp_fc1"][0]

    def shapes(self, vocab_size: int) -> dict[str, tuple[int, int]]:
        """Name -> (rows, columns) of every parameter matrix, in parameter order."""
        return reference.shapes(self, vocab_size)

    def starts(self, vocab_size: int) -> tuple[dict[str, int], int]:
        """Where matrices begin in the flat buffer of parameters.

        Returns:
            A pair. The first is name -> index, for each matrix outside the layers and each in the first layer; the layers follow one
            another. The second is the number of parameters in a layer.
        """
        starts, at = {}, 0
        for name, (rows, columns) in replace(self, n_layer=1).shapes(vocab_size).items():
            starts[name] = at
            at += rows * columns
        return starts, at - starts["layer0.attn_wq"]

    def num_params(self, vocab_size: int) -> int:
        """The number of parameters: the sum of rows * columns over `shapes`."""
        starts, layer = self.starts(vocab_size)
        return starts["layer0.attn_wq"] + self.n_layer * layer

    def std(self, name: str) -> float:
        """The standard deviation of the initial entries of the matrix `name`."""
        return reference.initial_std(name, self)


@documented
@dataclass(frozen=True)
class TrainConfig(Settings):
    """How to train: the steps and their documents, the settings of Adam, and extensions. Checked when made, like `GPTConfig`."""

    num_steps: int = option(1000, "number of training steps", least=0, flag="steps")
    learning_rate: float = option(0.01, "learning rate of the first step, or of the first step after the warm-up", least=0.0)
    beta1: float = option(0.85, "decay of Adam's first moment, the running mean of the gradient", least=0.0, below=1.0)
    beta2: float = option(0.99, "decay of Adam's second moment, the running mean of its square", least=0.0, below=1.0)
    eps: float = option(1e-8, "added to Adam's denominator, to keep the quotient finite", above=0.0)
    batch_size: int = option(1, "documents per step; the loss of a step is the mean of theirs", unit="documents", least=1)
    schedule: str = option(
        "linear", "how the learning rate changes: linear and cosine decay to min_learning_rate", choices=reference.SCHEDULES
    )
    warmup_steps: int = option(0, "number of first steps during which the learning rate rises to the schedule's", unit="steps", least=0)
    clip_norm: float | None = option(
        None, "maximum norm of the gradient of all parameters; a longer gradient is scaled down to it", kind=float, above=0.0
    )
    weight_decay: float = option(0.0, "fraction of each parameter, times the learning rate, that a step subtracts (AdamW)", least=0.0)
    min_learning_rate: float = option(0.0, "learning rate at the end of the schedule; at most learning_rate", least=0.0, since="0.2")

    def check_together(self) -> None:
        if self.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"min_learning_rate {self.min_learning_rate!r} is more than learning_rate {self.learning_rate!r}, at which the "
                "schedule starts; choose a smaller one"
            )

    def idle(self) -> str | None:
        if 0 < self.num_steps <= self.warmup_steps:
            return (
                f"warmup_steps {quoted(self.warmup_steps)} leaves none of the num_steps {quoted(self.num_steps)} after the warm-up; "
                "choose fewer warmup_steps or more num_steps"
            )
        if self.min_learning_rate and self.schedule == "constant":
            return "min_learning_rate has no effect on a constant schedule; omit it, or choose another schedule"
        return None

    def lr(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return reference.learning_rate(step, self)

    def batch(self, step: int, n_docs: int) -> list[int]:
        """The indices of the documents of a step, of n_docs, in order. After the last document comes the first again."""
        return reference.batch(step, self.batch_size, n_docs)


# Defaults for how often to measure. MEASURED: documents measured per document trained on, which costs less than half as much per document.
# This budget is spent in this order: FEW_DOCS documents, FEW_TIMES times, then all documents, then up to MANY_TIMES times.
MEASURED, FEW_DOCS, FEW_TIMES, MANY_TIMES = 0.4, 500, 10, 100


@documented
@dataclass(frozen=True)
class EvalConfig(Settings):
    """How to measure a run on documents that are not trained on. Measuring changes no step of the run.

    `microgpt.corpus.documents.arrange` chooses the documents. A split_seed of None chooses them as version 0.1 did.
    """

    val_fraction: float = option(
        0.0, "fraction of the distinct documents to hold out, at least one document if not 0; of a text, the end", least=0.0, below=1.0
    )
    eval_every: int | None = option(
        None,
        "steps between measurements, besides the one after the last step; none: as often as takes a small part of the run's time",
        kind=int,
        unit="steps",
        least=1,
        before=100,
    )
    patience: int | None = option(
        None, "stop after this many measurements without a new best one, and return to the best weights", kind=int, least=1
    )
    split_seed: int | None = option(
        42, "seed for choosing the held-out documents, independent of the run's seed", kind=int, since="0.2", before=None
    )
    eval_docs: int | None = option(
        None,
        "measure on the first N held-out documents; none: on all, or without eval_every on as many as suit the run",
        kind=int,
        unit="documents",
        least=1,
        since="0.2",
    )
    val_mean: str = option(
        "tokens",
        "what the held-out loss is the mean of: the losses of all tokens, or the mean losses of the documents",
        choices=("tokens", "documents"),
        since="0.2",
        before="documents",
    )

    def idle(self) -> str | None:
        if not self.val_fraction and self.split_seed not in (EvalConfig.split_seed, None):
            return "split_seed chooses the held-out documents; omit it, or give a val_fraction too, such as 0.1"
        return None

    def documents(self, training: TrainConfig, n_docs: int) -> int:
        """How many of n_docs held-out documents to measure on, the first ones, in a run with the settings `training`."""
        wanted = n_docs
        if self.eval_docs is not None:
            wanted = self.eval_docs
        elif self.eval_every is None:
            budget = self._budget(training)
            wanted = max(min(budget, FEW_DOCS), budget // FEW_TIMES)
        return min(wanted, n_docs)

    def every(self, training: TrainConfig, documents: int) -> int:
        """The number of steps between measurements on this many documents, in a run with the settings `training`."""
        if self.eval_every is not None:
            return self.eval_every
        times = min(max(1, self._budget(training) // documents), MANY_TIMES)
        return max(1, -(-training.num_steps // times))

    def _budget(self, training: TrainConfig) -> int:
        return max(1, int(MEASURED * training.num_steps * training.batch_size))

    def check_documents(self, val_docs: bool, given: Collection[str] | None = None) -> None:
        """Check that documents to measure on are given if an option needs them, and not given twice.

        Args:
            val_docs: Whether there are documents to measure on besides those to train on.
            given: The names of the options that were given. None: those that differ from their defaults.

        Raises:
            ValueError: There are none although an option needs them, or they are given twice.
        """
        if val_docs and self.val_fraction:
            raise ValueError("val_fraction and val_docs both give documents to measure on; omit one of them")
        for name in ("eval_every", "patience", "eval_docs", "val_mean"):
            asked = getattr(self, name) != getattr(EvalConfig, name) if given is None else name in given
            if asked and not val_docs and not self.val_fraction:
                raise ValueError(f"{name} needs documents to measure on; give a val_fraction too, such as 0.1, or val_docs")


@documented
@dataclass(frozen=True)
class SampleConfig(Settings):
    """How the next character of a document is chosen."""

    temperature: float = option(0.5, "below 1 favours likely characters, above 1 rare ones; 0 always takes the likeliest", least=0.0)
    top_k: int | None = option(None, "choose among this many of the likeliest characters", kind=int, least=1)
    top_p: float | None = option(
        None, "choose among the fewest likeliest characters whose probabilities reach this sum", kind=float, above=0.0, most=1.0
    )

    def check_together(self) -> None:
        if 0 < self.temperature < 1e-300:
            raise ValueError(f"temperature {self.temperature!r} is too small to divide by; use 0 for the likeliest character")


class Preset(NamedTuple):
    """A published revision of the reference.

    Attributes:
        config: The shape of its model.
        training: How it trains.
        temperature: The temperature at which it samples.
    """

    config: GPTConfig
    training: TrainConfig
    temperature: float


PRESETS = {
    "current": Preset(GPTConfig(), TrainConfig(), SampleConfig.temperature),
    "first": Preset(
        GPTConfig(block_size=8, activation="relu2", init_std=0.02, zero_init_out=True, bos_first=True),
        TrainConfig(num_steps=500, beta1=0.9, beta2=0.95),
        0.6,
    ),
}
"""The published revisions by name: "current", whose settings are the defaults, and "first"."""


class Recipe(NamedTuple):
    """Settings for a data set; the first three are those of a Preset. data: its name for load_docs; engine: the name of the engine."""

    config: GPTConfig
    training: TrainConfig
    temperature: float
    evaluation: EvalConfig
    data: str
    engine: str


RECIPES = {
    # The shape and data of nanoGPT's recipe for a CPU, which reaches a loss of 1.88 in 2,000 steps. With four times its learning rate,
    # 950 steps are enough.
    "shakespeare": Recipe(
        GPTConfig(n_layer=4, n_embd=128, n_head=4, block_size=64, documents="text", scale_init=True),
        TrainConfig(
            num_steps=950, batch_size=12, learning_rate=0.004, min_learning_rate=0.0004, schedule="cosine", warmup_steps=50,
            beta1=0.9, beta2=0.99, clip_norm=1.0, weight_decay=0.1,
        ),
        0.8, EvalConfig(val_fraction=0.1, eval_every=475), "shakespeare", "fast",
    ),
}  # fmt: skip
