"""Models outside the process that trained them: as saved files, and converted to and from the formats of other software.

    checkpoint    saved models and runs; tensorfile the bytes of such a file
    schema        what files of older and newer versions may contain or lack
    jsontext, values, arrays, pytorch    JSON, the reference's Values, NumPy, PyTorch
    pretrained    a folder in the Hugging Face Hub's layout; modeling_microgpt is copied into it

All formats are read as name -> list of rows of numbers, which is checked here before it becomes a model's flat buffer. The names, shapes
and their order are the reference's, see GPTConfig.shapes.
"""

import importlib
import math
from array import array

from microgpt.common.words import quoted


def needed(function, module, name):
    """The optional module that a function needs; if it is missing, ImportError says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{function} needs {name} ({error}); install it with: pip install 'microgpt-cython[{module}]'") from error


def layout(config, tokenizer, names):
    """config.shapes for matrices with these names. Raises ValueError if there are fewer names than layers.

    Otherwise an invented number of layers in an untrusted file would make a table that fills the memory.
    """
    if config.n_layer > len(names):
        raise ValueError(f"there are fewer layers than the {quoted(config.n_layer)} of the configuration")
    return config.shapes(tokenizer.vocab_size)


def parameters(matrices, config, tokenizer):
    """All numbers of `matrices`, name -> list of rows of floats, as one array of doubles in parameter order.

    Raises ValueError if a matrix is missing, unknown, of the wrong shape, or has a number that is not finite or that a double
    cannot hold.
    """
    if tokenizer.bos_first != config.bos_first:
        raise ValueError("the configuration and the tokenizer differ in bos_first; give both the same")
    shapes = layout(config, tokenizer, matrices)
    for name in [*shapes, *matrices]:
        if name not in matrices:
            raise ValueError(f"the weights {quoted(name)} are missing")
        if name not in shapes:
            raise ValueError(f"this configuration has no weights {quoted(name)}; omit them")
    params = array("d")
    for name, (rows, columns) in shapes.items():
        matrix = matrices[name]
        if not isinstance(matrix, list) or not all(isinstance(row, list) for row in matrix):
            raise ValueError(f"the weights {quoted(name)} are not a list of rows")
        if len(matrix) != rows or any(len(row) != columns for row in matrix):
            found = " or ".join(map(str, sorted({len(row) for row in matrix}))) or 0
            raise ValueError(
                f"the weights {quoted(name)} are {len(matrix)} rows of {found} numbers, but this configuration and "
                f"vocabulary have {rows} rows of {columns}"
            )
        for row in matrix:
            if not all(map(_is_double, row)):
                wrong = next(number for number in row if not _is_double(number))
                raise ValueError(f"the weights {quoted(name)} have an entry that is not a finite double: {quoted(wrong)}")
            params.extend(row)
    return params


def _is_double(number):
    if type(number) is float:
        return math.isfinite(number)
    try:
        return type(number) is int and float(number) == number
    except OverflowError:
        return False
