/* RMSNorm: scale a vector to root mean square 1. Works on some of a group's columns, in whole vectors. */
#ifndef MICROGPT_NORM_H
#define MICROGPT_NORM_H

#include "libm.h"
#include "share.h"

/* mean_square = (sum over ascending j of x[j] * x[j]) * n**-1 + 1e-5
 * scale = mean_square**-0.5
 * y[j] = x[j] * scale
 *
 * y, x: (n_embd), mean_square, scale: (1) */
static void rmsnorm_forward(const Shape *s, double *y, double *mean_square, double *scale, const double *x, size_t stride,
                            Range columns) {
    const vd inverse_n = vset1(s->inverse_n_embd);
    for (size_t p = columns.first; p < columns.end; p += W) {
        vd sum = vset1(0.0);
        for (size_t j = 0; j < s->n_embd; j++) {
            vd xj = vload(x + j * stride + p);
            sum = sum + xj * xj;
        }
        vstore(mean_square + p, sum * inverse_n + vset1(1e-5));
    }
    inverse_root_array(scale + columns.first, mean_square + columns.first, columns.end - columns.first, s->vector_libm);
    for (size_t p = columns.first; p < columns.end; p += W) {
        vd sp = vload(scale + p);
        for (size_t j = 0; j < s->n_embd; j++)
            vstore(y + j * stride + p, vload(x + j * stride + p) * sp);
    }
}

/* forward computed y[j] = x[j] * scale, scale = mean_square**-0.5, mean_square = (sum of x[j] * x[j]) * n**-1 + 1e-5; so
 *     d_scale = sum over descending j of x[j] * dy[j]
 *     d_square = n**-1 * ((-0.5 * mean_square**-1.5) * d_scale)          with respect to each x[j] * x[j]
 *     dx[j] = ((d_residual[j] + scale * dy[j]) + x[j] * d_square) + x[j] * d_square
 * The last term occurs twice, once for each factor of x[j] * x[j]. Where x is also the residual stream, the derivative through
 * the stream, d_residual, is the first term.
 *
 * dx, dy, x: (n_embd), mean_square, scale, power: (1), of which power is overwritten; d_residual: (n_embd) or NULL. dx may be
 * dy or d_residual. */
static void rmsnorm_backward(const Shape *s, double *dx, const double *dy, const double *d_residual, const double *x,
                             const double *mean_square, const double *scale, double *power, size_t stride, Range columns) {
    inverse_root_cubed_array(power + columns.first, mean_square + columns.first, columns.end - columns.first, s->vector_libm);
    for (size_t p = columns.first; p < columns.end; p += W) {
        vd d_scale = vset1(0.0);
        for (size_t j = s->n_embd; j-- > 0;) /* mutant: norm-fold */
            d_scale = d_scale + vload(x + j * stride + p) * vload(dy + j * stride + p);
        vd d_square = vset1(s->inverse_n_embd) * ((vset1(-0.5) * vload(power + p)) * d_scale);
        vd sp = vload(scale + p);
        for (size_t j = 0; j < s->n_embd; j++) {
            size_t at = j * stride + p;
            vd first = d_residual ? vload(d_residual + at) : vset1(0.0);
            vd term = vload(x + at) * d_square;
            vstore(dx + at, ((first + sp * vload(dy + at)) + term) + term); /* mutant: norm-dx */
        }
    }
}

#endif
