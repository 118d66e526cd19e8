"""Whole scripts as different people might write them, small enough to run in a moment: engines of many styles, and programs on these.

SCRIPTS: name -> {file: source}; the one to start is main.py, or for a package `python -m` its name. Each prints numbers to their last digit. STEPS: of
training, which benchmarks/bench_run.py changes. This file is long because it is a table of programs; nobody reads it as a whole.
"""

# ---- engines: each defines a class V -----------------------------------------------------------------------------------------

MATH = "import math\nimport random\n\n"

KARPATHY = MATH + '''
class V:
    __slots__ = ("data", "grad", "_children", "_local_grads")

    def __init__(self, data, children=(), local_grads=()):
        self.data = data
        self.grad = 0
        self._children = children
        self._local_grads = local_grads

    def __add__(self, other):
        other = other if isinstance(other, V) else V(other)
        return V(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other):
        other = other if isinstance(other, V) else V(other)
        return V(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, other): return V(self.data**other, (self,), (other * self.data**(other - 1),))
    def log(self): return V(math.log(self.data), (self,), (1 / self.data,))
    def exp(self): return V(math.exp(self.data), (self,), (math.exp(self.data),))
    def relu(self): return V(max(0, self.data), (self,), (float(self.data > 0),))
    def tanh(self):
        t = math.tanh(self.data)
        return V(t, (self,), (1 - t * t,))
    def __neg__(self): return self * -1
    def __radd__(self, other): return self + other
    def __sub__(self, other): return self + (-other)
    def __rsub__(self, other): return other + (-self)
    def __rmul__(self, other): return self * other
    def __truediv__(self, other): return self * other**-1
    def __rtruediv__(self, other): return other * self**-1

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
            for child, local in zip(v._children, v._local_grads):
                child.grad += local * v.grad
'''

MICROGRAD = MATH + '''
class V:
    """stores a single scalar value and its gradient"""
    def __init__(self, data, _children=(), _op='', label=''):
        self.data = data
        self.grad = 0.0
        self._backward = lambda: None
        self._prev = set(_children)
        self._op = _op
        self.label = label

    def __repr__(self):
        return f"V(data={self.data}, grad={self.grad})"

    def __add__(self, other):
        other = other if isinstance(other, V) else V(other)
        out = V(self.data + other.data, (self, other), '+')
        def _backward():
            self.grad += 1.0 * out.grad
            other.grad += 1.0 * out.grad
        out._backward = _backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, V) else V(other)
        out = V(self.data * other.data, (self, other), '*')
        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad
        out._backward = _backward
        return out

    def __pow__(self, other):
        assert isinstance(other, (int, float)), "only supporting int/float powers for now"
        out = V(self.data**other, (self,), f'**{other}')
        def _backward():
            self.grad += other * (self.data ** (other - 1)) * out.grad
        out._backward = _backward
        return out

    def exp(self):
        x = self.data
        out = V(math.exp(x), (self,), 'exp')
        def _backward():
            self.grad += out.data * out.grad
        out._backward = _backward
        return out

    def log(self):
        out = V(math.log(self.data), (self,), 'log')
        def _backward():
            self.grad += out.grad / self.data
        out._backward = _backward
        return out

    def relu(self):
        out = V(0 if self.data < 0 else self.data, (self,), 'ReLU')
        def _backward():
            self.grad += (out.data > 0) * out.grad
        out._backward = _backward
        return out

    def tanh(self):
        x = self.data
        t = (math.exp(2*x) - 1)/(math.exp(2*x) + 1)
        out = V(t, (self, ), 'tanh')
        def _backward():
            self.grad += (1 - t**2) * out.grad
        out._backward = _backward
        return out

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
                for child in v._prev:
                    build_topo(child)
                topo.append(v)
        build_topo(self)
        self.grad = 1.0
        for node in reversed(topo):
            node._backward()
'''
# a set of children is in the order of addresses, which differs from run to run
MICROGRAD = MICROGRAD.replace("set(_children)", "tuple(_children)")

