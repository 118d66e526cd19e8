"""The same small model in many styles: for each of its parts, the forms found in public scripts.

`script` puts one form of each part together. Every combination must print under `microgpt run` what Python prints. (A table
of forms for each part, long because it has many.)
"""

HEAD = '''import math
import random

random.seed(7)


'''

DEFAULT = "as published"

CONSTRUCTOR = {
    DEFAULT: """    def __init__(self, data, children=(), local_grads=()):
        self.data = data
        self.grad = 0
        self._children = children
        self._local_grads = local_grads
""",
    "float(data)": """    def __init__(self, data, children=(), local_grads=()):
        self.data = float(data)
        self.grad = 0.0
        self._children = children
        self._local_grads = local_grads
""",
    "a label": """    def __init__(self, data, children=(), local_grads=(), label='', param_idx=None):
        self.data = data
        self.grad = 0
        self._children = children
        self._local_grads = local_grads
        self.label, self.param_idx = label, param_idx
""",
    "slots and a name": """    __slots__ = ('data', 'grad', '_children', '_local_grads', 'name')

    def __init__(self, data, children=(), local_grads=(), *, name=None):
        self.data, self.grad, self._children, self._local_grads = data, 0, children, local_grads
        self.name = name
""",
    "None for no children": """    def __init__(self, data, children=None, local_grads=None):
        self.data = data
        self.grad = 0.0
        self._children = tuple(children) if children is not None else ()
        self._local_grads = local_grads or ()
""",
    "a stored function": """    def __init__(self, data, children=(), local_grads=()):
        self.data = data
        self.grad = 0
        self._children = children
        self._local_grads = local_grads
        self._forward = None
        self.visits = []
""",
}

WRAP = {
    DEFAULT: "other = other if isinstance(other, Value) else Value(other)",
    "numbers first": "other = Value(other) if isinstance(other, (int, float)) else other",
    "with empty tuples": "other = other if isinstance(other, Value) else Value(other, (), ())",
    "by a method": "other = self._wrap(other)",
    "an if": "if not isinstance(other, Value):\n            other = Value(other)",
}

SUM = {
    DEFAULT: "        return Value(self.data + other.data, (self, other), (1, 1))",
    "floats": "        return Value(self.data + other.data, (self, other), (1.0, 1.0))",
    "assigned later": "        out = Value(self.data + other.data, (self, other))\n        out._local_grads = (1, 1)\n        return out",
    "by keyword": "        return Value(other.data + self.data, local_grads=(1, 1), children=(self, other))",
    "temporaries": "        a, b = self.data, other.data\n        grads = (1, 1)\n        result = Value(a + b, (self, other), grads)\n        return result",
}

DIVISION = {
    DEFAULT: "    def __truediv__(self, other): return self * other**-1\n    def __rtruediv__(self, other): return other * self**-1\n",
    "a float exponent": "    def __truediv__(self, other): return self * other**-1.0\n    def __rtruediv__(self, other): return other * self**-1.0\n",
    "a node of its own": """    def __truediv__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data / other.data, (self, other), (1 / other.data, -self.data / other.data**2))
    def __rtruediv__(self, other): return Value(other) / self
""",
    "one that prints": """    def __truediv__(self, other):
        print('divided', end=' ')
        return self * other**-1
    def __rtruediv__(self, other): return other * self**-1
""",
}

SUBTRACTION = {
    DEFAULT: "    def __neg__(self): return self * -1\n    def __sub__(self, other): return self + (-other)\n    def __rsub__(self, other): return other + (-self)\n",
    "nodes of their own": """    def __neg__(self): return Value(-self.data, (self,), (-1,))
    def __sub__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data - other.data, (self, other), (1, -1.0))
    def __rsub__(self, other): return (-self) + other
""",
    "a float": "    def __neg__(self): return self * -1.0\n    def __sub__(self, other): return self + other * -1\n    def __rsub__(self, other): return -self + other\n",
}

