/* Matrix times activations, forward and backward.
 *
 * Each result is one sum in the reference's order, kept in one lane of one register from its first term to its last. Speed
 * comes from computing a tile of `rows` x `vecs` such vectors at a time: sums that do not wait for each other.
 */
#ifndef MICROGPT_LINEAR_H
#define MICROGPT_LINEAR_H

#include "model.h"
#include "simd/doubles.h"

/* CALL(first, rows, vecs) for blocks that cover 0..total. The last block may go over rows done before: it writes the same. */
#define BLOCKS(total, CALL, vecs)                                                                                              \
    do {                                                                                                                       \
        size_t first = 0;                                                                                                      \
        for (; first + 8 <= (total); first += 8)                                                                               \
            CALL(first, 8, vecs);                                                                                              \
        if ((total)-first > 4 && (total) >= 8)                                                                                 \
            CALL((total)-8, 8, vecs);                                                                                          \
        else if (first < (total) && (total) >= 4) {                                                                            \
            if ((total)-first > 4)                                                                                             \
                CALL(first, 4, vecs);                                                                                          \
            CALL((total)-4, 4, vecs);                                                                                          \
        } else                                                                                                                 \
            for (; first < (total); first++)                                                                                   \
                CALL(first, 1, vecs);                                                                                          \
    } while (0)

#if W == 8
#define MAX_VECS 2 /* 16 sums of the 32 registers */
#else
#define MAX_VECS 1 /* 8 of 16 */
#endif

/* The same for a CALL that adds to what is there: no row twice. */
#define BLOCKS_APART(total, CALL, vecs)                                                                                        \
    do {                                                                                                                       \
        size_t first = 0;                                                                                                      \
        for (; first + 8 <= (total); first += 8)                                                                               \
            CALL(first, 8, vecs);                                                                                              \
        if (first + 4 <= (total)) {                                                                                            \
            CALL(first, 4, vecs);                                                                                              \
            first += 4;                                                                                                        \
        }                                                                                                                      \
        for (; first < (total); first++)                                                                                       \
            CALL(first, 1, vecs);                                                                                              \
    } while (0)

/* For each group of vectors in a row of `count` doubles: c is where it starts. */
#define VECTOR_GROUPS(count, total, BLOCKS, CALL)                                                                              \
    do {                                                                                                                       \
        size_t c = 0;                                                                                                          \
        if (MAX_VECS == 2)                                                                                                     \
            for (; c + 2 * W <= (count); c += 2 * W)                                                                           \
                BLOCKS(total, CALL, 2);                                                                                        \
        for (; c < (count); c += W)                                                                                            \
            BLOCKS(total, CALL, 1);                                                                                            \
    } while (0)

/* y[i] = fold j up: w[i][j] * x[j], for `rows` rows i.   y, x: [feature][stride] */
INLINE void forward_tile(double *y, const double *w, const double *x, size_t n_in, size_t stride, const int rows,
                         const int vecs) {
    vd sum[8][2];
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            sum[r][c] = vset1(0.0);
    for (size_t j = 0; j < n_in; j++) {
        UNROLL_FOR (int r = 0; r < rows; r++)
            UNROLL_FOR (int c = 0; c < vecs; c++)
                sum[r][c] = sum[r][c] + vset1(w[r * n_in + j]) * vload(x + j * stride + c * W);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            vstore(y + r * stride + c * W, sum[r][c]);
}

/* y: (n_out), w: (n_out, n_in), x: (n_in); y and x hold `stride` positions a row */
static void linear_forward(double *y, const double *w, const double *x, size_t n_out, size_t n_in, size_t stride) {
#define TILE(i, rows, vecs) forward_tile(y + (i)*stride + c, w + (i)*n_in, x + c, n_in, stride, rows, vecs)
    VECTOR_GROUPS(stride, n_out, BLOCKS, TILE);
#undef TILE
}

/* dx[j] = fold over the segments, in each i down: w[i][j] * dy[i], for `rows` columns j */
INLINE void backward_x_tile(double *dx, const Segment *segments, size_t n_segments, size_t j, size_t offset, size_t n_in,
                            size_t stride, const int rows, const int vecs) {
    vd sum[8][2];
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            sum[r][c] = vset1(0.0);
    for (size_t s = 0; s < n_segments; s++) {
        const double *w = segments[s].w + j, *dy = segments[s].dy + offset;
        for (size_t i = segments[s].rows; i-- > 0;) {
            UNROLL_FOR (int r = 0; r < rows; r++)
                UNROLL_FOR (int c = 0; c < vecs; c++)
                    sum[r][c] = sum[r][c] + vset1(w[i * n_in + r]) * vload(dy + i * stride + c * W);
        }
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            vstore(dx + j * stride + offset + r * stride + c * W, sum[r][c]);
}

/* dx: (n_in). One fold for an input that several matrices read, or several heads' rows of them. */
static void linear_backward_x(double *dx, const Segment *segments, size_t n_segments, size_t n_in, size_t stride) {
#define TILE(j, rows, vecs) backward_x_tile(dx, segments, n_segments, j, c, n_in, stride, rows, vecs)
    VECTOR_GROUPS(stride, n_in, BLOCKS, TILE);
#undef TILE
}

/* dw[i][j] = fold p down: x[j](p) * dy[i](p), for `rows` rows i; here the columns j fill the vectors. The fold goes on from
 * what is in dw, or starts at 0. A vector may read past its row, into the next one or Adam's moments, and does not store that.
 */
INLINE void backward_w_tile(double *dw, const double *xt, const double *dy, size_t n, size_t n_in, size_t padded, size_t stride,
                            size_t c0, const int go_on, const int rows, const int vecs) {
    vd sum[8][2];
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            sum[r][c] = go_on ? vload(dw + r * n_in + c0 + c * W) : vset1(0.0);
    for (size_t p = n; p-- > 0;) {
        UNROLL_FOR (int r = 0; r < rows; r++)
            UNROLL_FOR (int c = 0; c < vecs; c++)
                sum[r][c] = sum[r][c] + vload(xt + p * padded + c0 + c * W) * vset1(dy[r * stride + p]);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            vstore_some(dw + r * n_in + c0 + c * W, sum[r][c], n_in - c0 - c * W);
}

/* The next multiple of a vector. */
INLINE size_t padded_to_vector(size_t n) { return (n + W - 1) / W * W; }

/* dw: (n_out, n_in), xt: [position][n_in, padded], dy: (n_out); over n positions. go_on: add to dw, do not overwrite it */
static void linear_backward_w(double *dw, const double *xt, const double *dy, size_t n_out, size_t n_in, size_t n,
                              size_t stride, int go_on) {
    size_t padded = padded_to_vector(n_in);
    if (!go_on) {
#define TILE(i, rows, vecs) backward_w_tile(dw + (i)*n_in, xt, dy + (i)*stride, n, n_in, padded, stride, c, 0, rows, vecs)
        VECTOR_GROUPS(padded, n_out, BLOCKS, TILE);
#undef TILE
    } else {
#define TILE(i, rows, vecs) backward_w_tile(dw + (i)*n_in, xt, dy + (i)*stride, n, n_in, padded, stride, c, 1, rows, vecs)
        VECTOR_GROUPS(padded, n_out, BLOCKS_APART, TILE);
#undef TILE
    }
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
