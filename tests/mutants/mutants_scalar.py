"""Defects of the scalar layer, for mutants.py."""

import sys

from mutants_changes import always, before, delete, instead, never, replace, reverse_loop, swap

RANDOM = "scalar/test_value.py -k random_programs"
SHARED = "scalar/test_functions.py -k share_nodes"
ROW_HERE = "scalar/test_functions.py -k row_here"
ADAM = "scalar/test_functions.py -k any_settings"

# name: (tests that must fail, {tag: change})
SCALAR = {
    # ---- copies ----
    "part_of_a_graph_takes_what_is_shared": (
        "storage/test_copies.py -k copied_graphs",
        {"part-of-a-node": replace("++place->seen == (size_t)Py_REFCNT((PyObject *)child)", "place->seen++ == 0")},
    ),
    "fractions_read_as_ints": ("storage/test_copies.py -k damaged_pickles", {"damaged-int": delete}),
    # ---- dot products ----
    "dot_run_not_split": (RANDOM, {"split-run": never, "next-run": replace("end", "0")}),
    "dot_terms_ascending": (RANDOM, {"dot-terms": reverse_loop}),
    "dot_x_before_w": (RANDOM, {"dot-child": replace("at & 1", "1 - (at & 1)")}),
    "dot_not_expanded_by_second_backward": (RANDOM, {"expand-dot": never, "read-dot-gradient": always}),
    "dot_gradient_read_anew_by_each_run": ("scalar/test_corners.py -k cycle", {"read-dot-gradient": always}),
    "dot_forgets_passed_gradient": (RANDOM, {"passed-gradient": never}),
    "dot_gradient_not_normalised": ("scalar/test_functions.py", {"dot-gradient": replace("0.0 + dot", "dot")}),
    "dot_reads_data_at_backward": (
        "scalar/test_functions.py",
        {"dot-product-gradients": replace("w->data[k]", "w->nodes[k]->f.slot[DATA].number")},
    ),
    "dot_sum_starts_negative": ("scalar/test_functions.py", {"dot-sum": replace("0.0", "-0.0")}),
    "leaves_assumed_to_stay_leaves": (RANDOM, {"all-leaves": replace("&& operands->change == num_changes", "")}),
    "dot_int_data_as_float": (RANDOM, {"dot-in-objects": replace("x->has_ints", "0")}),
    "changed_data_not_noticed": ("scalar/test_functions.py -k changed_since", {"recent-data": replace("operands_hold(found)", "1")}),
    "changed_data_not_counted": ("scalar/test_functions.py -k changed_since", {"count-writes": delete}),
    "updates_by_adam_not_counted": ("scalar/test_functions.py -k changed_since", {"count-adam": delete}),
    # ---- gradients of vectors ----
    "gradient_lent_to_two_vectors": (SHARED, {"lend": replace("LENT | IS_OBJECT(GRAD)", "IS_OBJECT(GRAD)")}),
    "lent_gradients_not_settled": (SHARED, {"settle": never}),
    "leaves_of_a_row_assumed_to_stay_leaves": (SHARED, {"row-of-leaves": replace("|| of->change != num_changes", "")}),
    "part_of_a_run_taken_for_the_whole": (SHARED, {"whole-run": replace("first > 0 || end != w->size ||", "")}),
    "row_lent_once_more_as_the_vector": (ROW_HERE, {"lent-as-row": replace("of->lends", "of == lent_vector")}),
    "int_gradient_taken_for_a_float": (SHARED, {"float-gradient": replace("dot->f.flags & KIND(LOCAL0) ||", "")}),
    # ---- operators made of others ----
    "sigmoid_of_a_subclass": (
        "scalar/test_corners.py -k sigmoid",
        {"own-operations": replace("is_exact((PyObject *)a) &&", "")},
    ),
    "sigmoid_by_original_operators": (
        "scalar/test_corners.py -k replaced",
        {"own-operations": replace("&& is_unmodified()", "")},
    ),
    "sigmoid_branches_swapped": ("scalar/test_value.py -k sigmoid_and_tanh", {"sigmoid-sign": replace(">=", "<")}),
    "tanh_branches_swapped": ("scalar/test_value.py -k sigmoid_and_tanh", {"tanh-sign": replace(">=", "<")}),
    "tanh_without_the_sign": (
        "scalar/test_value.py -k sigmoid_and_tanh",
        {"tanh-sign": replace("a->f.slot[DATA].number >= 0", "1")},
    ),
    "tanh_adds_in_reading_order": (
        RANDOM,
        {
            "tanh-difference": replace(
                "then_add_int(then_mul_int(node_incref(e), -1), 1)",
                "then_apply(node_add, node_new_int(1), then_mul_int(node_incref(e), -1))",
            )
        },
    ),
    # ---- types of numbers ----
    "relu_float": (RANDOM, {"relu-kind": replace(": int_data", ": 0")}),
    "product_of_ints_float": ("scalar/test_value.py -k keep_their_types", {"product-kind": replace("(a_int & b_int & int_data) |", "")}),
    "int_gradients_float": ("scalar/test_value.py -k keep_their_types", {"int-gradient": never}),
    "int_negative_zero": (RANDOM, {"int-product": replace("a_int && b_int ? data + 0.0 : data", "data")}),
    "large_ints_rounded": ("scalar/test_value.py -k keep_their_types", {"large-sum": never}),
    "large_gradients_rounded": ("scalar/test_value.py -k stay_exact", {"large-gradient": never}),
    "gradient_of_2_to_the_53rd_rounded": (
        "scalar/test_value.py -k stay_exact",
        {"large-gradient": replace("fabs(sum) >= LARGEST_INT", "fabs(sum) > LARGEST_INT")},
    ),
    # ---- errors ----
    "exp_overflows_to_inf": ("scalar/test_value.py -k errors_are", {"exp-overflow": always}),
    "log_of_zero": ("scalar/test_value.py -k errors_are", {"log-domain": replace("x > 0", "x >= 0")}),
    "zero_to_a_negative_power": ("scalar/test_value.py -k errors_are", {"power-domain": instead("return 1;")}),
    "adam_square_overflows": (
        "scalar/test_functions.py scalar/test_corners.py -k adam",
        {"square-domain": instead("return 1;"), "root-domain": instead("return 1;")},
    ),
    "adam_by_vectors_without_eps": (ADAM, {"adam-settings": replace("eps >= 1e-15 &&", "")}),
    "adam_by_vectors_with_negative_moments": (ADAM, {"moment-ranges": replace("v[i] >= 0.0 &&", "")}),
    "adam_by_vectors_with_large_gradients": (ADAM, {"large-gradients": never}),
    "adam_by_vectors_with_a_parameter_twice": (ADAM, {"parameter-twice": replace("== len(self.params)", ">= 0")}),
    "backward_goes_on_after_an_error": (
        "scalar/test_corners.py -k error_in_the_middle",
        {"second-child": replace("&& status == 0", "")},
    ),
    "error_leaves_marks": ("scalar/test_functions.py -k left_behind", {"clear-marks": never}),
    # ---- order ----
    "children_in_reverse": (RANDOM, {"next-child": replace("all - 1 - seen : seen", "seen : all - 1 - seen")}),
    "tape_forward": (RANDOM, {"tape-order": replace("[i]", "[pass->tape.size - 1 - i]")}),
    "local_gradients_swapped": (RANDOM, {"product-locals": swap("y", "x")}),
    "reflected_operands_in_reading_order": (
        RANDOM,
        {
            "reflected-product": replace(
                'with_operand("__rmul__", node_mul, right, left)',
                "(PyObject *)then_apply(node_mul, as_node(left), node_incref((Node *)right))",
            )
        },
    ),
    # ---- depth ----
    "recursive_deallocation": ("scalar/test_memory.py -k chain", {"last-reference": never, "nesting-limit": never}),
    "recursive_deallocation_of_data": (
        "scalar/test_memory.py -k chain",
        {
            "release-data": replace("dead = release(node->f.slot[i].object, dead)", "Py_DECREF(node->f.slot[i].object)"),
            "nesting-limit": never,
        },
    ),
    "recursive_deallocation_through_lists": ("scalar/test_memory.py -k chain", {"nesting-limit": never}),
    "waiting_nodes_forgotten": (
        "scalar/test_memory.py -k leak",
        {"deferred-nodes": replace("nesting == 1 ? deferred : NULL", "NULL")},
    ),
    "recursive_backward": (
        "scalar/test_memory.py -k chain",
        {
            "build-tape": before("size_t base = pass->stack.size;"),
            "traversal": replace("pass->stack.size", "pass->stack.size > base"),
            "enter-child": instead("int status = build_tape(pass, child, backwards); if (status != DONE) return status;"),
        },
    ),
    # ---- memory ----
    "slab_never_reused": ("scalar/test_memory.py", {"return-slab": delete}),
    "partly_free_slab_never_reused": ("scalar/test_memory.py", {"reuse-slab": never}),
    "leak_in_operators": ("scalar/test_memory.py -k leak", {"release-operand": delete}),
    "leak_of_exps_on_error": ("scalar/test_memory.py -k memory_runs_out", {"release-exps": delete}),
    "leak_of_operands_on_error": ("scalar/test_memory.py -k leak", {"release-operands": delete}),
    "leak_of_probabilities": ("scalar/test_memory.py -k memory_runs_out", {"release-probabilities": delete}),
    "leak_of_logits_in_attention": ("scalar/test_memory.py -k leak", {"release-logits": delete}),
    "leak_of_scratch": ("scalar/test_memory.py -k leak", {"free-scratch": delete}),
    "leak_of_type": ("scalar/test_memory.py -k leak", {"release-type": delete}),
    # ---- Python ----
    "methods_do_not_check_self": ("scalar/test_interpreter.py -k check_what", {"plain-methods": replace("False", "True")}),
    "replaced_operators_ignored": (
        "scalar/test_corners.py -k replaced",
        {"replaced-attribute": replace("PyDict_GetItem(value_type->tp_dict, name) != attribute", "0")},
    ),
    "custom_subclasses_ignored": ("scalar/test_corners.py", {"custom-class": delete}),
    "always_the_slow_path": ("scalar/test_corners.py -k slow_path", {"known-version": instead("return 0;")}),
    "children_counted_after_the_tuple": (
        "scalar/test_interpreter.py -k collector",
        {
            "two-children": replace(
                "pack((PyObject *)node_incref(node->f.child[0]), (PyObject *)node_incref(node->f.child[1]))",
                "PyTuple_Pack(2, node->f.child[0], node->f.child[1])",
            )
        },
    ),
    "items_borrowed_over_a_collection": (
        "scalar/test_interpreter.py -k collector",
        {"scaled-item": replace("xs->nodes[i]", "(Node *)PySequence_Fast_ITEMS(x)[i]")},
    ),
    "rows_borrowed_over_a_collection": (
        "scalar/test_interpreter.py -k collector",
        {"linear-row": replace("i < PySequence_Fast_GET_SIZE(w)", "1")},
    ),
    # ---- the compiler ----
    "pow_builtin": ("scalar/test_functions.py -k powers", {"compiler-options": replace('"-fno-builtin-pow",', "")}),
    "fused_multiply_add": (
        RANDOM,
        {"compiler-options": replace('"-ffp-contract=off"', '"-ffp-contract=fast", "-march=native"')},
    ),
    "fast_math_linked": (
        "scalar/test_value.py -k subnormal",
        {"linker-options": replace(', ["-pthread"]', ', ["-pthread", "-ffast-math"]')},
    ),
}

NOT_HERE = (  # mutants that are not defects under this Python
    {"recursive_deallocation_through_lists"}  # its own containers cut the recursion short
    if sys.version_info < (3, 13)
    else set()
) | (
    {"children_counted_after_the_tuple", "items_borrowed_over_a_collection", "rows_borrowed_over_a_collection"}
    if sys.version_info >= (3, 12)  # its collector runs between instructions of Python only
    else set()
)
