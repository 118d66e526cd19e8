/* From gradients to new parameters: Adam, and the sums that losses and clipping need.
 *
 *     g = clip * gradient
 *     m = beta1 * m + (1 - beta1) * g
 *     v = beta2 * v + (1 - beta2) * g**2
 *     p = (1 - lr * weight_decay) * p - lr * (m / c1) / ((v / c2)**0.5 + eps),  c1 = 1 - beta1**step,  c2 = 1 - beta2**step
 *
 * (Kingma & Ba, Adam, 2015; weight decay as in Loshchilov & Hutter, 2019.)
 */
#ifndef MICROGPT_FAST_UPDATE_H
#define MICROGPT_FAST_UPDATE_H

#include "model.h"
#include "simd/floats.h"

#include <float.h>

/* y += x, n floats each */
static void add(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i += W)
        vstore_some(y + i, vload_some(y + i, n - i) + vload_some(x + i, n - i), n - i);
}

/* of n floats */
static double sum(const float *x, size_t n) {
    vf sums = vset1(0.0f);
    double total = 0.0;
    for (size_t i = 0; i < n; i += W) {
        sums = sums + vload_some(x + i, n - i);
        if (i % (16 * W) == 15 * W) { /* only few terms are added as floats, so that little precision is lost */
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

/* Adam's settings, each in all lanes; and two sums that are 0 until a number overflows, and then NaN. rest1: clip * (1 - beta1);
 * root2: clip * (1 - beta2)**0.5 */
typedef struct {
    vf lr, beta1, rest1, beta2, root2, eps, inverse_c2, keep, overflowed_root, overflowed_p;
} Adam;

/* A vector on its way: m and v are stored; x and near: the corrected v and about the inverse of its root; step: lr * m; rest: the
 * decayed p. */
typedef struct {
    vf x, near, step, rest;
} HalfStep;

INLINE HalfStep begin_step(const Adam *a, const float *params, const float *gradients, float *m, float *v, size_t lanes) {
    vf g = vload_some(gradients, lanes), share = a->root2 * g;
    vf mi = vfma(a->rest1, g, a->beta1 * vload_some(m, lanes));
    vf vi = vfma(share, share, a->beta2 * vload_some(v, lanes));
    vf x = vfma(vi, a->inverse_c2, vset1(FLT_MIN)); /* more than 0 */
    vstore_some(m, mi, lanes);
    vstore_some(v, vi, lanes);
    return (HalfStep){x, vroot_guess(x), a->lr * mi, vload_some(params, lanes) * a->keep}; /* mutant: decayed-step */
}

INLINE void end_step(Adam *a, HalfStep b, float *params, size_t lanes) {
    vf root = vroot_near(b.x, b.near) + a->eps, zero = vset1(0.0f);
    vf p = vfnma(b.step, vinverse_near(root), b.rest);
    /* mutant: overflowed-gradient */
    a->overflowed_root =
        vfma(root, zero, a->overflowed_root);         /* the root of infinity is infinity or NaN, and infinity * 0 is NaN */
    a->overflowed_p = vfma(p, zero, a->overflowed_p); /* mutant: overflowed-parameter */
    vstore_some(params, p, lanes);
}

/* Over n parameters. Returns 0, or 1 when the square of a gradient, or a parameter, overflowed. A vector is begun before the one
 * before it ends: its operations depend on one another for 70 cycles, and the processor looks only a few vectors ahead. */
static int update(const Update *u, float *params, const float *gradients, float *m, float *v, size_t n) {
    Adam a = {
        .lr = vset1(u->lr),
        .beta1 = vset1(u->beta1),
        .rest1 = vset1(u->clip * (1.0f - u->beta1)),
        .beta2 = vset1(u->beta2),
        .root2 = vset1(u->clip * sqrtf(1.0f - u->beta2)),
        .eps = vset1(u->eps),
        .inverse_c2 = vset1(u->inverse_c2),
        .keep = vset1(u->keep),
        .overflowed_root = vset1(0.0f),
        .overflowed_p = vset1(0.0f),
    };
    size_t i = 0, whole = n / W * W;
    if (whole) {
        HalfStep last = begin_step(&a, params, gradients, m, v, W);
        for (i = W; i < whole; i += W) {
            HalfStep next = begin_step(&a, params + i, gradients + i, m + i, v + i, W);
            end_step(&a, last, params + i - W, W);
            last = next;
        }
        end_step(&a, last, params + i - W, W);
    }
    if (i < n)
        end_step(&a, begin_step(&a, params + i, gradients + i, m + i, v + i, n - i), params + i, n - i);
    return vsum(a.overflowed_root + a.overflowed_p) != 0.0f;
}

#endif
