"""Defects of the fast engine that are not obvious, for mutants.py."""

from mutants_changes import delete, instead, never, replace, swap

FAST_ENGINE = "engines/test_fast_corners.py engines/test_fast.py engines/test_fast_threads.py"
TEXTS = "corpus/test_texts.py -k fast"

# name: (tests that must fail, {tag: change})
FAST = {
    # ---- loss and attention ----
    "target-by-difference": (FAST_ENGINE, {"target-derivative": replace("none - others", "hit - total")}),
    "softmax-not-shifted": (
        FAST_ENGINE,
        {"largest-score": replace("vmax(sum, largest)", "vset1(0.0f)")},
    ),
    "lanes-past-documents-weigh": (
        FAST_ENGINE,
        {"lanes-of-documents": replace("vkeep(documents, vset1(1.0f) / total)", "vset1(1.0f) / total")},
    ),
    "later-keys-weigh": (FAST_ENGINE, {"later-keys": replace("q - p", "q - p - 1")}),
    "queries-past-the-end-weigh": (
        FAST_ENGINE,
        {"weights-of-queries": replace("vkeep(lanes_below(n - p), vset1(1.0f) / total)", "vset1(1.0f) / total")},
    ),
    # ---- activations and norm ----
    "relu2-derivative-halved": (FAST_ENGINE, {"relu2-slope": replace("r + r", "r")}),
    "gelu-overflows": (FAST_ENGINE, {"gelu-overflow": delete}),
    "gate-on-the-wrong-side": (FAST_ENGINE, {"gate-side": swap("large", "small")}),
    "gate-slope-without-inner-derivative": (FAST_ENGINE, {"gated-slope": replace("* dz", "")}),
    "gate-closed-early": (FAST_ENGINE, {"gate-underflow": replace("87.0f", "20.0f")}),
    "norm-overflow-is-zero": (
        FAST_ENGINE,
        {"norm-scale": replace("vsqrt(square) / square", "vset1(1.0f) / vsqrt(square)")},
    ),
    "norm-without-epsilon": (FAST_ENGINE, {"norm-scale": replace("1e-5f", "1e-7f")}),
    "norm-gradient-shrunk": (
        FAST_ENGINE,
        {"norm-gradient": replace("vload(dy + at))", "vload(dy + at)) * vset1(0.999995f)")},
    ),
    "exp-less-accurate": (FAST_ENGINE, {"exp-coefficient": replace("1.3981999507e-3f", "1e-2f")}),
    "exp-underflow-wraps": (FAST_ENGINE, {"exp-underflow": delete}),
    # ---- groups ----
    "padding-counts": (
        FAST_ENGINE,
        {
            "tokens-of-group": replace("g->n_tokens", "g->columns"),
            "padding": replace("g->shares[t] = 0.0f", "0.0f, g->shares[t] = g->shares[0]"),
        },
    ),
    "half-a-vector-of-more": (FAST_ENGINE, {"half-a-vector": replace("<= W / 2", "<= W")}),
    "odd-term-forgotten": (FAST_ENGINE, {"odd-term": replace("if (n)", "if (0)")}),
    "share-of-a-full-document": (FAST_ENGINE, {"share-of-token": replace("sorted[d]", "sorted[0]")}),
    "groups-wrap-around": (
        FAST_ENGINE,
        {"number-of-groups": instead("return (batch_size + MOST_DOCS - 1) / MOST_DOCS;")},
    ),
    "sum-of-one-group": (FAST_ENGINE, {"sum-of-groups": delete}),
    "last-id-allowed": (FAST_ENGINE, {"unknown-token": replace("tokens[p + 1] >=", "tokens[p + 1] >")}),
    # ---- the update ----
    "infinite-update-unseen": (FAST_ENGINE, {"overflowed-parameter": delete}),
    "infinite-gradient-unseen": (FAST_ENGINE, {"overflowed-gradient": delete}),
    "clip-of-infinity-is-zero": (FAST_ENGINE, {"infinite-norm": delete}),
    "first-moment-uncorrected": (FAST_ENGINE, {"first-correction": replace("done + i + 1", "done + i + 2")}),
    "betas-of-two-kinds": (
        FAST_ENGINE,
        {"float-betas": replace("<float>training.beta1, <float>training.beta2", "training.beta1, training.beta2")},
    ),
    "decay-undone": (FAST_ENGINE, {"decayed-step": replace("* a->keep", "")}),
    # ---- writing on ----
    "slides-by-a-block": (TEXTS, {"slid-half": replace("- block / 2", "")}),
    "no-bos-after-sliding": (TEXTS, {"slid-beginning": replace("begins ?", "begins && 0 ?")}),
    "a-text-ends": (TEXTS, {"never-chosen": replace("i == sampler->never", "i == sampler->never && 0")}),
    # ---- steps and threads ----
    "nan-left-behind": (FAST_ENGINE, {"free-batch": never}),
    "steps-not-counted": (FAST_ENGINE, {"steps-done": replace("done + (job->lr ? i : 0)", "done")}),
    "threads-share-columns-in-parts": (
        FAST_ENGINE,
        {
            "share-columns": replace(
                "part(g->columns, thread + 1, n, WIDEST)",
                "part(g->columns, thread + 1, n, WIDEST) - (thread > 1 ? WIDEST : 0)",
            )
        },
    ),
    "no-barrier-after-the-pass": (
        FAST_ENGINE,
        {"after-the-pass": instead("if (fast_team_size(team) == 1) fast_team_barrier(team);")},
    ),
    # Only the tests of threads, because others would hang until mutants.py ends them.
    "a-sleeper-overslept": ("engines/test_fast_threads.py -k sleep", {"wake-sleepers": never}),
    "gil-kept": ("engines/test_fast_threads.py -k gil", {"release-gil": replace("with nogil", "if True")}),
    "two-callers": (
        "engines/test_fast_threads.py -k one_caller",
        {"one-caller": replace("not self.lock.acquire(False)", "not self.lock.acquire(False) and False")},
    ),
}
