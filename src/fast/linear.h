/* A matrix times activations, forward and backward. (The gradient of the matrix is in gradients.h.)
 *
 *     forward     y[i][t]  = sum over j of w[i][j] * x[j][t]      w: (n_out, n_in), y: (n_out), x: (n_in), for each token t
 *     backward    dx[j][t] = sum over i of w[i][j] * dy[i][t]
 *
 * Each computes a tile of rows x vectors of results in registers: enough independent sums, and few loads for each
 * multiplication. An epilogue may change a sum before it is stored. Large products go through copies, see blocks.h.
 */
#ifndef MICROGPT_FAST_LINEAR_H
#define MICROGPT_FAST_LINEAR_H

#include "blocks.h"
#include "halves.h"
#include "model.h"
#include "simd/floats.h"

#define VECS 3
#define TILE (VECS * W) /* columns of a tile: of ROWS by VECS sums, 24 or 12 */

INLINE vf keep(vf sum, const float *other) {
    (void)other;
    return sum;
}

INLINE vf plus(vf sum, const float *other) { return sum + vload(other); }

/* y[r] = epilogue(sum over i < n of w[r * across + i * along] * x[i]), for `rows` rows and `vecs` vectors of tokens */
INLINE void linear_tile(float *y, const float *w, size_t across, size_t along, const float *x, size_t n, size_t stride,
                        Epilogue *epilogue, const float *other, const int rows, const int vecs) {
    vf sum[2 * ROWS][VECS];
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            sum[r][c] = vset1(0.0f);
    for (size_t i = 0; i < n; i++, w += along, x += stride) {
        vf xi[VECS];
        UNROLL_FOR (int c = 0; c < vecs; c++)
            xi[c] = vload(x + c * W);
        UNROLL_FOR (int r = 0; r < rows; r++)
            UNROLL_FOR (int c = 0; c < vecs; c++)
                sum[r][c] = vfma(vset1(w[r * across]), xi[c], sum[r][c]);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            vstore(y + r * stride + c * W, epilogue(sum[r][c], other + r * stride + c * W));
}

INLINE void linear_rows(float *y, const float *w, size_t across, size_t along, const float *x, size_t n_rows, size_t n,
                        size_t stride, Epilogue *epilogue, const float *other, const int rows, const int vecs) {
    for (size_t next = 0; next < n_rows; next += rows) {
        size_t r = smaller(next, n_rows - rows); /* the last tile may compute rows again: it stores the same */
        linear_tile(y + r * stride, w + r * across, across, along, x, n, stride, epilogue, other + r * stride, rows, vecs);
    }
}

INLINE void linear_columns(float *y, const float *w, size_t across, size_t along, const float *x, size_t n_rows, size_t n,
                           size_t stride, Epilogue *epilogue, const float *other, const int vecs) {
    if (vecs == 1 && n_rows >= 2 * ROWS)
        linear_rows(y, w, across, along, x, n_rows, n, stride, epilogue, other, 2 * ROWS, vecs);
    else if (n_rows >= ROWS)
        linear_rows(y, w, across, along, x, n_rows, n, stride, epilogue, other, ROWS, vecs);
    else
        linear_rows(y, w, across, along, x, n_rows, n, stride, epilogue, other, 1, vecs);
}

/* A large product, in blocks; the epilogue follows it. */
static void linear_in_blocks(float *y, const float *w, size_t across, size_t along, const float *x, size_t n_rows, size_t n,
                             Columns to) {
    float *panels = to.packed, *packed = panels + DEPTH * BREADTH;
    size_t n_columns = to.end - to.first;
    for (size_t i = 0; i < n; i += DEPTH) {
        size_t depth = smaller(DEPTH, n - i);
        pack_columns(panels, x + i * to.stride + to.first, to.stride, n_columns, depth);
        for (size_t r = 0; r < n_rows; r += HEIGHT) {
            size_t height = smaller(HEIGHT, n_rows - r);
            Rows rows = {w + r * across + i, ROWS * across, across, 1};
            if (along != 1)
                rows = pack_rows(packed, w + r + i * along, along, height, depth);
            add_block(y + r * to.stride + to.first, to.stride, height, n_columns, rows, panels, depth, depth, i > 0);
        }
    }
}

INLINE void linear(float *y, const float *w, size_t across, size_t along, const float *x, size_t n_rows, size_t n, Columns to,
                   Epilogue *epilogue, const float *other) {
    size_t c = to.first;
    if (to.packed) {
        linear_in_blocks(y, w, across, along, x, n_rows, n, to);
        if (epilogue != keep)
            for (size_t r = 0; r < n_rows; r++)
                for (c = r * to.stride + to.first; c < r * to.stride + to.end; c += W)
                    vstore(y + c, epilogue(vload(y + c), other + c));
        return;
    }
    for (; c + VECS * W <= to.end; c += VECS * W)
        linear_columns(y + c, w, across, along, x + c, n_rows, n, to.stride, epilogue, other + c, VECS);
    if (c + 2 * W <= to.end) {
        linear_columns(y + c, w, across, along, x + c, n_rows, n, to.stride, epilogue, other + c, 2);
        c += 2 * W;
    }
    if (c < to.end)
        linear_columns(y + c, w, across, along, x + c, n_rows, n, to.stride, epilogue, other + c, 1);
}

/* y: (n_out) = epilogue(w: (n_out, n_in) times x: (n_in), other: (n_out)); y is neither x nor other. */
INLINE void linear_forward_to(float *y, const float *w, const float *x, size_t n_out, size_t n_in, Columns to,
                              Epilogue *epilogue, const float *other) {
#ifdef HAVE_PAIRS
    if (to.half) {
        half_forward(y, w, x, n_out, n_in, to.stride, epilogue, other);
        return;
    }
#endif
    linear(y, w, n_in, 1, x, n_out, n_in, to, epilogue, other);
}

INLINE void linear_forward(float *y, const float *w, const float *x, size_t n_out, size_t n_in, Columns to) {
    linear_forward_to(y, w, x, n_out, n_in, to, keep, y);
}

/* dx: (n_in) = epilogue(w transposed times dy: (n_out), other: (n_in)); dx is neither dy nor other. */
INLINE void linear_backward_to(float *dx, const float *w, const float *dy, size_t n_out, size_t n_in, Columns to,
                               Epilogue *epilogue, const float *other) {
#ifdef HAVE_PAIRS
    if (to.half && n_in > 1) {
        half_backward(dx, w, dy, n_out, n_in, to.stride, epilogue, other);
        return;
    }
#endif
    linear(dx, w, 1, n_in, dy, n_in, n_out, to, epilogue, other);
}

INLINE void linear_backward(float *dx, const float *w, const float *dy, size_t n_out, size_t n_in, Columns to) {
    linear_backward_to(dx, w, dy, n_out, n_in, to, keep, dx);
}

#endif
