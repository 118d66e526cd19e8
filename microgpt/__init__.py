"""microgpt: Karpathy's scalar-autograd GPT, compiled, with the same API and the same numbers to the last bit.

For example:

    import microgpt
    run = microgpt.train(microgpt.load_docs("names.txt"))
    print(run.generate(20))
"""

__version__ = "0.2.0"

# Where each public name is defined. Its module is imported when the name is first used. __init__.pyi repeats this for type checkers and
# editors, and tests/house/test_typing.py compares the two, so a new name goes into both.
_HOMES = {
    "microgpt.advice": ["Suggestion", "suggest"],
    "microgpt.config": ["PRESETS", "EvalConfig", "GPTConfig", "Preset", "TrainConfig"],
    "microgpt.tokenizer": ["Tokenizer"],
    "microgpt.corpus.loading": ["DataError", "DataWarning", "load_docs"],
    "microgpt.compiled.scalar": [
        "Adam", "Value", "attention", "cross_entropy", "linear", "matrix", "rmsnorm", "softmax"
    ],
    "microgpt.storage.schema": ["CheckpointError"],
    "microgpt.model": ["GPT", "load"],
    "microgpt.engines": ["EngineError"],
    "microgpt.training": ["DivergenceError", "Interrupted", "Run", "Step", "TrainingWarning", "train"],
    "microgpt.display.drawing": ["Drawing", "draw"],
    "microgpt.lab.differences": ["Difference", "diff"],
    "microgpt.lab.evaluation": ["Evaluation", "evaluate"],
    "microgpt.lab.repeats": ["Estimate", "Repeats", "repeat"],
    "microgpt.lab.study": ["Study", "Trial"],
    "microgpt.lab.sweep": ["sweep"],
    "microgpt.scripts.notebook": ["accelerate"],
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)  # noqa: PLE0605 - type checkers read the stub


def __getattr__(name):
    if name not in _HOME:
        from microgpt.common import renamed

        today = renamed.TODAY.get(name)
        if today not in _HOME:
            raise AttributeError(f"module 'microgpt' has no attribute {name!r}")
        renamed.tell(name, "microgpt.{}")
        return __getattr__(today)
    import importlib  # not before, because Ctrl-C has an effect only once this module is imported

    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__():
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell):
    """For `%load_ext microgpt` in a notebook: adds the cell magic %%microgpt, and shows Values as graphs."""
    from microgpt.scripts import notebook

    notebook.load_ipython_extension(shell)


def unload_ipython_extension(shell):
    """For `%unload_ext microgpt`: undoes `%load_ext microgpt`."""
    from microgpt.scripts import notebook

    notebook.unload_ipython_extension(shell)
