"""The public names for type checkers and editors: those that __init__.py imports when they are first used."""

from typing import Any

from microgpt.advice import Suggestion as Suggestion
from microgpt.advice import suggest as suggest
from microgpt.compiled.scalar import Adam as Adam
from microgpt.compiled.scalar import Value as Value
from microgpt.compiled.scalar import attention as attention
from microgpt.compiled.scalar import cross_entropy as cross_entropy
from microgpt.compiled.scalar import linear as linear
from microgpt.compiled.scalar import matrix as matrix
from microgpt.compiled.scalar import rmsnorm as rmsnorm
from microgpt.compiled.scalar import softmax as softmax
from microgpt.config import PRESETS as PRESETS
from microgpt.config import EvalConfig as EvalConfig
from microgpt.config import GPTConfig as GPTConfig
from microgpt.config import Preset as Preset
from microgpt.config import TrainConfig as TrainConfig
from microgpt.corpus.loading import DataError as DataError
from microgpt.corpus.loading import DataWarning as DataWarning
from microgpt.corpus.loading import load_docs as load_docs
from microgpt.display.drawing import Drawing as Drawing
from microgpt.display.drawing import draw as draw
from microgpt.engines import EngineError as EngineError
from microgpt.lab.differences import Difference as Difference
from microgpt.lab.differences import diff as diff
from microgpt.lab.evaluation import Evaluation as Evaluation
from microgpt.lab.evaluation import evaluate as evaluate
from microgpt.lab.study import Study as Study
from microgpt.lab.study import Trial as Trial
from microgpt.lab.sweep import sweep as sweep
from microgpt.model import GPT as GPT
from microgpt.model import load as load
from microgpt.scripts.notebook import accelerate as accelerate
from microgpt.storage.schema import CheckpointError as CheckpointError
from microgpt.tokenizer import Tokenizer as Tokenizer
from microgpt.training import DivergenceError as DivergenceError
from microgpt.training import Interrupted as Interrupted
from microgpt.training import Run as Run
from microgpt.training import Step as Step
from microgpt.training import TrainingWarning as TrainingWarning
from microgpt.training import train as train

__version__: str

def load_ipython_extension(shell: Any) -> None: ...
def unload_ipython_extension(shell: Any) -> None: ...
