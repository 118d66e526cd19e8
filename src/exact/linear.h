/* Matrix times activations, forward and backward.
 *
 * Each result is one sum in the reference's order, kept in one register lane from its first term to its last. Speed comes from
 * computing a tile of rows x vectors of results at a time, as independent sums. Rows are taken 8 at a time, then 4, then one
 * by one. A thread computes some rows of each result: a sum is one thread's from its first term to its last.
 */
#ifndef MICROGPT_LINEAR_H
#define MICROGPT_LINEAR_H

#include "share.h"

#if W == 8
#define VECS 2 /* 16 sums of the 32 registers */
#else
#define VECS 1 /* 8 of 16 */
#endif

#define CACHED 32768 /* numbers that stay in the cache beside others */

/* Rows of `stride` numbers that stay in the cache, a multiple of 16. */
INLINE size_t cached_rows(size_t stride) { return stride > CACHED / 16 ? 16 : CACHED / stride / 16 * 16; }

/* ---- forward: y = w x ----------------------------------------------------------------------------------------------- */

/* y[i] = sum over ascending j of w[i][j] * x[j]
 *
 * A tile of it, over `features` of the n_in; with resume, the sums continue from what is in y. y: (rows) and x: (features) hold
 * `stride` positions a row; w: (rows, n_in). */
