"""microgpt: Karpathy's scalar-autograd GPT, compiled. The same API, the same numbers to the last bit.

    import microgpt
    run = microgpt.train(microgpt.load_docs("names.txt"))
    print(run.generate(20))
"""

__version__ = "0.2.0"

_HOMES = {  # where each public name is defined; its module is imported when the name is first used
    "microgpt.advice": ["suggest"],
    "microgpt.config": ["PRESETS", "EvalConfig", "GPTConfig", "TrainConfig"],
    "microgpt.tokenizer": ["Tokenizer"],
    "microgpt.corpus.loading": ["DataError", "DataWarning", "load_docs"],
    "microgpt.compiled.scalar": [
        "Adam", "Value", "attention", "cross_entropy", "linear", "matrix", "rmsnorm", "softmax"
    ],
    "microgpt.storage.checkpoint": ["CheckpointError"],
    "microgpt.model": ["GPT", "load"],
    "microgpt.engines": ["EngineError"],
    "microgpt.training": ["DivergenceError", "Interrupted", "Run", "Step", "TrainingWarning", "train"],
    "microgpt.display.drawing": ["graph"],
    "microgpt.lab.differences": ["Difference", "diff"],
    "microgpt.lab.evaluation": ["Evaluation", "evaluate"],
    "microgpt.run.notebook": ["accelerate"],
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'microgpt' has no attribute {name!r}")
    import importlib  # not before: a program can hear Ctrl-C only once this module is imported

    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__():
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell):
    """For `%load_ext microgpt` in a notebook: the cell magic %%microgpt."""
    from microgpt.run import notebook

    notebook.load_ipython_extension(shell)