TYPED = MATH + '''
from __future__ import annotations
from typing import Callable, Union

Number = Union[int, float]


class V:
    """A scalar with reverse-mode gradients; iterative, for deep graphs."""

    __slots__ = ("data", "grad", "parents", "local_gradients", "name")

    def __init__(self, data: Number, parents: tuple[V, ...] = (), local_gradients: tuple[float, ...] = (), *, name: str | None = None) -> None:
        self.data: float = float(data)
        self.grad: float = 0.0
        self.parents = parents
        self.local_gradients = local_gradients
        self.name = name

    @staticmethod
    def lift(x: V | Number) -> V:
        return x if isinstance(x, V) else V(x)

    def __add__(self, other: V | Number) -> V:
        other = V.lift(other)
        return V(self.data + other.data, (self, other), (1.0, 1.0))

    __radd__ = __add__

    def __mul__(self, other: V | Number) -> V:
        other = V.lift(other)
        return V(self.data * other.data, parents=(self, other), local_gradients=(other.data, self.data))

    __rmul__ = __mul__

    def __neg__(self) -> V:
        return V(-self.data, (self,), (-1.0,))

    def __sub__(self, other: V | Number) -> V:
        other = V.lift(other)
        return V(self.data - other.data, (self, other), (1.0, -1.0))

    def __rsub__(self, other: Number) -> V:
        return V.lift(other) - self

    def __truediv__(self, other: V | Number) -> V:
        other = V.lift(other)
        inverse = 1.0 / other.data
        return V(self.data * inverse, (self, other), (inverse, -self.data * inverse * inverse))

    def __rtruediv__(self, other: Number) -> V:
        return V.lift(other) / self

    def __pow__(self, k: Number) -> V:
        return V(self.data**k, (self,), (k * self.data ** (k - 1),))

    def exp(self) -> V:
        value = math.exp(self.data)
        return V(value, (self,), (value,))

    def log(self) -> V:
        return V(math.log(self.data), (self,), (1.0 / self.data,))

    def relu(self) -> V:
        return V(self.data, (self,), (1.0,)) if self.data > 0.0 else V(0.0, (self,), (0.0,))

    def tanh(self) -> V:
        t = math.tanh(self.data)
        return V(t, (self,), (1.0 - t**2,))

    def __repr__(self) -> str:
        return f"V({self.data:.6f})"

    def backward(self) -> None:
        order: list[V] = []
        seen: set[int] = set()
        stack: list[tuple[V, bool]] = [(self, False)]
        while stack:
            node, expanded = stack.pop()
            if expanded:
                order.append(node)
                continue
            if id(node) in seen:
                continue
            seen.add(id(node))
            stack.append((node, True))
            for parent in node.parents:
                stack.append((parent, False))
        self.grad = 1.0
        for node in reversed(order):
            for parent, local in zip(node.parents, node.local_gradients):
                parent.grad += local * node.grad
'''
TYPED = TYPED.replace("import math\nimport random\n\n\nfrom __future__ import annotations\n", "from __future__ import annotations\n\nimport math\nimport random\n")

PAIRS = MATH + '''
class V:
    def __init__(self, data, inputs=()):
        self.data = data
        self.inputs = inputs  # (node, local gradient) pairs
        self.grad = 0.0

    def __add__(self, other):
        other = as_v(other)
        return V(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = as_v(other)
        return V(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, k): return V(self.data**k, ((self, k * self.data**(k - 1)),))
    def exp(self):
        e = math.exp(self.data)
        return V(e, ((self, e),))
    def log(self): return V(math.log(self.data), ((self, 1.0 / self.data),))
    def relu(self): return V(max(0.0, self.data), ((self, 1.0 if self.data > 0 else 0.0),))
    def tanh(self):
        t = math.tanh(self.data)
        return V(t, ((self, 1.0 - t * t),))
    def __neg__(self): return self * -1.0
    def __sub__(self, other): return self + (-as_v(other))
    def __rsub__(self, other): return as_v(other) - self
    def __truediv__(self, other): return self * as_v(other)**-1.0
    def __rtruediv__(self, other): return as_v(other) / self
    __radd__, __rmul__ = __add__, __mul__

    def backward(self):
        order, seen = [], set()
        def visit(v):
            if v in seen:
                return
            seen.add(v)
            for child, _ in v.inputs:
                visit(child)
            order.append(v)
        visit(self)
        self.grad = 1.0
        for v in reversed(order):
            for child, local in v.inputs:
                child.grad += local * v.grad


def as_v(x):
    return x if isinstance(x, V) else V(x)
'''

