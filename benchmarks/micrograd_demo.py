"""micrograd's demo, a classifier of two half moons, with microgpt.micrograd and in plain Python: compares the losses and the time.

    python benchmarks/micrograd_demo.py [a checkout of github.com/karpathy/micrograd] [--steps 10]

Without a checkout, the plain version is the class below, a short form of micrograd's that keeps its operands in a tuple. micrograd itself
keeps them in a set, whose order, and so the last bits of its gradients, differ from process to process.
"""

import argparse
import importlib
import math
import random
import sys
import time
from types import SimpleNamespace

from microgpt.micrograd import engine, nn


class Plain:
    """micrograd's Value: each operator makes a closure that adds to the gradients of its operands."""

    def __init__(self, data, prev=(), backward=lambda: None):
        self.data, self.grad, self._prev, self._backward = data, 0, prev, backward

    def __add__(self, other):
        other = other if isinstance(other, Plain) else Plain(other)
        out = Plain(self.data + other.data, (self, other))

        def backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Plain) else Plain(other)
        out = Plain(self.data * other.data, (self, other))

        def backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = backward
        return out

    def __pow__(self, k):
        out = Plain(self.data**k, (self,))

        def backward():
            self.grad += k * self.data ** (k - 1) * out.grad

        out._backward = backward
        return out

    def relu(self):
        out = Plain(max(self.data, 0), (self,))

        def backward():
            self.grad += (out.data > 0) * out.grad

        out._backward = backward
        return out

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for child in node._prev:
                    visit(child)
                order.append(node)

        visit(self)
        self.grad = 1
        for node in reversed(order):
            node._backward()

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + (-other)

    def __rsub__(self, other):
        return other + (-self)

    def __truediv__(self, other):
        return self * other**-1

    def __rtruediv__(self, other):
        return other * self**-1

    __radd__, __rmul__ = __add__, __mul__


def moons(n, noise, rng):
    """n points [x, y] of two half moons, and their classes, 1 and -1."""
    points, classes = [], []
    for i in range(n):
        angle, upper = math.pi * (i // 2) / (n // 2 - 1), i % 2 == 0
        x, y = (math.cos(angle), math.sin(angle)) if upper else (1 - math.cos(angle), 0.5 - math.sin(angle))
        points.append([x + rng.gauss(0, noise), y + rng.gauss(0, noise)])
        classes.append(1 if upper else -1)
    return points, classes


def demo(Value, make, steps):
    """The demo's loop. make: MLP; yields the loss and the accuracy of each step, before its update."""
    points, classes = moons(100, 0.1, random.Random(1337))
    random.seed(1337)
    model = make(2, [16, 16, 1])
    for k in range(steps):
        scores = [model([Value(x) for x in point]) for point in points]
        losses = [(1 + -yi * score).relu() for yi, score in zip(classes, scores)]
        loss = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in model.parameters())
        for p in model.parameters():
            p.grad = 0
        loss.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * k / 100) * p.grad
        yield loss.data, sum((yi > 0) == (score.data > 0) for yi, score in zip(classes, scores)) / len(classes)


def plain_mlp(nin, nouts):
    """The MLP of microgpt.micrograd, made of plain Values."""
    model = nn.MLP(nin, nouts)
    for neuron in (neuron for layer in model.layers for neuron in layer.neurons):
        neuron.w, neuron.b = [Plain(w.data) for w in neuron.w], Plain(neuron.b.data)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkout", nargs="?")
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    theirs = SimpleNamespace(Value=Plain, MLP=plain_mlp)
    if arguments.checkout:
        sys.path.insert(0, arguments.checkout)
        theirs.Value = importlib.import_module("micrograd.engine").Value
        theirs.MLP = importlib.import_module("micrograd.nn").MLP
    sides = {"plain": (theirs.Value, theirs.MLP), "microgpt": (engine.Value, nn.MLP)}
    found, seconds = {}, {}
    for name, (Value, make) in sides.items():
        started = time.perf_counter()
        found[name] = list(demo(Value, make, arguments.steps))
        seconds[name] = (time.perf_counter() - started) / arguments.steps
    apart = max(abs(a - b) / b for (a, _), (b, _) in zip(*found.values()))
    print(f"loss {found['microgpt'][-1][0]!r}, accuracy {found['microgpt'][-1][1]:.0%}; losses differ by at most {apart:.1e} of them")
    print(
        f"a step: {seconds['plain'] * 1000:.0f} ms plain, {seconds['microgpt'] * 1000:.1f} ms here: {seconds['plain'] / seconds['microgpt']:.0f} times"
    )


if __name__ == "__main__":
    main()
