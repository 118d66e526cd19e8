"""The model in PyTorch on the CPU: autograd, torch.optim.Adam; eager and compiled, one document or a padded batch."""

import torch
from torch.nn import functional as F

NEEDS = ["torch"]


class TorchGPT:
    """Parameters name -> tensor, and Adam. compiled: let torch.compile fuse the loss."""

    def __init__(self, config, state, dtype=torch.float32, compiled=False):
        self.config, self.dtype = config, dtype
        self.params = {
            name: torch.tensor(view.tolist(), dtype=dtype, requires_grad=True) for name, view in state.items()
        }
        self.batch_loss = torch.compile(self._batch_loss, dynamic=True) if compiled else self._batch_loss
        self.optimizer, self.num_steps = None, 0

    def step(self, documents, training):
        """One training step on a list of documents (token ids); returns the mean of their losses."""
        if self.optimizer is None:
            self.optimizer = torch.optim.Adam(
                self.params.values(), training.learning_rate, (training.beta1, training.beta2), training.eps, fused=True
            )
        self.optimizer.param_groups[0]["lr"] = training.lr(self.num_steps)
        self.num_steps += 1
        loss = self.batch_loss(*self.padded(documents))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def loss_and_gradients(self, documents):
        """Mean loss of the documents and its gradients, name -> array."""
        loss = self.batch_loss(*self.padded(documents))
        loss.backward()
        grads = {name: p.grad.numpy().copy() for name, p in self.params.items()}
        for p in self.params.values():
            p.grad = None
        return loss.item(), grads

    def padded(self, documents):
        """inputs and targets (documents, longest), 0 where a document has ended, and each position's share of the loss."""
        lengths = [min(self.config.block_size, len(tokens) - 1) for tokens in documents]
        longest = max(lengths)
        inputs = [tokens[:n] + [0] * (longest - n) for tokens, n in zip(documents, lengths)]
        targets = [tokens[1 : n + 1] + [0] * (longest - n) for tokens, n in zip(documents, lengths)]
        shares = [[1 / n / len(documents)] * n + [0.0] * (longest - n) for n in lengths]
        return torch.tensor(inputs), torch.tensor(targets), torch.tensor(shares, dtype=self.dtype)

    def _batch_loss(self, inputs, targets, shares):
        config, params = self.config, self.params
        batch, n = inputs.shape
        heads = (batch, n, config.n_head, config.head_dim)
        x = rmsnorm(params["wte"][inputs] + params["wpe"][:n])
        for i in range(config.n_layer):
            a = rmsnorm(x)
            q, k, v = (
                F.linear(a, params[f"layer{i}.{part}"]).view(heads).transpose(1, 2)
                for part in ("attn_wq", "attn_wk", "attn_wv")
            )
            found = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, n, -1)
            x = x + F.linear(found, params[f"layer{i}.attn_wo"])
            hidden = torch.relu(F.linear(rmsnorm(x), params[f"layer{i}.mlp_fc1"]))
            if config.activation == "relu2":
                hidden = hidden**2
            x = x + F.linear(hidden, params[f"layer{i}.mlp_fc2"])
        logits = F.linear(x, params["lm_head"])
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return (losses * shares.flatten()).sum()


def rmsnorm(x):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5)


def variants():
    """Name -> (make a trainer of (config, state), documents a step)."""
    torch.set_num_threads(1)
    made = {}
    for compiled in (False, True):
        for dtype in (torch.float32, torch.float64):
            for batch in (1, 16):
                name = f"PyTorch {'compiled' if compiled else 'eager'} {str(dtype)[6:]}, batch {batch}"
                made[name] = (lambda config, state, d=dtype, c=compiled: TorchGPT(config, state, d, c), batch)
    return made