EQUAL = KARPATHY.replace("    def __neg__", '''    def __eq__(self, other): return isinstance(other, V) and self.data == other.data
    def __hash__(self): return id(self)
    def __lt__(self, other): return self.data < other.data
    def __neg__''', 1)

KAHN = KARPATHY[: KARPATHY.index("    def backward")] + '''    def backward(self):
        indegree, stack = {self: 0}, [self]
        while stack:
            v = stack.pop()
            for child in v._children:
                if child not in indegree:
                    indegree[child] = 0
                    stack.append(child)
                indegree[child] += 1
        self.grad = 1
        ready = [self]
        while ready:
            v = ready.pop()
            for child, local in zip(v._children, v._local_grads):
                child.grad += local * v.grad
                indegree[child] -= 1
                if indegree[child] == 0:
                    ready.append(child)
'''

QUEUE = KAHN.replace("import random\n", "import random\nfrom collections import deque\n").replace("ready = [self]", "ready = deque([self])").replace("ready.pop()", "ready.popleft()")

FUSED = KARPATHY + '''
    @staticmethod
    def dot(ws, xs):
        """one node for the whole sum of products"""
        data = sum(w.data * x.data for w, x in zip(ws, xs))
        return V(data, (*ws, *xs), (*(x.data for x in xs), *(w.data for w in ws)))
'''

CHATTY = KARPATHY.replace("    def __truediv__(self, other): return self * other**-1", '''    divisions = 0
    def __truediv__(self, other):
        V.divisions += 1
        if V.divisions % 5 == 0:
            print("division", V.divisions)
        return self * other**-1''')

ENGINES = {"karpathy": KARPATHY, "micrograd": MICROGRAD, "typed": TYPED, "pairs": PAIRS, "equal": EQUAL, "kahn": KAHN, "queue": QUEUE, "chatty": CHATTY}

# ---- programs that use a V -------------------------------------------------------------------------------------------

MOONS = '''
STEPS = 4
random.seed(1337)

class Module:
    def zero_grad(self):
        for p in self.parameters():
            p.grad = 0
    def parameters(self): return []

class Neuron(Module):
    def __init__(self, nin, nonlin=True):
        self.w = [V(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = V(0)
        self.nonlin = nonlin
    def __call__(self, x):
        act = sum((wi*xi for wi, xi in zip(self.w, x)), self.b)
        return act.relu() if self.nonlin else act
    def parameters(self): return self.w + [self.b]

class Layer(Module):
    def __init__(self, nin, nout, **kwargs):
        self.neurons = [Neuron(nin, **kwargs) for _ in range(nout)]
    def __call__(self, x):
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out
    def parameters(self): return [p for n in self.neurons for p in n.parameters()]

class MLP(Module):
    def __init__(self, nin, nouts):
        sz = [nin] + nouts
        self.layers = [Layer(sz[i], sz[i+1], nonlin=i!=len(nouts)-1) for i in range(len(nouts))]
    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
    def parameters(self): return [p for layer in self.layers for p in layer.parameters()]

def make_moons(n):
    points = []
    for i in range(n):
        t = math.pi * random.random()
        x, y = (math.cos(t), math.sin(t)) if i % 2 else (1 - math.cos(t), 0.5 - math.sin(t))
        points.append(([x + random.gauss(0, 0.1), y + random.gauss(0, 0.1)], 1 if i % 2 else -1))
    return points

data = make_moons(16)
model = MLP(2, [8, 8, 1])
print("number of parameters", len(model.parameters()))

def loss_of(batch):
    scores = [model(list(map(V, x))) for x, _ in batch]
    losses = [(1 + -y * score).relu() for (_, y), score in zip(batch, scores)]
    data_loss = sum(losses) * (1.0 / len(losses))
    reg_loss = 1e-4 * sum((p*p for p in model.parameters()))
    accuracy = [(y > 0) == (score.data > 0) for (_, y), score in zip(batch, scores)]
    return data_loss + reg_loss, sum(accuracy) / len(accuracy)

for k in range(STEPS):
    total_loss, acc = loss_of(data)
    model.zero_grad()
    total_loss.backward()
    learning_rate = 1.0 - 0.9*k/100
    for p in model.parameters():
        p.data -= learning_rate * p.grad
    print(f"step {k} loss {total_loss.data!r}, accuracy {acc*100}%")
'''

