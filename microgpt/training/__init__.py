"""Training: one random generator shuffles the documents, draws the weights and later samples; an engine does the steps.

beginning   train() and start(): a run from documents, from a model's weights, or from a saved run
run         Run, its steps and measurements, and the exceptions and warnings of training
"""

from microgpt.training.beginning import SEED, start, train
from microgpt.training.run import DivergenceError, Interrupted, Run, Step, TrainingWarning

__all__ = ["SEED", "DivergenceError", "Interrupted", "Run", "Step", "TrainingWarning", "start", "train"]