POWER = {
    DEFAULT: "    def __pow__(self, other): return Value(self.data**other, (self,), (other * self.data**(other - 1),))\n",
    "an assertion": """    def __pow__(self, k):
        assert isinstance(k, (int, float)), 'only numbers'
        return Value(self.data**k, (self,), (k * self.data**(k - 1.0),))
""",
}

FUNCTIONS = {
    DEFAULT: """    def log(self): return Value(math.log(self.data), (self,), (1 / self.data,))
    def exp(self): return Value(math.exp(self.data), (self,), (math.exp(self.data),))
    def relu(self): return Value(max(0, self.data), (self,), (float(self.data > 0),))
""",
    "temporaries and branches": """    def log(self):
        x = self.data
        return Value(math.log(x), (self,), (x**-1,))
    def exp(self):
        e = math.exp(self.data)
        return Value(e, (self,), (e,))
    def relu(self):
        if self.data > 0:
            return Value(self.data, (self,), (1.0,))
        return Value(0, (self,), (0.0,))
""",
    "safe ones": """    def log(self): return Value(math.log(max(self.data, 1e-12)), (self,), (1 / max(self.data, 1e-12),))
    def exp(self):
        x = min(self.data, 50.0)
        return Value(math.exp(x), (self,), (math.exp(x),))
    def relu(self, ): return Value(self.data if self.data > 0 else 0.01 * self.data, (self,), (1.0 if self.data > 0 else 0.01,))
""",
    "tanh for relu": """    def log(self): return Value(math.log(self.data), (self,), (1 / self.data,))
    def exp(self): return Value(math.exp(self.data), (self,), (math.exp(self.data),))
    def relu(self):
        t = math.tanh(0.7978845608 * (self.data + 0.044715 * self.data**3))
        return Value(0.5 * self.data * (1 + t), (self,), (0.5 * (1 + t) + 0.5 * self.data * (1 - t * t) * 0.7978845608 * (1 + 0.134145 * self.data**2),))
""",
    "erf, which counts": """    calls = 0
    def log(self): return Value(math.log(self.data), (self,), (1 / self.data,))
    def exp(self): return Value(math.exp(self.data), (self,), (math.exp(self.data),))
    def relu(self):
        Value.calls += 1
        return Value(self.data * 0.5 * (1 + math.erf(self.data)), (self,), (0.5 * (1 + math.erf(self.data)),))
""",
}

PROPAGATE = """        for v in reversed(topo):
            for child, local in zip(v._children, v._local_grads):
                child.grad += local * v.grad
"""
BACKWARD = {
    DEFAULT: """    def backward(self):
        topo, visited = [], set()
        def build(v):
            if v not in visited:
                visited.add(v)
                for child in v._children:
                    build(child)
                topo.append(v)
        build(self)
        self.grad = 1
""" + PROPAGATE,
    "a stack of pairs": """    def backward(self):
        topo, visited, stack = [], set(), [(self, False)]
        while stack:
            v, done = stack.pop()
            if done:
                topo.append(v)
            elif v not in visited:
                visited.add(v)
                stack.append((v, True))
                for child in v._children:
                    if child not in visited:
                        stack.append((child, False))
        self.grad = 1.0
""" + PROPAGATE,
    "a stack of pairs, reversed": """    def backward(self):
        topo, visited, stack = [], set(), [(self, False)]
        while stack:
            v, done = stack.pop()
            if done:
                topo.append(v)
                continue
            if id(v) in visited:
                continue
            visited.add(id(v))
            stack.append((v, True))
            stack.extend((child, False) for child in reversed(v._children))
        self.grad = 1
        topo.reverse()
        for v in topo:
            for i in range(len(v._children)):
                v._children[i].grad = v._children[i].grad + v.grad * v._local_grads[i]
""",
    "a stack of iterators": """    def backward(self):
        topo, visited = [], {self}
        stack = [(self, iter(self._children))]
        while stack:
            v, children = stack[-1]
            for child in children:
                if child not in visited:
                    visited.add(child)
                    stack.append((child, iter(child._children)))
                    break
            else:
                topo.append(v)
                stack.pop()
        self.grad = 1.0
""" + PROPAGATE,
    "children first on the stack": """    def backward(self):
        topo, visited, stack = [], set(), [self]
        while stack:
            v = stack[-1]
            if v in visited:
                stack.pop()
                continue
            open_children = [child for child in v._children if child not in visited]
            if open_children:
                stack.extend(open_children)
            else:
                visited.add(v)
                topo.append(v)
                stack.pop()
        self.grad = 1
""" + PROPAGATE,
    "with a method": """    def _sorted(self, seen, order):
        if self not in seen:
            seen.add(self)
            for child in self._children:
                child._sorted(seen, order)
            order.append(self)
        return order
    def backward(self):
        self.grad = 1
        for v in self._sorted(set(), [])[::-1]:
            for child, local in zip(v._children, v._local_grads):
                child.grad += v.grad * local
""",
    "by in-degrees": """    def backward(self):
        degree, stack, seen = {}, [self], {self}
        while stack:
            v = stack.pop()
            for child in v._children:
                degree[child] = degree.get(child, 0) + 1
                if child not in seen:
                    seen.add(child)
                    stack.append(child)
        self.grad, ready = 1, [self]
        while ready:
            v = ready.pop()
            for child, local in zip(v._children, v._local_grads):
                child.grad += local * v.grad
                degree[child] -= 1
                if degree[child] == 0:
                    ready.append(child)
""",
}

