"""The compiled core: extension modules, built from src/, with a stub (.pyi) beside each.

    access   access of threads to a model's weights
    lines    the lines of a large text, without an object for each
    scalar   Value, the functions of vectors and Adam, on a graph in C
    exact    the kernels of the engine `exact`
    fast     the kernels of the engine `fast`

fallback.py is what `scalar` does with numbers and containers that it has no fast path for.
"""

import sys
from importlib.machinery import PathFinder

if getattr(sys.flags, "gil", None) == 0:  # free-threaded Python; unless it was told so, it enables the GIL for these modules
    raise ImportError("the compiled modules of microgpt need the GIL; run Python without PYTHON_GIL=0 and -X gil=0")
if PathFinder.find_spec("microgpt.compiled.scalar", __path__) is None:
    raise ImportError(
        f"{__path__[0]!r} has no compiled modules for Python {sys.version_info[0]}.{sys.version_info[1]}; "
        "build them, in the folder of the checkout, with: pip install -e ."
    )
