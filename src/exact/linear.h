/* Matrix times activations, forward and backward.
 *
 * Each result is one sum in the reference's order, kept in one lane of one register from its first term to its last. Speed comes
 * from computing a tile of rows x vectors of results at a time: sums that do not wait for each other. Rows are taken 8 at a time,
 * then 4, then one by one.
 */
#ifndef MICROGPT_LINEAR_H
#define MICROGPT_LINEAR_H

#include "model.h"
#include "simd/doubles.h"

#if W == 8
#define VECS 2 /* 16 sums of the 32 registers */
#else
#define VECS 1 /* 8 of 16 */
#endif

INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* The next multiple of a vector. */
INLINE size_t padded_to_vector(size_t n) { return (n + W - 1) / W * W; }

/* ---- forward: y = w x ----------------------------------------------------------------------------------------------- */

/* y[i] = sum over ascending j of w[i][j] * x[j]
 *
 * A tile of it. y: (rows) and x: (n_in) hold `stride` positions a row; w: (rows, n_in). */
INLINE void forward_tile(double *y, const double *w, const double *x, size_t n_in, size_t stride, const int rows,
                         const int vecs) {
    vd sum[8][VECS];
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            sum[r][c] = vset1(0.0);
    for (size_t j = 0; j < n_in; j++) { /* mutant: forward-fold */
        UNROLL_FOR (int r = 0; r < rows; r++)
            UNROLL_FOR (int c = 0; c < vecs; c++)
                sum[r][c] = sum[r][c] + vset1(w[r * n_in + j]) * vload(x + j * stride + c * W);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            vstore(y + r * stride + c * W, sum[r][c]);
}

/* `vecs` vectors of every row of y */
INLINE void forward_columns(double *y, const double *w, const double *x, size_t n_out, size_t n_in, size_t stride,
                            const int vecs) {
    size_t i = 0;
    for (; i + 8 <= n_out; i += 8)
        forward_tile(y + i * stride, w + i * n_in, x, n_in, stride, 8, vecs);
    for (; i + 4 <= n_out; i += 4)
        forward_tile(y + i * stride, w + i * n_in, x, n_in, stride, 4, vecs);
    for (; i < n_out; i++)
        forward_tile(y + i * stride, w + i * n_in, x, n_in, stride, 1, vecs);
}

/* y: (n_out), w: (n_out, n_in), x: (n_in) */
static void linear_forward(double *y, const double *w, const double *x, size_t n_out, size_t n_in, size_t stride) {
    size_t p = 0;
    for (; p + VECS * W <= stride; p += VECS * W)
        forward_columns(y + p, w, x + p, n_out, n_in, stride, VECS);
    if (p < stride)
        forward_columns(y + p, w, x + p, n_out, n_in, stride, 1);
}

/* ---- backward, with respect to x ------------------------------------------------------------------------------------ */

/* forward computed y[i] = sum over j of w[i][j] * x[j]; so with dy = dL/dy:
 *     dx[j] = sum over descending i of w[i][j] * dy[i]
 * An x that several matrices read, or several heads' rows of them, collects its terms in one sum over all these rows: over the
 * segments as they are given, each from its last row to its first.
 *
 * A tile of it, from feature j and position p on. dx: (rows) */
INLINE void backward_x_tile(double *dx, const Segment *segments, size_t n_segments, size_t j, size_t p, size_t n_in,
                            size_t stride, const int rows, const int vecs) {
    vd sum[8][VECS];
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            sum[r][c] = vset1(0.0);
    for (size_t s = 0; s < n_segments; s++) {
        const double *w = segments[s].w + j, *dy = segments[s].dy + p;
        for (size_t i = segments[s].rows; i-- > 0;) { /* mutant: dx-fold */
            UNROLL_FOR (int r = 0; r < rows; r++)
                UNROLL_FOR (int c = 0; c < vecs; c++)
                    sum[r][c] = sum[r][c] + vset1(w[i * n_in + r]) * vload(dy + i * stride + c * W);
        }
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            vstore(dx + r * stride + c * W, sum[r][c]);
}

INLINE void backward_x_columns(double *dx, const Segment *segments, size_t n_segments, size_t p, size_t n_in, size_t stride,
                               const int vecs) {
    size_t j = 0;
    for (; j + 8 <= n_in; j += 8)
        backward_x_tile(dx + j * stride + p, segments, n_segments, j, p, n_in, stride, 8, vecs);
    for (; j + 4 <= n_in; j += 4)
        backward_x_tile(dx + j * stride + p, segments, n_segments, j, p, n_in, stride, 4, vecs);
    for (; j < n_in; j++)
        backward_x_tile(dx + j * stride + p, segments, n_segments, j, p, n_in, stride, 1, vecs);
}

/* dx: (n_in) */
static void linear_backward_x(double *dx, const Segment *segments, size_t n_segments, size_t n_in, size_t stride) {
    size_t p = 0;
    for (; p + VECS * W <= stride; p += VECS * W)
        backward_x_columns(dx, segments, n_segments, p, n_in, stride, VECS);
    if (p < stride)
        backward_x_columns(dx, segments, n_segments, p, n_in, stride, 1);
}

/* ---- backward, with respect to w ------------------------------------------------------------------------------------ */

/* forward computed y[i](p) = sum over j of w[i][j] * x[j](p), at every position p; so with dy = dL/dy:
 *     dw[i][j] = sum over descending p of x[j](p) * dy[i](p)
 * With accumulate, the sum goes on from what is in dw. Here the columns j fill the vectors, so x is transposed.
 *
 * A tile of it, from column j on. dw: (rows, n_in), xt: [position][n_in, padded], dy: (rows). A vector may read past its row,
 * into the next one or Adam's moments, but does not store that. */
INLINE void backward_w_tile(double *dw, const double *xt, const double *dy, size_t j, size_t n, size_t n_in, size_t stride,
                            const int accumulate, const int rows, const int vecs) {
    size_t padded = padded_to_vector(n_in);
    vd sum[8][VECS];
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            sum[r][c] = accumulate ? vload(dw + r * n_in + j + c * W) : vset1(0.0); /* mutant: dw-start */
    for (size_t p = n; p-- > 0;) {                                                  /* mutant: dw-fold */
        UNROLL_FOR (int r = 0; r < rows; r++)
            UNROLL_FOR (int c = 0; c < vecs; c++)
                sum[r][c] = sum[r][c] + vload(xt + p * padded + j + c * W) * vset1(dy[r * stride + p]);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            vstore_some(dw + r * n_in + j + c * W, sum[r][c], n_in - j - c * W); /* mutant: dw-store */
}

INLINE void backward_w_columns(double *dw, const double *xt, const double *dy, size_t j, size_t n_out, size_t n_in, size_t n,
                               size_t stride, const int accumulate, const int vecs) {
    size_t i = 0;
    for (; i + 8 <= n_out; i += 8)
        backward_w_tile(dw + i * n_in, xt, dy + i * stride, j, n, n_in, stride, accumulate, 8, vecs);
    for (; i + 4 <= n_out; i += 4) /* mutant: last-rows */
        backward_w_tile(dw + i * n_in, xt, dy + i * stride, j, n, n_in, stride, accumulate, 4, vecs);
    for (; i < n_out; i++)
        backward_w_tile(dw + i * n_in, xt, dy + i * stride, j, n, n_in, stride, accumulate, 1, vecs);
}

INLINE void backward_w(double *dw, const double *xt, const double *dy, size_t n_out, size_t n_in, size_t n, size_t stride,
                       const int accumulate) {
    size_t padded = padded_to_vector(n_in), j = 0;
    for (; j + VECS * W <= padded; j += VECS * W)
        backward_w_columns(dw, xt, dy, j, n_out, n_in, n, stride, accumulate, VECS);
    if (j < padded)
        backward_w_columns(dw, xt, dy, j, n_out, n_in, n, stride, accumulate, 1);
}

/* dw: (n_out, n_in), xt: [position][n_in, padded], dy: (n_out); over n positions */
static void linear_backward_w(double *dw, const double *xt, const double *dy, size_t n_out, size_t n_in, size_t n,
                              size_t stride, int accumulate) {
    if (accumulate)
        backward_w(dw, xt, dy, n_out, n_in, n, stride, 1);
    else
        backward_w(dw, xt, dy, n_out, n_in, n, stride, 0);
}

/* xt: [position][feature, padded] of x: [feature][position]; in blocks of W x W, zero past the last feature. xt has room for
 * `stride` positions. */
static void transpose(double *xt, const double *x, size_t rows, size_t stride) {
    size_t padded = padded_to_vector(rows);
    for (size_t j = 0; j < padded; j += W)
        for (size_t p = 0; p < stride; p += W) {
            vd block[W];
            UNROLL_FOR (size_t k = 0; k < W; k++)
                block[k] = j + k < rows ? vload(x + (j + k) * stride + p) : vset1(0.0);
            vtranspose(block);
            UNROLL_FOR (size_t k = 0; k < W; k++)
                vstore(xt + (p + k) * padded + j, block[k]);
        }
}

#endif
