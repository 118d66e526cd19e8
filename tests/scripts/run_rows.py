"""Karpathy's script with one change at a time: the most common ones in public scripts, for tests and for benchmarks/bench_run.py.

ROWS: how something is computed. REFUSALS: how the class is written. Each is a name and (old, new) pairs of text in tests/scripts/public/current.py.
"""

from scripts_under import SCRIPTS

SCRIPT = (SCRIPTS / "current.py").read_text(encoding="utf-8")


def between(start, end):
    """The text of the script from `start` up to `end`."""
    i = SCRIPT.index(start)
    return SCRIPT[i : SCRIPT.index(end, i)]


LINEAR = between("    return [sum(wi * xi", "\n\n\ndef softmax")
SOFTMAX, NORM = between("    max_val = max(", "\n\n\ndef rmsnorm"), between("    ms = sum(", "\n\n\ndef gpt")
HEAD = between("            q_h = q[hs", "        x = linear(x_attn")
BACKWARD = between("    def backward(self):", "\n\nn_layer, n_embd")
SORT = between("        build_topo(self)\n", "\n\nn_layer, n_embd")
UPDATE = between("    for i, p in enumerate(params):\n", '\n    print(f"step')
ADD = "Value(self.data + other.data, (self, other), (1, 1))"
MUL = "Value(self.data * other.data, (self, other), (other.data, self.data))"
WRAP = "other = other if isinstance(other, Value) else Value(other)"
SLOTS = '    __slots__ = ("data", "grad", "_children", "_local_grads")\n'
INIT = "def __init__(self, data, children=(), local_grads=()):"
RELU = "x = [xi.relu() for xi in x]"
DIVISION = "    def __truediv__(self, other): return self * other**-1\n"
RMUL = "    def __rmul__(self, other): return self * other\n"
PROPAGATE = """        for v in reversed(topo):
            for child, local_grad in zip(v._children, v._local_grads):
                child.grad += local_grad * v.grad
"""
LOG, EXP, RELU_METHOD = (f"    def {name}(self): return Value(" for name in ("log", "exp", "relu"))


def keywords(source):
    """Nodes made with keywords."""
    return [(old, old.replace("(self, other), (", "children=(self, other), local_grads=(").replace("(self,), (", "children=(self,), local_grads=("))
            for old in (ADD, MUL, *(line.strip() for line in source.splitlines() if "(self,), (" in line))]  # fmt: skip


ROWS = {
    "unchanged": [],
    "`float(data)` in the constructor": [("self.data = data  #", "self.data = float(data)  #")],
    "`backward` with a stack": [(BACKWARD, """    def backward(self):
        topo, visited, stack = [], set(), [(self, False)]
        while stack:
            node, done = stack.pop()
            if done:
                topo.append(node)
            elif node not in visited:
                visited.add(node)
                stack.append((node, True))
                for child in node._children:
                    if child not in visited:
                        stack.append((child, False))
        self.grad = 1.0
""" + PROPAGATE)],
    "`xi * wi` in linear": [("wi * xi for", "xi * wi for")],
    "weight decay in the Adam loop": [("        p.grad = 0\n", "        p.data -= lr_t * 0.01 * p.data\n        p.grad = 0\n")],
    "linear: `sum(..., Value(0.0))`": [(LINEAR, "    return [sum((wi * xi for wi, xi in zip(wo, x)), Value(0.0)) for wo in w]")],
    "linear: a loop that adds up": [(LINEAR, """    out = []
    for row in w:
        total = Value(0.0)
        for wi, xi in zip(row, x):
            total = total + wi * xi
        out.append(total)
    return out""")],
    "linear: a loop that appends": [(LINEAR, "    out = []\n    for wo in w:\n        out.append(sum(wi * xi for wi, xi in zip(wo, x)))\n    return out")],
    "gradient clipping": [("    loss.backward()\n", """    loss.backward()
    norm = sum(p.grad**2 for p in params) ** 0.5
    if norm > 1.0:
        for p in params:
            p.grad *= 1.0 / norm
""")],
    "GELU from exp": [(RELU, "x = [xi * (1 / (1 + (xi * -1.702).exp())) for xi in x]")],
    "layer norm": [(NORM, """    n = len(x)
    mean = sum(x) / n
    var = sum((xi - mean) ** 2 for xi in x) / n
    return [(xi - mean) / (var + 1e-5) ** 0.5 for xi in x]""")],
    "another epsilon in rmsnorm": [("1e-5", "1e-6")],
    "RoPE": [
        ("def gpt(", """def rotate(x, pos):
    out = []
    for i in range(0, len(x), 2):
        c, s = math.cos(pos / 10000 ** (i / head_dim)), math.sin(pos / 10000 ** (i / head_dim))
        out += [x[i] * c - x[i + 1] * s, x[i] * s + x[i + 1] * c]
    return out


def gpt("""),
        ("q_h = q[hs:hs + head_dim]", "q_h = rotate(q[hs:hs + head_dim], pos_id)"),
        ("k_h = [ki[hs:hs + head_dim] for ki in keys[li]]", "k_h = [rotate(ki[hs:hs + head_dim], t) for t, ki in enumerate(keys[li])]")],
    "linear with a bias": [("zip(wo, x)) for wo in w]", "zip(wo, x)) + 0.01 for wo in w]")],
    "softmax with isinstance": [("max(val.data for val in logits)", "max(val.data if isinstance(val, Value) else val for val in logits)")],
    "softmax with a temperature": [(SOFTMAX, "    logits = [val / 1.5 for val in logits]\n" + SOFTMAX)],
    "attention in loops": [(HEAD, """            scores = []
            for t in range(len(keys[li])):
                score = Value(0)
                for j in range(head_dim):
                    score = score + q[hs + j] * keys[li][t][hs + j]
                scores.append(score / math.sqrt(head_dim))
            attn_weights = softmax(scores)
            for j in range(head_dim):
                acc = Value(0)
                for t in range(len(values[li])):
                    acc = acc + attn_weights[t] * values[li][t][hs + j]
                x_attn.append(acc)
""")],
    "SGD with momentum": [(UPDATE, """    for i, p in enumerate(params):
        v[i] = 0.9 * v[i] + p.grad
        p.data -= lr_t * v[i]
        p.grad = 0.0
""")],
    "cross-entropy as a function": [
        ("def rmsnorm", "def cross_entropy(logits, target):\n    probs = softmax(logits)\n    return -probs[target].log()\n\n\ndef rmsnorm"),
        ("        probs = softmax(logits)\n        losses.append(-probs[target_id].log())\n", "        losses.append(cross_entropy(logits, target_id))\n")],
}  # fmt: skip

