"""Parameters as the reference's own state_dict: name -> list of rows of Values."""

from microgpt.common.words import quoted
from microgpt.storage import parameters


def to_values(model, kind):
    return {name: [list(map(kind, row)) for row in view.tolist()] for name, view in model.state_dict().items()}


def from_values(weights, config, tokenizer):
    """The parameters, an array of doubles."""
    rows = {name: [[_data(value) for value in row] for row in matrix] for name, matrix in weights.items()}
    return parameters(rows, config, tokenizer)


def _data(value):
    if not hasattr(value, "data"):
        raise TypeError(f"a state_dict of Values has lists of rows of Values, not of {type(value).__name__}")
    return value.data


def loss_graph(model, text):
    """(loss, weights), as for GPT.loss_graph."""
    from microgpt.compiled.scalar import Value
    from microgpt.engines.graph import GraphEngine

    tokens = model.document(text)
    weights = to_values(model, Value)
    try:
        return GraphEngine.ops.batch_loss([tokens], weights, model.config), weights
    except (ValueError, ArithmeticError) as error:
        raise ValueError(
            f"the loss of {quoted(text)} is infinite and has no graph, because a number leaves the range of floats ({error})"
        ) from error
