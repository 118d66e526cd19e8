"""Models and runs as safetensors files: names, shapes and float64 bits as in the reference's state_dict.

A file holds a model: its matrices, and as metadata its configuration, its characters and the versions that wrote it.
That of a run has also what it takes to go on: see `Progress`. Nothing in a file is trusted: whatever does not fit is a
CheckpointError.

    magic number: none. 8 bytes: length of the header; the header, JSON: name -> {dtype, shape, data_offsets}, and
    "__metadata__": name -> string; then the tensors' bytes. (See https://github.com/huggingface/safetensors.)
"""

import json
import math
import os
import stat
import sys
from array import array
from dataclasses import asdict, fields
from typing import NamedTuple

from microgpt.config import EvalConfig, GPTConfig, TrainConfig
from microgpt.corpus.documents import LONG
from microgpt.engines import DEFAULT, ENGINES
from microgpt.common.files import write_atomically
from microgpt.tokenizer import Tokenizer

FORMAT = "microgpt-1"
LONGEST_HEADER = 100_000_000  # safetensors' own limit
MOMENTS = ("training.adam_m", "training.adam_v")
LOSSES = "training.losses"
BEST = "training.best_params"


class CheckpointError(ValueError):
    """A saved model or run that cannot be used; the message says why."""


class Progress(NamedTuple):
    """How far a run has come, and all it needs to go on; what it was started with stands beside it in a Checkpoint."""

    losses: array  # of doubles, one for each step done
    m: array  # Adam's moments, doubles in parameter order
    v: array
    rng: tuple  # random.Random.getstate()
    val_losses: list  # [step, held-out loss], in order
    best_params: array | None = None  # those of the best held-out loss so far, where the run has patience


class Source(NamedTuple):
    """What a run was started with, beside GPTConfig, TrainConfig and EvalConfig."""

    seed: int
    long: str  # what was done with long documents, see microgpt.corpus.documents
    num_docs: int  # of the corpus trained on
    fingerprint: str  # SHA-256 of all the documents' tokens, in order; see Run.fingerprint
    engine: str = DEFAULT  # that computed it last


class Checkpoint(NamedTuple):
    """What a file holds. training, evaluation, source and progress: None where it is a model only."""

    config: GPTConfig
    tokenizer: Tokenizer
    params: array  # doubles, in parameter order
    training: TrainConfig | None = None
    evaluation: EvalConfig | None = None
    source: Source | None = None
    progress: Progress | None = None


# ---- Writing ---------------------------------------------------------------------------------------------------------


def write(path, checkpoint):
    """Write a Checkpoint to the file `path`, all of it or nothing. CheckpointError for weights that are not finite."""
    import platform

    import safetensors

    from microgpt import __version__

    config, tokenizer, progress = checkpoint.config, checkpoint.tokenizer, checkpoint.progress
    metadata = {
        "format": FORMAT, "microgpt": __version__, "python": platform.python_version(),
        "config": json.dumps(asdict(config)), "characters": json.dumps(tokenizer.chars),
    }  # fmt: skip
    tensors, start = {}, 0
    params = array("d", checkpoint.params)
    _check_numbers(params, "the weights cannot be saved")
    for name, (rows, columns) in config.shapes(tokenizer.vocab_size).items():
        tensors[name] = params[start : start + rows * columns], [rows, columns]
        start += rows * columns
    if progress is not None:
        metadata |= {
            "training": json.dumps(asdict(checkpoint.training)),
            "evaluation": json.dumps(asdict(checkpoint.evaluation)),
            "source": json.dumps(checkpoint.source._asdict()),
            "progress": json.dumps(_progress_as_json(progress)),
        }
        for name, numbers in zip((*MOMENTS, LOSSES), (progress.m, progress.v, progress.losses)):
            numbers = array("d", numbers)
            _check_numbers(numbers, "the state of training cannot be saved")
            tensors[name] = numbers, [len(numbers)]
        if progress.best_params is not None:
            _check_numbers(progress.best_params, "the best weights cannot be saved")
            tensors[BEST] = array("d", progress.best_params), [len(params)]
    if sys.byteorder == "big":
        for numbers, _ in tensors.values():
            numbers.byteswap()
    specs = {}
    for name, (numbers, shape) in tensors.items():  # `tensors` keeps the memory alive that the addresses point to
        address, length = numbers.buffer_info()
        specs[name] = safetensors.TensorSpec(dtype="float64", shape=shape, data_ptr=address, data_len=8 * length)
    data = safetensors.serialize(specs, metadata)
    try:
        write_atomically(path, data)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{_called(path)} cannot be written: {reason}; what was there before is unchanged") from error


