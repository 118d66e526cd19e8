"""The model in PyTorch on the CPU: microgpt's own module with torch.optim.Adam, eager or compiled, for one document or a batch."""

from functools import partial

import torch

from microgpt.storage.pytorch import cross_entropy, pad

NEEDS = ["torch"]


class TorchGPT:
    """The module of a microgpt.GPT, and Adam. compiled: let torch.compile fuse the loss."""

    def __init__(self, model, dtype=torch.float32, compiled=False):
        self.module = model.to_torch(dtype)
        self.batch_loss = torch.compile(self._batch_loss, dynamic=True) if compiled else self._batch_loss
        self.optimizer, self.num_steps = None, 0

    def step(self, documents, training):
        """One training step on a list of documents (token ids); returns the mean of their losses."""
        if self.optimizer is None:
            self.optimizer = torch.optim.Adam(
                self.module.parameters(), training.learning_rate, (training.beta1, training.beta2), training.eps, fused=True
            )
        self.optimizer.param_groups[0]["lr"] = training.lr(self.num_steps)
        self.num_steps += 1
        loss = self.batch_loss(*pad(documents, self.module.config.block_size))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def loss_and_gradients(self, documents):
        """The mean loss of the documents and its gradients, name -> array."""
        loss = self.batch_loss(*pad(documents, self.module.config.block_size))
        loss.backward()
        grads = {name.removesuffix(".weight"): p.grad.numpy().copy() for name, p in self.module.named_parameters()}
        self.module.zero_grad()
        return loss.item(), grads

    def _batch_loss(self, inputs, targets):
        return cross_entropy(self.module(inputs), targets)


def variants():
    """Name -> (function from a microgpt.GPT to a trainer, documents per step)."""
    made = {}
    for kind in ("eager", "compiled"):
        for dtype, batch, threads in [
            (torch.float32, 1, 1), (torch.float32, 16, 1), (torch.float32, 16, 2), (torch.float32, 64, 2), (torch.float64, 1, 1), (torch.float64, 16, 1),
        ]:  # fmt: skip
            name = f"PyTorch {kind} {str(dtype)[6:]}, batch {batch}" + (f", {threads} threads" if threads > 1 else "")
            made[name] = partial(_make, dtype, kind == "compiled", threads), batch
    return made


def _make(dtype, compiled, threads, model):
    torch.set_num_threads(threads)
    return TorchGPT(model, dtype, compiled)
