"""Defects of the exact engine that keep it looking right, for mutants.py."""

TESTS = "test_exact_options.py test_exact.py test_exact_adam.py test_exact_writing.py"

# name: (file, old text, new text, and so on)
CHANGES = {
    "fma-allowed": ("setup.py", "-ffp-contract=off", "-ffp-contract=fast"),
    "pow-folded": ("src/exact/adam.h", "pow(g, 2.0)", "(g * g)"),
    "root-folded": ("src/exact/adam.h", "pow(v / a->c2, 0.5)", "sqrt(v / a->c2)"),
    "quotient-not-corrected": (
        "src/exact/adam.h",
        "    q = vfma(vfnma(b, q, a), inverse, q);\n    return vfma(vfnma(b, q, a), inverse, q);",
        "    return q;",
    ),
    "zeros-to-the-multiplier": ("src/exact/adam.h", "        if (RARELY(vbits(vnlt(vset1(1e-200), vabs(m)))))\n", "        if (0)\n"),
    "no-fallback-in-adam": ("src/exact/adam.h", "return vbits(open);", "return vbits(open) & 0;"),
    "no-fallback-in-exp": ("src/exact/libm.h", "FOR_EACH_VECTOR(y, x, n, EXP_VECTOR, exp(x[i]))", "FOR_EACH_VECTOR(y, x, n, EXP_VECTOR, y[i])"),
    "no-fallback-in-powers": (
        "src/exact/libm.h",
        "FOR_EACH_VECTOR(y, x, n, POW_VECTOR, pow(x[i], EXPONENT[which]))",
        "FOR_EACH_VECTOR(y, x, n, POW_VECTOR, y[i])",
    ),
    "forward-fold-reversed": (
        "src/exact/linear.h",
        "for (size_t j = 0; j < n_in; j++) {\n        UNROLL",
        "for (size_t j = n_in; j-- > 0;) {\n        UNROLL",
    ),
    "dx-fold-reversed": (
        "src/exact/linear.h",
        "for (size_t i = segments[s].rows; i-- > 0;) {",
        "for (size_t i = 0; i < segments[s].rows; i++) {",
    ),
    "dw-fold-reversed": ("src/exact/linear.h", "for (size_t p = n; p-- > 0;) {", "for (size_t p = 0; p < n; p++) {"),
    "norm-fold-reversed": (
        "src/exact/norm.h",
        "for (size_t j = s->n_embd; j-- > 0;)",
        "for (size_t j = 0; j < s->n_embd; j++)",
    ),
    "norm-share-doubled-at-once": ("src/exact/norm.h", "((before + sp * vload(dy + at)) + part) + part);", "(before + sp * vload(dy + at)) + (part + part));"),
    "cached-fold-reversed": (
        "src/exact/attention.h",
        "for (size_t p = n; p-- > s0;) {",
        "for (size_t p = s0; p < n; p++) {",
    ),
    "heads-ascending": ("src/exact/backward.h", "for (size_t h = s->n_head; h-- > 0;) {", "for (size_t h = 0; h < s->n_head; h++) {"),
    "k-before-v": (
        "src/exact/backward.h",
        "Segment){params + w.wv + row * e, d->d_v + row * d->stride, hd};\n        *segment++ = (Segment){params + w.wk + row * e, d->d_k",
        "Segment){params + w.wk + row * e, d->d_k + row * d->stride, hd};\n        *segment++ = (Segment){params + w.wv + row * e, d->d_v",
    ),
    "target-not-last": ("src/exact/backward.h", "*target = 0.0;", "d_target[p] = 0.0;"),
    "first-correction-dropped-early": ("src/exact/adam.h", "else if (a.c2 != 1)", "else if (a.c2 < 0.999999)"),
    "relu-of-nan": ("src/exact/forward.h", "vselect(vgt(x, vset1(0.0)), x, vset1(0.0))", "vselect(vlt(x, vset1(0.0)), vset1(0.0), x)"),
    "masked-keys-counted": ("src/exact/attention.h", "vm seen = sees(p0, t);", "vm seen = sees(p0, p0);"),
    "documents-ascending": (
        "src/exact/train.c",
        "for (size_t j = n; j-- > 0;) {",
        "for (size_t j = 0; j < n; j++) {",
    ),
    "dw-added-afterwards": (
        "src/exact/linear.h",
        "go_on ? vload(dw + r * n_in + c0 + c * W) : vset1(0.0);",
        "vset1(0.0);",
        "vstore_some(dw + r * n_in + c0 + c * W, sum[r][c],",
        "vstore_some(dw + r * n_in + c0 + c * W, (go_on ? vload(dw + r * n_in + c0 + c * W) : vset1(0.0)) + sum[r][c],",
    ),
    "rows-done-twice": ("src/exact/linear.h", "BLOCKS_APART, TILE", "BLOCKS, TILE"),
    "mean-over-all-at-once": ("src/exact/loss.h", "(1.0 / (double)d->n * d_loss)", "(1.0 / ((double)d->n / d_loss))"),
    "clip-fold-in-vectors": (
        "src/exact/clip.h",
        "next += squares[k];",
        "next += squares[k ^ (W - 1)];",
        "before + others[k] != next",
        "before + others[k ^ (W - 1)] != next",
    ),
    "clip-without-libm": ("src/exact/clip.h", "if (!differ) {", "if (1) {"),
    "decay-before-clipping": (
        "src/exact/train.c",
        "    if (o->weight_decay != 0)\n        k->decay(&t->shape, t->params, lr * o->weight_decay);\n",
        "",
        "    if (o->clip_norm > 0) {",
        "    k->decay(&t->shape, t->params, lr * o->weight_decay);\n    if (o->clip_norm > 0) {",
    ),
    "decay-after-adam": (
        "src/exact/train.c",
        "    if (o->weight_decay != 0)\n        k->decay(&t->shape, t->params, lr * o->weight_decay);\n    return k->adam(&t->shape, t->params, &t->adam, lr);",
        "    size_t n = k->adam(&t->shape, t->params, &t->adam, lr);\n    k->decay(&t->shape, t->params, lr * o->weight_decay);\n    return n;",
    ),
    "overflow-goes-on": ("src/exact/adam.h", "if (!adam_v(a, &v[i], g[i]))\n            return i;", "adam_v(a, &v[i], g[i]);"),
}

# as in mutants_scalar.py: (name, file, old text, new text, tests that must fail, more changes)
EXACT = [
    (name, file, old, new, TESTS, tuple(zip([file] * len(more), more[::2], more[1::2])))
    for name, (file, old, new, *more) in CHANGES.items()
]