def _progress_as_json(progress):
    version, words, gauss = progress.rng
    return {
        "steps": len(progress.losses), "rng": [version, list(words), None if gauss is None else gauss.hex()],
        "val_losses": [[step, loss.hex()] for step, loss in progress.val_losses],
    }  # fmt: skip


# ---- Reading ---------------------------------------------------------------------------------------------------------


def read(path):
    """The Checkpoint in a file. OSError where it cannot be read, CheckpointError where it is not as it should be."""
    try:
        with open(path, "rb", opener=_open_regular) as file:
            return _parse(file, os.fstat(file.fileno()).st_size)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {_called(path)}; check the path") from None
    except OSError as error:
        raise OSError(f"{_called(path)} cannot be read: {error.strerror or error}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{_called(path)} {error}") from None


def _open_regular(path, flags):
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would block, a device never end
        raise CheckpointError("is not a file; give one that microgpt saved")
    return os.open(path, flags)


def _parse(file, size):
    length = int.from_bytes(file.read(8), "little")
    if size < 10 or length > min(size - 8, LONGEST_HEADER):
        raise CheckpointError("is not a saved model, or only a part of one")
    head = file.read(length)
    header = _json(head, "its header", dict)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        other = metadata.get("format") if isinstance(metadata, dict) else None
        if isinstance(other, str) and other.startswith("microgpt-"):
            raise CheckpointError("was saved by another version of microgpt, which this one cannot read")
        raise CheckpointError("is a safetensors file, but not one that microgpt saved")
    config = _config(metadata, "config", GPTConfig, most=size)
    tokenizer = _tokenizer(metadata, config)
    if config.n_layer > len(header):  # before a table of so many is made
        raise CheckpointError(f"has fewer layers than the {config.n_layer} of its configuration")
    shapes = {name: list(shape) for name, shape in config.shapes(tokenizer.vocab_size).items()}
    names, training, evaluation, source, state = list(shapes), None, None, None, None
    if "progress" in metadata:
        training = _config(metadata, "training", TrainConfig)
        evaluation = _config(metadata, "evaluation", EvalConfig)
        source = _source(metadata)
        state = _state(metadata, training)
        num_params = config.num_params(tokenizer.vocab_size)
        shapes |= {MOMENTS[0]: [num_params], MOMENTS[1]: [num_params], LOSSES: [state["steps"]]}
        if evaluation.patience is not None and state["val_losses"]:
            shapes[BEST] = [num_params]
    tensors = _tensors(file, size, head, header, shapes)
    params = array("d")
    for name in names:
        params.extend(tensors[name])
    if state is None:
        return Checkpoint(config, tokenizer, params)
    progress = Progress(
        tensors[LOSSES], tensors[MOMENTS[0]], tensors[MOMENTS[1]], _rng(state["rng"]), _val_losses(state["val_losses"]),
        tensors.get(BEST),
    )  # fmt: skip
    if min(progress.v, default=0.0) < 0:
        raise CheckpointError("is damaged: it has a negative mean of squares")
    return Checkpoint(config, tokenizer, params, training, evaluation, source, progress)


