"""Parameters as NumPy arrays: name -> array of shape (rows, columns)."""

from microgpt.common.words import quoted
from microgpt.storage import needed, parameters


def to_numpy(model):
    numpy = needed("to_numpy", "numpy", "NumPy")
    return {name: numpy.asarray(view) for name, view in model.state_dict().items()}


def from_numpy(arrays, config, tokenizer):
    """The parameters, an array of doubles."""
    numpy = needed("from_numpy", "numpy", "NumPy")
    rows = {}
    for name, matrix in arrays.items():
        matrix = numpy.asarray(matrix)
        if matrix.dtype.kind != "f" or matrix.dtype.itemsize > 8:
            raise TypeError(f"the weights {quoted(name)} are of {matrix.dtype}; give float64, or a float that it can hold")
        rows[name] = matrix.tolist()
    return parameters(rows, config, tokenizer)
