"""Everything in main(), with type hints, argparse and a configuration object; a schedule with warm-up and clipped gradients."""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from math import cos, exp, log, pi, tanh
from typing import Sequence


@dataclass(frozen=True)
class Config:
    n_layer: int = 2
    n_embd: int = 8
    n_head: int = 2
    block_size: int = 6

    @property
    def head_dim(self) -> int:
        return self.n_embd // self.n_head


class Scalar:
    """One number of the graph."""

    __slots__ = ["data", "grad", "_children", "_local_grads"]

    def __init__(self, data: float, children: tuple[Scalar, ...] = (), local_grads: tuple[float, ...] = ()) -> None:
        """Keeps what it is given."""
        self._children, self._local_grads = children, local_grads
        self.data: float = data
        self.grad: float = 0

    @staticmethod
    def wrap(x: Scalar | float) -> Scalar:
        return x if isinstance(x, Scalar) else Scalar(x)

    def __repr__(self) -> str:
        return f"Scalar({self.data:.6f}, grad={self.grad:.6f})"

    def __add__(self, other: Scalar | float) -> Scalar:
        if not isinstance(other, Scalar):
            other = Scalar(other)
        return Scalar(self.data + other.data, (self, other), (1, 1))

    __radd__ = __add__

    def __neg__(self) -> Scalar:
        return self * -1

    def __sub__(self, other: Scalar | float) -> Scalar:
        return self + (-other)

    def __rsub__(self, other: Scalar | float) -> Scalar:
        return (-self) + other

    def __mul__(self, factor: Scalar | float) -> Scalar:
        factor = Scalar(factor) if not isinstance(factor, Scalar) else factor
        return Scalar(self.data * factor.data, (self, factor), (factor.data, self.data))

    def __rmul__(self, other: Scalar | float) -> Scalar:
        return self * other

    def __truediv__(self, other: Scalar | float) -> Scalar:
        return self * (other ** -1)

    def __rtruediv__(self, other: Scalar | float) -> Scalar:
        return other * (self ** -1)

    def __pow__(self, k: float) -> Scalar:
        assert isinstance(k, (int, float)), "only numbers"
        return Scalar(self.data ** k, (self,), (k * self.data ** (k - 1),))

    def exp(self) -> Scalar:
        result = exp(self.data)
        return Scalar(result, (self,), (result,))

    def log(self) -> Scalar:
        return Scalar(log(self.data), (self,), (1 / self.data,))

    def tanh(self) -> Scalar:
        t = tanh(self.data)
        return Scalar(t, (self,), (1 - t**2,))

    def gelu(self) -> Scalar:
        return 0.5 * self * (1 + (0.7978845608 * (self + 0.044715 * self**3)).tanh())

    def backward(self) -> None:
        order: list[Scalar] = []
        seen: set[Scalar] = set()

        def visit(node: Scalar) -> None:
            if node not in seen:
                seen.add(node)
                for child in node._children:
                    visit(child)
                order.append(node)

        visit(self)
        self.grad = 1
        for node in reversed(order):
            for child, slope in zip(node._children, node._local_grads):
                child.grad += slope * node.grad


Vector = Sequence[Scalar]


def linear(x: Vector, w: Sequence[Vector]) -> list[Scalar]:
    """w times x"""
    return [sum(w_i * x_i for w_i, x_i in zip(row, x)) for row in w]