def _tensors(file, size, head, header, shapes):
    """Name -> array of doubles, exactly as `shapes` says."""
    import safetensors

    for name in sorted(header.keys() | shapes.keys()):
        if name not in shapes:
            raise CheckpointError(f"has a tensor {name[:60]!r} that its configuration does not have")
        if name not in header:
            raise CheckpointError(f"lacks the tensor {name!r}")
        info = header[name] if isinstance(header[name], dict) else {}
        if info.get("dtype") != "F64":
            raise CheckpointError(f"has {name!r} as {str(info.get('dtype'))[:20]!r}, not as 'F64'")
        if info.get("shape") != shapes[name]:
            raise CheckpointError(f"has {name!r} in the shape {str(info.get('shape'))[:40]}, not {shapes[name]}")
    expected = 8 + len(head) + 8 * sum(math.prod(shape) for shape in shapes.values())
    if size != expected:
        raise CheckpointError(f"has {size} bytes, where {expected} should be: it is cut off or damaged")
    try:
        found = safetensors.deserialize(len(head).to_bytes(8, "little") + head + file.read())
    except (safetensors.SafetensorError, ValueError, OverflowError) as error:
        raise CheckpointError(f"is damaged: {error}") from None
    tensors = {}
    for name, info in found:
        numbers = tensors[name] = array("d", bytes(info["data"]))
        if len(numbers) != math.prod(shapes.get(name, ())):
            raise CheckpointError(f"is damaged: {name!r} has {len(numbers)} numbers")
        if sys.byteorder == "big":
            numbers.byteswap()
        _check_numbers(numbers, f"is damaged, in {name!r}")
    return tensors


def _check_numbers(numbers, what):
    if not all(map(math.isfinite, numbers)):
        raise CheckpointError(f"{what}: not all numbers are finite")


# ---- Metadata --------------------------------------------------------------------------------------------------------


def _json(text, what, kind):
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise CheckpointError(f"is damaged or not a saved model: {what} cannot be read") from None
    if not isinstance(value, kind):
        raise CheckpointError(f"is damaged or not a saved model: {what} cannot be read")
    return value


def _entry(metadata, name, kind):
    if not isinstance(metadata.get(name), str):
        raise CheckpointError(f"is damaged: it lacks the metadata {name!r}")
    return _json(metadata[name], f"its metadata {name!r}", kind)


def _config(metadata, name, kind, most=None):
    """A checked dataclass `kind`; most: the largest whole number that makes sense."""
    given = _entry(metadata, name, dict)
    if given.keys() != {field.name for field in fields(kind)}:
        raise CheckpointError(f"is damaged: its metadata {name!r} do not have the settings they should")
    if most is not None and any(isinstance(value, int) and value > most for value in given.values()):
        raise CheckpointError(f"is damaged: its metadata {name!r} describe a model larger than the file")
    try:
        return kind(**given)
    except (ValueError, TypeError, OverflowError) as error:
        raise CheckpointError(f"is damaged: in its metadata {name!r}, {error}") from None


def _tokenizer(metadata, config):
    try:
        return Tokenizer(_entry(metadata, "characters", str), config.bos_first)
    except ValueError:
        raise CheckpointError("is damaged: its characters are not distinct and sorted") from None


def _source(metadata):
    given = Source._field_defaults | _entry(metadata, "source", dict)
    if given.keys() != set(Source._fields):
        raise CheckpointError("is damaged: its metadata 'source' do not have the entries they should")
    source = Source(**given)
    if not (
        type(source.seed) is int
        and source.long in LONG.choices
        and type(source.num_docs) is int
        and source.num_docs > 0
        and isinstance(source.fingerprint, str)
        and source.engine in ENGINES
    ):
        raise CheckpointError("is damaged: its metadata 'source' are not of the types they should be")
    return source


def _state(metadata, training):
    state = _entry(metadata, "progress", dict)
    if state.keys() != {"steps", "rng", "val_losses"}:
        raise CheckpointError("is damaged: its metadata 'progress' do not have the entries they should")
    if type(state["steps"]) is not int or not 0 <= state["steps"] <= training.num_steps:
        raise CheckpointError("is damaged: its number of steps done is impossible")
    return state


def _rng(state):
    try:
        version, words, gauss = state
        gauss = None if gauss is None else float.fromhex(gauss)
        good = version == 3 and len(words) == 625 and all(type(word) is int and 0 <= word < 2**32 for word in words)
        if good and words[-1] <= 624 and (gauss is None or math.isfinite(gauss)):
            return version, tuple(words), gauss
    except (TypeError, ValueError, OverflowError):
        pass
    raise CheckpointError("is damaged: its random state is impossible")


def _val_losses(pairs):
    try:
        losses = [(step, float.fromhex(loss)) for step, loss in pairs]
        if all(type(step) is int for step, _ in losses) and not any(math.isnan(loss) for _, loss in losses):
            return losses
    except (TypeError, ValueError, OverflowError):
        pass
    raise CheckpointError("is damaged: its held-out losses cannot be read")


def _called(path):
    return repr(os.fsdecode(path))