LINEAR = {
    DEFAULT: "    return [sum(wi * xi for wi, xi in zip(wo, x)) for wo in w]\n",
    "x first": "    return [sum(xi * wi for xi, wi in zip(x, wo)) for wo in w]\n",
    "a start": "    return [sum((wi * xi for wi, xi in zip(wo, x)), Value(0.0)) for wo in w]\n",
    "an int start": "    return [sum([wi * xi for wi, xi in zip(wo, x)], start_value) for wo in w]\n".replace("start_value", "Value(0)"),
    "a loop": """    out = []
    for row in w:
        total = Value(0.0)
        for wi, xi in zip(row, x):
            total = total + wi * xi
        out.append(total)
    return out
""",
    "a loop over indices": """    out = []
    for i in range(len(w)):
        acc = 0
        for j in range(len(x)):
            acc += w[i][j] * x[j]
        out.append(acc)
    return out
""",
    "appended": """    result = []
    for wo in w:
        s = sum(xi * wi for wi, xi in zip(wo, x))
        result.append(s)
    return result
""",
    "a fused product": "    return [Value.dot(wo, x) if hasattr(Value, 'dot') else sum(wi * xi for wi, xi in zip(wo, x)) for wo in w]\n",
    "a bias": "    return [sum(wi * xi for wi, xi in zip(wo, x)) + 0.125 for wo in w]\n",
}

SOFTMAX = {
    DEFAULT: """    m = max(v.data for v in z)
    exps = [(v - m).exp() for v in z]
    total = sum(exps)
    return [e / total for e in exps]
""",
    "isinstance": """    m = max(v.data if isinstance(v, Value) else v for v in z)
    exps = [(v - m).exp() for v in z]
    total = sum(exps, Value(0.0))
    return [e / total for e in exps]
""",
    "a temperature": """    temperature = 1.5
    z = [v / temperature for v in z]
    m = max([v.data for v in z])
    exps = [(v - m).exp() for v in z]
    return [e * (sum(exps) ** -1) for e in exps]
""",
}

NORM = {
    DEFAULT: """    scale = (sum(xi * xi for xi in x) / len(x) + 1e-5) ** -0.5
    return [xi * scale for xi in x]
""",
    "another epsilon": """    ms = sum(xi ** 2 for xi in x) / len(x)
    scale = (ms + 1e-8) ** -0.5
    return [scale * xi for xi in x]
""",
    "layer norm": """    n = len(x)
    mean = sum(x) / n
    var = sum((xi - mean) ** 2 for xi in x) / n
    return [(xi - mean) / (var + 1e-5) ** 0.5 for xi in x]
""",
}

