"""The whole algorithm in plain Python: a GPT that learns to write names, on an autograd engine of single scalars.

Everything else in this package is this page made faster, to the last bit: it is the `python` engine, the oracle of the tests
and the baseline of the benchmarks. It follows Andrej Karpathy's microgpt (2026). Read it top to bottom: a scalar that knows
its gradient; a transformer built of such scalars; the loss; Adam; training; sampling.

    python -m microgpt.reference names.txt            # train on a file of names, one a line, and print twenty new ones
"""

import math
import random

from microgpt.config import PRESETS
from microgpt.tokenizer import Tokenizer


# ---- Autograd: each operation makes a node, and remembers how its result changes with its operands ----------------------

class Value:
    """A scalar in a computation graph. After `loss.backward()`, `grad` is the derivative of the loss by this scalar."""

    __slots__ = ("data", "grad", "_children", "_local_grads")

    def __init__(self, data, children=(), local_grads=()):
        self.data = data  # the number
        self.grad = 0  # d loss / d self, summed over all paths by backward()
        self._children = children  # the operands it was made of
        self._local_grads = local_grads  # d self / d child, for each of them

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, exponent):
        return Value(self.data**exponent, (self,), (exponent * self.data ** (exponent - 1),))

    def log(self):
        return Value(math.log(self.data), (self,), (1 / self.data,))

    def exp(self):
        return Value(math.exp(self.data), (self,), (math.exp(self.data),))

    def relu(self):
        return Value(max(0, self.data), (self,), (float(self.data > 0),))

    def __neg__(self): return self * -1
    def __radd__(self, other): return self + other
    def __sub__(self, other): return self + (-other)
    def __rsub__(self, other): return other + (-self)
    def __rmul__(self, other): return self * other
    def __truediv__(self, other): return self * other**-1
    def __rtruediv__(self, other): return other * self**-1
    def __repr__(self): return f"Value(data={self.data}, grad={self.grad})"

    def backward(self):
        """Add d self / d node to the `grad` of every node below: the chain rule, from this node down to the leaves."""
        topo, visited = [], set()

        def build_topo(node):
            if node not in visited:
                visited.add(node)
                for child in node._children:
                    build_topo(child)
                topo.append(node)

        build_topo(self)
        self.grad = 1
        for node in reversed(topo):
            for child, local_grad in zip(node._children, node._local_grads):
                child.grad += local_grad * node.grad


# ---- The model: GPT-2 with RMSNorm for LayerNorm, relu for GELU, and no biases ------------------------------------------
# A vector is a list of Values, a matrix a list of rows.

def linear(x, w):
    """Matrix times vector. x: (n_in,), w: (n_out, n_in) -> (n_out,)"""
    return [sum(wi * xi for wi, xi in zip(row, x)) for row in w]


def softmax(logits):
    """Scores to probabilities. Subtracting the largest changes nothing but keeps exp from overflowing. (n,) -> (n,)"""
    largest = max(logit.data for logit in logits)
    exps = [(logit - largest).exp() for logit in logits]
    total = sum(exps)
    return [e / total for e in exps]