BIGRAM = '''
STEPS = 4
random.seed(0)
words = "emma olivia ava isabella sophia charlotte mia".split()
chars = sorted(set("".join(words)))
stoi = {c: i + 1 for i, c in enumerate(chars)} | {".": 0}
itos = {i: c for c, i in stoi.items()}
n = len(stoi)
pairs = [(stoi[a], stoi[b]) for w in words for a, b in zip("." + w, w + ".")]
W = [[V(random.gauss(0, 1) * 0.1) for _ in range(n)] for _ in range(n)]
for step in range(STEPS):
    nll = V(0.0)
    for a, b in pairs:
        logits = W[a]
        counts = [z.exp() for z in logits]
        total = sum(counts)
        nll = nll - (counts[b] / total).log()
    loss = nll / len(pairs)
    for row in W:
        for w in row:
            w.grad = 0.0
    loss.backward()
    for row in W:
        for w in row:
            w.data += -20.0 * w.grad
    print(step, repr(loss.data))
word, i = "", 0
for _ in range(12):
    weights = [math.exp(z.data) for z in W[i]]
    i = random.choices(range(n), weights=weights)[0]
    if i == 0: break
    word += itos[i]
print(word)
'''

XOR = '''
STEPS = 25
random.seed(5)
w1 = [[V(random.uniform(-1, 1)) for _ in range(2)] for _ in range(3)]
b1 = [V(0.0) for _ in range(3)]
w2 = [V(random.uniform(-1, 1)) for _ in range(3)]
b2 = V(0.0)
parameters = [w for row in w1 for w in row] + b1 + w2 + [b2]
cases = [((0, 0), 0), ((0, 1), 1), ((1, 0), 1), ((1, 1), 0)]

def net(x):
    hidden = [(sum(w * xi for w, xi in zip(row, x)) + b).tanh() for row, b in zip(w1, b1)]
    out = b2
    for w, h in zip(w2, hidden):
        out = out + w * h
    return 1 / (1 + (-out).exp())

for epoch in range(STEPS):
    loss = sum((net(x) - y) ** 2 for x, y in cases)
    for p in parameters:
        p.grad = 0
    loss.backward()
    for p in parameters:
        p.data -= 0.5 * p.grad
    if epoch % 6 == 0:
        print(epoch, repr(loss.data), [repr(b.grad) for b in b1])
for x, y in cases:
    print(x, y, repr(net(x).data))
'''

