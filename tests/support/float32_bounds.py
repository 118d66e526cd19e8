"""Bounds for the errors of the fast engine: NumPy code in float64 that computes a bound together with every number.

A `Near` is a tensor of values and one of errors: the float32 program's number is at most `error` from `value`. Each function
below takes over what its operands bring along and adds its own roundings, of which n change a number x by at most
gamma(n) * |x|, in whatever order sums are taken and whether or not a product and a sum are rounded at once (Higham, Accuracy and
Stability of Numerical Algorithms, 2002, chapter 3). Nothing is left out as small, so this is a bound, not an estimate; and a
pessimistic one, because errors never cancel in it.
"""

import numpy as np

U = 2.0**-24  # the largest relative error of one rounding
TINY = 2.0**-126  # only smaller numbers become 0
FUNCTION = 4 * U  # relative error of vexp() and vlog()
RANGE = 1e36  # beyond this, something may have overflowed


def gamma(n):
    return n * U / (1 - n * U)


class Near:
    def __init__(self, value, error=0.0, roundings=0):
        self.value = np.asarray(value, dtype=np.float64)
        self.error = error + gamma(roundings) * (abs(self.value) + error) + (TINY if roundings else 0.0)
        self.error = np.broadcast_to(self.error, self.value.shape)

    def __getitem__(self, index):
        return Near(self.value[index], self.error[index])

    @property
    def T(self):
        return Near(self.value.T, self.error.T)

    @property
    def size(self):
        return abs(self.value) + self.error


def add(a, b):
    return Near(a.value + b.value, a.error + b.error, 1)


def subtract(a, b):
    return Near(a.value - b.value, a.error + b.error, 1)


def times(a, b, roundings=1):
    return Near(a.value * b.value, abs(a.value) * b.error + a.error * b.size, roundings)


def scaled(a, constant):
    """a * constant, where the constant is rounded too."""
    return Near(a.value * constant, a.error * abs(constant), 2)


class Sum:
    """A matrix of sums over the last axis of a and the first of b, to which more terms may be added."""

    def __init__(self):
        self.value = self.error = self.size = 0.0
        self.terms = 0

    def plus(self, a, b):
        self.value = self.value + a.value @ b.value
        self.error = self.error + abs(a.value) @ b.error + a.error @ b.size
        self.size = self.size + a.size @ b.size
        self.terms += a.value.shape[-1]
        return self

    def near(self):
        return Near(self.value, self.error + gamma(self.terms) * self.size + self.terms * TINY)


def dot(a, b):
    return Sum().plus(a, b).near()


def dot_rows(a, b):
    """(tokens, 1): the dot product of each row of a with that of b."""
    n, size = a.value.shape[1], (a.size * b.size).sum(1)
    error = (abs(a.value) * b.error + a.error * b.size).sum(1) + gamma(n) * size + n * TINY
    return Near((a.value * b.value).sum(1)[:, None], error[:, None])


def rmsnorm(x):
    """(y, scale) of rows x: (tokens, n)"""
    mean = scaled(dot_rows(x, x), 1 / x.value.shape[1])
    low, high = (np.maximum(mean.value + sign * mean.error, 0) + 1e-5 for sign in (-1, 1))
    low, high = low * (1 - gamma(2)), high * (1 + gamma(2))
    scale = (mean.value + 1e-5) ** -0.5
    scale = Near(scale, np.maximum(low**-0.5 - scale, scale - high**-0.5), 3)
    return times(x, scale), scale


def rmsnorm_backward(dy, y, scale):
    mean = scaled(dot_rows(y, dy), 1 / y.value.shape[1])
    return times(scale, subtract(dy, times(y, mean)))


def softmax(x, seen):
    """(weights, argument errors) of rows of scores x, where `seen`; elsewhere the weights are 0."""
    largest = np.where(seen, x.value + x.error, -np.inf).max(-1, keepdims=True)
    margin = np.where(seen, x.error + gamma(2) * (largest - x.value + 2 * x.error), 0.0)
    shift = np.where(seen, x.value, -np.inf).max(-1, keepdims=True)
    k = np.where(seen, np.exp(np.minimum(x.value - shift, 0.0)), 0.0)
    value = k / k.sum(-1, keepdims=True)
    room = margin + 2 * FUNCTION
    bounds = []
    for sign in (1, -1):
        mine = k * np.exp(np.minimum(sign * room, 300.0))
        others = k * np.exp(np.minimum(-sign * room, 300.0))
        bounds.append(mine / (mine + (others.sum(-1, keepdims=True) - others).clip(0) + 1e-300))
    error = np.maximum(bounds[0] - value, value - bounds[1])
    n = seen.sum(-1, keepdims=True)
    error = error + gamma(2 * n + 4) * (value + error) + 3 * TINY
    return Near(value, np.where(seen, error, 0.0)), room


