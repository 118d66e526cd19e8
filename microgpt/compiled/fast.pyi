from array import array
from collections.abc import Sequence

from microgpt.config import GPTConfig, TrainConfig
from microgpt.corpus.tokens import Corpus

ACTIVATIONS: tuple[str, ...]

def isas() -> list[str]: ...
def philox(counter: Sequence[int], key: Sequence[int]) -> tuple[int, int, int, int]: ...

class Network:
    isa: str
    def __init__(self, config: GPTConfig, vocab_size: int, params: array[float] | memoryview) -> None: ...
    @property
    def bytes_per_token(self) -> int: ...
    def check_params(self) -> None: ...
    def train(self, corpus: Corpus, steps: range, training: TrainConfig, losses: list[float], n_threads: int = 1) -> None: ...
    def backward(self, corpus: Corpus, step: int, training: TrainConfig, n_threads: int = 1) -> tuple[float, list[float]]: ...
    def moments(self) -> tuple[array[float], array[float]] | None: ...
    def restore(self, training: TrainConfig, m: array[float] | memoryview, v: array[float] | memoryview, num_steps: int) -> None: ...

class Measure:
    def __init__(self, network: Network) -> None: ...
    def losses(self, corpus: Corpus, which: range, n_threads: int) -> array[float]: ...

class Writer:
    portion: int
    def __init__(
        self,
        network: Network,
        key: int,
        letters: str,
        bos: int,
        ends: bool,
        prefix: Sequence[int],
        length: int,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        expected: float,
        n_threads: int,
    ) -> None: ...
    def write(self, first: int, n_docs: int) -> list[str]: ...