ATTENTION = {
    DEFAULT: """    scores = [sum(q[j] * ks[t][j] for j in range(dim)) / dim**0.5 for t in range(len(ks))]
    a = softmax(scores)
    return [sum(a[t] * vs[t][j] for t in range(len(vs))) for j in range(dim)]
""",
    "zip": """    scores = [sum(a * b for a, b in zip(q, k)) / math.sqrt(dim) for k in ks]
    a = softmax(scores)
    return [sum(w * v[j] for w, v in zip(a, vs)) for j in range(dim)]
""",
    "loops": """    scores = []
    for t in range(len(ks)):
        score = Value(0)
        for j in range(dim):
            score = score + q[j] * ks[t][j]
        scores.append(score / dim**0.5)
    a = softmax(scores)
    out = []
    for j in range(dim):
        acc = 0
        for t in range(len(vs)):
            acc = acc + a[t] * vs[t][j]
        out.append(acc)
    return out
""",
    "a scale": """    scale = dim ** -0.5
    scores = [sum(k[j] * q[j] for j in range(dim)) * scale for k in ks]
    a = softmax(scores)
    out = [Value(0.0) for _ in range(dim)]
    for t, v in enumerate(vs):
        for j in range(dim):
            out[j] = out[j] + a[t] * v[j]
    return out
""",
}

LOSS = {
    DEFAULT: "    losses.append(-softmax(logits)[target].log())\n",
    "a function": "    losses.append(cross_entropy(logits, target))\n",
    "log-sum-exp": "    losses.append(sum((z - max(v.data for v in logits)).exp() for z in logits).log() + max(v.data for v in logits) - logits[target])\n",
}

UPDATE = {
    DEFAULT: """    for i, p in enumerate(params):
        m[i] = b1 * m[i] + (1 - b1) * p.grad
        v[i] = b2 * v[i] + (1 - b2) * p.grad ** 2
        m_hat = m[i] / (1 - b1 ** (step + 1))
        v_hat = v[i] / (1 - b2 ** (step + 1))
        p.data -= lr * m_hat / (v_hat ** 0.5 + 1e-8)
        p.grad = 0
""",
    "AdamW": """    bc1, bc2 = 1 - b1 ** (step + 1), 1 - b2 ** (step + 1)
    for i in range(len(params)):
        p = params[i]
        g = p.grad
        m[i] = b1 * m[i] + (1.0 - b1) * g
        v[i] = b2 * v[i] + (1.0 - b2) * (g * g)
        p.data = p.data - lr * ((m[i] / bc1) / (math.sqrt(v[i] / bc2) + 1e-8) + 0.01 * p.data)
    for p in params:
        p.grad = 0.0
""",
    "clipping": """    length = math.sqrt(sum(p.grad ** 2 for p in params))
    if length > 0.1:
        for p in params:
            p.grad *= 0.1 / length
    for i, p in enumerate(params):
        p.data -= lr * p.grad
        p.grad = 0
""",
    "momentum": """    for p, i in [(p, i) for i, p in enumerate(params)][:3]:
        p.grad = p.grad * 0.5
    for i, p in enumerate(params):
        g = max(-1.0, min(1.0, p.grad))
        v[i] = 0.9 * v[i] + g
        if p.grad > 0:
            p.data -= lr * v[i]
        else:
            p.data += -lr * v[i] * 0.5
        p.grad = 0.0
""",
    "zip": """    new = []
    for p, mi, vi in zip(params, m, v):
        p.data += -lr * (p.grad + 0.1 * mi - 0.001 * vi)
    m[:] = [p.grad for p in params]
    v = [abs(p.grad) for p in params]
    for p in params:
        p.grad = 0
""",
}

PARTS = {
    "constructor": CONSTRUCTOR, "wrap": WRAP, "sum": SUM, "division": DIVISION, "subtraction": SUBTRACTION, "power": POWER,
    "functions": FUNCTIONS, "backward": BACKWARD, "linear": LINEAR, "softmax": SOFTMAX, "norm": NORM, "attention": ATTENTION,
    "loss": LOSS, "update": UPDATE,
}  # fmt: skip