# ---- Activations: pre-activations -> (their activations, its derivatives at them), as in src/fast/activation.h ------------


def relu(x):
    """If x may be 0 within its error, either all or nothing passes; both are within the bound."""
    on, sure = x.value > 0, abs(x.value) > x.error
    act = Near(np.maximum(x.value, 0), np.where(x.value + x.error > 0, x.error, 0.0))
    return act, Near(np.where(on, 1.0, 0.0), np.where(sure, 0.0, 1.0))


def relu2(x):
    act, _ = relu(x)
    return times(act, act), Near(2 * act.value, 2 * act.error)


def sigmoid(z):
    e = np.exp(-abs(z))
    return np.where(z > 0, 1.0, e) / (1 + e)


def gated(x, z, dz):
    """x * s, and s + x * s * (1 - s) * dz, where s = sigmoid(z). Beyond |z| = 87, the float32 program takes s for 0 or 1."""
    s, low, high = sigmoid(z.value), sigmoid(z.value - z.error), sigmoid(z.value + z.error)
    s = Near(s, np.maximum(high - s, s - low) + FUNCTION * high + 2 * TINY, 3)
    slope, room = s.value * sigmoid(-z.value), np.minimum(z.error, 300.0)  # s changes by a factor of at most e**room
    largest = np.minimum(slope * np.exp(room), 0.25)
    error = np.maximum(largest - slope, slope * -np.expm1(-room))
    slope = Near(slope, error + 2 * FUNCTION * largest + 2 * TINY, 6)
    return times(x, s), add(times(times(slope, dz), x), s)


def gelu(x):
    k, square = 1.5957691216057308, times(x, x)
    low, value, high = (np.clip(square.value + sign * square.error, 0, 100) for sign in (-1, 0, 1))
    z = times(scaled(x, k), add(Near(1.0), scaled(square, 0.044715)))
    capped = Near(value, np.maximum(high - value, value - low))
    return gated(x, z, scaled(add(Near(1.0), scaled(capped, 3 * 0.044715)), k))


def silu(x):
    return gated(x, x, Near(1.0))


ACTIVATIONS = {"relu": relu, "relu2": relu2, "gelu": gelu, "silu": silu}


