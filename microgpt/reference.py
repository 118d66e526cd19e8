"""microgpt: a GPT that learns to write names, trained by a scalar autograd engine, in plain Python.

Part one is Andrej Karpathy's microgpt (2026), to the last bit: scalars with gradients, a transformer made of such scalars,
the loss, Adam, training and sampling. Part two is what the options of this package add. This file needs only Python:

    python microgpt/reference.py names.txt     # train on a text file, one name a line, and print twenty new names
"""
import math
import random
# fmt: off
# ==== Part one: the published model =========================================================================================
# ---- Autograd: each operation makes a node that holds its operands and its local derivatives -------------------------------
class Value:
    """A scalar in a computation graph. After `loss.backward()`, `grad` is the derivative of the loss with respect to it."""
    __slots__ = ("data", "grad", "_children", "_local_grads")

    def __init__(self, data, children=(), local_grads=()):
        self.data = data  # the number
        self.grad = 0  # d loss / d self: the sum over all paths from the loss to this node
        self._children = children  # the operands
        self._local_grads = local_grads  # d self / d child, for each of them

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, k): return Value(self.data**k, (self,), (k * self.data ** (k - 1),))
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
    def __repr__(self): return f"Value(data={self.data}, grad={self.grad})"

    def backward(self):
        """Add d self / d node to the `grad` of every node below, by the chain rule, from this node down to the leaves."""
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

# ---- The model: GPT-2 with RMSNorm in place of LayerNorm, relu in place of GELU, and no biases -----------------------------
# A vector is a list of Values, a matrix a list of rows.
class Config:  # the sizes of the published model
    n_layer = 1  # transformer blocks
    n_embd = 16  # width of the residual stream
    n_head = 4  # attention heads, each n_embd // n_head wide
    block_size = 16  # longest context, in tokens

