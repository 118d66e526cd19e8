/* RMSNorm: scale a vector to root mean square 1. */
#ifndef MICROGPT_NORM_H
#define MICROGPT_NORM_H

#include "libm.h"
#include "model.h"

/* y: (n_embd), me, scale: (1), x: (n_embd)
 * me = mean of squares + 1e-5; scale = me ** -0.5; y = x * scale */
static void rmsnorm_forward(const Shape *s, double *y, double *me, double *scale, const double *x, size_t stride) {
    const vd inverse_n = vset1(s->inverse_n_embd);
    for (size_t p = 0; p < stride; p += W) {
        vd sum = vset1(0.0);
        for (size_t j = 0; j < s->n_embd; j++) {
            vd xj = vload(x + j * stride + p);
            sum = sum + xj * xj;
        }
        vstore(me + p, sum * inverse_n + vset1(1e-5));
    }
    pow_array(INVERSE_ROOT, scale, me, stride, s->vector_libm);
    for (size_t p = 0; p < stride; p += W) {
        vd sp = vload(scale + p);
        for (size_t j = 0; j < s->n_embd; j++)
            vstore(y + j * stride + p, vload(x + j * stride + p) * sp);
    }
}

/* dx: (n_embd), dy: (n_embd), residual: (n_embd), what already reached x by the residual stream, or NULL; work: (1)
 * The scale's share is added twice, a half each for the two factors of x * x. dx may be dy or residual. */
static void rmsnorm_backward(const Shape *s, double *dx, const double *dy, const double *residual, const double *x,
                             const double *me, const double *scale, double *work, size_t stride) {
    const vd inverse_n = vset1(s->inverse_n_embd);
    pow_array(INVERSE_ROOT_CUBED, work, me, stride, s->vector_libm);
    for (size_t p = 0; p < stride; p += W) {
        vd d_scale = vset1(0.0);
        for (size_t j = s->n_embd; j-- > 0;)
            d_scale = d_scale + vload(x + j * stride + p) * vload(dy + j * stride + p);
        vd share = inverse_n * ((vset1(-0.5) * vload(work + p)) * d_scale);
        vd sp = vload(scale + p);
        for (size_t j = 0; j < s->n_embd; j++) {
            size_t at = j * stride + p;
            vd before = residual ? vload(residual + at) : vset1(0.0);
            vd part = vload(x + at) * share;
            vstore(dx + at, ((before + sp * vload(dy + at)) + part) + part);
        }
    }
}

#endif
