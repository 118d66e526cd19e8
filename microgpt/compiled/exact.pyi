from array import array
from collections.abc import Callable, Iterable, Sequence
from random import Random

from microgpt.config import GPTConfig, TrainConfig
from microgpt.corpus.tokens import Corpus

ACTIVATIONS: tuple[str, ...]

def group_columns() -> int: ...
def isas() -> list[str]: ...
def info() -> dict[str, str | list[str]]: ...

class Network:
    isa: str
    libm: str
    num_steps: int
    def __init__(self, config: GPTConfig, vocab_size: int, params: array[float] | memoryview) -> None: ...
    def start(self, training: TrainConfig) -> None: ...
    def train(
        self, corpus: Corpus, steps: range, training: TrainConfig, losses: list[float], n_threads: int = 1, norms: list[float] | None = None
    ) -> int | None: ...
    def backward(self, corpus: Corpus, step: int, training: TrainConfig, n_threads: int = 1) -> float | None: ...
    @property
    def gradients(self) -> memoryview | None: ...
    @property
    def m(self) -> memoryview | None: ...
    @property
    def v(self) -> memoryview | None: ...

class AdamKernel:
    def __init__(self) -> None: ...
    def __call__(
        self,
        params: array[float],
        gradients: array[float],
        m: array[float],
        v: array[float],
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        c1: float,
        c2: float,
    ) -> None: ...

class Decoder:
    def __init__(self, network: Network) -> None: ...
    def __call__(self, token: int) -> list[float]: ...
    def loss(self, tokens: Iterable[int]) -> float: ...
    def losses(self, corpus: Corpus, which: range, n_threads: int = 1) -> array[float]: ...
    def generate(
        self,
        rng: Random,
        bos: int,
        opening: int,
        prompt: Sequence[int],
        temperature: float,
        top_k: int | None,
        length: int,
        config: GPTConfig,
        tell: Callable[[int], object] | None = None,
    ) -> list[int]: ...