def shapes(config, vocab_size):
    """Name -> (rows, columns) of every weight matrix, in parameter order, which is the order of the random draws."""
    n = config.n_embd
    found = {"wte": (vocab_size, n), "wpe": (config.block_size, n), "lm_head": (vocab_size, n)}
    for i in range(config.n_layer):
        found |= {f"layer{i}.{name}": (n, n) for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo")}
        found |= {f"layer{i}.mlp_fc1": (4 * n, n), f"layer{i}.mlp_fc2": (n, 4 * n)}
    return found

def matrix(nout, nin, std=0.08, rng=random):
    """Random weights: (nout, nin) Values from a Gaussian of mean 0."""
    return [[Value(rng.gauss(0, std)) for _ in range(nin)] for _ in range(nout)]

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
    scale = (sum(xi * xi for xi in x) / len(x) + 1e-5) ** -0.5
    return [xi * scale for xi in x]

def relu(x): return x.relu()

def attention(q, keys, values, n_head):
    """Each head mixes the values seen so far, weighted by how well their keys match the query.
    q: (n_embd,), keys and values: (positions, n_embd) -> (n_embd,)"""
    head_dim, out = len(q) // n_head, []
    for start in range(0, n_head * head_dim, head_dim):
        head = range(start, start + head_dim)
        weights = softmax([sum(q[j] * k[j] for j in head) / head_dim**0.5 for k in keys])
        out.extend(sum(weight * v[j] for weight, v in zip(weights, values)) for j in head)
    return out

def gpt(token_id, pos_id, keys, values, params, config, activation):
    """One token in, the logits of the next one out; each layer's keys and values (the KV cache) grow by one position."""
    x = rmsnorm([tok + pos for tok, pos in zip(params["wte"][token_id], params["wpe"][pos_id])])
    for i in range(config.n_layer):
        residual, x = x, rmsnorm(x)  # attention: gather information from the positions so far
        q = linear(x, params[f"layer{i}.attn_wq"])
        keys[i].append(linear(x, params[f"layer{i}.attn_wk"]))
        values[i].append(linear(x, params[f"layer{i}.attn_wv"]))
        x = linear(attention(q, keys[i], values[i], config.n_head), params[f"layer{i}.attn_wo"])
        x = [a + b for a, b in zip(x, residual)]
        residual, x = x, rmsnorm(x)  # MLP: process each position by itself
        x = linear(x, params[f"layer{i}.mlp_fc1"])
        x = [activation(xi) for xi in x]
        x = linear(x, params[f"layer{i}.mlp_fc2"])
        x = [a + b for a, b in zip(x, residual)]
    return linear(x, params["lm_head"])

# ---- Training: raise the probability of the tokens that come next in each document -----------------------------------------
def cross_entropy(logits, target):
    """-log of the probability that the model gives the target token."""
    return -softmax(logits)[target].log()

def document_loss(tokens, params, config, activation):
    """Mean cross-entropy over the next tokens of a document [BOS, ..., BOS], cut at block_size."""
    n = min(config.block_size, len(tokens) - 1)
    keys, values = [[] for _ in range(config.n_layer)], [[] for _ in range(config.n_layer)]
    logits = (gpt(tokens[pos_id], pos_id, keys, values, params, config, activation) for pos_id in range(n))
    losses = [cross_entropy(scores, target) for scores, target in zip(logits, tokens[1:])]
    return (1 / n) * sum(losses)

class Adam:
    """Gradient descent with momentum and a step size for each parameter (Kingma and Ba, 2015). params: list of Values."""
    def __init__(self, params, learning_rate=0.01, beta1=0.85, beta2=0.99, eps=1e-8):
        self.params, self.learning_rate, self.beta1, self.beta2, self.eps = params, learning_rate, beta1, beta2, eps
        self.m = [0.0] * len(params)  # first moment: the running mean of the gradient
        self.v = [0.0] * len(params)  # second moment: the running mean of its square
        self.num_steps = 0

    def step(self, learning_rate=None):
        """Update every parameter from its gradient, then set the gradient to 0."""
        lr = self.learning_rate if learning_rate is None else learning_rate
        beta1, beta2, eps, m, v = self.beta1, self.beta2, self.eps, self.m, self.v
        step = self.num_steps + 1
        for i, p in enumerate(self.params):
            m[i] = beta1 * m[i] + (1 - beta1) * p.grad
            v[i] = beta2 * v[i] + (1 - beta2) * p.grad**2
            m_hat = m[i] / (1 - beta1**step)
            v_hat = v[i] / (1 - beta2**step)
            p.data -= lr * m_hat / (v_hat**0.5 + eps)
            p.grad = 0
        self.num_steps = step

def train(documents, params, config, num_steps=1000, learning_rate=0.01):
    """Train in place, one document a step; yields each step's loss. documents: lists of token ids [BOS, ..., BOS]"""
    optimizer = Adam([p for matrix in params.values() for row in matrix for p in row])
    for step in range(num_steps):
        loss = document_loss(documents[step % len(documents)], params, config, relu)
        loss.backward()
        optimizer.step(learning_rate * (1 - step / num_steps))
        yield loss.data

def sample(params, config, bos, vocab_size, rng, temperature=0.5):
    """Write one document: draw each next token from the model's probabilities until BOS or block_size tokens."""
    keys, values = [[] for _ in range(config.n_layer)], [[] for _ in range(config.n_layer)]
    token_id, tokens = bos, []
    for pos_id in range(config.block_size):
        logits = gpt(token_id, pos_id, keys, values, params, config, relu)
        probs = softmax([logit / temperature for logit in logits])
        token_id = rng.choices(range(vocab_size), weights=[p.data for p in probs])[0]
        if token_id == bos: break
        tokens.append(token_id)
    return tokens

def main(path, config=Config, num_steps=1000, seed=42):
    rng = random.Random(seed)
    with open(path, encoding="utf-8") as file:
        docs = [line.strip() for line in file.read().strip().split("\n") if line.strip()]
    rng.shuffle(docs)
    print(f"num docs: {len(docs)}")
    chars = sorted(set("".join(docs)))  # a token for each character, and BOS, which begins and ends every document
    bos, vocab_size = len(chars), len(chars) + 1
    print(f"vocab size: {vocab_size}")
    params = {name: matrix(*shape, rng=rng) for name, shape in shapes(config, vocab_size).items()}
    print(f"num params: {sum(len(row) for matrix in params.values() for row in matrix)}")
    documents = [[bos, *map(chars.index, doc), bos] for doc in docs]
    for step, loss in enumerate(train(documents, params, config, num_steps), 1):
        print(f"step {step:4d} / {num_steps:4d} | loss {loss:.4f}")
    print("\n--- inference (new, hallucinated names) ---")
    for i in range(1, 21):
        print(f"sample {i:2d}: {''.join(chars[token] for token in sample(params, config, bos, vocab_size, rng))}")


# ==== Part two: what the options of the package add =========================================================================
# config: microgpt.GPTConfig; training: microgpt.TrainConfig. Each function says what its options mean, for every engine.

# fmt: on


def sigmoid(x):
    """1 / (1 + e**-x), computed from e**-|x|, which cannot overflow."""
    if x.data >= 0:
        return 1 / (1 + (-x).exp())
    e = x.exp()
    return e / (1 + e)


def tanh(x):
    """(e**x - e**-x) / (e**x + e**-x), computed from e**(-2|x|), which cannot overflow."""
    if x.data >= 0:
        e = (x * -2).exp()
        return (1 - e) / (1 + e)
    e = (x * 2).exp()
    return (e - 1) / (e + 1)


Value.sigmoid, Value.tanh = sigmoid, tanh

ACTIVATIONS = {  # of the MLP: GPTConfig.activation -> the function of a Value
    "relu": relu,
    "relu2": lambda x: x.relu() ** 2,  # of the first published revision (So et al., 2021)
    # GPT-2's, x * (1 + tanh(z / 2)) / 2 with z = sqrt(8 / pi) * (x + 0.044715 * x**3), as (1 + tanh(z / 2)) / 2 = sigmoid(z)
    "gelu": lambda x: x * ((x + 0.044715 * (x * x * x)) * 1.5957691216057308).sigmoid(),
    "silu": lambda x: x * x.sigmoid(),  # also called swish (Hendrycks and Gimpel, 2016)
}

def initial_std(name, config):
    """Standard deviation of the initial weights of a matrix. With scale_init, init_std is for the published width: a wider vector has more
    terms in each sum, and needs smaller weights for sums of the same size."""
    if config.zero_init_out and name.endswith((".attn_wo", ".mlp_fc2")):
        return 0.0
    return config.init_std * (Config.n_embd / config.n_embd) ** 0.5 if config.scale_init else config.init_std


SCHEDULES = {  # TrainConfig.schedule -> the fraction of the learning rate at a step (from 0)
    "linear": lambda step, num_steps: 1 - step / num_steps,
    "cosine": lambda step, num_steps: 0.5 * (1 + math.cos(math.pi * step / num_steps)),
    "constant": lambda step, num_steps: 1,
}


# A text is one stream of tokens, without BOS (GPTConfig.documents "text"). Its documents are windows of block_size + 1 tokens.
GOLDEN = 0x9E3779B97F4A7C15  # 2**64 times the golden section, 0.618...


def window(i, num_tokens, block_size, first):
    """Where document i of a text starts. first: where document 0 starts, a random number drawn in place of shuffling.

    Each starts 0.618 of the text after the previous one, wrapping round: so at any time the windows used so far cover the text evenly.
    """
    num_windows = max(1, num_tokens - block_size)
    share = i * GOLDEN % 2**64 >> 32  # of 2**32
    return (first + (share * num_windows >> 32)) % num_windows


def batch(step, batch_size, num_docs):
    """Which documents a step takes, as indices: the next batch_size documents; the first follows the last."""
    return [(step * batch_size + j) % num_docs for j in range(batch_size)]


def batch_loss(documents, params, config):
    """Mean of the losses of several documents, as one graph; for a single document, its loss itself."""
    losses = [document_loss(tokens, params, config, ACTIVATIONS[config.activation]) for tokens in documents]
    return losses[0] if len(losses) == 1 else (1 / len(losses)) * sum(losses)


def learning_rate(step, training):
    """The learning rate of a step (from 0): the schedule's value, and during the warm-up a growing fraction of it."""
    lowest = training.min_learning_rate
    lr = lowest + (training.learning_rate - lowest) * SCHEDULES[training.schedule](step, training.num_steps)
    return lr * ((step + 1) / training.warmup_steps) if step < training.warmup_steps else lr


def clip_gradients(params, clip_norm):
    """If the norm of all gradients, taken as one vector, exceeds clip_norm, scale them down to that norm."""
    squares = 0.0
    for p in params:
        squares += p.grad**2
    norm = squares**0.5
    if norm > clip_norm:
        scale = clip_norm / norm
        for p in params:
            p.grad = p.grad * scale


def decay_weights(params, lr, weight_decay):
    """Shrink every parameter towards 0, independently of its gradient (AdamW: Loshchilov and Hutter, 2019)."""
    for p in params:
        p.data -= lr * weight_decay * p.data


def update(params, optimizer, training, step):
    """The rest of a training step after backward(): update the parameters and set the gradients to 0."""
    lr = learning_rate(step, training)
    if training.clip_norm is not None:
        clip_gradients(params, training.clip_norm)
    if training.weight_decay:
        decay_weights(params, lr, training.weight_decay)
    optimizer.step(lr)


def train_with(documents, params, config, training):
    """Train in place, as the options say; yields each step's loss. documents: lists of token ids [BOS, ..., BOS]"""
    values = [p for matrix in params.values() for row in matrix for p in row]
    optimizer = Adam(values, training.learning_rate, training.beta1, training.beta2, training.eps)
    for step in range(training.num_steps):
        chosen = batch(step, training.batch_size, len(documents))
        loss = batch_loss([documents[i] for i in chosen], params, config)
        loss.backward()
        update(values, optimizer, training, step)
        yield loss.data


def context(tokens, bos, config):
    """The part of the tokens so far that the model reads: all of them, up to block_size; beyond that the later half, until the block is
    full again.

    That half of a document begins with BOS, as in training; that of a text begins with any token, also as in training.
    """
    half = config.block_size - config.block_size // 2
    start = half * max(0, -(-(len(tokens) - config.block_size) // half))
    seen = tokens[start:]
    return [bos, *seen[1:]] if start and config.documents != "text" else seen


def write(params, config, tokens, length, bos, vocab_size, rng, temperature=0.5):
    """Continue `tokens`, which begin with BOS: by up to `length` tokens, or until BOS. In a text, BOS is never written."""
    tokens, end = list(tokens), len(tokens) + length
    while len(tokens) < end:
        keys, values = [[] for _ in range(config.n_layer)], [[] for _ in range(config.n_layer)]
        for pos_id, token_id in enumerate(context(tokens, bos, config)):
            logits = gpt(token_id, pos_id, keys, values, params, config, ACTIVATIONS[config.activation])
        if config.documents == "text":
            logits[bos] = Value(-math.inf)
        probs = softmax([logit / temperature for logit in logits])
        token_id = rng.choices(range(vocab_size), weights=[p.data for p in probs])[0]
        if token_id == bos:
            break
        tokens.append(token_id)
    return tokens[end - length :]


if __name__ == "__main__":
    import sys

    if len(sys.argv) != 2:
        sys.exit("usage: python reference.py FILE\n\nTrain on FILE, a text with one name a line, and print twenty new names.")
    main(sys.argv[1])
