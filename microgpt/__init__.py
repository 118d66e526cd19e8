"""microgpt: Karpathy's scalar-autograd GPT, compiled. The same API, the same numbers to the last bit.

    import microgpt
    run = microgpt.train(microgpt.load_docs("names.txt"))
    print(run.generate(20))
"""

import sys

__version__ = "0.1.0"

try:
    import microgpt.scalar
except ImportError as error:
    _unbuilt = f"the compiled core is not there ({error}); build it, in the checkout's folder, with: pip install -e ."
    if sys.argv[:1] == ["-m"]:  # `python -m microgpt` imports the package before any code of __main__ could catch this
        sys.exit(f"microgpt: error: {_unbuilt}")
    raise ImportError(_unbuilt) from error

from microgpt.checkpoint import CheckpointError
from microgpt.config import PRESETS, EvalConfig, GPTConfig, TrainConfig
from microgpt.data import load_docs
from microgpt.drawing import graph
from microgpt.model import GPT
from microgpt.scalar import Adam, Value, attention, cross_entropy, linear, matrix, rmsnorm, softmax
from microgpt.tokenizer import Tokenizer
from microgpt.training import DivergenceError, Run, train

load = GPT.load
