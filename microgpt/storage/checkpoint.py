"""Models and runs as files: names, shapes and float64 bits as in the reference's state_dict.

A file holds a model: its matrices, and as metadata its configuration, its characters and the version that wrote it.
A run's file also holds what is needed to continue it: see `Progress`. Nothing in a file is trusted: any inconsistency is a
CheckpointError. What files of other versions may contain or lack is defined in microgpt.storage.schema.
"""

import json
import math
import os
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from microgpt import __version__
from microgpt.common.words import quoted
from microgpt.config import EvalConfig, GPTConfig, TrainConfig
from microgpt.corpus.documents import LONG_DOCS
from microgpt.engines import DEFAULT, ENGINES
from microgpt.snapshots import SNAPSHOTS, Snapshots
from microgpt.storage import layout, schema, tensorfile
from microgpt.storage.schema import CheckpointError
from microgpt.tokenizer import Tokenizer

FORMAT = "microgpt-1"
WEIGHTS = "model.safetensors"  # in a folder, see pretrained
OF_A_MODEL = ("format", "microgpt", "config", "characters")  # the metadata
OF_A_RUN = ("training", "evaluation", "source", "progress")
OF_SNAPSHOTS = "snapshots"  # only if the run has some: the requested number, and their steps
OF_0_1 = ("python",)  # the version of Python, which says nothing about the model
MOMENTS = ("training.adam_m", "training.adam_v")
LOSSES = "training.losses"
BEST = "training.best_params"
FILM = "training.snapshots"  # (snapshots, parameters), in float32


class Progress(NamedTuple):
    """The progress of a run, and everything needed to continue it. Its initial settings are in the other fields of a Checkpoint."""

    losses: "array[float]"  # of doubles, one for each step done
    m: "array[float]"  # Adam's moments, doubles in parameter order
    v: "array[float]"
    rng: tuple[Any, ...]  # random.Random.getstate()
    val_losses: list[Any]  # [step, held-out loss], in order
    best_params: "array[float] | None" = None  # those of the best held-out loss so far, if the run has a patience
    extended: Sequence[Any] = ()  # of (steps done, TrainConfig.num_steps until then), one for each change
    snapshots: Snapshots | None = None  # of the weights during training, if the run keeps some


@dataclass(frozen=True)
class Source:
    """The initial settings of a run besides GPTConfig, TrainConfig and EvalConfig. Checked when made (ValueError)."""

    seed: int
    long_docs: str  # what was done with long documents, see microgpt.corpus.documents
    num_docs: int  # of the corpus trained on
    fingerprint: str  # SHA-256 of all the documents' tokens, in order; see Run.fingerprint
    engine: str = DEFAULT  # the last one that computed it
    val_fingerprint: str | None = None  # that of the val_docs alone, if they were given

    def __post_init__(self):
        for name, good in {
            "seed": type(self.seed) is int,
            "long_docs": self.long_docs in LONG_DOCS.choices,
            "num_docs": type(self.num_docs) is int and self.num_docs > 0,
            "fingerprint": isinstance(self.fingerprint, str),
            "engine": self.engine in ENGINES,
            "val_fingerprint": self.val_fingerprint is None or isinstance(self.val_fingerprint, str),
        }.items():
            if not good:
                raise ValueError(f"{name} is not valid: {quoted(getattr(self, name))}")


@dataclass(frozen=True)
class _State:
    """The part of a run's Progress that is metadata, as JSON."""

    steps: int
    rng: list
    val_losses: list
    extended: list = ()


class Checkpoint(NamedTuple):
    """The contents of a file. training, evaluation, source and progress: None if it holds only a model."""

    config: GPTConfig
    tokenizer: Tokenizer
    params: "array[float] | memoryview[float]"  # doubles, in parameter order
    training: TrainConfig | None = None
    evaluation: EvalConfig | None = None
    source: Source | None = None
    progress: Progress | None = None


