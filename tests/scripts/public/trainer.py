"""Objects all the way: layers with methods, rotary positions, a gated MLP, tied weights, dropout, and an optimizer class."""

import math
import random
import sys

random.seed(3)


class Value:
    """A number that remembers how it was made."""

    __slots__ = ("data", "grad", "_children", "_local_grads")

    def __init__(self, data, children=(), local_grads=()):
        self.data = data  # the number
        self.grad = 0  # d loss / d self
        self._children = children
        self._local_grads = local_grads

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, other): return Value(self.data**other, (self,), (other * self.data**(other - 1),))
    def log(self): return Value(math.log(self.data), (self,), (1 / self.data,))
    def exp(self): return Value(math.exp(self.data), (self,), (math.exp(self.data),))
    def relu(self): return Value(max(0, self.data), (self,), (float(self.data > 0),))
    def __neg__(self): return self * -1
    def __radd__(self, other): return self + other
    def __sub__(self, other): return self + (-other)
    def __rsub__(self, other): return other + (-self)
    def __rmul__(self, other): return self * other
    def __truediv__(self, other): return self * other**-1
    def __rtruediv__(self, other): return other * self**-1

    def backward(self):
        topo = []
        visited = set()

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


class Module:
    def parameters(self):
        own = []
        for thing in vars(self).values():
            if isinstance(thing, Module):
                own += thing.parameters()
            elif isinstance(thing, list) and thing and isinstance(thing[0], Module):
                own += [p for part in thing for p in part.parameters()]
            elif isinstance(thing, list):
                own += [p for row in thing for p in row]
        return own


class Linear(Module):
    def __init__(self, n_in, n_out):
        self.weight = [[Value(random.gauss(0, 0.1)) for _ in range(n_in)] for _ in range(n_out)]

    def __call__(self, x):
        return [sum(w * a for w, a in zip(row, x)) for row in self.weight]


class Head:
    """Functions that need no object."""

    @staticmethod
    def softmax(z):
        m = max(zi.data for zi in z)
        exps = [(zi - m).exp() for zi in z]
        total = sum(exps)
        return [e / total for e in exps]

    @staticmethod
    def norm(x):
        ms = sum(xi * xi for xi in x) / len(x)
        s = (ms + 0.00001) ** -0.5
        return [xi * s for xi in x]


def rotate(x, position):
    turned = []
    for i in range(0, len(x), 2):
        angle = position / 100 ** (i / len(x))
        c, s = math.cos(angle), math.sin(angle)
        turned += [x[i] * c - x[i + 1] * s, x[i] * s + x[i + 1] * c]
    return turned


class Block(Module):
    def __init__(self, n, heads):
        self.query, self.key, self.value, self.out = (Linear(n, n) for _ in range(4))
        self.gate, self.up, self.down = Linear(n, 2 * n), Linear(n, 2 * n), Linear(2 * n, n)
        self.heads, self.cache = heads, []

    def __call__(self, x, position, training):
        h = Head.norm(x)
        dim = len(x) // self.heads
        q = self.query(h)
        self.cache.append((self.key(h), self.value(h)))
        mixed = []
        for start in range(0, len(x), dim):
            head = slice(start, start + dim)
            q_h = rotate(q[head], position)
            ks = [rotate(k[head], t) for t, (k, _) in enumerate(self.cache)]
            vs = [v[head] for _, v in self.cache]
            attention = Head.softmax([sum(a * b for a, b in zip(q_h, k)) / dim**0.5 for k in ks])
            mixed += [sum(a * v[j] for a, v in zip(attention, vs)) for j in range(dim)]
        x = [a + b for a, b in zip(x, self.out(mixed))]
        h = Head.norm(x)
        h = [g / (1 + (-g).exp()) * u for g, u in zip(self.gate(h), self.up(h))]
        if training:
            h = [a * (0 if random.random() < 0.1 else 1 / 0.9) for a in h]
        return [a + b for a, b in zip(x, self.down(h))]


class GPT(Module):
    def __init__(self, vocabulary, n=8, layers=2, heads=2):
        self.embedding = Linear(n, vocabulary)
        self.blocks = [Block(n, heads) for _ in range(layers)]

    def parameters(self):
        return self.embedding.parameters() + [p for block in self.blocks for p in (
            *block.query.parameters(), *block.key.parameters(), *block.value.parameters(), *block.out.parameters(),
            *block.gate.parameters(), *block.up.parameters(), *block.down.parameters())]

    def start(self):
        for block in self.blocks:
            block.cache = []

    def __call__(self, token, position, training=False):
        x = self.embedding.weight[token]
        for block in self.blocks:
            x = block(x, position, training)
        return self.embedding(Head.norm(x))


class Adam:
    def __init__(self, params, lr=0.02, betas=(0.9, 0.99)):
        self.params, self.lr, self.t = params, lr, 0
        self.b1, self.b2 = betas
        self.m = [0.0] * len(params)
        self.v = [0.0] * len(params)

    def step(self):
        self.t += 1
        for i, p in enumerate(self.params):
            self.m[i] = self.b1 * self.m[i] + (1 - self.b1) * p.grad
            self.v[i] = self.b2 * self.v[i] + (1 - self.b2) * p.grad**2
            m_hat = self.m[i] / (1 - self.b1**self.t)
            v_hat = self.v[i] / (1 - self.b2**self.t)
            p.data -= self.lr * m_hat / (v_hat**0.5 + 1e-8)

    def zero_grad(self):
        for p in self.params:
            p.grad = 0


text = "a small text that is one line"
letters = sorted(set(text))
model = GPT(len(letters))
optimizer = Adam(model.parameters())
print(len(optimizer.params))
for step in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
    start = random.randrange(len(text) - 5)
    window = [letters.index(c) for c in text[start:start + 6]]
    model.start()
    loss = 0
    for position, (token, target) in enumerate(zip(window, window[1:])):
        loss += -Head.softmax(model(token, position, training=True))[target].log() / 5
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.data, optimizer.m[0], optimizer.v[-1])
model.start()
token, out = 0, ""
for position in range(8):
    token = random.choices(range(len(letters)), [p.data for p in Head.softmax(model(token, position))])[0]
    out += letters[token]
print(repr(out))
