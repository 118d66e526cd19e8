"""The pure engine: microgpt.reference as it stands."""

import sys
from _thread import allocate_lock
from contextlib import contextmanager

from microgpt import reference
from microgpt.engines import EngineError
from microgpt.engines.scalar import ScalarEngine

# The reference's backward() recurses once for each node on a path, hundreds to thousands deep. From Python 3.11 on such
# recursion takes no C stack; before, each level takes half a kilobyte of what are usually eight megabytes.
RECURSION_LIMIT = 1_000_000 if sys.version_info >= (3, 11) else 12_000


class PythonEngine(ScalarEngine):
    name = "python"
    node_bytes = 1100
    ops = reference
    activations = reference.ACTIVATIONS

    def _backward(self, corpus, step, training):
        with _deep_recursion():
            return super()._backward(corpus, step, training)


_lock, _limits = allocate_lock(), []  # the limits that the running threads found: all threads share one


@contextmanager
def _deep_recursion():
    with _lock:
        _limits.append(sys.getrecursionlimit())
        sys.setrecursionlimit(max(_limits[-1], RECURSION_LIMIT))
    try:
        yield
    except RecursionError:
        raise EngineError(
            "this model's graph is too deep for plain Python's recursion; use engine='graph', which gives the same bits"
        ) from None
    finally:
        with _lock:
            first = _limits[0]
            _limits.pop()
            if not _limits:
                sys.setrecursionlimit(first)


ENGINE = PythonEngine
