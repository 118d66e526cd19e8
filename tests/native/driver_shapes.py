"""Prints shapes.h for driver.h: the models that the C drivers train, laid out as microgpt.config does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from microgpt.config import GPTConfig
from microgpt.reference import ACTIVATIONS

VOCAB = 11
MODELS = [
    GPTConfig(n_layer=1, n_embd=16, n_head=4, block_size=16),
    *(GPTConfig(n_layer=2, n_embd=24, n_head=2, block_size=40, activation=activation) for activation in ACTIVATIONS),
    GPTConfig(n_layer=1, n_embd=9, n_head=3, block_size=7),
    GPTConfig(n_layer=1, n_embd=80, n_head=5, block_size=16),
    GPTConfig(n_layer=2, n_embd=36, n_head=2, block_size=16),
    GPTConfig(n_layer=1, n_embd=130, n_head=5, block_size=40),  # products in blocks
]


def shape(config):
    """A Shape of src/common/shape.h, as set_shape() in shape.pxi fills it in."""
    start, layer_params = config.starts(VOCAB)
    first_layer = ("attn_wq", "attn_wk", "attn_wv", "attn_wo", "mlp_fc1", "mlp_fc2")
    fields = {
        **{name: getattr(config, name) for name in ("n_layer", "n_embd", "n_head", "head_dim", "n_mlp", "block_size")},
        "vocab": "VOCAB",
        "activation": f"ACTIVATION_{config.activation.upper()}",
        "inverse_n_embd": config.n_embd**-1,
        "inverse_root": (config.head_dim**0.5) ** -1,
        "n_params": config.num_params(VOCAB),
        **{name: start[name] for name in ("wte", "wpe", "lm_head")},
        "first_layer": "{" + ", ".join(str(start[f"layer0.{name}"]) for name in first_layer) + "}",
        "layer_params": layer_params,
    }
    return "{" + ", ".join(f".{name} = {value}" for name, value in fields.items()) + "}"


print(f"enum {{ VOCAB = {VOCAB}, SHAPES = {len(MODELS)} }};")
print("static const Shape shapes[SHAPES] = {", *(f"    {shape(model)}," for model in MODELS), "};", sep="\n")