REFUSALS = {
    "an attribute `label` with a default": [(SLOTS, ""), (INIT, INIT.replace("):", ", label=''):")), ("self.grad = 0  #", "self.label = label\n        self.grad = 0  #")],
    "a keyword-only `name`": [(SLOTS, SLOTS.replace('")', '", "name")')), (INIT, INIT.replace("):", ", *, name=None):")),
                              ("self.grad = 0  #", "self.name = name\n        self.grad = 0  #")],
    "children by keyword": [(INIT, INIT.replace("children", "*, children")), *keywords(between(LOG, "    def __neg__") + between("    def __pow__", LOG))],
    "a class-wide flag": [
        (SLOTS, "    recording = True\n"), ("self._children = children", "self._children = children if Value.recording else ()"),
        ("self._local_grads = local_grads", "self._local_grads = local_grads if Value.recording else ()"),
        ('print("\\n--- inf', 'Value.recording = False\nprint("\\n--- inf')],
    "a stored `_forward`": [(SLOTS, ""), ("self.grad = 0  #", "self._forward = None\n        self.grad = 0  #")],
    "`__rmul__` missing": [(RMUL, ""), ("(1 / n) * sum(losses)", "sum(losses) * (1 / n)")],
    "`Value(other, (), ())` for a constant": [(WRAP, WRAP.replace("Value(other)", "Value(other, (), ())"))],
    "`-1.0` for `-1`": [("self * -1\n", "self * -1.0\n"), ("other**-1\n", "other**-1.0\n"), ("self**-1\n", "self**-1.0\n"), ("other - 1)", "other - 1.0)")],
    "local gradients assigned later": [(f"return {ADD}", "out = Value(self.data + other.data, (self, other))\n        out._local_grads = (1, 1)\n        return out")],
    "numbers wrapped, not Values": [(WRAP, "other = Value(other) if isinstance(other, (int, float)) else other")],
    "division as a node of its own": [(DIVISION, f"""    def __truediv__(self, other):
        {WRAP}
        return Value(self.data / other.data, (self, other), (1 / other.data, -self.data / other.data**2))
""")],
    "an operator that prints": [(DIVISION, "    def __truediv__(self, other):\n        print(end='')\n        return self * other**-1\n")],
    "a counter in an operator": [(SLOTS, SLOTS + "    divisions = 0\n"),
                                 (DIVISION, "    def __truediv__(self, other):\n        Value.divisions += 1\n        return self * other**-1\n")],
    "`topo.reverse()`, `grad * local`": [(PROPAGATE, PROPAGATE.replace("for v in reversed(topo)", "topo.reverse()\n        for v in topo")
                                          .replace("local_grad * v.grad", "v.grad * local_grad"))],
    "`self.grad = 0.0`": [("self.grad = 0  #", "self.grad = 0.0  #")],
}  # fmt: skip


def edited(edits):
    """The script with these edits."""
    source = SCRIPT
    for old, new in edits:
        assert old in source, f"the script has no {old!r} to edit"
        source = source.replace(old, new)
    return source


def in_files(source):
    """A script's class, functions and the rest in separate files: name -> source."""
    i, j = source.index("class Value"), source.index("n_layer, n_embd, block")
    a, b = source.index("def linear("), source.index("def gpt(")
    engine = "import math\n\n\n" + source[i:j]
    return {
        "engine.py": engine, "functions.py": "from engine import Value\n\n\n" + source[a:b],
        "script.py": source[:i] + "from engine import Value\nfrom functions import linear, rmsnorm, softmax\n\n" + source[j:a] + source[b:],
    }  # fmt: skip
