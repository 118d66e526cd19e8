"""microgpt: Karpathy's scalar-autograd GPT, compiled. The same API, the same numbers to the last bit.

    import microgpt
    run = microgpt.train(microgpt.load_docs("names.txt"))
    print(run.generate(20))
"""

__version__ = "0.1.0"

from microgpt.config import PRESETS, GPTConfig, TrainConfig
from microgpt.data import load_docs
from microgpt.model import GPT
from microgpt.scalar import Adam, Value, attention, cross_entropy, linear, matrix, rmsnorm, softmax
from microgpt.tokenizer import Tokenizer
from microgpt.training import DivergenceError, Run, train
