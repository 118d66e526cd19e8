"""The scalar layer, compiled: microgpt.reference's Value, functions and Adam, with the same results to the last bit."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["Value", "linear", "softmax", "rmsnorm", "attention", "cross_entropy", "relu", "matrix", "Adam"]

class Value:
    """A number in a computation graph: it keeps its operands and its derivative with respect to each of them.

    It has the operators `+ - * / **`, with a Value or a plain number on either side; the exponent of `**` is a plain number. An
    operator or method makes a new Value. Results and errors are those of `Value` in microgpt/reference.py, to the last bit:
    `x - y` is `x + y * -1`, and `x / y` is `x * y**-1`. There is no recursion limit.

    Args:
        data: The number: a float, an int or anything with the same arithmetic. It is kept as it is.
        children: The operands of an operator of your own.
        local_grads: The derivative of this Value with respect to each of `children`, in their order.

    Attributes:
        data: The number. You may change it, as an optimizer does.
        grad: The derivative of the Value on which `backward` was called with respect to this one, summed over the calls; the
            int 0 at first.
    """

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
    def log(self) -> Value:
        """The natural logarithm; the derivative is `1 / x`.

        Raises:
            ValueError: The number is 0 or negative.
        """
    def exp(self) -> Value:
        """e to the power of the number; the derivative is `exp(x)`.

        Raises:
            OverflowError: The result is too large for a float.
        """
    def relu(self) -> Value:
        """The larger of the int 0 and the number; the derivative is 1.0 above 0, else 0.0."""
    def sigmoid(self) -> Value:
        """`1 / (1 + exp(-x))`, composed of `exp` and operators as in the reference, in a form that cannot overflow."""
    def tanh(self) -> Value:
        """The hyperbolic tangent, composed of `exp` and operators as in the reference, in a form that cannot overflow."""
    def backward(self) -> None:
        """Add the derivative of this Value with respect to each Value below it in the graph to that Value's `grad`.

        This is reverse-mode automatic differentiation, by the chain rule: each Value is visited once, after all Values that were
        computed from it. The `grad` of this Value becomes 1. Gradients accumulate over calls: set them to 0 in between, or let
        `Adam.step` do so.
        """

def linear(x: Sequence[Value], w: Sequence[Sequence[Value]]) -> list[Value]:
    """The product of the matrix `w` and the vector `x`, without a bias.

    Args:
        x: A vector of n_in Values.
        w: A matrix of n_out rows of n_in Values.

    Returns:
        n_out Values.
    """

def softmax(logits: Sequence[Value]) -> list[Value]:
    """The probabilities that belong to scores: `exp(logit)`, divided by the sum over all logits.

    The largest logit is subtracted first, as a plain number, so that `exp` cannot overflow.

    Args:
        logits: n Values.

    Returns:
        n Values between 0 and 1, of which the sum is 1 within rounding.
    """

def rmsnorm(x: Sequence[Value]) -> list[Value]:
    """The vector `x`, scaled to a root mean square of 1 (RMSNorm without weights; Zhang and Sennrich, 2019).

    The scale is `(mean(x**2) + 1e-5) ** -0.5`.

    Args:
        x: n Values.

    Returns:
        n Values.
    """

def attention(q: Sequence[Value], keys: Sequence[Sequence[Value]], values: Sequence[Sequence[Value]], n_head: int) -> list[Value]:
    """Scaled dot-product attention of one position to all positions so far, with several heads (Vaswani et al., 2017).

    Each head takes `n_embd // n_head` neighbouring elements of every vector. Its weights are the softmax of `q·k / sqrt(head width)`
    over the positions, and its result is the mean of `values` by these weights.

    Args:
        q: The query of the newest position: n_embd Values.
        keys: A key of n_embd Values for each position.
        values: A value of n_embd Values for each position.
        n_head: The number of heads, a divisor of n_embd.

    Returns:
        n_embd Values, the results of the heads one after the other.
    """

def cross_entropy(logits: Sequence[Value], target: int) -> Value:
    """The loss of a prediction, in nats: `-log(softmax(logits)[target])`.

    Args:
        logits: A score for each token: vocab_size Values.
        target: The id of the token that came.

    Raises:
        ValueError: The probability of `target` is so small that it is 0.
    """

def relu(x: Value) -> Value:
    """`x.relu()`, for the engine `graph`."""

def matrix(nout: int, nin: int, std: float = 0.08, rng: random.Random = ...) -> list[list[Value]]:
    """A matrix of random Values from a Gaussian distribution of mean 0, drawn row by row.

    Args:
        nout: The number of rows.
        nin: The number of columns.
        std: The standard deviation.
        rng: The generator, of which `gauss` is called; the module `random` by default.

    Returns:
        nout lists of nin Values.
    """

class Adam:
    """The optimizer Adam (Kingma and Ba, 2015), in the reference's order of operations.

    With the gradient g and the step t, counted from 1: `m = beta1 * m + (1 - beta1) * g`, `v = beta2 * v + (1 - beta2) * g**2`, and
    the parameter falls by `learning_rate * m / (1 - beta1**t) / (sqrt(v / (1 - beta2**t)) + eps)`.

    Args:
        params: The Values to train.
        learning_rate: The factor of each step, unless `step` is given another one.
        beta1: The decay of the first moment, from 0 to below 1.
        beta2: The decay of the second moment, from 0 to below 1.
        eps: A small number in the denominator, which keeps the quotient finite.

    Attributes:
        m: The first moment of each parameter, the running mean of its gradient. You may assign as many numbers.
        v: The second moment of each parameter, the running mean of its squared gradient. You may assign as many numbers.
        num_steps: The number of steps done.
    """

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
        """Update the `data` of every parameter from its `grad`, then set `grad` to 0.

        Args:
            learning_rate: The factor of this step; that of the optimizer if it is None.
        """
