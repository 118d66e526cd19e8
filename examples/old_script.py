"""An edited microgpt: one file of plain Python, with two heads, tanh instead of relu, and Greek names.

    python examples/old_script.py [STEPS]           in plain Python
    microgpt run examples/old_script.py [STEPS]     the same output, compiled

What you learn: a script need not change to run compiled. accelerate.py times it.
"""

import math
import random
import sys
from pathlib import Path

random.seed(42)
num_steps = int(sys.argv[1]) if len(sys.argv) > 1 else 30
docs = Path(__file__).with_name("greek_names.txt").read_text(encoding="utf-8").split()
random.shuffle(docs)
letters = sorted(set("".join(docs)))
BOS, vocab_size = len(letters), len(letters) + 1


class Value:
    __slots__ = ("data", "grad", "_children", "_local_grads")

    def __init__(self, data, children=(), local_grads=()):
        self.data = data
        self.grad = 0
        self._children = children
        self._local_grads = local_grads

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, other):
        return Value(self.data**other, (self,), (other * self.data ** (other - 1),))

    def log(self):
        return Value(math.log(self.data), (self,), (1 / self.data,))

    def exp(self):
        return Value(math.exp(self.data), (self,), (math.exp(self.data),))

    def __neg__(self):
        return self * -1

    def __radd__(self, other):
        return self + other

    def __sub__(self, other):
        return self + (-other)

    def __rsub__(self, other):
        return other + (-self)

    def __rmul__(self, other):
        return self * other

    def __truediv__(self, other):
        return self * other**-1

    def __rtruediv__(self, other):
        return other * self**-1

    def backward(self):
        topo, visited = [], set()

        def build_topo(v):
            if v not in visited:
                visited.add(v)
                for child in v._children:
                    build_topo(child)
                topo.append(v)

        build_topo(self)
        self.grad = 1
        for v in reversed(topo):
            for child, local_grad in zip(v._children, v._local_grads):
                child.grad += local_grad * v.grad


def tanh(x):
    t = math.tanh(x.data)
    return Value(t, (x,), (1 - t * t,))


def linear(x, w):
    return [sum(wi * xi for wi, xi in zip(wo, x)) for wo in w]


def softmax(logits):
    max_val = max(val.data for val in logits)
    exps = [(val - max_val).exp() for val in logits]
    total = sum(exps)
    return [e / total for e in exps]


def rmsnorm(x):
    ms = sum(xi * xi for xi in x) / len(x)
    scale = (ms + 1e-5) ** -0.5
    return [xi * scale for xi in x]


n_embd, n_head, block_size = 16, 2, 16
head_dim = n_embd // n_head
shapes = {"wte": (vocab_size, n_embd), "wpe": (block_size, n_embd), "wq": (n_embd, n_embd), "wk": (n_embd, n_embd)}
shapes |= {"wv": (n_embd, n_embd), "wo": (n_embd, n_embd), "fc1": (4 * n_embd, n_embd), "fc2": (n_embd, 4 * n_embd)}
shapes |= {"lm_head": (vocab_size, n_embd)}
w = {name: [[Value(random.gauss(0, 0.08)) for _ in range(m)] for _ in range(n)] for name, (n, m) in shapes.items()}
params = [p for matrix in w.values() for row in matrix for p in row]


def gpt(token, position, keys, values):
    x = rmsnorm([t + p for t, p in zip(w["wte"][token], w["wpe"][position])])
    residual, x = x, rmsnorm(x)
    q = linear(x, w["wq"])
    keys.append(linear(x, w["wk"]))
    values.append(linear(x, w["wv"]))
    heads = []
    for h in range(0, n_embd, head_dim):
        scores = [sum(q[h + j] * k[h + j] for j in range(head_dim)) / head_dim**0.5 for k in keys]
        weights = softmax(scores)
        heads += [sum(weights[t] * values[t][h + j] for t in range(len(values))) for j in range(head_dim)]
    x = [a + b for a, b in zip(linear(heads, w["wo"]), residual)]
    residual, x = x, [tanh(xi) for xi in linear(rmsnorm(x), w["fc1"])]
    x = [a + b for a, b in zip(linear(x, w["fc2"]), residual)]
    return linear(x, w["lm_head"])


print(f"{len(docs)} names, {len(params)} parameters")
learning_rate, beta1, beta2, eps = 0.01, 0.85, 0.99, 1e-8
m, v = [0.0] * len(params), [0.0] * len(params)
for step in range(num_steps):
    tokens = [BOS, *map(letters.index, docs[step % len(docs)]), BOS]
    keys, values, losses = [], [], []
    for position in range(min(block_size, len(tokens) - 1)):
        probs = softmax(gpt(tokens[position], position, keys, values))
        losses.append(-probs[tokens[position + 1]].log())
    loss = (1 / len(losses)) * sum(losses)
    loss.backward()
    lr_t = learning_rate * (1 - step / num_steps)
    for i, p in enumerate(params):
        m[i] = beta1 * m[i] + (1 - beta1) * p.grad
        v[i] = beta2 * v[i] + (1 - beta2) * p.grad**2
        m_hat = m[i] / (1 - beta1 ** (step + 1))
        v_hat = v[i] / (1 - beta2 ** (step + 1))
        p.data -= lr_t * m_hat / (v_hat**0.5 + eps)
        p.grad = 0
    print(f"step {step + 1:4d} / {num_steps} | loss {loss.data:.12f}")

for _ in range(5):
    token, name, keys, values = BOS, "", [], []
    for position in range(block_size):
        probs = softmax([logit / 0.6 for logit in gpt(token, position, keys, values)])
        token = random.choices(range(vocab_size), weights=[p.data for p in probs])[0]
        if token == BOS:
            break
        name += letters[token]
    print(name)
