"""Tensors of doubles and strings of metadata in a safetensors file: the same content gives the same bytes.

    8 bytes    length of the header, little-endian
    header     JSON: "__metadata__": name -> string, then name -> {dtype, shape, data_offsets};
               spaces up to a multiple of 8
    the rest   the tensors' bytes, little-endian, in the order of their names

(See https://github.com/huggingface/safetensors.) The header is written here because the library orders the metadata at
random. Files are read with the library, after checks that limit the time and memory an untrusted file can cost.
"""

import json
import math
import os
import stat
import sys
from array import array
from contextlib import contextmanager

from microgpt.common.files import write_atomically
from microgpt.common.words import quoted, quoted_path, shortened
from microgpt.storage.schema import CheckpointError, UnknownError

LONGEST_HEADER = 100_000_000  # safetensors' own limit
DTYPES = {8: "F64", 4: "F32"}  # by size, in bytes; the wider come first, so that all are aligned


def encoded(tensors, metadata):
    """The bytes of a file. metadata: name -> string.

    tensors: name -> (array or memoryview of doubles, or array of float32, shape), which the caller has checked to be finite.
    """
    header, data, end = {"__metadata__": dict(sorted(metadata.items()))}, [], 0  # mutant: metadata-order
    for name, (numbers, shape) in sorted(tensors.items(), key=lambda item: (-item[1][0].itemsize, item[0])):
        start, end = end, end + numbers.itemsize * len(numbers)
        header[name] = {"dtype": DTYPES[numbers.itemsize], "shape": shape, "data_offsets": [start, end]}
        data.append(_little_endian(numbers))
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return b"".join([len(head).to_bytes(8, "little"), head, *data])


def write(path, contents):
    """Write the bytes of a file, completely or not at all. Raises OSError if it cannot be written; an old file then stays unchanged."""
    try:
        write_atomically(path, contents)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{quoted_path(path)} cannot be written: {reason}; an existing file is unchanged") from error


@contextmanager
def opened(path):
    """The Contents of a file, for a with statement. A CheckpointError raised in it gets the name of the file.

    Raises OSError if the file cannot be read, CheckpointError if it is not such a file.
    """
    try:
        with open(path, "rb", opener=_open_regular) as file:
            yield Contents(file, os.fstat(file.fileno()).st_size)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {quoted_path(path)}; check the path") from None
    except OSError as error:
        raise OSError(f"{quoted_path(path)} cannot be read: {error.strerror or error}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{quoted_path(path)} {error}") from None


class Contents:
    """A file whose header has been read. size: in bytes; metadata: a dict, unchecked; names: those of the tensors."""

    def __init__(self, file, size):
        self._file, self.size = file, size
        length = int.from_bytes(file.read(8), "little")
        if size < 10 or length > min(size - 8, LONGEST_HEADER):
            raise CheckpointError("is not a saved model, or only a part of one")
        self._head = file.read(length)
        self._header = parsed(self._head, "its header", dict)
        metadata = self._header.pop("__metadata__", None)
        self.metadata = metadata if isinstance(metadata, dict) else {}
        self.names = self._header.keys()

    def tensors(self, shapes, narrow=()):
        """Name -> array of finite doubles, or of float32 for the names in `narrow`. The file must have exactly those of `shapes`,
        name -> list of sizes."""
        import safetensors

        self._check_header(shapes, narrow)
        try:
            found = safetensors.deserialize(len(self._head).to_bytes(8, "little") + self._head + self._file.read())
        except (safetensors.SafetensorError, ValueError, OverflowError) as error:
            raise CheckpointError(f"is damaged: {shortened(str(error), 100)}") from None
        tensors = {}
        for name, info in found:
            numbers = tensors[name] = _little_endian(array("f" if name in narrow else "d", bytes(info["data"])))
            if len(numbers) != math.prod(shapes.get(name, ())):
                raise CheckpointError(f"is damaged: {name!r} has {len(numbers)} numbers")
            check_finite(numbers, f"is damaged, in {name!r}")
        return tensors

    def _check_header(self, shapes, narrow):
        """Check names, shapes and total size of the tensors before they are read."""
        for name in sorted(self.names | shapes.keys()):
            if name not in shapes:
                raise UnknownError(f"has a tensor {quoted(name)} that its configuration does not have")
            if name not in self.names:
                raise CheckpointError(f"lacks the tensor {name!r}")
            info = self._header[name] if isinstance(self._header[name], dict) else {}
            dtype = DTYPES[4 if name in narrow else 8]
            if info.get("dtype") != dtype:
                raise CheckpointError(f"has {name!r} as {quoted(info.get('dtype'))}, not as {dtype!r}")
            if info.get("shape") != shapes[name]:
                raise CheckpointError(f"has {name!r} in the shape {quoted(info.get('shape'))}, not {shapes[name]}")
        expected = 8 + len(self._head) + sum((4 if name in narrow else 8) * math.prod(shape) for name, shape in shapes.items())
        if self.size != expected:
            raise CheckpointError(f"has {self.size} bytes instead of {expected}, so it is truncated or damaged")


def check_finite(numbers, what):
    if not all(map(math.isfinite, numbers)):
        raise CheckpointError(f"{what}: not all numbers are finite")


def parsed(text, what, kind):
    """The value of JSON text, which must be of the type `kind`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise CheckpointError(f"is damaged or not a saved model: {what} cannot be read") from None
    if not isinstance(value, kind):
        raise CheckpointError(f"is damaged or not a saved model: {what} cannot be read")
    return value


def _little_endian(numbers):
    """Numbers converted from this machine's byte order to the file's, or back."""
    if sys.byteorder == "big":
        numbers = array("f" if numbers.itemsize == 4 else "d", numbers)
        numbers.byteswap()
    return numbers


def _open_regular(path, flags):
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would block, and a device might never end
        raise CheckpointError("is not a file; give one that microgpt saved")
    return os.open(path, flags)
