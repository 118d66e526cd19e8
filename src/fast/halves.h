/* The products of linear.h for tokens that fill at most half a vector, as one short document does: two terms of a sum, or two
 * sums, share a vector, with weights that follow one another in the matrix. The other half becomes 0.
 *
 *     forward     y[i][t]  = sum over j of w[i][j] * x[j][t]      lanes: the even and the odd terms of token 0, of token 1, ...
 *     backward    dx[j][t] = sum over i of w[i][j] * dy[i][t]     lanes: dx[j][0], dx[j + 1][0], dx[j][1], dx[j + 1][1], ...
 */
#ifndef MICROGPT_FAST_HALVES_H
#define MICROGPT_FAST_HALVES_H

#include "blocks.h"
#include "simd/floats.h"

/* What is stored for a vector of sums; `other` is the same part of another activation. */
typedef vf Epilogue(vf sum, const float *other);

#ifdef HAVE_PAIRS

/* Some rows of y; n: terms of a sum; other: as in linear.h */
INLINE void half_forward_tile(float *y, const float *w, size_t across, const float *x, size_t n, size_t stride,
                              Epilogue *epilogue, const float *other, const int rows) {
    vf sum[2 * ROWS];
    UNROLL_FOR (int r = 0; r < rows; r++)
        sum[r] = vset1(0.0f);
    for (; n >= 2; n -= 2, w += 2, x += 2 * stride) {
        vf terms = vpairs(vload(x), vload(x + stride));
        UNROLL_FOR (int r = 0; r < rows; r++)
            sum[r] = vfma(vset2(w + r * across), terms, sum[r]);
    }
    if (n) { /* mutant: odd-term */
        vf terms = vpairs(vload(x), vset1(0.0f));
        UNROLL_FOR (int r = 0; r < rows; r++)
            sum[r] = vfma(vset1(w[r * across]), terms, sum[r]);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        vstore(y + r * stride, epilogue(vfirsts(sum[r]) + vseconds(sum[r]), other + r * stride));
}

/* Rows 2 p and 2 p + 1 of dx, for some pairs p */
INLINE void half_backward_tile(float *dx, const float *w, size_t along, const float *dy, size_t n, size_t stride,
                               Epilogue *epilogue, const float *other, const int pairs) {
    vf sum[2 * ROWS];
    UNROLL_FOR (int p = 0; p < pairs; p++)
        sum[p] = vset1(0.0f);
    for (size_t i = 0; i < n; i++, w += along, dy += stride) {
        vf derivative = vload(dy), twice = vpairs(derivative, derivative);
        UNROLL_FOR (int p = 0; p < pairs; p++)
            sum[p] = vfma(vset2(w + 2 * p), twice, sum[p]);
    }
    UNROLL_FOR (int p = 0; p < pairs; p++) {
        vstore(dx + 2 * p * stride, epilogue(vfirsts(sum[p]), other + 2 * p * stride));
        vstore(dx + (2 * p + 1) * stride, epilogue(vseconds(sum[p]), other + (2 * p + 1) * stride));
    }
}

INLINE void half_forward_rows(float *y, const float *w, const float *x, size_t n_out, size_t n_in, size_t stride,
                              Epilogue *epilogue, const float *other, const int rows) {
    for (size_t next = 0; next < n_out; next += rows) {
        size_t r = smaller(next, n_out - rows); /* the last tile may compute rows again: it stores the same */
        half_forward_tile(y + r * stride, w + r * n_in, n_in, x, n_in, stride, epilogue, other + r * stride, rows);
    }
}

INLINE void half_backward_rows(float *dx, const float *w, const float *dy, size_t n_out, size_t n_in, size_t stride,
                               Epilogue *epilogue, const float *other, const int pairs) {
    for (size_t next = 0; next < n_in; next += 2 * pairs) {
        size_t r = smaller(next, n_in - 2 * pairs);
        half_backward_tile(dx + r * stride, w + r, n_in, dy, n_out, stride, epilogue, other + r * stride, pairs);
    }
}

/* Arguments as in linear.h; n_in of half_backward is at least 2. */
INLINE void half_forward(float *y, const float *w, const float *x, size_t n_out, size_t n_in, size_t stride, Epilogue *epilogue,
                         const float *other) {
    if (n_out >= 2 * ROWS)
        half_forward_rows(y, w, x, n_out, n_in, stride, epilogue, other, 2 * ROWS);
    else if (n_out >= ROWS)
        half_forward_rows(y, w, x, n_out, n_in, stride, epilogue, other, ROWS);
    else
        half_forward_rows(y, w, x, n_out, n_in, stride, epilogue, other, 1);
}

INLINE void half_backward(float *dx, const float *w, const float *dy, size_t n_out, size_t n_in, size_t stride,
                          Epilogue *epilogue, const float *other) {
    if (n_in >= 4 * ROWS)
        half_backward_rows(dx, w, dy, n_out, n_in, stride, epilogue, other, 2 * ROWS);
    else if (n_in >= 2 * ROWS)
        half_backward_rows(dx, w, dy, n_out, n_in, stride, epilogue, other, ROWS);
    else
        half_backward_rows(dx, w, dy, n_out, n_in, stride, epilogue, other, 1);
}

#endif /* HAVE_PAIRS */
#endif