def softmax(scores: Vector) -> list[Scalar]:
    """Probabilities."""
    top: float = max([score.data for score in scores])
    powers = [(score - top).exp() for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def rmsnorm(x: Vector) -> list[Scalar]:
    mean_square = sum([xi * xi for xi in x]) / len(x)
    return scaled(x, (mean_square + 1e-5) ** -0.5)


def scaled(x: Vector, factor: Scalar) -> list[Scalar]:
    return [xi * factor for xi in x]


def attend(config: Config, q, keys, values):
    out = []
    for h in range(config.n_head):
        part = slice(h * config.head_dim, (h + 1) * config.head_dim)
        q_h, k_h, v_h = q[part], [k[part] for k in keys], [v[part] for v in values]
        scores = [sum(q_h[j] * k_h[t][j] for j in range(config.head_dim)) / config.head_dim**0.5 for t in range(len(k_h))]
        weights = softmax(scores)
        out += [sum(weights[t] * v_h[t][j] for t in range(len(v_h))) for j in range(config.head_dim)]
    return out


def gpt(config: Config, weights, token: int, position: int, keys, values):
    x = [a + b for a, b in zip(weights["wte"][token], weights["wpe"][position])]
    for i in range(config.n_layer):
        h = rmsnorm(x)
        keys[i].append(linear(h, weights[f"k{i}"]))
        values[i].append(linear(h, weights[f"v{i}"]))
        h = linear(attend(config, linear(h, weights[f"q{i}"]), keys[i], values[i]), weights[f"o{i}"])
        x = [a + b for a, b in zip(x, h)]
        h = [a.gelu() for a in linear(rmsnorm(x), weights[f"up{i}"])]
        h = linear(h, weights[f"down{i}"])
        x = [a + b for a, b in zip(x, h)]
    return linear(rmsnorm(x), weights["head"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("steps", type=int, nargs="?", default=2)
    parser.add_argument("samples", type=int, nargs="?", default=1)
    parser.add_argument("--lr", type=float, default=0.02)
    args = parser.parse_args()

    random.seed(7)
    config = Config()
    docs = ["rho", "sigma", "tau", "upsilon", "phi"]
    letters = sorted(set("".join(docs)))
    bos, n, d = len(letters), len(letters) + 1, config.n_embd

    def matrix(rows: int, columns: int) -> list[list[Scalar]]:
        return [[Scalar(random.gauss(0, 0.1)) for _ in range(columns)] for _ in range(rows)]

    weights = {"wte": matrix(n, d), "wpe": matrix(config.block_size, d), "head": matrix(n, d)}
    for i in range(config.n_layer):
        weights |= {f"{name}{i}": matrix(d, d) for name in "qkvo"}
        weights |= {f"up{i}": matrix(4 * d, d), f"down{i}": matrix(d, 4 * d)}
    params = [p for rows in weights.values() for row in rows for p in row]
    first, second = [0.0] * len(params), [0.0] * len(params)
    print(len(params), Scalar.wrap(2) * 3, params[0])

    for step in range(1, args.steps + 1):
        tokens = [bos, *map(letters.index, docs[step % len(docs)]), bos]
        caches = [[] for _ in range(config.n_layer)], [[] for _ in range(config.n_layer)]
        losses = []
        for position in range(min(config.block_size, len(tokens) - 1)):
            probs = softmax(gpt(config, weights, tokens[position], position, *caches))
            losses.append(-probs[tokens[position + 1]].log())
        loss = sum(losses) / len(losses)
        loss.backward()
        norm = sum(p.grad * p.grad for p in params) ** 0.5
        for p in params:
            p.grad *= min(1.0, 1.0 / norm)
        lr = args.lr * 0.5 * (1 + cos(pi * step / args.steps / 2))
        c1, c2 = 1 - 0.9**step, 1 - 0.999**step
        for i, p in enumerate(params):
            first[i] = 0.9 * first[i] + 0.1 * p.grad
            second[i] = 0.999 * second[i] + 0.001 * p.grad ** 2
            p.data = p.data - lr * (first[i] / c1) / ((second[i] / c2) ** 0.5 + 1e-8)
        for p in params:
            p.grad = 0.0
        print(f"{step}: {loss} norm {norm!r}")

    for _ in range(args.samples):
        caches, token, text = ([[] for _ in range(config.n_layer)], [[] for _ in range(config.n_layer)]), bos, ""
        for position in range(config.block_size):
            probs = softmax([s / 0.8 for s in gpt(config, weights, token, position, *caches)])
            token = random.choices(range(n), [p.data for p in probs])[0]
            if token == bos:
                break
            text += letters[token]
        print(text, probs[0])
    return 0 if params[0].data else 3


if __name__ == "__main__":
    raise SystemExit(main())
