"""The scalar layer, compiled: microgpt.reference's Value, functions and Adam, with the same results to the last bit."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["Value", "linear", "softmax", "rmsnorm", "attention", "cross_entropy", "matrix", "Adam"]

class Value:
    """A scalar in a computation graph.

    data: the number, an int or a float. children: the operands that it was computed from; local_grads: the derivative of this Value with
    respect to each operand, in the same order. The operators `+ - * / **` and the methods below set both. A number on either side of an
    operator becomes a Value; the exponent of `**` is a plain number. Ints stay ints, as in the reference.

    Errors are those of Python: ZeroDivisionError, OverflowError, and ValueError for the logarithm of a number that is not positive.
    """

    data: Any
    """The number."""
    grad: Any
    """The derivative of the Values on which `backward` was called with respect to this one, accumulated over the calls; 0 at first."""
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
    def log(self) -> Value:
        """The natural logarithm. ValueError unless `data` is positive."""

    def exp(self) -> Value:
        """e to the power of this Value. OverflowError above about 709.78."""

    def relu(self) -> Value:
        """max(0, x); its derivative is 1 where x > 0, else 0."""

    def sigmoid(self) -> Value:
        """1 / (1 + e^-x), computed without overflow."""

    def tanh(self) -> Value:
        """The hyperbolic tangent, computed without overflow."""

    def backward(self) -> None:
        """Set the `grad` of this Value to 1, and add to the `grad` of every Value it was computed from the derivative of this one.

        The chain rule is applied in reverse topological order, as in the reference. Derivatives accumulate: set `grad` to 0 before a
        second call, as `Adam.step` does. The depth of the graph is not limited by Python's recursion limit.
        """

def linear(x: Sequence[Value], w: Sequence[Sequence[Value]]) -> list[Value]:
    """Matrix times vector: each element of the result is the dot product of a row of w with x.

    x: (n_in,); w: (n_out, n_in). Returns (n_out,).
    """

def softmax(logits: Sequence[Value]) -> list[Value]:
    """Convert scores to probabilities, exp(x_i) / sum_j exp(x_j).

    logits: (n,), at least one. Returns (n,) positive Values with the sum 1. The largest score is subtracted first, so that exp does not
    overflow.
    """

def rmsnorm(x: Sequence[Value]) -> list[Value]:
    """Scale a vector to root mean square 1: x / sqrt(mean(x^2) + 1e-5) (Zhang and Sennrich, 2019).

    x: (n,), at least one. Returns (n,). There is no learned gain.
    """

def attention(q: Sequence[Value], keys: Sequence[Sequence[Value]], values: Sequence[Sequence[Value]], n_head: int) -> list[Value]:
    """Causal multi-head attention for one position: softmax(q k / sqrt(head_dim)) v in each head (Vaswani et al., 2017).

    q: (n_embd,), the query of the current position; keys, values: (positions, n_embd), those of all positions so far, the current one
    included. n_head: the number of heads; each is n_embd // n_head wide. Returns (n_embd,), the heads' results one after the other.
    """

def cross_entropy(logits: Sequence[Value], target: int) -> Value:
    """The loss of a prediction, in nats: -log softmax(logits)[target].

    logits: (vocab_size,); target: the id of the token that follows. ValueError where its probability is 0.
    """

def matrix(nout: int, nin: int, std: float = 0.08, rng: random.Random = ...) -> list[list[Value]]:
    """A weight matrix of nout rows and nin columns, drawn row by row from a Gaussian of mean 0 and standard deviation std.

    rng: the random.Random to draw from; by default the module `random`.
    """

class Adam:
    """The optimizer Adam: gradient descent with momentum and a step size for each parameter (Kingma and Ba, 2015).

    params: the Values to update. learning_rate: the step size. beta1, beta2: decay of the first and second moment. eps: added to the
    denominator. The defaults are those of microgpt, not those of the paper.
    """

    learning_rate: float
    """The step size where `step` is given none."""
    beta1: float
    """Decay of the first moment."""
    beta2: float
    """Decay of the second moment."""
    eps: float
    """Added to the denominator, which keeps the quotient finite."""
    num_steps: int
    """The number of steps done, which the bias correction uses."""
    @property
    def m(self) -> tuple[float, ...]:
        """First moment of each parameter: the running mean of its gradient."""

    @m.setter
    def m(self, moments: Iterable[float]) -> None: ...
    @property
    def v(self) -> tuple[float, ...]:
        """Second moment of each parameter: the running mean of its squared gradient."""

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
        """Update every parameter from its gradient, then set the gradient to 0.

        learning_rate: the step size of this step; None: that of the optimizer.
        """
