"""A network made of single numbers: what Value does, a check of its gradients, and training with them.

    python examples/value_by_hand.py [STEPS]

What you learn: an expression of Values records how it was computed; backward() sets the grad of every Value to the derivative
of the result with respect to it; a small step against the gradients makes the result smaller, and that is training.
"""

import math
import random
import sys

from microgpt import Value

num_steps = int(sys.argv[1]) if len(sys.argv) > 1 else 300

# 1. A neuron: y = tanh(w1 x1 + w2 x2 + b), with tanh(z) = 1 - 2 / (e^(2z) + 1)


def neuron(x1, x2, w1, w2, b):
    z = w1 * x1 + w2 * x2 + b
    return 1 - 2 / ((2 * z).exp() + 1)


names = ["x1", "x2", "w1", "w2", "b"]
inputs = [Value(number) for number in (2.0, 0.5, -0.3, 1.0, 0.4)]
y = neuron(*inputs)
y.backward()
print(f"y = {y.data:.6f}, and tanh says {math.tanh(2.0 * -0.3 + 0.5 * 1.0 + 0.4):.6f}")

# 2. Is it right? The derivative with respect to an input is how much y changes when this input changes a little

STEP = 1e-6
print("        gradient   measured")
for i, name in enumerate(names):
    above, below = ([Value(v.data + sign * STEP * (j == i)) for j, v in enumerate(inputs)] for sign in (1, -1))
    measured = (neuron(*above).data - neuron(*below).data) / (2 * STEP)
    print(f"d y/d {name} {inputs[i].grad:9.6f}  {measured:9.6f}")
    assert abs(inputs[i].grad - measured) < 1e-8

# 3. A network learns "exclusive or", which no single neuron can: 2 inputs, 4 hidden neurons, 1 output

random.seed(1)
hidden = [[Value(random.gauss(0, 1)) for _ in range(3)] for _ in range(4)]  # w1, w2 and b of each neuron
output = [Value(random.gauss(0, 1)) for _ in range(5)]  # a weight for each hidden neuron, and a bias
params = [p for weights in [*hidden, output] for p in weights]
examples = [((0, 0), 0), ((0, 1), 1), ((1, 0), 1), ((1, 1), 0)]


def network(x):
    *weights, b = output
    return sum(w * neuron(*x, *own) for w, own in zip(weights, hidden)) + b


print(f"\na network of {len(params)} parameters")
for step in range(1, num_steps + 1):
    loss = sum((network(x) - target) ** 2 for x, target in examples) / len(examples)
    loss.backward()
    for p in params:
        p.data -= 0.1 * p.grad
        p.grad = 0.0  # because backward() adds to it
    if step in (1, num_steps // 10, num_steps // 3, num_steps):
        print(f"step {step:4d}  loss {loss.data:.6f}")
for x, target in examples:
    print(f"{x[0]} xor {x[1]}: {network(x).data:6.3f}, should be {target}")
