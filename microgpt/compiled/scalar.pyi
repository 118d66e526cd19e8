"""The scalar layer, compiled: microgpt.reference's Value, functions and Adam, with the same results to the last bit."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["Value", "linear", "softmax", "rmsnorm", "attention", "cross_entropy", "matrix", "Adam"]

class Value:
    """A scalar in a computation graph. `grad` is the derivative of the root of backward() with respect to it."""

    data: Any
    grad: Any
    _children: Any
    _local_grads: Any

    def __init__(self, data: Any, children: Iterable[Value] = (), local_grads: Iterable[Any] = ()) -> None: ...
    def __add__(self, other: Any) -> Value: ...
    def __radd__(self, other: Any) -> Value: ...
    def __sub__(self, other: Any) -> Value: ...
    def __rsub__(self, other: Any) -> Value: ...
    def __mul__(self, other: Any) -> Value: ...
    def __rmul__(self, other: Any) -> Value: ...
    def __truediv__(self, other: Any) -> Value: ...
    def __rtruediv__(self, other: Any) -> Value: ...
    def __pow__(self, exponent: float) -> Value: ...
    def __neg__(self) -> Value: ...
    def log(self) -> Value: ...
    def exp(self) -> Value: ...
    def relu(self) -> Value: ...
    def sigmoid(self) -> Value: ...
    def tanh(self) -> Value: ...
    def backward(self) -> None:
        """Add d self / d node to the `grad` of every node below."""

def linear(x: Sequence[Value], w: Sequence[Sequence[Value]]) -> list[Value]:
    """Matrix times vector. x: (n_in,), w: (n_out, n_in) -> (n_out,)"""

def softmax(logits: Sequence[Value]) -> list[Value]:
    """Probabilities of the scores `logits`. (n,) -> (n,)"""

def rmsnorm(x: Sequence[Value]) -> list[Value]:
    """Scale a vector to root mean square 1. (n,) -> (n,)"""

def attention(q: Sequence[Value], keys: Sequence[Sequence[Value]], values: Sequence[Sequence[Value]], n_head: int) -> list[Value]:
    """q: (n_embd,), keys and values: (positions, n_embd) -> (n_embd,)"""

def cross_entropy(logits: Sequence[Value], target: int) -> Value:
    """-log of the probability that `logits` give to the token id `target`."""

def matrix(nout: int, nin: int, std: float = 0.08, rng: random.Random = ...) -> list[list[Value]]:
    """Random weights: (nout, nin) Values from a Gaussian of mean 0, drawn row by row from rng."""

class Adam:
    """Gradient descent with momentum and a step size for each parameter (Kingma and Ba, 2015)."""

    learning_rate: float
    beta1: float
    beta2: float
    eps: float
    num_steps: int
    @property
    def m(self) -> tuple[float, ...]: ...
    @m.setter
    def m(self, moments: Iterable[float]) -> None: ...
    @property
    def v(self) -> tuple[float, ...]: ...
    @v.setter
    def v(self, moments: Iterable[float]) -> None: ...
    def __init__(
        self,
        params: Iterable[Value],
        learning_rate: float = 0.01,
        beta1: float = 0.85,
        beta2: float = 0.99,
        eps: float = 1e-8,
    ) -> None: ...
    def step(self, learning_rate: float | None = None) -> None:
        """Update every parameter from its gradient, then set the gradient to 0."""
