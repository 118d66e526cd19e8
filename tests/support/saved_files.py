"""A run for the tests of saved files, and a file's header."""

import json

from microgpt import GPTConfig, TrainConfig

DOCS = ["emma", "olivia", "ava", "isabella", "sophia", "mia", "zoë", "김민준", "😀\ud800"]
CONFIG = GPTConfig(n_embd=8, n_head=2, block_size=6)
TRAINING = TrainConfig(num_steps=12)


def header_of(data):
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(header, body):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body
