/* RMSNorm: scale a vector to root mean square 1.
 *
 *     forward     y = x * scale,  scale = (mean(x * x) + 1e-5) ** -0.5      x, y: (n_embd), scale: (1), for each token
 *     backward    dx = scale * (dy - y * mean(y * dy))
 *
 * by the product rule: d scale / d x[j] = -scale ** 3 * x[j] / n_embd.
 */
#ifndef MICROGPT_FAST_NORM_H
#define MICROGPT_FAST_NORM_H

#include "model.h"
#include "simd/floats.h"

/* y may be x. Where the squares overflow, y is NaN, not 0, so that the loss is not finite either. */
static void rmsnorm_forward(const Shape *s, float *y, float *scale, const float *x, Columns to) {
    size_t stride = to.stride;
    const vf inverse_n = vset1((float)s->inverse_n_embd);
    for (size_t t = to.first; t < to.end; t += W) {
        vf even = vset1(0.0f), odd = even;
        size_t j = 0;
        for (; j + 2 <= s->n_embd; j += 2) {
            vf a = vload(x + j * stride + t), b = vload(x + (j + 1) * stride + t);
            even = vfma(a, a, even);
            odd = vfma(b, b, odd);
        }
        if (j < s->n_embd) {
            vf a = vload(x + j * stride + t);
            even = vfma(a, a, even);
        }
        vf square = vfma(even + odd, inverse_n, vset1(1e-5f)), k = vsqrt(square) / square; /* mutant: norm-scale */
        vstore(scale + t, k);
        for (j = 0; j < s->n_embd; j++)
            vstore(y + j * stride + t, vload(x + j * stride + t) * k);
    }
}

/* dx = residual + the formula's. residual: the derivative from the residual stream, or NULL. dx may be any of the
 * others. */
static void rmsnorm_backward(const Shape *s, float *dx, const float *dy, const float *residual, const float *y,
                             const float *scale, Columns to) {
    size_t stride = to.stride;
    const vf inverse_n = vset1((float)s->inverse_n_embd);
    for (size_t t = to.first; t < to.end; t += W) {
        vf even = vset1(0.0f), odd = even;
        size_t j = 0;
        for (; j + 2 <= s->n_embd; j += 2) {
            even = vfma(vload(y + j * stride + t), vload(dy + j * stride + t), even);
            odd = vfma(vload(y + (j + 1) * stride + t), vload(dy + (j + 1) * stride + t), odd);
        }
        if (j < s->n_embd)
            even = vfma(vload(y + j * stride + t), vload(dy + j * stride + t), even);
        vf k = vload(scale + t), mean = (even + odd) * inverse_n;
        for (j = 0; j < s->n_embd; j++) {
            size_t at = j * stride + t;
            vf g = vfnma(vload(y + at), mean, vload(dy + at)); /* mutant: norm-gradient */
            vf before = residual ? vload(residual + at) : vset1(0.0f);
            vstore(dx + at, vfma(k, g, before));
        }
    }
}

#endif
