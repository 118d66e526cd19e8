"""Puts defects into the sources, one at a time, and sees that the tests notice.

    python tests/mutants.py                  # all of them, some minutes
    python tests/mutants.py relu_float ...   # those
    python tests/mutants.py --list

Each mutant is a copy of the checkout in a temporary folder with one piece of text replaced, built there, on which the
tests that should fail are run. One that they pass has SURVIVED: then a test is missing (exit code 1). Run by hand, with an
environment in which the package can be built (setuptools, Cython) and tested (the extra "test").
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BUILD_SECONDS, TEST_SECONDS = 300, 300


class Mutant(NamedTuple):
    name: str
    file: str  # relative to the root
    old: str  # must be in the file exactly once
    new: str
    tests: str  # arguments of pytest, relative to tests/
    before: tuple = ()  # more (file, old, new), where one place is not enough


NODE, GRAPH, SLAB = "src/scalar/node.h", "src/scalar/graph.h", "src/scalar/slab.h"
OPERATORS, DOT, BACKWARD, FUNCTIONS = (f"src/scalar/{name}.h" for name in ("operators", "dot", "backward", "functions"))
ADAM = "src/scalar/adam.h"
RANDOM = "test_value.py -k random_programs"

SCALAR = [
    # ---- dot products ----
    Mutant(
        "dot_run_not_split",
        BACKWARD,
        "if (end > first && push(&walk->tape, node, first, end) < 0)",
        "if (0)",
        RANDOM,
        ((BACKWARD, "top->first = end;", "top->first = 0;"),),
    ),
    Mutant(
        "dot_terms_ascending",
        BACKWARD,
        "for (uint32_t k = end; k-- > first;) {",
        "for (uint32_t k = first; k < end; k++) {",
        RANDOM,
    ),
    Mutant(
        "dot_x_before_w",
        BACKWARD,
        "operands[seen & 1]->nodes[seen >> 1]",
        "operands[1 - (seen & 1)]->nodes[seen >> 1]",
        RANDOM,
    ),
    Mutant(
        "dot_not_expanded_by_second_backward",
        BACKWARD,
        "node->f.flags & PROPAGATED && dot_expand(node) < 0",
        "0",
        RANDOM,
        ((BACKWARD, "if (!(dot->f.flags & PROPAGATED)) {", "if (1) {"),),
    ),
    Mutant(
        "dot_gradient_read_anew_by_each_run",
        BACKWARD,
        "if (!(dot->f.flags & PROPAGATED)) {",
        "if (1) {",
        "test_corners.py -k cycle",
    ),
    Mutant("dot_forgets_passed_gradient", DOT, "if (dot->f.flags & PROPAGATED) {", "if (0) {", RANDOM),
    Mutant(
        "dot_gradient_not_normalised",
        BACKWARD,
        "0.0 + dot->f.slot[GRAD].number",
        "dot->f.slot[GRAD].number",
        "test_functions.py",
    ),
    Mutant(
        "dot_reads_data_at_backward",
        BACKWARD,
        "accumulate_float(x->nodes[k], w->data[k], grad)",
        "accumulate_float(x->nodes[k], w->nodes[k]->f.slot[DATA].number, grad)",
        "test_functions.py -k data_changed",
    ),
    Mutant("dot_sum_starts_negative", DOT, "double sum = 0.0;", "double sum = -0.0;", "test_functions.py"),
    Mutant(
        "leaves_assumed_to_stay_leaves",
        BACKWARD,
        "(operands->all_leaves && operands->change == num_changes)",
        "operands->all_leaves",
        RANDOM,
    ),
    Mutant("dot_int_data_as_float", BACKWARD, "x->has_ints && dot->f.flags & KIND(LOCAL0)", "0", RANDOM),
    # ---- types of numbers ----
    Mutant(
        "relu_float",
        OPERATORS,
        "positive ? a->f.flags & IS_INT(DATA) : IS_INT(DATA)",
        "positive ? a->f.flags & IS_INT(DATA) : 0",
        RANDOM,
    ),
    Mutant(
        "product_of_ints_float",
        OPERATORS,
        "node->f.flags |= (a_int & b_int) |",
        "node->f.flags |=",
        "test_value.py -k keep_their_types",
    ),
    Mutant(
        "int_gradients_float",
        BACKWARD,
        "flags & IS_INT(GRAD) && flags & IS_INT(local_slot)",
        "0",
        "test_value.py -k keep_their_types",
    ),
    Mutant("int_negative_zero", OPERATORS, "a_int && b_int ? data + 0.0 : data", "data", RANDOM),
    Mutant(
        "large_ints_rounded",
        OPERATORS,
        "if (is_int && fabs(data) >= LARGEST_INT)",
        "if (0)",
        "test_value.py -k keep_their_types",
    ),
    Mutant(
        "large_gradients_rounded",
        BACKWARD,
        "(fabs(product) >= LARGEST_INT || fabs(sum) >= LARGEST_INT)",
        "0",
        "test_value.py -k stay_exact",
    ),
    Mutant(
        "gradient_of_2_to_the_53rd_rounded",
        BACKWARD,
        "fabs(sum) >= LARGEST_INT",
        "fabs(sum) > LARGEST_INT",
        "test_value.py -k stay_exact",
    ),
    # ---- errors ----
    Mutant("exp_overflows_to_inf", OPERATORS, "if (isfinite(e))", "if (1)", "test_value.py -k errors_are"),
    Mutant(
        "log_of_zero", OPERATORS, "&& x > 0 && isfinite(x))", "&& x >= 0 && isfinite(x))", "test_value.py -k errors_are"
    ),
    Mutant(
        "zero_to_a_negative_power",
        OPERATORS,
        "return isnormal(base) && isnormal(*result);",
        "return 1;",
        "test_value.py -k errors_are",
    ),
    Mutant(
        "adam_square_overflows",
        ADAM,
        "return isnormal(*result) || x == 0.0;",
        "return 1;",
        "test_functions.py test_corners.py -k adam",
        ((ADAM, "return isnormal(x) ? x > 0.0 : x == 0.0;", "return 1;"),),
    ),
    Mutant(
        "backward_goes_on_after_an_error",
        BACKWARD,
        "node->f.flags & TWO_CHILDREN && status == 0",
        "node->f.flags & TWO_CHILDREN",
        "test_corners.py -k error_in_the_middle",
    ),
    Mutant(
        "error_leaves_marks",
        BACKWARD,
        "    if (status != DONE) {\n        unmark(&walk.tape);",
        "    if (0) {\n        unmark(&walk.tape);",
        "test_functions.py -k left_behind",
    ),
    # ---- order ----
    Mutant(
        "children_in_reverse",
        BACKWARD,
        "child = node->f.child[seen];",
        "child = node->f.child[all - 1 - seen];",
        RANDOM,
    ),
    Mutant("tape_forward", BACKWARD, "walk->tape.entries[i];", "walk->tape.entries[walk->tape.size - 1 - i];", RANDOM),
    Mutant(
        "local_gradients_swapped",
        OPERATORS,
        "return node_binary(data, a, b, y, x);",
        "return node_binary(data, a, b, x, y);",
        RANDOM,
    ),
    Mutant(
        "reflected_operands_in_reading_order",
        OPERATORS,
        "with_operand(node_mul, right, left);",
        "(PyObject *)with_constant_first(left, (Node *)right);",
        RANDOM,
        (
            (
                OPERATORS,
                "static PyObject *value_add(PyObject *left, PyObject *right)\n",
                "static Node *with_constant_first(PyObject *left, Node *right) {"
                " Node *l = as_node(left); Node *n = node_mul(l, right); "
                "Py_DECREF((PyObject *)l); return n; }\nstatic PyObject *value_add(PyObject *left, PyObject *right)\n",
            ),
        ),
    ),
    # ---- depth ----
    Mutant(
        "recursive_deallocation",
        GRAPH,
        "if (Py_REFCNT(object) == 1 && is_exact(object)) {",
        "if (0) {",
        "test_memory.py -k million",
        ((GRAPH, "if (nesting == MAX_NESTING) {", "if (0) {"),),
    ),
    Mutant(
        "recursive_deallocation_of_data",
        GRAPH,
        "dead = let_go(node->f.slot[i].object, dead);",
        "Py_DECREF(node->f.slot[i].object);",
        "test_memory.py -k million",
        ((GRAPH, "if (nesting == MAX_NESTING) {", "if (0) {"),),
    ),
    Mutant(
        "recursive_deallocation_through_lists",
        GRAPH,
        "if (nesting == MAX_NESTING) {",
        "if (0) {",
        "test_memory.py -k million",
    )
    if sys.version_info >= (3, 13)
    else None,  # before, Python's own containers cut the recursion short
    Mutant(
        "waiting_nodes_forgotten",
        GRAPH,
        "self = nesting == 1 ? waiting : NULL;",
        "self = NULL;",
        "test_memory.py -k leak",
    ),
    Mutant(
        "recursive_backward",
        BACKWARD,
        "            if (enter(walk, child) < 0)\n                return FAILED;",
        "            int status = build_tape(walk, child);\n"
        "            if (status != DONE)\n                return status;",
        "test_memory.py -k million",
        (
            (
                BACKWARD,
                "    if (root->f.flags & ODD_FLAGS)\n",
                "    size_t base = walk->stack.size;\n    if (root->f.flags & ODD_FLAGS)\n",
            ),
            (BACKWARD, "    while (walk->stack.size) {", "    while (walk->stack.size > base) {"),
        ),
    ),
    # ---- memory ----
    Mutant(
        "slab_never_reused",
        SLAB,
        "slabs.system.free(slabs.system.ctx, slab, SLAB_BYTES);\n        return;",
        "return;",
        "test_memory.py",
    ),
    Mutant(
        "partly_free_slab_never_reused",
        SLAB,
        "else if (slab->live == PARTLY_FREE && slab != slabs.current) {",
        "else if (0) {",
        "test_memory.py",
    ),
    Mutant(
        "leak_in_operators",
        OPERATORS,
        "    Py_DECREF((PyObject *)other);\n    return (PyObject *)node;",
        "    return (PyObject *)node;",
        "test_memory.py -k leak",
    ),
    Mutant(
        "leak_of_exps_on_error",
        FUNCTIONS,
        "        while (i-- > 0)\n            drop(exps[i]);",
        "        i = 0;",
        "test_memory.py -k memory_runs_out",
    ),
    Mutant(
        "leak_of_operands_on_error",
        DOT,
        "            node_free_all(operands_let_go(operands, NULL));\n            return NULL;",
        "            return NULL;",
        "test_memory.py -k leak",
    ),
    Mutant(
        "leak_of_probabilities",
        FUNCTIONS,
        "            drop(probs[i]);\n    drop(total);",
        "            ;\n    drop(total);",
        "test_memory.py -k memory_runs_out",
    ),
    Mutant(
        "leak_of_logits_in_attention",
        FUNCTIONS,
        "    while (t-- > 0)\n        drop(logits[t]);",
        "",
        "test_memory.py -k leak",
    ),
    Mutant("leak_of_scratch", FUNCTIONS, "    PyMem_Free(probs);", "", "test_memory.py -k leak"),
    Mutant(
        "leak_of_type",
        GRAPH,
        "        slab_free(node);\n        Py_DECREF((PyObject *)value_type);",
        "        slab_free(node);",
        "test_memory.py -k leak",
    ),
    # ---- Python ----
    Mutant(
        "methods_do_not_check_self",
        "src/scalar.pyx",
        "@cython.binding(False)",
        "@cython.binding(True)",
        "test_corners.py -k check_what",
    ),
    Mutant(
        "replaced_operators_ignored",
        OPERATORS,
        "        if (PyDict_GetItem(value_type->tp_dict, name) != attribute)\n            return 0;",
        "        (void)attribute;",
        "test_corners.py -k replaced",
    ),
    Mutant("strange_subclasses_ignored", GRAPH, "strange |= ours != theirs;", "", "test_corners.py"),
    Mutant(
        "always_the_long_way",
        OPERATORS,
        "    known_version = value_type->tp_version_tag;\n    return 1;",
        "    return 0;",
        "test_corners.py -k long_way",
    ),
    Mutant(
        "children_counted_after_the_tuple",
        GRAPH,
        "return pack((PyObject *)take(node->f.child[0]), (PyObject *)take(node->f.child[1]));",
        "return PyTuple_Pack(2, node->f.child[0], node->f.child[1]);",
        "test_corners.py -k collector",
    )
    if sys.version_info < (3, 12)
    else None,
    Mutant(
        "items_borrowed_over_a_collection",
        FUNCTIONS,
        "node_mul(xs->nodes[i], scale)",
        "node_mul((Node *)PySequence_Fast_ITEMS(x)[i], scale)",
        "test_corners.py -k collector",
    )
    if sys.version_info < (3, 12)
    else None,
    Mutant(
        "rows_borrowed_over_a_collection",
        FUNCTIONS,
        "i < PySequence_Fast_GET_SIZE(w) ?",
        "1 ?",
        "test_corners.py -k collector",
    )
    if sys.version_info < (3, 12)
    else None,
    # ---- the compiler ----
    Mutant("pow_builtin", "setup.py", '"-fno-builtin-pow", ', "", "test_functions.py -k powers"),
    Mutant("fused_multiply_add", "setup.py", '"-ffp-contract=off"', '"-ffp-contract=fast", "-march=native"', RANDOM),
    Mutant(
        "fast_math_linked",
        "setup.py",
        "    LINK = []\n    if SANITIZE:",
        '    LINK = ["-ffast-math"]\n    if SANITIZE:',
        "test_value.py -k subnormal",
    ),
]

MUTANTS = [mutant for mutant in SCALAR if mutant]


def copy_checkout(to):
    """Everything but what was built. The tests import the package from the copy they are in."""
    skip = shutil.ignore_patterns(
        ".git", "build", "dist", "*.so", "*.pyd", "*.egg-info", "__pycache__", ".*", "benchmarks"
    )
    shutil.copytree(ROOT, to, ignore=skip)


def mutate(folder, mutant):
    for file, old, new in ((mutant.file, mutant.old, mutant.new), *mutant.before):
        path = folder / file
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise SystemExit(f"{mutant.name}: {old!r} is {text.count(old)} times in {file}, not once")
        path.write_text(text.replace(old, new), encoding="utf-8")


def run(command, folder, seconds, environment):
    """(exit code, output); a process that hangs counts as one that failed."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return -1, f"took more than {seconds} s"
    return done.returncode, done.stdout


