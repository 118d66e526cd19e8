"""The graph engine: the reference's own model code, running on compiled Values and functions."""

from types import FunctionType, SimpleNamespace

from microgpt import reference, scalar
from microgpt.engines.scalar import ScalarEngine

# The reference's names, those that are compiled bound to the compiled ones: what its functions find when they run.
_names = {**vars(reference), **{name: getattr(scalar, name) for name in scalar.__all__}}
for _function in (reference.gpt, reference.document_loss):
    _names[_function.__name__] = FunctionType(_function.__code__, _names, _function.__name__, _function.__defaults__)


class GraphEngine(ScalarEngine):
    name = "graph"
    ops = SimpleNamespace(**_names)


ENGINE = GraphEngine
