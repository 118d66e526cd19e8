"""Defects of the exact engine that are not obvious, for mutants.py."""

from mutants_changes import always, before, delete, instead, never, replace, reverse_loop

EXACT_ENGINE = "engines/test_exact_options.py engines/test_exact.py engines/test_exact_adam.py engines/test_exact_writing.py"

# name: (tests that must fail, {tag: change})
EXACT = {
    # ---- the C library ----
    "fma-allowed": (EXACT_ENGINE, {"compiler-options": replace('"-ffp-contract=off"', '"-ffp-contract=fast"')}),
    "pow-folded": (EXACT_ENGINE, {"adam-square": replace("pow(g, 2.0)", "g * g")}),
    "root-folded": (EXACT_ENGINE, {"adam-root": replace("pow(v / a->c2, 0.5)", "sqrt(v / a->c2)")}),
    "no-fallback-in-exp": (
        EXACT_ENGINE,
        {"lanes-in-doubt": replace("by_libm(f, x[i])", "f == EXP ? y[i] : by_libm(f, x[i])")},
    ),
    "no-fallback-in-powers": (
        EXACT_ENGINE,
        {"lanes-in-doubt": replace("by_libm(f, x[i])", "f == EXP ? by_libm(f, x[i]) : y[i]")},
    ),
    # ---- the order of sums ----
    "forward-fold-reversed": (EXACT_ENGINE, {"forward-fold": reverse_loop}),
    "dx-fold-reversed": (EXACT_ENGINE, {"dx-fold": reverse_loop}),
    "dw-fold-reversed": (EXACT_ENGINE, {"dw-fold": reverse_loop}),
    "norm-fold-reversed": (EXACT_ENGINE, {"norm-fold": reverse_loop}),
    "cached-fold-reversed": (EXACT_ENGINE, {"key-fold": reverse_loop}),
    "heads-ascending": (EXACT_ENGINE, {"heads-fold": reverse_loop}),
    "documents-ascending-in-rows": (EXACT_ENGINE, {"rows-documents": reverse_loop}),
    "sums-not-resumed": (EXACT_ENGINE, {"dx-start": replace("resume", "0")}),
    "sums-not-resumed-forward": (EXACT_ENGINE, {"forward-start": replace("resume", "0")}),
    "k-before-v": (
        EXACT_ENGINE,
        {
            "v-segment": replace("*segment++", "*(segment++ + 1)"),
            "k-segment": replace("*segment++", "*(segment++ - 1)"),
        },
    ),
    "target-not-last": (
        EXACT_ENGINE,
        {"target-last": instead("g->d_logits[target] = g->d_target[p]; g->d_target[p] = 0.0;"), "targets-back": delete},
    ),
    "dw-added-afterwards": (
        EXACT_ENGINE,
        {
            "dw-start": replace("before ? vload_some(before + r * n_in + c * W, left - c * W) : vset1(0.0)", "vset1(0.0)"),
            "dw-store": replace("sum[r][c]", "(before ? vload_some(before + r * n_in + c * W, left - c * W) : vset1(0.0)) + sum[r][c]"),
        },
    ),
    "rows-done-twice": (EXACT_ENGINE, {"last-rows": replace("i += 4", "i += 3")}),
    # ---- the parts of the model ----
    "norm-share-doubled-at-once": (
        EXACT_ENGINE,
        {"norm-dx": replace("vload(dy + at)) + term) + term", "vload(dy + at)) + (term + term))")},
    ),
    "relu-of-nan": (
        EXACT_ENGINE,
        {"exact-relu": replace("vselect(vgt(xi, zero), xi, zero)", "vselect(vlt(xi, zero), zero, xi)")},
    ),
    "relu2-is-relu": (
        EXACT_ENGINE,
        {"exact-relu2": replace("relu2_forward(act, pre, work, n, s->vector_libm)", "relu_forward(act, pre, n)")},
    ),
    "gelu-is-silu": (EXACT_ENGINE, {"exact-gelu": replace("ACTIVATION_GELU, act", "ACTIVATION_SILU, act")}),
    "gelu-shares-doubled-at-once": (
        EXACT_ENGINE,
        {"exact-gelu-dx": replace("x * d_square + x * d_square", "(x * d_square + x * d_square)")},
    ),
    "sigmoid-on-the-wrong-side": (
        EXACT_ENGINE,
        {"exact-sigmoid": replace("e * inverse, inverse", "inverse, e * inverse")},
    ),
    "masked-keys-counted": (EXACT_ENGINE, {"keys-seen": replace("sees(p0, t - 1)", "sees(p0, p0)")}),
    "mean-over-all-at-once": (
        EXACT_ENGINE,
        {"mean-loss": replace("1.0 / (double)d->n * d_loss", "1.0 / ((double)d->n / d_loss)")},
    ),
    # ---- Adam, clipping and decay ----
    "quotient-not-corrected": (EXACT_ENGINE, {"correct-quotient": delete, "correct-it-again": instead("return q;")}),
    "zeros-to-the-multiplier": (EXACT_ENGINE, {"tiny-moment": never}),
    "denormal-rounded-twice": (EXACT_ENGINE, {"denormal-product": replace("vfma(k, vset1(beta), integers)", "k * vset1(beta) + integers")}),
    "denormal-step-left-out": (EXACT_ENGINE, {"large-parameter": replace("1e-250", "0.0")}),
    "no-fallback-in-adam": (EXACT_ENGINE, {"open-lanes": instead("return vgt(vset1(0.0), vset1(0.0));")}),
    "first-correction-dropped-early": (EXACT_ENGINE, {"second-moment-only": replace("a->c2 != 1", "a->c2 < 0.999999")}),
    "root-not-corrected": (EXACT_ENGINE, {"root-step": delete}),
    "either-root-will-do": (EXACT_ENGINE, {"either-root": replace("next !=", "0 && next !=")}),
    "overflow-in-the-middle": (EXACT_ENGINE, {"separable": replace("job->bound < 1e17", "1")}),
    "decay-left-out": (EXACT_ENGINE, {"share-decay": delete}),
    "overflow-goes-on": (EXACT_ENGINE, {"overflowing-square": instead("adam_v(a, &v[i], g[i]);")}),
    "clip-fold-in-vectors": (
        EXACT_ENGINE,
        {"clip-fold": replace("[k]", "[k ^ (W - 1)]"), "clip-doubt": replace("[k]", "[k ^ (W - 1)]")},
    ),
    "clip-without-libm": (EXACT_ENGINE, {"clip-settled": always}),
    "decay-before-clipping": (
        EXACT_ENGINE,
        {"decay": delete, "clipping": before("k->decay(&t->shape, t->params, job->step.decay);")},
    ),
    "decay-after-adam": (
        EXACT_ENGINE,
        {
            "decay": delete,
            "adam-step": instead(
                "done = k->adam(&t->shape, t->params, &t->adam, &job->step);k->decay(&t->shape, t->params, job->step.decay);"
            ),
        },
    ),
}
