"""Edits people make to the scripts in tests/scripts/public/, for test_run_variants.py.

Each is a name, the script, (old, new) pairs of text, and what is expected: the names of everything compiled, and words that the
report must have where something is left alone.
"""

ALL = {"Value", "linear", "list", "sum", "dot product", "parameter update"}
SOFTMAX_SUM = "    total = sum(exps)\n    return [e / total for e in exps]\n"
RELU = "x = [xi.relu() for xi in x]"
ADAM = '''    for i, p in enumerate(params):
        m[i] = beta1 * m[i] + (1 - beta1) * p.grad
        v[i] = beta2 * v[i] + (1 - beta2) * p.grad**2
        m_hat = m[i] / (1 - beta1 ** (step + 1))
        v_hat = v[i] / (1 - beta2 ** (step + 1))
        p.data -= lr_t * m_hat / (v_hat**0.5 + eps_adam)
        p.grad = 0
'''
LOG = "    def log(self): return"

EDITS = {
    # ---- the same as the reference, written differently ---------------------------------------------------------------------------
    "unchanged": ("current", [], ALL, []),
    "what loops leave behind": (
        "current", [("\ntemperature =", "\nprint(m_hat, v_hat, i, p.data, p.grad, m[-3:], v[-3:])\ntemperature =")], ALL, []),
    "renamed": ("current", [("Value", "Scalar"), ("softmax", "to_probs"), ("state_dict", "weights"), ("m_hat", "mh")],
                ALL - {"Value"} | {"Scalar"}, []),
    "renamed attributes": ("current", [(".data", ".value"), ("\"data\"", "\"value\""), ("local_grads", "slopes")], ALL, []),
    "type hints": ("current", [
        ("def __init__(self, data, children=(), local_grads=()):",
         "def __init__(self, data: float, children: tuple = (), local_grads: tuple = ()) -> None:"),
        ("self.grad = 0  #", "self.grad: float = 0  #"), ("def linear(x, w):", "def linear(x: list, w: list) -> list:"),
        ("    ms = sum", "    ms: Value = sum"), ("        m_hat = ", "        m_hat: float = ")], ALL, []),
    "floats": ("current", [("self.grad = 0  #", "self.grad = 0.0  #"), ("        self.grad = 1\n", "        self.grad = 1.0\n"),
                           ("(1, 1)", "(1.0, 1.0)"),
                           ("    loss.backward()\n", "    loss.backward()\n    a, b = Value(2), Value(3)\n    c = a * b + a\n    print(a.grad)\n"
                            "    c.backward()\n    print(a.grad, b.grad, c.grad, c._local_grads, c.data)\n")], ALL, []),
    "a float gradient": ("current", [("self.grad = 0  #", "self.grad = 0.0  #"),
                                     ("    loss.backward()\n", "    loss.backward()\n    a, b = Value(2), Value(3)\n    c = a * b + a\n    print(a.grad)\n"
                                      "    c.backward()\n    print(a.grad, b.grad, c.grad, c._local_grads, c.data)\n")], ALL, []),
    "float ones": ("current", [("(1, 1)", "(1.0, 1.0)"),
                               ("    loss.backward()\n", "    loss.backward()\n    a, b = Value(2), Value(3)\n    c = a * b + a\n    print(a.grad)\n"
                                "    c.backward()\n    d = linear([Value(1), a], [[params[0], params[1]]])[0]\n    d.backward()\n"
                                "    print(a.grad, b.grad, c.grad, c._local_grads, c.data, d._children[1].grad, d._children[0].grad)\n")], ALL, []),
    "a float root": ("current", [("        self.grad = 1\n", "        self.grad = 1.0\n"),
                                 ("    loss.backward()\n", "    loss.backward()\n    a, b = Value(2), Value(3)\n    c = a * b + a\n    print(a.grad)\n"
                                  "    c.backward()\n    print(a.grad, b.grad, c.grad, c._local_grads, c.data)\n")], ALL, []),
    "wrapped with if": ("current", [("        other = other if isinstance(other, Value) else Value(other)\n",
                                     "        if not isinstance(other, Value):\n            other = Value(other)\n")], ALL, []),
    "e computed once": ("current", [
        ("def exp(self): return Value(math.exp(self.data), (self,), (math.exp(self.data),))",
         "def exp(self):\n        e = math.exp(self.data)\n        return Value(e, (self,), (e,))")], ALL, []),
    "from math import": ("current", [("import math\n", "from math import exp, log as ln\n"), ("math.exp", "exp"), ("math.log", "ln")],
                         ALL, []),
    "no slots": ("current", [('    __slots__ = ("data", "grad", "_children", "_local_grads")\n', "")], ALL, []),
    "operators that nothing needs": ("current", [
        ("    def __rsub__(self, other): return other + (-self)\n", ""),
        ("    def __rtruediv__(self, other): return other * self**-1\n", ""),
        ("    loss.backward()\n", "    loss.backward()\n    for attempt in (lambda: 1 - loss, lambda: loss - 1, lambda: 1 / loss, lambda: loss / 2):\n"
                                  "        try:\n            print(attempt().data)\n        except TypeError as error:\n            print(error)\n")],
        ALL, []),
    "methods in another order": ("current", [
        ("    def __neg__(self): return self * -1\n", ""), (LOG, "    def __neg__(self): return self * -1\n" + LOG)], ALL, []),
    "radd is add": ("current", [("def __radd__(self, other): return self + other", "__radd__ = __add__"),
                                ("def __rmul__(self, other): return self * other", "__rmul__ = __mul__")], ALL, []),
    "linear by index": ("current", [
        ("return [sum(wi * xi for wi, xi in zip(wo, x)) for wo in w]",
         "return [sum(w[o][i] * x[i] for i in range(len(x))) for o in range(len(w))]")], ALL, []),
    "attention by zip": ("current", [
        ("sum(q_h[j] * k_h[t][j] for j in range(head_dim)) / head_dim**0.5 for t in range(len(k_h))",
         "sum(a * b for a, b in zip(q_h, kt)) / head_dim**0.5 for kt in k_h"),
        ("sum(attn_weights[t] * v_h[t][j] for t in range(len(v_h))) for j",
         "sum(a * vt[j] for a, vt in zip(attn_weights, v_h)) for j")], ALL, []),
    "Adam in one line": ("current", [
        ("        m_hat = m[i] / (1 - beta1 ** (step + 1))\n", ""), ("        v_hat = v[i] / (1 - beta2 ** (step + 1))\n", ""),
        ("p.data -= lr_t * m_hat / (v_hat**0.5 + eps_adam)",
         "p.data -= lr_t * (m[i] / (1 - beta1 ** (step + 1))) / ((v[i] / (1 - beta2 ** (step + 1))) ** 0.5 + eps_adam)")], ALL, []),
    "Adam by index": ("current", [("for i, p in enumerate(params):\n        m[i]", "for i in range(len(params)):\n        p = params[i]\n        m[i]")],
                      ALL, []),
    "Adam with a gradient of its own": ("current", [
        ("for i, p in enumerate(params):\n", "for i, p in enumerate(params):\n        g = p.grad\n"),
        ("* p.grad**2", "* g**2"), ("* p.grad\n", "* g\n"), ("p.grad = 0\n", "p.grad = 0.0\n")], ALL, []),
    "loss printed from a float gradient": ("current", [("    loss.backward()\n", "    loss.backward()\n    print(params[0].grad, params[9].grad)\n")],
                                           ALL, []),

    "copied and pickled": ("current", [
        ("    loss.backward()\n", "    import copy, pickle\n    loss.backward()\n    twin = copy.deepcopy(params[:3] + [params[0] * 2])\n"
         "    print(twin[3].data, twin[3]._children[0] is twin[0], twin[0].grad, pickle.loads(pickle.dumps(params[5], 2)).data)\n"
         "    print(type(twin[0]) is Value, isinstance(copy.copy(loss), Value), copy.copy(loss)._local_grads)\n")], ALL, []),
    "written as a program": ("in_main", [], ALL - {"Value"} | {"Scalar", "loop over parameters"}, []),
    "written with objects": ("trainer", [], ALL | {"loop over parameters"}, []),

    # ---- other models ----------------------------------------------------------------------------------------------------------
    "two layers of eight heads": ("current", [("= 1, 16, 16, 4", "= 2, 16, 5, 8")], ALL, []),
    "tanh method": ("current", [
        (LOG, "    def tanh(self):\n        t = math.tanh(self.data)\n        return Value(t, (self,), (1 - t * t,))\n\n" + LOG),
        (RELU, "x = [xi.tanh() for xi in x]")], ALL, []),
    "sigmoid and gelu of operators": ("current", [
        (LOG, "    def sigmoid(self): return 1 / (1 + (-self).exp())\n    def gelu(self): return self * (1.702 * self).sigmoid()\n\n" + LOG),
        (RELU, "x = [xi.gelu() for xi in x]")], ALL, []),
    "no tanh": ("current", [
        ("    loss.backward()\n", "    loss.backward()\n    print([name for name in dir(Value) if name[0] != '_'])\n    loss.tanh()\n")],
        ALL, []),
    "its own repr": ("current", [
        (LOG, "    def __repr__(self): return f'<{self.data:.3f}>'\n\n" + LOG),
        ("    loss.backward()\n", "    loss.backward()\n    print(loss, [params[3]], Value, type(loss).__name__, str(-loss))\n")], ALL, []),
    "no repr": ("current", [("    loss.backward()\n", "    loss.backward()\n    print(repr(loss)[:26], Value.__slots__, Value.__doc__)\n")],
                ALL, []),
    "properties and class methods": ("current", [
        (LOG, "    total = 0\n\n    @property\n    def shape(self): return ()\n\n    @classmethod\n    def of(cls, x): return cls(x)\n\n"
              "    @staticmethod\n    def zero(): return Value(0)\n\n    def __lt__(self, other): return self.data < other.data\n\n" + LOG),
        ("    loss.backward()\n", "    loss.backward()\n    print(loss.shape, Value.of(2).data, Value.zero().data, min(losses).data, Value.total)\n")],
        ALL, []),
    "more special methods": ("current", [
        (LOG, "    def __rpow__(self, base): return Value(base ** self.data, (self,), (base ** self.data * math.log(base),))\n"
              "    def __matmul__(self, other): return self * other\n    def __iadd__(self, other): return self + other + 1\n"
              "    def __abs__(self): return self if self.data > 0 else -self\n    def __len__(self): return 1\n"
              "    @property\n    def label(self): return 'L'\n    @label.setter\n    def label(self, x): print('label', x)\n\n" + LOG),
        ("    loss.backward()\n", "    loss = 1.5 ** loss\n    loss += 2 ** abs(-loss) @ Value(3)\n    loss.backward()\n"
                                 "    loss.label = 4\n    print(loss.data, (loss ** 2).data, len(loss), loss.label, params[7].grad)\n")], ALL, []),
    "leaky relu under the old name": ("current", [
        ("return Value(max(0, self.data), (self,), (float(self.data > 0),))",
         "return Value(self.data if self.data > 0 else 0.1 * self.data, (self,), (1.0 if self.data > 0 else 0.1,))")], ALL, []),
    "log with an epsilon": ("current", [("Value(math.log(self.data), (self,), (1 / self.data,))",
                                         "Value(math.log(self.data + 1e-10), (self,), (1 / (self.data + 1e-10),))")], ALL, []),
    "relu squared": ("current", [(RELU, "x = [xi.relu() ** 2 for xi in x]")], ALL, []),
    "gated mlp": ("current", [
        ('    state_dict[f"layer{i}.mlp_fc2"]', '    state_dict[f"layer{i}.mlp_gate"] = matrix(4 * n_embd, n_embd)\n    state_dict[f"layer{i}.mlp_fc2"]'),
        ('        x = linear(x, state_dict[f"layer{li}.mlp_fc1"])\n',
         '        gate = linear(x, state_dict[f"layer{li}.mlp_gate"])\n        x = linear(x, state_dict[f"layer{li}.mlp_fc1"])\n'),
        (RELU, "x = [a * g / (1 + (-g).exp()) for a, g in zip(x, gate)]")], ALL, []),
    "rope": ("current", [
        ("def gpt(", "def rotate(x, pos):\n    out = []\n    for i in range(0, len(x), 2):\n        angle = pos / 10000 ** (i / head_dim)\n"
                     "        c, s = math.cos(angle), math.sin(angle)\n        out += [x[i] * c - x[i + 1] * s, x[i] * s + x[i + 1] * c]\n    return out\n\n\ndef gpt("),
        ("            q_h = q[hs:hs + head_dim]\n            k_h = [ki[hs:hs + head_dim] for ki in keys[li]]\n",
         "            q_h = rotate(q[hs:hs + head_dim], pos_id)\n            k_h = [rotate(ki[hs:hs + head_dim], t) for t, ki in enumerate(keys[li])]\n")],
        ALL, []),
    "weight tying": ("current", [('"lm_head": matrix(vocab_size, n_embd)}', "}\nstate_dict['lm_head'] = state_dict['wte']\nif True: pass")],
                     ALL, []),
    "dropout": ("current", [(RELU, RELU + "\n        x = [xi * (random.random() > 0.1) / 0.9 for xi in x]")], ALL, []),
    "subclass": ("current", [("n_layer, n_embd", "class Parameter(Value):\n    def __init__(self, data, name):\n        super().__init__(data)\n        self.name = name\n\n\nn_layer, n_embd"),
                             ("[[Value(random.gauss(0, std))", "[[Parameter(random.gauss(0, std), 'w')")], ALL, []),

    # ---- other training -----------------------------------------------------------------------------------------------------------
    "parameter update": ("current", [(ADAM, "    for p in params:\n        p.data -= lr_t * p.grad\n        p.grad = 0\n    print(p.data)\n")],
                         ALL, []),
    "micrograd's descent": ("current", [
        (ADAM, "    for i, p in enumerate(params):\n        p.data += -0.1 * p.grad\n    print(i, p.data, p.grad)\n    for p in params:\n        p.grad = 0\n")],
        ALL | {"loop over parameters"}, []),
    "clipping": ("current", [
        ("    loss.backward()\n", "    loss.backward()\n    norm = sum(p.grad**2 for p in params) ** 0.5\n    for p in params:\n        p.grad *= min(1.0, 0.5 / norm)\n")],
        ALL | {"loop over parameters"}, []),
    "cosine schedule": ("current", [("learning_rate * (1 - step / num_steps)", "learning_rate * 0.5 * (1 + math.cos(math.pi * step / num_steps))")],
                        ALL, []),
    "weight decay": ("current", [("        p.grad = 0\n", "        p.data *= 0.999\n        p.grad = 0\n")], ALL, []),
    "moments in one list": ("current", [("v = [0.0] * len(params)\n", "v = m\n")], ALL, []),
    "unequal numbers": ("current", [("params = [p for", "state_dict['wte'][0][0] = Value(1)\nparams = [p for")], ALL, []),
    "other floats for moments": ("current", [("m = [0.0] * len(params)", "m = [0] * len(params)")], ALL, []),
    "parameters in a tuple": ("current", [('print(f"num params', 'params = tuple(params)\nprint(f"num params')], ALL, []),

    # ---- further from the reference, but still identical -------------------------------------------------------------------------
    "another addition": ("current", [("(self, other), (1, 1))", "(self, other), (1, 1.5))")], ALL - {"dot product", "linear"}, []),
    "another division": ("current", [("return self * other**-1", "return self * (1 / other) if isinstance(other, int) else self * other**-1")],
                         ALL, []),
    "equality": ("current", [(LOG, "    def __eq__(self, other): return self is other\n    __hash__ = object.__hash__\n\n" + LOG)], ALL, []),
    "a label on each node": ("current", [('"_local_grads")', '"_local_grads", "label")'), ("self.grad = 0  #", "self.label = ''\n        self.grad = 0  #")],
                             ALL, []),
    "data as a property": ("current", [
        ('"data", ', '"_data", '), ("        self.data = data", "        self._data = data"),
        (LOG, "    @property\n    def data(self): return self._data\n\n    @data.setter\n    def data(self, x): self._data = x\n\n" + LOG)],
        {"Value"}, ["Value.__add__", "times as long"]),
    "swapped attributes": ("current", [("_children", "_tmp"), ("_local_grads", "_children"), ("_tmp", "_local_grads")], set(), ["class Value"]),
    "patched operator": ("current", [("n_layer, n_embd", "Value.__neg__ = lambda self: Value(-self.data, (self,), (-1,))\nn_layer, n_embd")],
                         ALL, []),
    "patched method": ("current", [("n_layer, n_embd", "setattr(Value, 'relu', lambda self: self * self)\nn_layer, n_embd")], ALL, []),
    "new method from outside": ("current", [("n_layer, n_embd", "Value.cube = lambda self: self**3\nn_layer, n_embd"), (RELU, "x = [xi.cube() for xi in x]")],
                                ALL, []),
    "class bound again": ("current", [("n_layer, n_embd", "Value = type('Value', (Value,), {})\nn_layer, n_embd")], set(), ["bound again"]),
    "subclass with an operator": ("current", [
        ("n_layer, n_embd", "class Loud(Value):\n    def __add__(self, other): return Value(self.data * 2) + other\n\n\nn_layer, n_embd"),
        ("[[Value(random.gauss(0, std))", "[[Loud(random.gauss(0, std))")], ALL, []),
    "softmax bound again": ("current", [
        ("def rmsnorm", "def my_softmax(logits):\n    exps = [logit.exp() for logit in logits]\n    return [e / sum(exps) for e in exps]\n\n\nsoftmax = my_softmax\n\n\ndef rmsnorm")],
        ALL, []),
    "softmax without the maximum": ("current", [("(val - max_val).exp()", "val.exp()")], ALL, []),
    "softmax with a larger total": ("current", [("total = sum(exps)", "total = sum(exps) + 1e-6")], ALL, []),
    "rmsnorm with another epsilon": ("current", [("1e-5", "1e-6")], ALL, []),
    "rmsnorm without an epsilon": ("current", [("(ms + 1e-5)", "(ms)")], ALL, []),
    "linear with a bias": ("current", [("zip(wo, x)) for wo in w]", "zip(wo, x)) + 0.01 for wo in w]")], ALL, []),
    "linear the other way round": ("current", [("sum(wi * xi for", "sum(xi * wi for")], ALL, []),
    "eps inside of the root": ("current", [("(v_hat**0.5 + eps_adam)", "(v_hat + eps_adam) ** 0.5")], ALL, []),
    "no bias correction": ("current", [("m_hat / (v_hat**0.5", "m[i] / (v_hat**0.5")], ALL, []),
    "Adam that looks at another moment": ("current", [("m_hat = m[i] / (1 -", "m_hat = m[i] / (1 + m[0] -")], ALL - {"parameter update"}, ["parameter update"]),
    "Adam that looks at another parameter": ("current", [("p.data -= lr_t * m_hat", "p.data -= params[0].data * m_hat")], ALL - {"parameter update"}, ["parameter update"]),
    "AMSGrad": ("current", [("        v_hat = v[i] /", "        v_hat = max(v[i], 1e-6) /")], ALL, []),
    "a sum of its own": ("current", [("def linear", "def sum(items, start=0):\n    for item in items:\n        start = item + start\n    return start\n\n\ndef linear")],
                         ALL - {"dot product", "linear", "sum"}, []),
    "no Value at all": ("current", [("class Value:", "class Value(object, metaclass=type):")], set(), ["metaclass"]),

    # ---- the first revision ---------------------------------------------------------------------------------------------------------
    "first": ("first", [], ALL, []),
    "first with tanh": ("first", [
        ("    def backward(self):", '    def tanh(self):\n        t = math.tanh(self.data)\n        out = Value(t, (self,), "tanh")\n\n'
         "        def _backward():\n            self.grad += (1 - t**2) * out.grad\n\n        out._backward = _backward\n        return out\n\n    def backward(self):"),
        ("[xi.relu() ** 2 for xi in x]", "[xi.tanh() for xi in x]")], ALL, []),
    "a perceptron": ("perceptron", [], ALL - {"linear", "list"} | {"loop over parameters"}, []),
    "first, looked into": ("first", [("    loss.backward()\n", "    loss.backward()\n    print(len(loss._prev))\n")], ALL, []),
    "first, another closure": ("first", [("self.grad += (1 / self.data) * out.grad", "self.grad += out.grad / self.data")], ALL, []),
}
