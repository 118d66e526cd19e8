"""The graph engine: the reference's own code, with compiled versions of its definitions."""

import importlib.util

from microgpt.compiled import scalar
from microgpt.engines.scalar import ScalarEngine


def reference_with(names):
    """A copy of the module microgpt.reference in which `names`, a dict, replace its own definitions: its functions then use those."""
    spec = importlib.util.find_spec("microgpt.reference")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module).update(names)
    module.ACTIVATIONS["relu"] = module.relu
    return module


class GraphEngine(ScalarEngine):
    name = "graph"
    node_bytes = 60
    ops = reference_with({name: getattr(scalar, name) for name in scalar.__all__})
    activations = ops.ACTIVATIONS


ENGINE = GraphEngine
