"""The model in NumPy: one document at a time, all positions at once, with a hand-written backward pass."""

import numpy as np

NEEDS = ["numpy"]
ACTIVATIONS = ("relu", "relu2")


class NumpyGPT:
    """Parameters name -> array, and Adam. dtype: "float64" or "float32"."""

    def __init__(self, model, dtype="float64"):
        if model.config.activation not in ACTIVATIONS:
            raise ValueError(f"this model in NumPy computes {', '.join(ACTIVATIONS)}, not {model.config.activation}")
        self.config = model.config
        self.params = {name: np.array(view, dtype) for name, view in model.to_numpy().items()}
        self.m = {name: np.zeros_like(p) for name, p in self.params.items()}
        self.v = {name: np.zeros_like(p) for name, p in self.params.items()}
        self.num_steps = 0

    def step(self, documents, training):
        """One training step on a list of one document (token ids); returns the loss."""
        [tokens] = documents
        loss, grads = self.loss_and_gradients([tokens])
        lr = training.lr(self.num_steps)
        self.num_steps += 1
        c1, c2 = 1 - training.beta1**self.num_steps, 1 - training.beta2**self.num_steps
        for name, p in self.params.items():
            g, m, v = grads[name], self.m[name], self.v[name]
            m += (1 - training.beta1) * (g - m)
            v += (1 - training.beta2) * (g * g - v)
            p -= lr * (m / c1) / (np.sqrt(v / c2) + training.eps)
        return float(loss)

    def loss_and_gradients(self, documents):
        """The mean loss of one document and its gradients, name -> array."""
        [tokens] = documents
        config, params = self.config, self.params
        n = min(config.block_size, len(tokens) - 1)
        inputs, targets, rows = np.array(tokens[:n]), np.array(tokens[1 : n + 1]), np.arange(n)
        grads = {name: np.zeros_like(p) for name, p in params.items()}
        heads, future = (n, config.n_head, config.head_dim), np.triu(np.ones((n, n), bool), 1)
        root = config.head_dim**0.5

        embedding = params["wte"][inputs] + params["wpe"][:n]
        x, scale0 = rmsnorm(embedding)
        saved = []
        for i in range(config.n_layer):
            w = {part: params[f"layer{i}.{part}"] for part in PARTS}
            a, scale1 = rmsnorm(x)
            q, k, v = ((a @ w[part].T).reshape(heads) for part in ("attn_wq", "attn_wk", "attn_wv"))
            scores = np.einsum("phd,thd->hpt", q, k) / root
            weights = softmax(np.where(future, -np.inf, scores))
            found = np.einsum("hpt,thd->phd", weights, v).reshape(n, -1)
            mid = found @ w["attn_wo"].T + x
            b, scale2 = rmsnorm(mid)
            pre = b @ w["mlp_fc1"].T
            hidden = np.maximum(pre, 0)
            act = hidden**2 if config.activation == "relu2" else hidden
            saved.append((w, x, a, scale1, q, k, v, weights, found, mid, b, scale2, hidden, act))
            x = act @ w["mlp_fc2"].T + mid
        probs = softmax(x @ params["lm_head"].T)
        loss = -np.log(probs[rows, targets]).mean()

        d_logits = probs.copy()
        d_logits[rows, targets] -= 1
        d_logits /= n
        grads["lm_head"] = d_logits.T @ x
        dx = d_logits @ params["lm_head"]
        for i in reversed(range(config.n_layer)):
            w, x, a, scale1, q, k, v, weights, found, mid, b, scale2, hidden, act = saved[i]
            grads[f"layer{i}.mlp_fc2"] = dx.T @ act
            d_act = dx @ w["mlp_fc2"]
            d_pre = d_act * (2 * hidden if config.activation == "relu2" else hidden > 0)
            grads[f"layer{i}.mlp_fc1"] = d_pre.T @ b
            d_mid = dx + d_rmsnorm(d_pre @ w["mlp_fc1"], mid, scale2)
            grads[f"layer{i}.attn_wo"] = d_mid.T @ found
            d_found = (d_mid @ w["attn_wo"]).reshape(heads)
            d_weights = np.einsum("phd,thd->hpt", d_found, v)
            d_scores = weights * (d_weights - (d_weights * weights).sum(-1, keepdims=True)) / root
            d_v = np.einsum("hpt,phd->thd", weights, d_found).reshape(n, -1)
            d_q = np.einsum("hpt,thd->phd", d_scores, k).reshape(n, -1)
            d_k = np.einsum("hpt,phd->thd", d_scores, q).reshape(n, -1)
            d_a = 0
            for part, d in (("attn_wq", d_q), ("attn_wk", d_k), ("attn_wv", d_v)):
                grads[f"layer{i}.{part}"] = d.T @ a
                d_a = d_a + d @ w[part]
            dx = d_mid + d_rmsnorm(d_a, x, scale1)
        d_embedding = d_rmsnorm(dx, embedding, scale0)
        np.add.at(grads["wte"], inputs, d_embedding)
        grads["wpe"][:n] = d_embedding
        return loss, grads


PARTS = ("attn_wq", "attn_wk", "attn_wv", "attn_wo", "mlp_fc1", "mlp_fc2")


def rmsnorm(x):
    """x: (n, features) -> normed, and the factor of each row, (n, 1)"""
    scale = ((x * x).mean(-1, keepdims=True) + 1e-5) ** -0.5
    return x * scale, scale


def d_rmsnorm(dy, x, scale):
    return dy * scale - x * (scale**3 * (dy * x).mean(-1, keepdims=True))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def variants():
    """Name -> (function from a microgpt.GPT to a trainer, documents per step)."""
    return {
        "NumPy float64": (NumpyGPT, 1),
        "NumPy float32": (lambda model: NumpyGPT(model, "float32"), 1),
    }
