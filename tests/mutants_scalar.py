"""Defects of the scalar layer, for mutants.py.

(name, file, old text, new text, tests that must fail, more changes), or None where it does not apply.
"""

import sys

SLAB, LIFETIME, DOT, EDGES, BACKWARD, OVERRIDES, OPERATORS, FUNCTIONS, ADAM = (
    f"src/scalar/{name}.h"
    for name in ("slab", "lifetime", "dot", "edges", "backward", "overrides", "operators", "functions", "adam")
)
RANDOM = "test_value.py -k random_programs"

SCALAR = [
    # ---- dot products ----
    (
        "dot_run_not_split",
        BACKWARD,
        "if (end > first && push(&pass->tape, node, first, end) < 0)",
        "if (0)",
        RANDOM,
        ((BACKWARD, "top->first = end;", "top->first = 0;"),),
    ),
    (
        "dot_terms_ascending",
        BACKWARD,
        "for (uint32_t k = end; k-- > first;) {",
        "for (uint32_t k = first; k < end; k++) {",
        RANDOM,
    ),
    (
        "dot_x_before_w",
        BACKWARD,
        "operands[seen & 1]->nodes[seen >> 1]",
        "operands[1 - (seen & 1)]->nodes[seen >> 1]",
        RANDOM,
    ),
    (
        "dot_not_expanded_by_second_backward",
        BACKWARD,
        "node->f.flags & PROPAGATED && dot_expand(node) < 0",
        "0",
        RANDOM,
        ((BACKWARD, "if (!(dot->f.flags & PROPAGATED)) {", "if (1) {"),),
    ),
    (
        "dot_gradient_read_anew_by_each_run",
        BACKWARD,
        "if (!(dot->f.flags & PROPAGATED)) {",
        "if (1) {",
        "test_corners.py -k cycle",
    ),
    ("dot_forgets_passed_gradient", DOT, "if (dot->f.flags & PROPAGATED) {", "if (0) {", RANDOM),
    (
        "dot_gradient_not_normalised",
        BACKWARD,
        "0.0 + dot->f.slot[GRAD].number",
        "dot->f.slot[GRAD].number",
        "test_functions.py",
    ),
    (
        "dot_reads_data_at_backward",
        BACKWARD,
        "accumulate_float(x->nodes[k], w->data[k], grad)",
        "accumulate_float(x->nodes[k], w->nodes[k]->f.slot[DATA].number, grad)",
        "test_functions.py -k data_changed",
    ),
    ("dot_sum_starts_negative", DOT, "double sum = 0.0;", "double sum = -0.0;", "test_functions.py"),
    (
        "leaves_assumed_to_stay_leaves",
        BACKWARD,
        "(operands->all_leaves && operands->change == num_changes)",
        "operands->all_leaves",
        RANDOM,
    ),
    ("dot_int_data_as_float", BACKWARD, "x->has_ints && dot->f.flags & KIND(LOCAL0)", "0", RANDOM),
    # ---- operators made of others ----
    ("sigmoid_of_a_subclass", OPERATORS, "return is_exact((PyObject *)a) &&", "return", "test_corners.py -k sigmoid"),
    ("sigmoid_by_original_operators", OPERATORS, " && is_unmodified();", ";", "test_corners.py -k replaced"),
    (
        "tanh_without_the_sign",
        OPERATORS,
        "int positive = a->f.slot[DATA].number >= 0;",
        "int positive = 1;",
        "test_value.py -k sigmoid_and_tanh",
    ),
    (
        "tanh_adds_in_reading_order",
        OPERATORS,
        "then_add_int(then_mul_int(node_incref(e), -1), 1)",
        "then_apply(node_add, node_new_int(1), then_mul_int(node_incref(e), -1))",
        RANDOM,
    ),
    # ---- types of numbers ----
    (
        "relu_float",
        OPERATORS,
        "positive ? a->f.flags & IS_INT(DATA) : IS_INT(DATA)",
        "positive ? a->f.flags & IS_INT(DATA) : 0",
        RANDOM,
    ),
    (
        "product_of_ints_float",
        OPERATORS,
        "node->f.flags |= (a_int & b_int) |",
        "node->f.flags |=",
        "test_value.py -k keep_their_types",
    ),
    (
        "int_gradients_float",
        BACKWARD,
        "flags & IS_INT(GRAD) && flags & IS_INT(local_slot)",
        "0",
        "test_value.py -k keep_their_types",
    ),
    ("int_negative_zero", OPERATORS, "a_int && b_int ? data + 0.0 : data", "data", RANDOM),
    (
        "large_ints_rounded",
        OPERATORS,
        "if (is_int && fabs(data) >= LARGEST_INT)",
        "if (0)",
        "test_value.py -k keep_their_types",
    ),
    (
        "large_gradients_rounded",
        BACKWARD,
        "(fabs(product) >= LARGEST_INT || fabs(sum) >= LARGEST_INT)",
        "0",
        "test_value.py -k stay_exact",
    ),
    (
        "gradient_of_2_to_the_53rd_rounded",
        BACKWARD,
        "fabs(sum) >= LARGEST_INT",
        "fabs(sum) > LARGEST_INT",
        "test_value.py -k stay_exact",
    ),
    # ---- errors ----
    ("exp_overflows_to_inf", OPERATORS, "if (isfinite(e))", "if (1)", "test_value.py -k errors_are"),
    (
        "log_of_zero", OPERATORS, "&& x > 0 && isfinite(x))", "&& x >= 0 && isfinite(x))", "test_value.py -k errors_are"
    ),
    (
        "zero_to_a_negative_power",
        OPERATORS,
        "return isnormal(base) && isnormal(*result);",
        "return 1;",
        "test_value.py -k errors_are",
    ),
    (
        "adam_square_overflows",
        ADAM,
        "return isnormal(*result) || x == 0.0;",
        "return 1;",
        "test_functions.py test_corners.py -k adam",
        ((ADAM, "return isnormal(x) ? x > 0.0 : x == 0.0;", "return 1;"),),
    ),
    (
        "backward_goes_on_after_an_error",
        BACKWARD,
        "node->f.flags & TWO_CHILDREN && status == 0",
        "node->f.flags & TWO_CHILDREN",
        "test_corners.py -k error_in_the_middle",
    ),
    (
        "error_leaves_marks",
        BACKWARD,
        "    if (status != DONE) {\n        clear_visited(&pass.tape);",
        "    if (0) {\n        clear_visited(&pass.tape);",
        "test_functions.py -k left_behind",
    ),
    # ---- order ----
    (
        "children_in_reverse",
        BACKWARD,
        "child = node->f.child[seen];",
        "child = node->f.child[all - 1 - seen];",
        RANDOM,
    ),
    ("tape_forward", BACKWARD, "pass->tape.entries[i];", "pass->tape.entries[pass->tape.size - 1 - i];", RANDOM),
    (
        "local_gradients_swapped",
        OPERATORS,
        "return node_binary(data, a, b, y, x);",
        "return node_binary(data, a, b, x, y);",
        RANDOM,
    ),
    (
        "reflected_operands_in_reading_order",
        OPERATORS,
        "with_operand(node_mul, right, left);",
        "(PyObject *)with_constant_first(left, (Node *)right);",
        RANDOM,
        (
            (
                OPERATORS,
                "static PyObject *value_add(PyObject *left, PyObject *right) {\n",
                "static Node *with_constant_first(PyObject *left, Node *right) {"
                " Node *l = as_node(left); Node *n = node_mul(l, right); "
                "Py_DECREF((PyObject *)l); return n; }\nstatic PyObject *value_add(PyObject *left, PyObject *right) {\n",
            ),
        ),
    ),
    # ---- depth ----
    (
        "recursive_deallocation",
        LIFETIME,
        "if (Py_REFCNT(object) == 1 && is_exact(object)) {",
        "if (0) {",
        "test_memory.py -k million",
        ((LIFETIME, "if (nesting == MAX_NESTING) {", "if (0) {"),),
    ),
    (
        "recursive_deallocation_of_data",
        LIFETIME,
        "dead = release(node->f.slot[i].object, dead);",
        "Py_DECREF(node->f.slot[i].object);",
        "test_memory.py -k million",
        ((LIFETIME, "if (nesting == MAX_NESTING) {", "if (0) {"),),
    ),
    (
        "recursive_deallocation_through_lists",
        LIFETIME,
        "if (nesting == MAX_NESTING) {",
        "if (0) {",
        "test_memory.py -k million",
    )
    if sys.version_info >= (3, 13)
    else None,  # before, Python's own containers cut the recursion short
    (
        "waiting_nodes_forgotten",
        LIFETIME,
        "self = nesting == 1 ? deferred : NULL;",
        "self = NULL;",
        "test_memory.py -k leak",
    ),
    (
        "recursive_backward",
        BACKWARD,
        "            if (enter(pass, child) < 0)\n                return FAILED;",
        "            int status = build_tape(pass, child);\n"
        "            if (status != DONE)\n                return status;",
        "test_memory.py -k million",
        (
            (
                BACKWARD,
                "    if (root->f.flags & UNSUPPORTED_FLAGS)\n",
                "    size_t base = pass->stack.size;\n    if (root->f.flags & UNSUPPORTED_FLAGS)\n",
            ),
            (BACKWARD, "    while (pass->stack.size) {", "    while (pass->stack.size > base) {"),
        ),
    ),
    # ---- memory ----
    (
        "slab_never_reused",
        SLAB,
        "slabs.system.free(slabs.system.ctx, slab, SLAB_BYTES);\n        return;",
        "return;",
        "test_memory.py",
    ),
    (
        "partly_free_slab_never_reused",
        SLAB,
        "else if (slab->live == PARTLY_FREE && slab != slabs.current) {",
        "else if (0) {",
        "test_memory.py",
    ),
    (
        "leak_in_operators",
        OPERATORS,
        "    Py_DECREF((PyObject *)other);\n    return (PyObject *)node;",
        "    return (PyObject *)node;",
        "test_memory.py -k leak",
    ),
    (
        "leak_of_exps_on_error",
        FUNCTIONS,
        "        while (i-- > 0)\n            node_xdecref(exps[i]);",
        "        i = 0;",
        "test_memory.py -k memory_runs_out",
    ),
    (
        "leak_of_operands_on_error",
        DOT,
        "            operands_xdecref(operands);\n            return NULL;",
        "            return NULL;",
        "test_memory.py -k leak",
    ),
    (
        "leak_of_probabilities",
        FUNCTIONS,
        "        node_xdecref(probs[i]);\n    return -1;",
        "        ;\n    return -1;",
        "test_memory.py -k memory_runs_out",
    ),
    (
        "leak_of_logits_in_attention",
        FUNCTIONS,
        "    while (t-- > 0)\n        node_xdecref(logits[t]);",
        "",
        "test_memory.py -k leak",
    ),
    ("leak_of_scratch", FUNCTIONS, "    PyMem_Free(probs);", "", "test_memory.py -k leak"),
    (
        "leak_of_type",
        LIFETIME,
        "        slab_free(node);\n        Py_DECREF((PyObject *)value_type);",
        "        slab_free(node);",
        "test_memory.py -k leak",
    ),
    # ---- Python ----
    (
        "methods_do_not_check_self",
        "src/scalar/scalar.pyx",
        "@cython.binding(False)",
        "@cython.binding(True)",
        "test_corners.py -k check_what",
    ),
    (
        "replaced_operators_ignored",
        OVERRIDES,
        "        if (PyDict_GetItem(value_type->tp_dict, name) != attribute)\n            return 0;",
        "        (void)attribute;",
        "test_corners.py -k replaced",
    ),
    ("custom_subclasses_ignored", OVERRIDES, "custom |= overridden;", "", "test_corners.py"),
    (
        "always_the_slow_path",
        OVERRIDES,
        "    known_version = value_type->tp_version_tag;\n    return 1;",
        "    return 0;",
        "test_corners.py -k slow_path",
    ),
    (
        "children_counted_after_the_tuple",
        EDGES,
        "return pack((PyObject *)node_incref(node->f.child[0]), (PyObject *)node_incref(node->f.child[1]));",
        "return PyTuple_Pack(2, node->f.child[0], node->f.child[1]);",
        "test_corners.py -k collector",
    )
    if sys.version_info < (3, 12)
    else None,
    (
        "items_borrowed_over_a_collection",
        FUNCTIONS,
        "node_mul(xs->nodes[i], scale)",
        "node_mul((Node *)PySequence_Fast_ITEMS(x)[i], scale)",
        "test_corners.py -k collector",
    )
    if sys.version_info < (3, 12)
    else None,
    (
        "rows_borrowed_over_a_collection",
        FUNCTIONS,
        "i < PySequence_Fast_GET_SIZE(w) ?",
        "1 ?",
        "test_corners.py -k collector",
    )
    if sys.version_info < (3, 12)
    else None,
    # ---- the compiler ----
    ("pow_builtin", "setup.py", '"-fno-builtin-pow", ', "", "test_functions.py -k powers"),
    ("fused_multiply_add", "setup.py", '"-ffp-contract=off"', '"-ffp-contract=fast", "-march=native"', RANDOM),
    (
        "fast_math_linked",
        "setup.py",
        'options + ["-pthread"], ["-pthread"]',
        'options + ["-pthread"], ["-pthread", "-ffast-math"]',
        "test_value.py -k subnormal",
    ),
]
