"""A model as JSON text, exact: Python writes a float with the digits that give the same float when read.

{"format": "microgpt-json-1", "config": {"n_layer": 1, ...}, "characters": "abc...",
 "weights": {"wte": [[0.012, ...], ...], ...}}
"""

import json
from dataclasses import asdict

from microgpt.common.words import shortened
from microgpt.config import GPTConfig
from microgpt.storage import parameters, schema
from microgpt.storage.schema import CheckpointError
from microgpt.tokenizer import Tokenizer

FORMAT = "microgpt-json-1"
KEYS = ("format", "config", "characters", "weights")


def to_json(model):
    weights = {name: view.tolist() for name, view in model.state_dict().items()}
    whole = {
        "format": FORMAT, "config": asdict(model.config), "characters": model.tokenizer.chars, "weights": weights,
    }  # fmt: skip
    try:
        return json.dumps(whole, allow_nan=False)
    except ValueError:
        raise CheckpointError("the weights cannot be written as JSON: not all numbers are finite") from None


def from_json(text):
    """(config, tokenizer, parameters as an array of doubles)."""
    if not isinstance(text, (str, bytes, bytearray)):
        raise TypeError(f"from_json takes JSON text, as to_json gives it, not {type(text).__name__}")
    try:
        whole = json.loads(text, object_pairs_hook=_distinct)
    except CheckpointError:
        raise
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"this text is not JSON, or only a part of it: {shortened(str(error), 100)}") from None
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise CheckpointError(f'this JSON is not a model that to_json wrote: it has no "format": "{FORMAT}"')
    for name in KEYS:
        if name not in whole:
            raise CheckpointError(f"this JSON is not a model: it lacks the key {name!r}")
    given, characters, weights = whole["config"], whole["characters"], whole["weights"]
    if not isinstance(given, dict) or not isinstance(characters, str) or not isinstance(weights, dict):
        raise CheckpointError("this JSON is not a model: its 'config' and 'weights' must be objects and its 'characters' a string")
    try:
        schema.check_known(whole, KEYS, "key")
        config = schema.build(GPTConfig, given, "its 'config'", most=len(text))
    except schema.UnknownError as error:
        raise CheckpointError(f"this JSON is not a model, or a newer microgpt wrote it: it {error}") from None
    except CheckpointError as error:
        raise CheckpointError(f"this JSON is not a model: it {error}") from None
    try:
        tokenizer = Tokenizer(characters, config.bos_first)
        return config, tokenizer, parameters(weights, config, tokenizer)
    except (ValueError, TypeError, OverflowError) as error:
        raise CheckpointError(f"this JSON is not a model: {error}") from None


def _distinct(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise CheckpointError("this JSON is not a model: an object has the same key twice")
    return found
