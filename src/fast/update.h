/* After the pass: a task's gradients over all groups, their length, and Adam. */
#ifndef MICROGPT_FAST_UPDATE_H
#define MICROGPT_FAST_UPDATE_H

#include "linear.h"
#include "model.h"

#include <string.h>

/* Rows of wte: the sum over the tokens with that id, in their order. Of wpe: over the tokens at that position. */
static void embedding_gradients(float *dw, const Shape *s, const Group *groups, size_t n_groups, const Task *task) {
    size_t e = s->n_embd, padded = rounded_up(e, W);
    memset(dw, 0, task->n_rows * e * sizeof(float));
    for (const Group *g = groups; g < groups + n_groups; g++)
        for (size_t t = 0; t < g->n_tokens; t++) {
            size_t row = (task->matrix == WPE ? g->positions : g->inputs)[t] - task->first_row;
            if (row >= task->n_rows) /* below first_row too: size_t has no sign */
                continue;
            for (size_t j = 0; j < e; j += W) {
                float *sum = dw + row * e + j;
                vstore_some(sum, vload_some(sum, e - j) + vload(g->d_embedding_t + t * padded + j), e - j);
            }
        }
}

static void task_gradients(const Shape *s, const Group *groups, size_t n_groups, const Task *task, float *dw) {
    if (task->matrix == WTE || task->matrix == WPE)
        embedding_gradients(dw, s, groups, n_groups, task);
    else
        linear_gradients(dw, groups, n_groups, task);
}

static double sum(const float *x, size_t n) {
    vf sums = vset1(0.0f);
    double total = 0.0;
    for (size_t i = 0; i < n; i += W) {
        sums = sums + vload_some(x + i, n - i);
        if (i % (16 * W) == 15 * W) { /* floats for a short while only, so that little is lost */
            total += vsum(sums);
            sums = vset1(0.0f);
        }
    }
    return total + vsum(sums);
}

static double sum_of_squares(const float *x, size_t n) {
    vf sums = vset1(0.0f);
    double total = 0.0;
    for (size_t i = 0; i < n; i += W) {
        vf xi = vload_some(x + i, n - i);
        sums = vfma(xi, xi, sums);
        if (i % (16 * W) == 15 * W) {
            total += vsum(sums);
            sums = vset1(0.0f);
        }
    }
    return total + vsum(sums);
}

/* Adam's settings, a vector each; and what is 0 until a number leaves float32's range, then NaN. */
typedef struct {
    vf lr, beta1, rest1, beta2, rest2, eps, inverse_c2, keep, clip, lost_root, lost_p;
} Adam;

INLINE void adam_step(Adam *a, float *params, const float *gradients, float *m, float *v, size_t lanes) {
    vf g = vload_some(gradients, lanes) * a->clip, p = vload_some(params, lanes), zero = vset1(0.0f);
    vf mi = vfma(a->beta1, vload_some(m, lanes), a->rest1 * g);
    vf vi = vfma(a->beta2, vload_some(v, lanes), a->rest2 * g * g);
    vf root = vsqrt(vi * a->inverse_c2) + a->eps;
    p = p * a->keep - a->lr * vdivide(mi, root);
    a->lost_root = vfma(root, zero, a->lost_root); /* infinity * 0 is NaN */
    a->lost_p = vfma(p, zero, a->lost_p);
    vstore_some(params, p, lanes);
    vstore_some(m, mi, lanes);
    vstore_some(v, vi, lanes);
}

static int update(const Update *u, float *params, const float *gradients, float *m, float *v, size_t n) {
    Adam a = {
        vset1(u->lr),  vset1(u->beta1),      vset1(1.0f - u->beta1), vset1(u->beta2), vset1(1.0f - u->beta2),
        vset1(u->eps), vset1(u->inverse_c2), vset1(u->keep),         vset1(u->clip),  vset1(0.0f),
        vset1(0.0f),
    };
    size_t i = 0;
    for (; i + W <= n; i += W)
        adam_step(&a, params + i, gradients + i, m + i, v + i, W);
    if (i < n)
        adam_step(&a, params + i, gradients + i, m + i, v + i, n - i);
    return vsum(a.lost_root + a.lost_p) != 0.0f; /* NaN is not */
}

#endif