# ---- Writing ---------------------------------------------------------------------------------------------------------


def write(path, checkpoint):
    """Write a Checkpoint to the file `path`, completely or not at all. Raises CheckpointError if weights are not finite."""
    tensorfile.write(path, encoded(checkpoint))


def encoded(checkpoint):
    """The bytes of a Checkpoint's file; equal checkpoints give equal bytes. Raises CheckpointError if weights are not finite."""
    config, tokenizer, progress = checkpoint.config, checkpoint.tokenizer, checkpoint.progress
    metadata = {
        "format": FORMAT, "microgpt": __version__,
        "config": json.dumps(asdict(config)), "characters": json.dumps(tokenizer.chars),
    }  # fmt: skip
    tensors, start = {}, 0
    params = memoryview(checkpoint.params)
    tensorfile.check_finite(params, "the weights cannot be saved")
    for name, (rows, columns) in config.shapes(tokenizer.vocab_size).items():
        tensors[name] = params[start : start + rows * columns], [rows, columns]
        start += rows * columns
    if progress is not None:
        parts = checkpoint.training, checkpoint.evaluation, checkpoint.source, _state_of(progress)
        metadata |= {name: json.dumps(asdict(part)) for name, part in zip(OF_A_RUN, parts)}
        for name, numbers in zip((*MOMENTS, LOSSES), (progress.m, progress.v, progress.losses)):
            tensorfile.check_finite(numbers, "the state of training cannot be saved")
            tensors[name] = numbers, [len(numbers)]
        if progress.best_params is not None:
            tensorfile.check_finite(progress.best_params, "the best weights cannot be saved")
            tensors[BEST] = progress.best_params, [len(params)]
        if progress.snapshots is not None:
            film = progress.snapshots
            metadata[OF_SNAPSHOTS] = json.dumps({"count": film.count, "steps": film.steps})
            tensors[FILM] = array("f", b"".join(map(bytes, map(memoryview, film.weights)))), [len(film.steps), len(params)]
    return tensorfile.encoded(tensors, metadata)


def _state_of(progress):
    version, words, gauss = progress.rng
    rng = [version, list(words), None if gauss is None else gauss.hex()]
    val_losses = [[step, loss.hex()] for step, loss in progress.val_losses]
    return _State(len(progress.losses), rng, val_losses, [list(pair) for pair in progress.extended])


# ---- Reading ---------------------------------------------------------------------------------------------------------


def read(path):
    """The Checkpoint in a file, or in a folder of save_pretrained. Raises OSError if it cannot be read, CheckpointError if it is not
    valid."""
    with tensorfile.opened(file_of(path)) as contents:
        try:
            return _parse(contents)
        except CheckpointError as error:
            raise schema.blamed(error, contents.metadata.get("microgpt")) from None


def file_of(path):
    """The file of a saved model: the path itself, or the file in a folder of save_pretrained."""
    inside = os.path.join(os.fsdecode(path), WEIGHTS)
    return inside if os.path.exists(inside) else path


def is_saved(path):
    """Whether microgpt wrote this file, damaged or not. Raises OSError if it cannot be read."""
    try:
        with tensorfile.opened(path) as contents:
            return str(contents.metadata.get("format")).startswith("microgpt-")
    except CheckpointError:
        return False


