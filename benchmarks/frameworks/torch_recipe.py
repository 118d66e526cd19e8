"""nanoGPT's model and recipe for a CPU in PyTorch, from its README's section on Shakespeare on a laptop.

https://github.com/karpathy/nanoGPT, "I only have a macbook": 4 layers, 4 heads, n_embd 128, block 64, batch 12, 2,000 steps, no
dropout; from its config/train_shakespeare_char.py: AdamW with 0.001 after 100 steps of warm-up, decaying by a cosine to a tenth, betas
0.9 and 0.99, weight decay 0.1 for matrices only, gradients clipped to norm 1.
"""

import math

import torch
from torch import nn
from torch.nn import functional

BLOCK, BATCH, STEPS, WARMUP, RATE, LEAST = 64, 12, 2000, 100, 1e-3, 1e-4


class Block(nn.Module):
    def __init__(self, width, n_head):
        super().__init__()
        self.n_head = n_head
        self.norm1, self.norm2 = (nn.LayerNorm(width, bias=False) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        batch, n, width = x.shape
        q, k, v = (part.view(batch, n, self.n_head, -1).transpose(1, 2) for part in self.qkv(self.norm1(x)).split(width, 2))
        heads = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(heads.transpose(1, 2).reshape(batch, n, width))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, vocab_size, n_layer=4, width=128, n_head=4):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab_size, width), nn.Embedding(BLOCK, width)
        self.blocks = nn.ModuleList(Block(width, n_head) for _ in range(n_layer))
        self.norm, self.head = nn.LayerNorm(width, bias=False), nn.Linear(width, vocab_size, bias=False)
        for name, p in self.named_parameters():
            if p.dim() >= 2:
                scaled = (2 * n_layer) ** -0.5 if name.endswith(("out.weight", "down.weight")) else 1
                nn.init.normal_(p, 0, 0.02 * scaled)
        self.head.weight = self.tokens.weight

    def forward(self, inputs, targets):
        """The mean loss of tokens, each tensor of shape (documents, positions)."""
        x = self.tokens(inputs) + self.positions.weight[: inputs.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def learning_rate(step):
    """The learning rate of a step, from 0."""
    if step < WARMUP:
        return RATE * (step + 1) / (WARMUP + 1)
    return LEAST + 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))) * (RATE - LEAST)


class Recipe:
    """A model and its training. text, held_out: tensors of token ids."""

    def __init__(self, text, held_out, vocab_size, threads, seed=1337, compiled=False):
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        self.text, self.held_out, self.done = text, held_out, 0
        self.model = GPT(vocab_size)
        decayed = [p for p in self.model.parameters() if p.dim() >= 2]
        others = [p for p in self.model.parameters() if p.dim() < 2]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, RATE, (0.9, 0.99), fused=True)
        self.loss = torch.compile(self.model) if compiled else self.model

    def train(self, steps):
        for _ in range(steps):
            starts = torch.randint(len(self.text) - BLOCK, (BATCH,)).tolist()
            windows = torch.stack([self.text[start : start + BLOCK + 1] for start in starts])
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.done)
            self.loss(windows[:, :-1], windows[:, 1:]).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.done += 1

    @torch.no_grad()
    def evaluate(self):
        """The mean loss per held-out character, in consecutive windows."""
        n = (len(self.held_out) - 1) // BLOCK
        inputs, targets = (self.held_out[k : k + n * BLOCK].view(n, BLOCK) for k in (0, 1))
        total = sum(self.model(a, b).item() * len(a) for a, b in zip(inputs.split(64), targets.split(64)))
        return total / n