def rmsnorm(x):
    """Scale a vector to root mean square 1 (Zhang and Sennrich, 2019). (n,) -> (n,)"""
    ms = sum(xi * xi for xi in x) / len(x)
    scale = (ms + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def attention(q, keys, values, n_head):
    """Each head mixes the values seen so far, weighted by how well their keys match the query.

    q: (n_embd,), keys and values: (positions, n_embd) -> (n_embd,)
    """
    head_dim = len(q) // n_head
    out = []
    for start in range(0, n_head * head_dim, head_dim):
        head = range(start, start + head_dim)
        weights = softmax([sum(q[j] * k[j] for j in head) / head_dim**0.5 for k in keys])
        out.extend(sum(weight * v[j] for weight, v in zip(weights, values)) for j in head)
    return out


def cross_entropy(logits, target):
    """How surprised the model is by the token that came: -log of its probability."""
    return -softmax(logits)[target].log()


def matrix(nout, nin, std=0.08, rng=random):
    """Random weights: (nout, nin) Values from a Gaussian of mean 0."""
    return [[Value(rng.gauss(0, std)) for _ in range(nin)] for _ in range(nout)]


def gpt(token_id, pos_id, keys, values, params, config):
    """One token in, the logits of the next one out; each layer's keys and values (the KV cache) grow by one position."""
    x = [tok + pos for tok, pos in zip(params["wte"][token_id], params["wpe"][pos_id])]
    x = rmsnorm(x)
    for i in range(config.n_layer):
        # attention: look back at the positions so far
        residual = x
        x = rmsnorm(x)
        q = linear(x, params[f"layer{i}.attn_wq"])
        keys[i].append(linear(x, params[f"layer{i}.attn_wk"]))
        values[i].append(linear(x, params[f"layer{i}.attn_wv"]))
        x = attention(q, keys[i], values[i], config.n_head)
        x = linear(x, params[f"layer{i}.attn_wo"])
        x = [a + b for a, b in zip(x, residual)]
        # MLP: think about what was found
        residual = x
        x = rmsnorm(x)
        x = linear(x, params[f"layer{i}.mlp_fc1"])
        x = [xi.relu() for xi in x]
        if config.activation == "relu2":
            x = [xi**2 for xi in x]
        x = linear(x, params[f"layer{i}.mlp_fc2"])
        x = [a + b for a, b in zip(x, residual)]
    return linear(x, params["lm_head"])


def document_loss(tokens, params, config):
    """Mean cross-entropy of predicting each next token of a document [BOS, ..., BOS], cut at block_size."""
    n = min(config.block_size, len(tokens) - 1)
    keys, values = [[] for _ in range(config.n_layer)], [[] for _ in range(config.n_layer)]
    losses = []
    for pos_id in range(n):
        logits = gpt(tokens[pos_id], pos_id, keys, values, params, config)
        losses.append(cross_entropy(logits, tokens[pos_id + 1]))
    return (1 / n) * sum(losses)


def batch_loss(documents, params, config):
    """Mean of the losses of several documents, one graph; that of a single document is its own."""
    losses = [document_loss(tokens, params, config) for tokens in documents]
    return losses[0] if len(losses) == 1 else (1 / len(losses)) * sum(losses)


# ---- Training -----------------------------------------------------------------------------------------------------------

class Adam:
    """Gradient descent with momentum and a step size for each parameter (Kingma and Ba, 2015). params: list of Values."""

    def __init__(self, params, learning_rate=0.01, beta1=0.85, beta2=0.99, eps=1e-8):
        self.params, self.learning_rate = params, learning_rate
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.m = [0.0] * len(params)  # first moment: the running mean of the gradient
        self.v = [0.0] * len(params)  # second moment: the running mean of its square
        self.num_steps = 0

    def step(self, learning_rate=None):
        """Update every parameter from its gradient, then set the gradient to 0."""
        lr = self.learning_rate if learning_rate is None else learning_rate
        beta1, beta2, eps, m, v = self.beta1, self.beta2, self.eps, self.m, self.v
        step = self.num_steps
        for i, p in enumerate(self.params):
            m[i] = beta1 * m[i] + (1 - beta1) * p.grad
            v[i] = beta2 * v[i] + (1 - beta2) * p.grad**2
            m_hat = m[i] / (1 - beta1 ** (step + 1))
            v_hat = v[i] / (1 - beta2 ** (step + 1))
            p.data -= lr * m_hat / (v_hat**0.5 + eps)
            p.grad = 0
        self.num_steps = step + 1


def clip_gradients(params, clip_norm):
    """Where all gradients together, as one vector, are longer than clip_norm, scale them down to that length."""
    squares = 0.0
    for p in params:
        squares += p.grad**2
    norm = squares**0.5
    if norm > clip_norm:
        scale = clip_norm / norm
        for p in params:
            p.grad = p.grad * scale


def decay_weights(params, lr, weight_decay):
    """Pull every parameter towards 0, apart from its gradient (AdamW: Loshchilov and Hutter, 2019)."""
    for p in params:
        p.data -= lr * weight_decay * p.data


def update(params, optimizer, training, step):
    """What follows backward() in a training step: new parameters, and gradients of 0."""
    lr = training.lr(step)
    if training.clip_norm is not None:
        clip_gradients(params, training.clip_norm)
    if training.weight_decay:
        decay_weights(params, lr, training.weight_decay)
    optimizer.step(lr)


def init_params(config, vocab_size, rng):
    """Fresh weights, name -> matrix, drawn in parameter order."""
    return {name: matrix(*shape, config.std(name), rng) for name, shape in config.shapes(vocab_size).items()}


def train(documents, params, config, training):
    """Train in place; yields each step's loss. documents: lists of token ids [BOS, ..., BOS]"""
    values = [p for matrix in params.values() for row in matrix for p in row]
    optimizer = Adam(values, training.learning_rate, training.beta1, training.beta2, training.eps)
    for step in range(training.num_steps):
        batch = [documents[i] for i in training.batch(step, len(documents))]
        loss = batch_loss(batch, params, config)
        loss.backward()
        update(values, optimizer, training, step)
        yield loss.data


def sample(params, config, bos, vocab_size, rng, temperature=0.5):
    """Write one document: draw each next token from the model's probabilities until BOS or block_size tokens."""
    keys, values = [[] for _ in range(config.n_layer)], [[] for _ in range(config.n_layer)]
    token_id, tokens = bos, []
    for pos_id in range(config.block_size):
        logits = gpt(token_id, pos_id, keys, values, params, config)
        probs = softmax([logit / temperature for logit in logits])
        token_id = rng.choices(range(vocab_size), weights=[p.data for p in probs])[0]
        if token_id == bos:
            break
        tokens.append(token_id)
    return tokens


def main(path, preset="current", seed=42):
    config, training, temperature = PRESETS[preset]
    rng = random.Random(seed)
    with open(path, encoding="utf-8") as file:
        docs = [line.strip() for line in file.read().strip().split("\n") if line.strip()]
    rng.shuffle(docs)
    print(f"num docs: {len(docs)}")
    tokenizer = Tokenizer.from_docs(docs, config.bos_first)
    print(f"vocab size: {tokenizer.vocab_size}")
    params = init_params(config, tokenizer.vocab_size, rng)
    print(f"num params: {sum(len(row) for matrix in params.values() for row in matrix)}")
    documents = [tokenizer.document(doc) for doc in docs]
    for step, loss in enumerate(train(documents, params, config, training), 1):
        print(f"step {step:4d} / {training.num_steps:4d} | loss {loss:.4f}")
    print("\n--- inference (new, hallucinated names) ---")
    for i in range(1, 21):
        tokens = sample(params, config, tokenizer.bos, tokenizer.vocab_size, rng, temperature)
        print(f"sample {i:2d}: {tokenizer.decode(tokens)}")


if __name__ == "__main__":
    import sys

    main(*sys.argv[1:3])