def fate(mutant):
    """What becomes of a mutant: ("killed" or "SURVIVED", which test saw it)."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "checkout"
        copy_checkout(folder)
        mutate(folder, mutant)
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        code, output = run(
            [sys.executable, "setup.py", "-q", "build_ext", "--inplace"], folder, BUILD_SECONDS, environment
        )
        if code:
            raise SystemExit(f"{mutant.name} does not build:\n{output}")
        check = "import microgpt.scalar as s, sys; sys.exit(not s.__file__.startswith(sys.argv[1]))"
        code, output = run([sys.executable, "-c", check, str(folder)], folder, 60, environment)
        if code not in (0, -11, -6):
            raise SystemExit(f"{mutant.name} is not what would be tested:\n{output}")
        tests = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", *split(mutant.tests)]
        code, output = run([sys.executable, *tests], folder / "tests", TEST_SECONDS, environment)
    if code in (0, 2, 3, 4, 5):  # passed, or no test was run
        return "SURVIVED", f"pytest's exit code {code}" if code else ""
    failed = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", output, re.MULTILINE)
    return "killed", failed[1] if failed else output.strip().splitlines()[-1] if code == -1 else f"exit code {code}"


def split(tests):
    """The arguments of `tests`; what follows -k is one of them."""
    arguments, _, expression = tests.partition(" -k ")
    return arguments.split() + (["-k", expression] if expression else [])


def main(names):
    if "--list" in names:
        print(*[mutant.name for mutant in MUTANTS], sep="\n")
        return 0
    unknown = set(names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        raise SystemExit(f"there is no mutant {', '.join(sorted(unknown))}")
    survived = 0
    for mutant in MUTANTS:
        if not names or mutant.name in names:
            started = time.monotonic()
            result, witness = fate(mutant)
            survived += result == "SURVIVED"
            print(f"{mutant.name:40} {result:8} {time.monotonic() - started:5.0f} s  {witness}", flush=True)
    print(f"{survived} survived" if survived else "all killed")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
