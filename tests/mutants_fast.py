"""Defects of the fast engine that keep it looking right, for mutants.py."""

TESTS = "test_fast_corners.py test_fast.py test_fast_threads.py"

# name: (file, old text, new text, and so on)
CHANGES = {
    "target-by-difference": (
        "src/fast/loss.h",
        "-at_target[k];",
        "-(g->shares[t + k] - g->shares[t + k] * (1.0f - at_target[k] / g->shares[t + k]));",
    ),
    "softmax-not-shifted": (
        "src/fast/attention.h",
        "largest = vmax(largest, score);",
        "largest = vset1(0.0f);",
    ),
    "lanes-past-documents-weigh": ("src/fast/attention.h", "vkeep(lanes_below(g->counts[p] - d), vset1(1.0f) / total)", "vset1(1.0f) / total"),
    "later-keys-weigh": (
        "src/fast/attention_by_document.h",
        "            k = vselect(lanes_below(q - p), vset1(0.0f), k);",
        "            k = vselect(lanes_below(q - p - 1), vset1(0.0f), k);",
    ),
    "queries-past-the-end-weigh": (
        "src/fast/attention_by_document.h",
        "lane < smaller(W, n - p); lane++",
        "lane < W; lane++",
        "vf scale = vkeep(lanes_below(n - p), vset1(1.0f) / total);",
        "vf scale = vset1(1.0f) / total;",
    ),
    "relu2-derivative-halved": ("src/fast/linear.h", "sum = sum * (vload(other) + vload(other));", "sum = sum * vload(other);"),
    "padding-counts": (
        "src/fast/linear.h",
        "for (const float *end = dy + g->n_tokens;",
        "for (const float *end = dy + g->columns;",
        "src/fast/batch.c",
        "        g->shares[t] = 0.0f;",
        "        g->shares[t] = g->shares[0];",
    ),
    "share-of-a-full-document": ("src/fast/batch.c", "(1.0 / ((double)sorted[d].n * (double)batch_size))", "(1.0 / ((double)sorted[0].n * (double)batch_size))"),
    "groups-wrap-around": ("src/fast/batch.c", "batch_size / MOST_DOCS + (batch_size % MOST_DOCS != 0)", "(batch_size + MOST_DOCS - 1) / MOST_DOCS"),
    "last-id-allowed": ("src/fast/batch.c", "tokens[p + 1] >= s->vocab)", "tokens[p + 1] > s->vocab)"),
    "norm-overflow-is-zero": ("src/fast/norm.h", "k = vsqrt(square) / square;", "k = vset1(1.0f) / vsqrt(square);"),
    "norm-without-epsilon": ("src/fast/norm.h", "vfma(even + odd, inverse_n, vset1(1e-5f))", "vfma(even + odd, inverse_n, vset1(1e-7f))"),
    "norm-gradient-shrunk": ("src/fast/norm.h", "vload(dy + at));\n            vf before", "vload(dy + at)) * vset1(0.999995f);\n            vf before"),
    "exp-less-accurate": ("src/simd/floats.h", "p = vfma(p, r, vset1(1.3981999507e-3f));", "p = vfma(p, r, vset1(1e-2f));"),
    "exp-underflow-wraps": ("src/simd/floats.h", "    x = vmax(vset1(-87.0f), x); /* NaN stays */\n", ""),
    "infinite-update-unseen": ("src/fast/update.h", "a->lost_p = vfma(p, zero, a->lost_p);", ""),
    "infinite-gradient-unseen": ("src/fast/update.h", "a->lost_root = vfma(root, zero, a->lost_root);", ""),
    "clip-of-infinity-is-zero": ("src/fast/train.c", "    if (!isfinite(norm))\n        return NAN;\n", ""),
    "first-moment-uncorrected": ("src/fast/train.c", "correction(c1, t->beta1, done + i + 1)", "correction(c1, t->beta1, done + i + 2)"),
    "betas-of-two-kinds": ("src/fast.pyx", "<float>training.beta1, <float>training.beta2", "training.beta1, training.beta2"),
    "decay-undone": ("src/fast/update.h", "p = p * a->keep - ", "p = p - "),
    "nan-left-behind": ("src/fast/train.c", "    if (job->outcome != DONE)\n        trainer_free_batch(t); /*", "    if (0)\n        trainer_free_batch(t); /*"),
    "steps-not-counted": ("src/fast/train.c", "t->num_steps = done + (job->lr ? i : 0);", "t->num_steps = done;"),
    "threads-share-columns-in-parts": (
        "src/fast/train.c",
        "part(g->columns, thread + 1, n, WIDEST));",
        "part(g->columns, thread + 1, n, WIDEST) - (thread > 1 ? WIDEST : 0));",
    ),
    "no-barrier-after-the-pass": (
        "src/fast/train.c",
        "        team_barrier(team);\n        outcome = sum_losses(job, &loss);",
        "        if (team_size(team) == 1)\n            team_barrier(team);\n        outcome = sum_losses(job, &loss);",
    ),
    "a-sleeper-overslept": ("src/fast/team.c", "if (load(&team->sleepers) > 0) {", "if (load(&team->sleepers) > 5) {"),
    "gil-kept": (
        "src/fast.pyx",
        "            with nogil:\n                result = train(",
        "            if True:\n                result = train(",
    ),
    "two-callers": (
        "src/fast.pyx", "acquire(self):\n        if not self.lock.acquire(False):", "acquire(self):\n        if False:",
    ),
}


def _mutant(name, changes):
    """A row of mutants.py; each change is old text and new text, after the name of a file where that is another."""
    file, parts, rows = changes[0], list(changes[1:]), []
    while parts:
        if parts[0].startswith("src/"):
            file = parts.pop(0)
        rows.append((file, parts.pop(0), parts.pop(0)))
    return (name, *rows[0], TESTS, tuple(rows[1:]))


FAST = [_mutant(name, changes) for name, changes in CHANGES.items()]
