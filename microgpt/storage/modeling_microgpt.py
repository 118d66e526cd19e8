"""A microgpt model in PyTorch, from a folder of save_pretrained: `model = load(folder); model(model.encode("emma"))`."""

import json
import os

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

ACTIVATIONS = {"relu": F.relu, "relu2": lambda x: F.relu(x) ** 2, "gelu": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu}


class MicroGPT(torch.nn.Module):
    """config: that of config.json; weights: name -> matrix. Token ids (batch, positions) -> logits (batch, positions, vocab_size)."""

    def __init__(self, config, weights):
        super().__init__()
        self.config, self.names = config, {name: name.replace(".", "_") for name in weights}
        for name, matrix in weights.items():
            self.register_parameter(self.names[name], torch.nn.Parameter(matrix))

    def forward(self, tokens):
        w, config = {name: getattr(self, own) for name, own in self.names.items()}, self.config
        x = F.rms_norm(w["wte"][tokens] + w["wpe"][: tokens.shape[1]], (config["n_embd"],), eps=1e-5)
        for i in range(config["n_layer"]):
            q, k, v, out, fc1, fc2 = (w[f"layer{i}.{name}"] for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo", "mlp_fc1", "mlp_fc2"))
            normed = F.rms_norm(x, x.shape[-1:], eps=1e-5)
            heads = (F.linear(normed, m).unflatten(-1, (config["n_head"], -1)).transpose(1, 2) for m in (q, k, v))
            x = x + F.linear(F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).flatten(2), out)
            x = x + F.linear(ACTIVATIONS[config["activation"]](F.linear(F.rms_norm(x, x.shape[-1:], eps=1e-5), fc1)), fc2)
        return F.linear(x, w["lm_head"])

    def encode(self, text):
        """The token ids of `text`, preceded by the token that begins a document, (1, len(text) + 1)."""
        ids = {char: i for i, char in enumerate(self.config["characters"], self.config["first_character_id"])}
        return torch.tensor([[self.config["opening_id"], *(ids[char] for char in text)]])


def load(folder):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        return MicroGPT(json.load(file), load_file(os.path.join(folder, "model.safetensors")))