def value_class(form):
    wrap = WRAP[form["wrap"]]
    helper = "    @staticmethod\n    def _wrap(x): return x if isinstance(x, Value) else Value(x)\n" if "_wrap" in wrap else ""
    return f"""class Value:
{CONSTRUCTOR[form["constructor"]]}{helper}
    def __add__(self, other):
        {wrap}
{SUM[form["sum"]]}

    def __mul__(self, other):
        {wrap}
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __radd__(self, other): return self + other
    def __rmul__(self, other): return self * other
{POWER[form["power"]]}{SUBTRACTION[form["subtraction"]]}{DIVISION[form["division"]]}{FUNCTIONS[form["functions"]]}
{BACKWARD[form["backward"]]}

"""


def functions(form):
    return f"""def linear(x, w):
{LINEAR[form["linear"]]}

def softmax(z):
{SOFTMAX[form["softmax"]]}

def norm(x):
{NORM[form["norm"]]}

def attention(q, ks, vs, dim):
{ATTENTION[form["attention"]]}

def cross_entropy(logits, target):
    probs = softmax(logits)
    return -(probs[target].log())


"""


def training(form):
    return f"""n = 4
matrix = lambda rows, columns: [[Value(random.gauss(0, 0.4)) for _ in range(columns)] for _ in range(rows)]
weights = {{name: matrix(5 if name == "head" else n, n) for name in ("q", "k", "v", "o", "fc", "head")}}
emb = matrix(5, n)
params = [p for rows in (emb, *weights.values()) for row in rows for p in row]
m, v = [0.0] * len(params), [0.0] * len(params)
lr, b1, b2 = 0.05, 0.85, 0.99


def model(token, ks, vs):
    x = norm(emb[token])
    q = linear(x, weights["q"])
    ks.append(linear(x, weights["k"]))
    vs.append(linear(x, weights["v"]))
    heads = []
    for h in range(2):
        heads += attention(q[2 * h:2 * h + 2], [k[2 * h:2 * h + 2] for k in ks], [v[2 * h:2 * h + 2] for v in vs], 2)
    x = [a + b for a, b in zip(linear(heads, weights["o"]), x)]
    h = [xi.relu() for xi in linear(norm(x), weights["fc"])]
    return linear([a + b for a, b in zip(h, x)], weights["head"])


def position(losses, token, target, ks, vs):
    logits = model(token, ks, vs)
{LOSS[form["loss"]]}

for step in range(4):
    losses, ks, vs = [], [], []
    for token, target in zip([step % 5, 1, 4], [1, 4, 0]):
        position(losses, token, target, ks, vs)
    loss = (1 / 3) * sum(losses)
    loss.backward()
    print(step, repr(loss.data), [repr(p.grad) for p in params[:6]], repr(loss.grad))
{UPDATE[form["update"]]}
print([repr(p.data) for p in params], [repr(x) for x in m], [repr(x) for x in v], [repr(p.grad) for p in params])
a, b = Value(3), Value(-2)
c = 2 * a - b / 4 + a ** 2 * b + (b * -1).relu() + 1 / a + (1 - a)
c.backward()
print(repr(c.data), repr(a.grad), repr(b.grad), c._children[0].data, c._local_grads, type(a).__name__)
for attempt in (lambda: a + "x", lambda: a ** "x", lambda: Value(0.0).log(), lambda: Value(0) / 0, lambda: Value(1e3).exp()):
    try:
        print(repr(attempt().data))
    except Exception as error:
        print(type(error).__name__, error)
"""


def script(**chosen):
    form = dict.fromkeys(PARTS, DEFAULT) | chosen
    return HEAD + value_class(form) + functions(form) + training(form)


def files(**chosen):
    """The same model in three files: name -> source. The script is train.py."""
    form = dict.fromkeys(PARTS, DEFAULT) | chosen
    return {
        "engine.py": "import math\n\n\n" + value_class(form),
        "layers.py": "import math\nfrom engine import Value\n\n\n" + functions(form),
        "train.py": HEAD + "from engine import Value\nfrom layers import *\n\n\n" + training(form),
    }


def alone():
    """(part, form) for each that is not the published one."""
    return [(part, form) for part, forms in PARTS.items() for form in forms if form != DEFAULT]