RNN = '''
STEPS = 3
random.seed(11)
H, text = 6, "hello world"
vocab = sorted(set(text))
ix = {c: i for i, c in enumerate(vocab)}

def rand(*shape):
    if len(shape) == 1:
        return [V(random.gauss(0, 0.3)) for _ in range(shape[0])]
    return [rand(*shape[1:]) for _ in range(shape[0])]

Wxh, Whh, Why = rand(H, len(vocab)), rand(H, H), rand(len(vocab), H)
bh, by = [V(0.0) for _ in range(H)], [V(0.0) for _ in range(len(vocab))]
params = [p for m in (Wxh, Whh, Why) for row in m for p in row] + bh + by
memory = [0.0 for _ in params]

def matvec(M, v):
    return [sum(m * x for m, x in zip(row, v)) for row in M]

def step(c, h):
    h = [(Wxh[i][ix[c]] + r + b).tanh() for i, (r, b) in enumerate(zip(matvec(Whh, h), bh))]
    return h, [y + b for y, b in zip(matvec(Why, h), by)]

for epoch in range(STEPS):
    h, loss = [V(0.0)] * H, V(0.0)
    for a, b in zip(text, text[1:]):
        h, logits = step(a, h)
        top = max(z.data for z in logits)
        exps = [(z - top).exp() for z in logits]
        loss = loss - (exps[ix[b]] / sum(exps)).log()
    for p in params: p.grad = 0.0
    loss.backward()
    for i, p in enumerate(params):  # Adagrad, clipped
        g = max(-5.0, min(5.0, p.grad))
        memory[i] += g * g
        p.data += -0.1 * g / math.sqrt(memory[i] + 1e-8)
    print(epoch, repr(loss.data), repr(memory[3]))
'''

MIXTURE = '''
STEPS = 5
random.seed(21)
points = [random.gauss(-2, 0.5) for _ in range(10)] + [random.gauss(1.5, 1.0) for _ in range(10)]
means, log_sigmas, weights = [V(-1.0), V(1.0)], [V(0.0), V(0.0)], [V(0.0), V(0.0)]
params = means + log_sigmas + weights

def log_likelihood(x):
    total = V(0.0)
    norm = sum([w.exp() for w in weights])
    for mu, ls, w in zip(means, log_sigmas, weights):
        sigma = ls.exp()
        z = (x - mu) / sigma
        total = total + (w.exp() / norm) * ((z * z) * -0.5).exp() / (sigma * math.sqrt(2 * math.pi))
    return total.log()

velocity = [0.0] * len(params)
for it in range(STEPS):
    loss = -sum(log_likelihood(x) for x in points) / len(points)
    loss.backward()
    for i, p in enumerate(params):
        velocity[i] = 0.9 * velocity[i] - 0.1 * p.grad
        p.data += velocity[i]
        p.grad = 0.0
    print(it, repr(loss.data), [round(m.data, 6) for m in means])
'''

