"""Defects of code shared by all engines, and of the package around them, for mutants.py."""

from mutants_changes import delete, never, replace, swap

ENGINES = "engines/test_exact_options.py engines/test_fast_corners.py"

# name: (tests that must fail, {tag: change})
PACKAGE = {
    # ---- what an engine is asked for ----
    "unlisted-option-computed": ("house/test_architecture.py", {"refuse-option": never}),
    "unlisted-activation-computed": ("house/test_architecture.py", {"refuse-activation": never}),
    "limits-of-an-engine-ignored": ("cli/test_refusals.py", {"refuse-bounds": never}),
    # ---- activations ----
    "kernels-take-the-first-activation": (
        ENGINES,
        {"activation-by-name": replace("ACTIVATIONS.index(config.activation)", "0")},
    ),
    "page-relu2-is-relu": (
        "page/test_explore_numbers.py",
        {"page-activations": replace("Math.max(0, x) * Math.max(0, x)", "Math.max(0, x)")},
    ),
    "page-silu-is-relu": (
        "page/test_explore_numbers.py",
        {"page-activations": replace("x * sigmoid(x)", "Math.max(0, x)")},
    ),
    "page-gradient-without-the-residual": (
        "page/test_explore_numbers.py -k its_gradient",
        {"page-residual": replace("add(dy, ", "(dy, ")},
    ),
    "torch-relu2-is-relu": ("storage/test_torch.py", {"torch-activations": replace(": relu2", ": torch.relu")}),
    "torch-gelu-by-erf": ("storage/test_torch.py", {"torch-activations": replace(', approximate="tanh"', "")}),
    # ---- the documents of a step ----
    "batches-overlap": (ENGINES, {"first-document": replace("* (batch_size % n) % n", "")}),
    "batches-in-reverse": (ENGINES, {"next-document": replace("j % n", "(batch_size - 1 - j) % n")}),
    "windows-one-after-the-other": ("corpus/test_texts.py", {"next-window": replace("(i * GOLDEN >> 32)", "(i << 12)")}),
    "documents-cut-one-early": (ENGINES, {"truncation": replace(": block_size", ": block_size - 1")}),
    "documents-run-into-the-next": (ENGINES, {"truncation": replace("length - 1 <", "length <")}),
    # ---- the layout of the parameters ----
    "second-layer-is-the-first": (ENGINES, {"skipped-layers": replace("layer", "(layer ? layer - 1 : 0)")}),
    "keys-and-values-swapped": (ENGINES, {"layer-matrices": swap("at.wk", "at.wv")}),
    # ---- threads and copies ----
    "second-training-accepted": ("engines/test_access.py -k second_training", {"second-training": never}),
    "weights-change-while-they-are-read": ("engines/test_access.py -k who_changes_waits", {"wait-for-readers": never}),
    "reading-while-weights-change": ("engines/test_access.py -k who_changes_waits", {"wait-for-change": never}),
    "one-decoder-for-all-threads": (
        "engines/test_access.py -k many_readers",
        {"take-decoder": replace("self._idle.pop()", "self._idle[0]")},
    ),
    "copies-share-weights": (
        "storage/test_copies.py -k its_own_weights",
        {"copied-weights": replace('array("d", self.params.tobytes())', "self.params")},
    ),
    "copied-runs-forget-moments": ("storage/test_copies.py -k goes_on_alike", {"copied-moments": replace("if self.losses", "if False")}),
    # ---- saved files ----
    "missing-field-is-damage": ("storage/test_damage.py", {"missing-field": replace("field.default is MISSING and", "")}),
    "unknown-field-accepted": ("storage/test_damage.py", {"unknown-field": delete}),
    "metadata-in-any-order": (
        "storage/test_checkpoint.py",
        {"metadata-order": replace("sorted(metadata.items())", "{*metadata.items()}")},
    ),
}