INLINE void forward_tile(double *y, const double *w, const double *x, size_t features, size_t n_in, size_t stride, int resume,
                         const int rows, const int vecs) {
    vd sum[8][VECS];
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            sum[r][c] = resume ? vload(y + r * stride + c * W) : vset1(0.0); /* mutant: forward-start */
    for (size_t j = 0; j < features; j++) {                                  /* mutant: forward-fold */
        UNROLL_FOR (int r = 0; r < rows; r++)
            UNROLL_FOR (int c = 0; c < vecs; c++)
                sum[r][c] = sum[r][c] + vset1(w[r * n_in + j]) * vload(x + j * stride + c * W);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            vstore(y + r * stride + c * W, sum[r][c]);
}

/* `rows` rows of y, all columns: the rows of w stay in the cache from one tile to the next. */
INLINE void forward_rows(double *y, const double *w, const double *x, size_t features, size_t n_in, size_t stride, int resume,
                         const int rows) {
    size_t p = 0;
    for (; p + VECS * W <= stride; p += VECS * W)
        forward_tile(y + p, w, x + p, features, n_in, stride, resume, rows, VECS);
    if (p < stride)
        forward_tile(y + p, w, x + p, features, n_in, stride, resume, rows, 1);
}

/* Some rows, from as many features at a time as stay in the cache. y: (n_out), w: (n_out, n_in), x: (n_in) */
static void linear_forward(double *y, const double *w, const double *x, Range rows, size_t n_in, size_t stride) {
    size_t most = cached_rows(stride);
    for (size_t j = 0; j < n_in; j += most) {
        size_t i = rows.first;
#define FROM(i) y + (i)*stride, w + (i)*n_in + j, x + j *stride, smaller(most, n_in - j), n_in, stride, j > 0
        for (; i + 8 <= rows.end; i += 8)
            forward_rows(FROM(i), 8);
        for (; i + 4 <= rows.end; i += 4)
            forward_rows(FROM(i), 4);
        for (; i < rows.end; i++)
            forward_rows(FROM(i), 1);
#undef FROM
    }
}

/* ---- backward, with respect to x ------------------------------------------------------------------------------------ */

/* forward computed y[i] = sum over j of w[i][j] * x[j]; so with dy = dL/dy:
 *     dx[j] = sum over descending i of w[i][j] * dy[i]
 * Where several matrices, or several heads' rows of them, read x, dx is one sum over all these rows: over the segments in the
 * given order, each from its last row to its first.
 *
 * A tile of it, from feature j and column p on; with resume, the sums continue from what is in dx. dx: (rows). Unless next is
 * NULL, the weights from it on, `apart` from row to row, are fetched meanwhile. */
INLINE void backward_x_tile(double *dx, const Segment *segments, size_t n_segments, size_t j, size_t p, size_t n_in,
                            size_t stride, int resume, const double *next, size_t apart, const int rows, const int vecs) {
    vd sum[8][VECS];
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            sum[r][c] = resume ? vload(dx + r * stride + c * W) : vset1(0.0); /* mutant: dx-start */
    for (size_t s = 0; s < n_segments; s++) {
        const double *w = segments[s].w + j, *dy = segments[s].dy + p;
        for (size_t i = segments[s].rows; i > 0; i--) { /* mutant: dx-fold */
            if (next)
                prefetch(next + (i - 1) * apart);
            UNROLL_FOR (int r = 0; r < rows; r++)
                UNROLL_FOR (int c = 0; c < vecs; c++)
                    sum[r][c] = sum[r][c] + vset1(w[(i - 1) * n_in + r]) * vload(dy + (i - 1) * stride + c * W);
        }
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            vstore(dx + r * stride + c * W, sum[r][c]);
}

INLINE void backward_x_columns(double *dx, const Segment *segments, size_t n_segments, size_t p, Range features, size_t n_in,
                               size_t stride, int resume, const int vecs) {
    size_t j = features.first;
    for (; j + 8 <= features.end; j += 8)
        backward_x_tile(dx + j * stride + p, segments, n_segments, j, p, n_in, stride, resume, NULL, 0, 8, vecs);
    for (; j + 4 <= features.end; j += 4)
        backward_x_tile(dx + j * stride + p, segments, n_segments, j, p, n_in, stride, resume, NULL, 0, 4, vecs);
    for (; j < features.end; j++)
        backward_x_tile(dx + j * stride + p, segments, n_segments, j, p, n_in, stride, resume, NULL, 0, 1, vecs);
}

static void backward_x_segments(double *dx, const Segment *segments, size_t n_segments, Range features, size_t n_in,
                                size_t stride, int resume) {
    size_t p = 0;
    for (; p + VECS * W <= stride; p += VECS * W)
        backward_x_columns(dx, segments, n_segments, p, features, n_in, stride, resume, VECS);
    if (p < stride)
        backward_x_columns(dx, segments, n_segments, p, features, n_in, stride, resume, 1);
}

#define FEW_ROWS 128

/* At most FEW_ROWS rows of a large matrix, all columns. The weights of a tile are a cache line of each row, and these lines are
 * far apart: so they are copied next to each other, once for all columns, and those of the next tile are fetched meanwhile. */
static void backward_x_rows(double *dx, const Segment *some, Range features, size_t n_in, size_t stride, int resume) {
    double w[FEW_ROWS * 8];
    size_t j = features.first;
    for (; j + 8 <= features.end; j += 8) {
        for (size_t i = 0; i < some->rows; i++)
            memcpy(w + i * 8, some->w + i * n_in + j, 8 * sizeof(double));
        Segment copy = {w, some->dy, some->rows};
        size_t p = 0;
        for (; p + VECS * W <= stride; p += VECS * W)
            backward_x_tile(dx + j * stride + p, &copy, 1, 0, p, 8, stride, resume, p ? NULL : some->w + j + 15, n_in, 8, VECS);
        if (p < stride)
            backward_x_tile(dx + j * stride + p, &copy, 1, 0, p, 8, stride, resume, NULL, 0, 8, 1);
    }
    backward_x_segments(dx, some, 1, (Range){j, features.end}, n_in, stride, resume);
}

/* Some features. A large matrix is done a few rows at a time, and the sums are stored and loaded in between. dx: (n_in) */
static void linear_backward_x(double *dx, const Segment *segments, size_t n_segments, Range features, size_t n_in,
                              size_t stride) {
    size_t rows = 0;
    for (size_t s = 0; s < n_segments; s++)
        rows += segments[s].rows;
    if (rows * n_in <= CACHED) {
        backward_x_segments(dx, segments, n_segments, features, n_in, stride, 0);
        return;
    }
    int resume = 0;
    for (size_t s = 0; s < n_segments; s++)
        for (size_t end = segments[s].rows; end > 0; resume = 1) {
            size_t count = smaller(end, FEW_ROWS);
            end -= count;
            Segment few = {segments[s].w + end * n_in, segments[s].dy + end * stride, count};
            backward_x_rows(dx, &few, features, n_in, stride, resume);
        }
}

/* ---- backward, with respect to w ------------------------------------------------------------------------------------ */

#define PANEL (VECS * W) /* features of a tile */

/* xt: [feature / width][column][width] of x: [feature][column]; width: a multiple of W; zero past the last feature. */
static void transpose(double *xt, const double *x, size_t rows, size_t stride, size_t width) {
    for (size_t j = 0; j < rows; j += W)
        for (size_t p = 0; p < stride; p += W) {
            double *to = xt + j / width * width * stride + p * width + j % width;
            vd block[W];
            UNROLL_FOR (size_t k = 0; k < W; k++)
                block[k] = j + k < rows ? vload(x + (j + k) * stride + p) : vset1(0.0);
            vtranspose(block);
            UNROLL_FOR (size_t k = 0; k < W; k++)
                vstore(to + k * width, block[k]);
        }
}

/* forward computed y[i] = sum over j of w[i][j] * x[j], in every column; so with dy = dL/dy:
 *     dw[i][j] = sum over descending columns of x[j] * dy[i]
 * which are the positions from the last to the first, of the documents from the last to the first. With `before`, the sum
 * continues from there. Here the features j fill the vectors, so x is transposed, in panels of the features of a tile.
 *
 * A tile of it. dw, before: (rows, `left`), n_in numbers a row, of which the last vector may be partial; xt: [column][PANEL];
 * dy: (rows). */
INLINE void backward_w_tile(double *dw, const double *before, const double *xt, const double *dy, size_t left, size_t n_in,
                            size_t columns, size_t stride, const int rows, const int vecs) {
    vd sum[8][VECS];
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            /* mutant: dw-start */
            sum[r][c] = before ? vload_some(before + r * n_in + c * W, left - c * W) : vset1(0.0);
    for (size_t p = columns; p > 0; p--) { /* mutant: dw-fold */
        UNROLL_FOR (int r = 0; r < rows; r++)
            UNROLL_FOR (int c = 0; c < vecs; c++)
                sum[r][c] = sum[r][c] + vload(xt + (p - 1) * PANEL + c * W) * vset1(dy[r * stride + p - 1]);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            vstore_some(dw + r * n_in + c * W, sum[r][c], left - c * W); /* mutant: dw-store */
}

/* Some features of `rows` rows. */
INLINE void backward_w_rows(double *dw, const double *before, const double *xt, const double *dy, size_t features, size_t n_in,
                            const Group *g, const int rows) {
    size_t j = 0;
#define FROM(j) dw + (j), before ? before + (j) : NULL, xt + (j)*g->stride, dy, features - (j), n_in, g->columns, g->stride
    for (; j + PANEL - W < features; j += PANEL)
        backward_w_tile(FROM(j), rows, VECS);
    if (j < features)
        backward_w_tile(FROM(j), rows, 1);
#undef FROM
}

/* Some features of some rows. dw, before: (rows, features), n_in numbers a row; xt: [feature / PANEL][column][PANEL],
 * dy: (rows) */
static void linear_backward_w(double *dw, const double *before, const double *xt, const double *dy, size_t rows,
                              size_t features, size_t n_in, const Group *g) {
    size_t i = 0;
#define FROM(i) dw + (i)*n_in, before ? before + (i)*n_in : NULL, xt, dy + (i)*g->stride, features, n_in, g
    for (; i + 8 <= rows; i += 8)
        backward_w_rows(FROM(i), 8);
    for (; i + 4 <= rows; i += 4) /* mutant: last-rows */
        backward_w_rows(FROM(i), 4);
    for (; i < rows; i++)
        backward_w_rows(FROM(i), 1);
#undef FROM
}

#endif