ATTENTION = '''
STEPS = 2
random.seed(3)
D, HEADS, T = 8, 2, 5
HD = D // HEADS
mat = lambda r, c: [[V(random.gauss(0, 0.2)) for _ in range(c)] for _ in range(r)]
emb, pos, wq, wk, wv, wo, head = mat(T, D), mat(T, D), mat(D, D), mat(D, D), mat(D, D), mat(D, D), mat(T, D)
bias = [V(0.0) for _ in range(T)]
params = [p for m in (emb, pos, wq, wk, wv, wo, head) for row in m for p in row] + bias
m1, m2 = [0.0] * len(params), [0.0] * len(params)

def project(x, w):
    out = []
    for row in w:
        acc = V(0.0)
        for j in range(len(x)):
            acc = acc + row[j] * x[j]
        out.append(acc)
    return out

def softmax(scores, temperature=1.0):
    scaled = [s / temperature for s in scores]
    biggest = max(s.data for s in scaled)
    es = [(s - biggest).exp() for s in scaled]
    denominator = sum(es, V(0.0))
    return [e / denominator for e in es]

def layer_norm(x, eps=1e-5):
    mean = sum(x) / len(x)
    var = sum((xi - mean) ** 2 for xi in x) / len(x)
    inv = (var + eps) ** -0.5
    return [(xi - mean) * inv for xi in x]

def attend(x, cache):
    q = project(x, wq)
    cache.append((project(x, wk), project(x, wv)))
    out = []
    for h in range(HEADS):
        lo = h * HD
        scores = []
        for k, _ in cache:
            s = V(0.0)
            for j in range(HD):
                s = s + q[lo + j] * k[lo + j]
            scores.append(s * (1.0 / math.sqrt(HD)))
        att = softmax(scores)
        for j in range(HD):
            total = V(0.0)
            for t in range(len(cache)):
                total = total + att[t] * cache[t][1][lo + j]
            out.append(total)
    return project(out, wo)

def cross_entropy(logits, target):
    return -(softmax(logits)[target]).log()

sequences = [[0, 1, 2, 3], [4, 3, 2, 1], [0, 2, 4, 1]]
for step in range(STEPS):
    batch_loss = V(0.0)
    for seq in sequences:
        cache, losses = [], []
        for t in range(len(seq) - 1):
            x = [a + b for a, b in zip(emb[seq[t]], pos[t])]
            x = [a + b for a, b in zip(attend(layer_norm(x), cache), x)]
            logits = [z + b for z, b in zip(project(x, head), bias)]
            losses.append(cross_entropy(logits, seq[t + 1]))
        batch_loss = batch_loss + sum(losses) / len(losses)
    batch_loss = batch_loss / len(sequences)
    batch_loss.backward()
    norm = math.sqrt(sum(p.grad ** 2 for p in params))
    clip = min(1.0, 1.0 / (norm + 1e-6))
    for i, p in enumerate(params):  # AdamW
        g = p.grad * clip
        m1[i] = 0.9 * m1[i] + 0.1 * g
        m2[i] = 0.999 * m2[i] + 0.001 * g * g
        mhat, vhat = m1[i] / (1 - 0.9 ** (step + 1)), m2[i] / (1 - 0.999 ** (step + 1))
        p.data -= 0.01 * (mhat / (math.sqrt(vhat) + 1e-8) + 0.01 * p.data)
        p.grad = 0.0
    print(step, repr(batch_loss.data), repr(norm), repr(params[7].data))
'''

REGRESSION = '''
STEPS = 3
random.seed(8)
xs = [[random.uniform(-1, 1) for _ in range(3)] for _ in range(12)]
ys = [2 * x[0] - 0.5 * x[1] + x[2] ** 2 for x in xs]
w, b = [V(0.1 * i) for i in range(3)], V(0.0)
for epoch in range(STEPS):
    for start in range(0, len(xs), 4):
        batch = list(zip(xs, ys))[start:start + 4]
        predictions = [sum((wi * xi for wi, xi in zip(w, x)), b) for x, _ in batch]
        loss = sum([(p - y) ** 2 for p, (_, y) in zip(predictions, batch)]) * (1 / len(batch))
        loss.backward()
        for p in w + [b]:
            p.data -= 0.1 * p.grad
            p.grad = 0
    print(epoch, repr(loss.data), [repr(p.data) for p in w], repr(b.data))
'''

CALCULUS = '''
a, b = V(2.0), V(-3)
f = lambda x, y: (x * y + 3).exp() / (1 + (x - y) ** 2) - x / y
c = f(a, b)
c.backward()
print(repr(c.data), repr(a.grad), repr(b.grad))
for h in (1e-3, 1e-6):
    print(repr((f(V(2.0 + h), V(-3)).data - f(V(2.0 - h), V(-3)).data) / (2 * h)))
x = V(1.0)
y = x
for i in range(40):
    y = y * 0.9 + x / (i + 1)
y.backward()
print(repr(y.data), repr(x.grad))
total = sum([a, b, 1, 2.5, a * b])
total.backward(); total.backward()
print(repr(total.data), repr(a.grad), repr(b.grad))
for bad in (lambda: V(0.0).log(), lambda: V(1.0) / 0.0, lambda: V(800.0).exp(), lambda: a + "s", lambda: V(-1.0) ** 0.5 + 1, lambda: 1 / V(0)):
    try:
        print(bad().data)
    except Exception as error:
        print(type(error).__name__, error)
print(V(float("nan")).relu().data, V(float("inf")).tanh().data, (V(2) * 3).data, (V(True) + 1).data, (-V(0.0)).data)
'''