class Gradients:
    """The loss and gradients of a batch, as Nears: `loss`, and by name `gradients`. params: name -> float32 matrix."""

    def __init__(self, config, params, batch):
        self.config, self.w = config, {name: Near(w) for name, w in params.items()}
        self.sums = {name: Sum() for name in params}
        self.loss = Near(0.0)
        self.peak = 0.0  # the largest number that may occur
        cut = [tokens[: min(len(tokens), config.block_size + 1)] for tokens in batch]
        for tokens in cut:
            self._document(np.array(tokens[:-1]), np.array(tokens[1:]), len(batch))
        n_tokens = sum(len(tokens) - 1 for tokens in cut)
        for total in self.sums.values():
            total.terms = n_tokens
        self.gradients = {name: total.near() for name, total in self.sums.items()}
        self.loss = Near(self.loss.value, self.loss.error, 32)  # sums in float32 are short, see sum() in update.h
        for near in self.gradients.values():
            self._watch(near)

    def _watch(self, *nears):
        for near in nears:
            self.peak = max(self.peak, float(near.size.max()))
        return nears[0]

    def _linear(self, x, name):
        return self._watch(dot(x, self.w[name].T))

    def _back(self, dy, x, name):
        self.sums[name].plus(dy.T, x)
        return self._watch(dot(dy, self.w[name]))

    def _document(self, inputs, targets, batch_size):
        w, n = self.w, len(inputs)
        one_hot = np.zeros((len(w["wte"].value), n))
        one_hot[inputs, np.arange(n)] = 1.0
        x, scale0 = rmsnorm(add(w["wte"][inputs], w["wpe"][:n]))
        embedded, saved = x, []
        for i in range(self.config.n_layer):
            x, kept = self._layer(x, f"layer{i}.")
            saved.append(kept)
        d_logits = self._loss(self._linear(x, "lm_head"), targets, 1 / (n * batch_size))
        dx = self._back(d_logits, x, "lm_head")
        for i in reversed(range(self.config.n_layer)):
            dx = self._layer_back(dx, f"layer{i}.", *saved[i])
        dx = self._watch(rmsnorm_backward(dx, embedded, scale0))
        self.sums["wte"].plus(Near(one_hot), dx)
        positions = np.zeros((self.config.block_size, n))
        positions[np.arange(n), np.arange(n)] = 1.0
        self.sums["wpe"].plus(Near(positions), dx)

    def _loss(self, logits, targets, share):
        rows = np.arange(len(targets))
        target = np.arange(logits.value.shape[1]) == targets[:, None]
        p, room = softmax(logits, np.ones(logits.value.shape, dtype=bool))
        x, size = logits.value, logits.size.max(1)
        shift = x.max(1)
        total = np.exp(x - shift[:, None]).sum(1)
        loss = np.log(total) - (x[rows, targets] - shift)
        change = np.log((p.value * np.exp(np.minimum(room, 300.0))).sum(1)) + room[rows, targets] + gamma(p.value.shape[1])
        change = change + 2 * FUNCTION * np.log(total) + gamma(3) * (loss + change + 2 * size)
        self.loss = add(self.loss, Near((loss * share).sum(), (change * share).sum() + gamma(2) * (loss + change).sum() * share))
        others = scaled(p, share)
        others = Near(np.where(target, 0.0, others.value), np.where(target, 0.0, others.error))
        total = dot(others, Near(np.ones((p.value.shape[1], 1))))
        return Near(np.where(target, -total.value, others.value), np.where(target, total.error, others.error), 1)

    def _layer(self, x, layer):
        c, n, residual = self.config, len(x.value), x
        norm1, scale1 = rmsnorm(x)
        q, k, v = (self._linear(norm1, layer + f"attn_w{name}") for name in "qkv")
        seen = np.tril(np.ones((n, n), dtype=bool))
        weights, heads = [], Near(np.zeros((n, 0)))
        for h in range(c.n_head):
            head = slice(h * c.head_dim, (h + 1) * c.head_dim)
            scores = self._watch(dot(q[:, head], k[:, head].T))
            weights.append(softmax(scaled(scores, c.head_dim**-0.5), seen)[0])
            out = dot(weights[-1], v[:, head])
            heads = Near(np.hstack([heads.value, out.value]), np.hstack([heads.error, out.error]))
        mid = add(self._linear(heads, layer + "attn_wo"), residual)
        norm2, scale2 = rmsnorm(mid)
        pre = self._linear(norm2, layer + "mlp_fc1")
        act, slope = ACTIVATIONS[c.activation](pre)
        out = add(self._linear(self._watch(act), layer + "mlp_fc2"), mid)
        return out, (norm1, scale1, q, k, v, weights, heads, norm2, scale2, act, slope)

    def _layer_back(self, d_out, layer, norm1, scale1, q, k, v, weights, heads, norm2, scale2, act, slope):
        c = self.config
        d_pre = times(self._back(d_out, act, layer + "mlp_fc2"), slope)
        d_norm = self._back(d_pre, norm2, layer + "mlp_fc1")
        d_mid = add(rmsnorm_backward(d_norm, norm2, scale2), d_out)
        d_heads = self._back(d_mid, heads, layer + "attn_wo")
        derivatives = {name: [] for name in "qkv"}
        for h in range(c.n_head):
            head = slice(h * c.head_dim, (h + 1) * c.head_dim)
            d_head, out = d_heads[:, head], heads[:, head]
            d_weight = dot(d_head, v[:, head].T)
            ds = times(scaled(weights[h], c.head_dim**-0.5), subtract(d_weight, dot_rows(out, d_head)))
            ds = Near(ds.value, np.where(weights[h].size > 0, ds.error, 0.0))
            derivatives["q"].append(dot(ds, k[:, head]))
            derivatives["k"].append(dot(ds.T, q[:, head]))
            derivatives["v"].append(dot(weights[h].T, d_head))
        d_norm = Sum()
        for name, parts in derivatives.items():
            d = Near(np.hstack([part.value for part in parts]), np.hstack([part.error for part in parts]))
            self.sums[layer + "attn_w" + name].plus(d.T, norm1)
            d_norm.plus(d, self.w[layer + "attn_w" + name])
        return add(self._watch(rmsnorm_backward(d_norm.near(), norm1, scale1)), d_mid)
