import os
import random

import pytest
from command_line import NAMES
from models import ALPHABET

import microgpt
from microgpt import GPTConfig, TrainConfig


@pytest.fixture
def on_path(monkeypatch):
    """A function that switches to one instruction set and libm path for the engines made after it."""

    def switch(isa, libm):
        monkeypatch.setenv("MICROGPT_ISA", isa)
        monkeypatch.setenv("MICROGPT_LIBM", libm)

    return switch


@pytest.fixture(scope="module")
def docs():
    """Names where they are at hand (MICROGPT_NAMES), else something like them."""
    path, rng = os.environ.get("MICROGPT_NAMES"), random.Random(42)
    if path:
        with open(path, encoding="utf-8") as file:
            docs = file.read().split()
    else:
        docs = ["".join(rng.choices(ALPHABET[:26], k=rng.randint(2, 15))) for _ in range(5000)]
    rng.shuffle(docs)
    return docs


@pytest.fixture(scope="module")
def model():
    return microgpt.train(NAMES, GPTConfig(n_embd=8), TrainConfig(num_steps=30)).model


@pytest.fixture
def saved(model, tmp_path):
    path = str(tmp_path / "model")
    model.save(path)
    return path