def _parse(contents):
    metadata = contents.metadata
    form = metadata.get("format")
    if not isinstance(form, str) or not form.startswith("microgpt-"):
        raise CheckpointError("is a safetensors file, but not one that microgpt saved")
    schema.check_known([form], [FORMAT], "format")
    schema.check_known(metadata, (*OF_A_MODEL, *OF_A_RUN, *OF_0_1, OF_SNAPSHOTS), "entry", " in its metadata")
    config = _build(metadata, "config", GPTConfig, most=contents.size)
    tokenizer = _tokenizer(metadata, config)
    try:
        shapes = {name: list(shape) for name, shape in layout(config, tokenizer, contents.names).items()}
    except ValueError as error:
        raise CheckpointError(f"is damaged: {error}") from None
    names, state, film = list(shapes), None, None
    if "progress" in metadata:
        training = _build(metadata, "training", TrainConfig)
        evaluation = _build(metadata, "evaluation", EvalConfig)
        source = _build(metadata, "source", Source)
        state = _build(metadata, "progress", _State)
        if type(state.steps) is not int or not 0 <= state.steps <= training.num_steps:
            raise CheckpointError("is damaged: its number of steps done is impossible")
        num_params = config.num_params(tokenizer.vocab_size)
        shapes |= {MOMENTS[0]: [num_params], MOMENTS[1]: [num_params], LOSSES: [state.steps]}
        if evaluation.patience is not None and state.val_losses:
            shapes[BEST] = [num_params]
        if OF_SNAPSHOTS in metadata:
            film = _film(_entry(metadata, OF_SNAPSHOTS, dict), state.steps)
            shapes[FILM] = [len(film.steps), num_params]
    tensors = contents.tensors(shapes, narrow=[FILM])
    params = array("d")
    for name in names:
        params.extend(tensors[name])
    if state is None:
        return Checkpoint(config, tokenizer, params)
    if film is not None:
        film.weights = [tensors[FILM][i * num_params : (i + 1) * num_params] for i in range(len(film.steps))]
    progress = Progress(
        tensors[LOSSES], tensors[MOMENTS[0]], tensors[MOMENTS[1]], _rng(state.rng), _val_losses(state.val_losses),
        tensors.get(BEST), _extended(state), film,
    )  # fmt: skip
    if min(progress.v, default=0.0) < 0:
        raise CheckpointError("is damaged: it has a negative mean of squares")
    return Checkpoint(config, tokenizer, params, training, evaluation, source, progress)


def _entry(metadata, name, kind):
    if not isinstance(metadata.get(name), str):
        raise CheckpointError(f"is damaged: it lacks the metadata {name!r}")
    return tensorfile.parsed(metadata[name], f"its metadata {name!r}", kind)


def _build(metadata, name, kind, most=None):
    return schema.build(kind, _entry(metadata, name, dict), f"its metadata {name!r}", most)


def _tokenizer(metadata, config):
    characters = _entry(metadata, "characters", str)
    try:
        return Tokenizer(characters, config.bos_first)
    except ValueError:
        raise CheckpointError("is damaged: its characters are not distinct and sorted") from None


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


def _film(entry, done):
    """Snapshots without their weights, from the metadata of a run with this many steps done."""
    try:
        count, steps = SNAPSHOTS.check(entry["count"]), entry["steps"]
        if count is not None and all(type(step) is int and 0 <= step <= done for step in steps) and steps == sorted(set(steps)):
            return Snapshots(count, steps)
    except (KeyError, TypeError, ValueError):
        pass
    raise CheckpointError("is damaged: the steps of its snapshots are impossible")


def _extended(state):
    try:
        pairs = [(done, num_steps) for done, num_steps in state.extended]
        numbers = [number for pair in pairs for number in pair]
        dones = [done for done, _ in pairs]
        if all(type(number) is int for number in numbers) and dones == sorted(set(dones)):
            if all(0 < done <= min(num_steps, state.steps) for done, num_steps in pairs):
                return pairs
    except (TypeError, ValueError):
        pass
    raise CheckpointError("is damaged: its earlier numbers of steps are impossible")


def _val_losses(pairs):
    try:
        losses = [(step, float.fromhex(loss)) for step, loss in pairs]
        if all(type(step) is int for step, _ in losses) and not any(math.isnan(loss) for _, loss in losses):
            return losses
    except (TypeError, ValueError, OverflowError):
        pass
    raise CheckpointError("is damaged: its held-out losses cannot be read")