SAMPLER = '''
STEPS = 2
random.seed(2)
names = ["anna", "bob", "cleo", "dan"]
letters = "." + "".join(sorted(set("".join(names))))
E, CTX, HID = 3, 2, 7
table = [[V(random.gauss(0, 0.5)) for _ in range(E)] for _ in letters]
W1 = [[V(random.gauss(0, 0.4)) for _ in range(E * CTX)] for _ in range(HID)]
W2 = [[V(random.gauss(0, 0.4)) for _ in range(HID)] for _ in letters]
parameters = [p for matrix in (table, W1, W2) for row in matrix for p in row]

def forward(context):
    x = []
    for i in context:
        x += table[i]
    h = [sum(w * xi for w, xi in zip(row, x)).tanh() for row in W1]
    return [sum(w * hi for w, hi in zip(row, h)) for row in W2]

def softmax(logits):
    m = max(logits, key=lambda z: z.data).data
    exps = [(z - m).exp() for z in logits]
    s = sum(exps)
    return [e / s for e in exps]

for step in range(STEPS):
    losses = []
    for name in names:
        context = [0] * CTX
        for letter in name + ".":
            target = letters.index(letter)
            losses.append(-softmax(forward(context))[target].log())
            context = context[1:] + [target]
    loss = sum(losses) / len(losses)
    loss.backward()
    for p in parameters:
        p.data, p.grad = p.data - 0.2 * p.grad, 0
    print(step, repr(loss.data))
for _ in range(2):
    context, out = [0] * CTX, ""
    while len(out) < 6:
        probabilities = [p.data for p in softmax(forward(context))]
        i = random.choices(range(len(letters)), weights=probabilities)[0]
        if i == 0: break
        out += letters[i]
        context = context[1:] + [i]
    print(out)
'''

FUSED_PROGRAM = '''
STEPS = 3
random.seed(4)
layers = [[[V(random.gauss(0, 0.5)) for _ in range(4)] for _ in range(4)] for _ in range(3)]
x = [V(1.0), V(-0.5), V(0.25), V(2.0)]

def net(x):
    for w in layers:
        x = [V.dot(row, x).tanh() for row in w]
    return x

for _ in range(STEPS):
    loss = sum((y - 0.5) ** 2 for y in net(x)) + V.dot(x, x) * 0.01
    loss.backward()
    for w in layers:
        for row in w:
            for p in row:
                p.data -= 0.3 * p.grad
                p.grad = 0
    print(repr(loss.data), [repr(v.grad) for v in x], len(loss._children[0]._children))
'''

PROGRAMS = {
    "moons": MOONS, "bigram": BIGRAM, "xor": XOR, "rnn": RNN, "mixture": MIXTURE, "attention": ATTENTION, "regression": REGRESSION,
    "calculus": CALCULUS, "sampler": SAMPLER,
}  # fmt: skip


def split(engine, program):
    """The engine and the program in separate files."""
    return {"engine.py": engine, "main.py": MATH + "from engine import V\n" + program}


def package(engine, program):
    """The same as a package, run by `python -m net`."""
    imports = "import math\nimport random\n\nfrom .engine import V\n"
    return {"net/__init__.py": "", "net/engine.py": engine, "net/__main__.py": "from . import training\n", "net/training.py": imports + program}


SCRIPTS = {
    **{f"{program} on {engine}": {"main.py": ENGINES[engine] + PROGRAMS[program]} for engine, programs in {
        "karpathy": PROGRAMS, "micrograd": PROGRAMS, "typed": PROGRAMS, "pairs": PROGRAMS, "equal": ("calculus", "rnn"),
        "kahn": ("calculus", "attention", "moons"), "queue": ("calculus", "rnn"), "chatty": ("calculus", "mixture", "bigram"),
    }.items() for program in programs},
    "fused": {"main.py": FUSED + FUSED_PROGRAM},
    "moons in two files": split(MICROGRAD, MOONS),
    "attention in two files": split(TYPED, ATTENTION),
    "a package": package(PAIRS, RNN),
}  # fmt: skip
