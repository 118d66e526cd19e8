"""A model as an ONNX file, for runtimes without this package and PyTorch: the graph that PyTorch exports from the module in pytorch.py.

The input `tokens` are ids, int64 (batch, positions), at most block_size positions; the output `logits` are float32 (batch, positions,
vocab_size). The metadata entry `config` is JSON like the config.json of save_pretrained, with the characters.
"""

import json
import logging
import warnings
from contextlib import contextmanager

from microgpt import __version__
from microgpt.common.extras import require
from microgpt.common.files import write_atomically
from microgpt.common.words import quoted_path
from microgpt.storage import checkpoint, pretrained, tensorfile

PRODUCER = "microgpt"  # by which is_onnx recognizes a file
OPSET = 20  # that of ONNX 1.15, the first with Gelu


def write(path, model):
    """Write a GPT to a file, completely or not at all. Raises ImportError if PyTorch or onnxscript is not installed, CheckpointError if
    weights are not finite, OSError if the file cannot be written."""
    data = encoded(model)
    try:
        write_atomically(path, data)
    except OSError as error:
        raise OSError(f"{quoted_path(path)} cannot be written: {error.strerror or error}") from error


def encoded(model):
    """The bytes of the file."""
    torch = require("torch", "an ONNX file", "onnx")
    require("onnxscript", "an ONNX file", "onnx")
    tensorfile.check_finite(model.params, "the weights cannot be saved")
    block_size = model.config.block_size
    example = torch.zeros((2, min(2, block_size)), dtype=torch.int64)  # sizes other than 1, so that PyTorch keeps them variable
    variable = {0: torch.export.Dim("batch"), 1: torch.export.Dim("positions", max=block_size)}
    if block_size == 1:
        del variable[1]
    with _quietly():
        program = torch.onnx.export(
            model.to_torch(torch.float32), (example,), dynamo=True, verbose=False, opset_version=OPSET,
            input_names=["tokens"], output_names=["logits"], dynamic_shapes=(variable,),
        )  # fmt: skip
    graph = program.model_proto
    graph.producer_name, graph.producer_version = PRODUCER, __version__
    for part in (graph, *graph.graph.node, *graph.graph.input, *graph.graph.output, *graph.graph.value_info):
        del part.metadata_props[:]  # the files and lines from which they come
    settings = pretrained.described(checkpoint.Checkpoint(model.config, model.tokenizer, model.params))
    graph.metadata_props.add(key="config", value=json.dumps(settings | {"torch_dtype": "float32"}))
    return graph.SerializeToString(deterministic=True)


def is_onnx(path):
    """Whether `write` wrote this file. Raises OSError if it cannot be read."""
    with open(path, "rb") as file:
        return b"\x12" + bytes([len(PRODUCER)]) + PRODUCER.encode() in file.read(64)  # the field after the version of the format


@contextmanager
def _quietly():
    """A context without PyTorch's warnings about its own code."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
