/* Matrix times activations, forward and backward, and the gradients of a matrix.
 *
 * Each computes a tile of rows x vectors of results in registers: enough sums that do not wait for each other, and few loads
 * for each multiplication.
 */
#ifndef MICROGPT_FAST_LINEAR_H
#define MICROGPT_FAST_LINEAR_H

#include "model.h"
#include "simd/floats.h"

#if REGISTERS == 32
#define ROWS 8 /* 24 sums */
#else
#define ROWS 4 /* 12 */
#endif
#define VECS 3

/* What becomes of a sum: kept; its positive part; added to `other`; kept where `other` is positive; times 2 * `other`. */
enum ending { KEEP, RELU, ADD, WHERE, TIMES };

INLINE void finish(float *y, vf sum, const float *other, const enum ending ending) {
    const vf zero = vset1(0.0f);
    if (ending == RELU)
        sum = vmax(sum, zero);
    else if (ending == ADD)
        sum = sum + vload(other);
    else if (ending == WHERE)
        sum = vselect(vgt(vload(other), zero), sum, zero);
    else if (ending == TIMES)
        sum = sum * (vload(other) + vload(other));
    vstore(y, sum);
}

/* y[r] = sum over i < n of w[r * across + i * along] * x[i], for `rows` rows; y, x, other: [feature][stride] */
INLINE void linear_tile(float *y, const float *w, size_t across, size_t along, const float *x, const float *other, size_t n,
                        size_t stride, const int rows, const int vecs, const enum ending ending) {
    vf sum[ROWS][VECS];
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
            finish(y + r * stride + c * W, sum[r][c], other + r * stride + c * W, ending);
}

INLINE void linear_columns(float *y, const float *w, size_t across, size_t along, const float *x, const float *other,
                           size_t n_rows, size_t n, size_t stride, const int vecs, const enum ending ending) {
    if (n_rows < ROWS) {
        for (size_t r = 0; r < n_rows; r++)
            linear_tile(y + r * stride, w + r * across, across, along, x, other + r * stride, n, stride, 1, vecs, ending);
        return;
    }
    for (size_t next = 0; next < n_rows; next += ROWS) {
        size_t r = next + ROWS <= n_rows ? next : n_rows - ROWS; /* the last may do rows again: it writes the same */
        linear_tile(y + r * stride, w + r * across, across, along, x, other + r * stride, n, stride, ROWS, vecs, ending);
    }
}

INLINE void linear(float *y, const float *w, size_t across, size_t along, const float *x, const float *other, size_t n_rows,
                   size_t n, Columns to, const enum ending ending) {
    size_t c = to.first;
    for (; c + VECS * W <= to.end; c += VECS * W)
        linear_columns(y + c, w, across, along, x + c, other + c, n_rows, n, to.stride, VECS, ending);
    if (c + 2 * W <= to.end) {
        linear_columns(y + c, w, across, along, x + c, other + c, n_rows, n, to.stride, 2, ending);
        c += 2 * W;
    }
    if (c < to.end)
        linear_columns(y + c, w, across, along, x + c, other + c, n_rows, n, to.stride, 1, ending);
}

/* y: (n_out) = w: (n_out, n_in) times x: (n_in); y is not x. */
INLINE void linear_forward(float *y, const float *w, const float *x, const float *other, size_t n_out, size_t n_in, Columns to,
                           const enum ending ending) {
    linear(y, w, n_in, 1, x, other, n_out, n_in, to, ending);
}

/* dx: (n_in) = w transposed times dy: (n_out); dx is not dy. */
INLINE void linear_backward(float *dx, const float *w, const float *dy, const float *other, size_t n_out, size_t n_in,
                            Columns to, const enum ending ending) {
    linear(dx, w, 1, n_in, dy, other, n_in, n_out, to, ending);
}

/* A matrix's input, transposed, and the derivatives by its output, in one group. */
typedef struct {
    const float *x_t, *dy;
} Sources;

INLINE Sources sources_of(const Group *g, const Task *task) {
    const Layer *a = &g->layers[task->layer];
    switch (task->matrix) {
    case QKV: return (Sources){a->norm1_t, a->d_qkv};
    case WO: return (Sources){a->heads_t, a->d_mid};
    case FC1: return (Sources){a->norm2_t, a->d_pre};
    case FC2: return (Sources){a->act_t, a->d_out};
    default: return (Sources){g->out_t, g->d_logits};
    }
}

/* dw[r][column] = sum over tokens of dy[r] * x[column], for `rows` rows from `row` on; groups and tokens in their order */
INLINE void gradient_tile(float *dw, const Group *groups, size_t n_groups, const Task *task, size_t row, size_t column,
                          const int rows, const int vecs) {
    size_t n_in = task->n_in, padded = rounded_up(n_in, W);
    vf sum[ROWS][2];
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            sum[r][c] = vset1(0.0f);
    for (const Group *g = groups; g < groups + n_groups; g++) {
        Sources from = sources_of(g, task);
        size_t stride = g->stride;
        const float *x = from.x_t + column, *dy = from.dy + row * stride;
        for (const float *end = dy + g->n_tokens; dy < end; dy++, x += padded) {
            vf xt[2];
            UNROLL_FOR (int c = 0; c < vecs; c++)
                xt[c] = vload(x + c * W);
            UNROLL_FOR (int r = 0; r < rows; r++)
                UNROLL_FOR (int c = 0; c < vecs; c++)
                    sum[r][c] = vfma(vset1(dy[r * stride]), xt[c], sum[r][c]);
        }
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            if (column + c * W < n_in)
                vstore_some(dw + r * n_in + column + c * W, sum[r][c], n_in - column - c * W);
}

INLINE void gradient_columns(float *dw, const Group *groups, size_t n_groups, const Task *task, size_t column, const int vecs) {
    size_t n_rows = task->n_rows, n_in = task->n_in, first = task->first_row;
    if (n_rows < ROWS) {
        for (size_t r = 0; r < n_rows; r++)
            gradient_tile(dw + r * n_in, groups, n_groups, task, first + r, column, 1, vecs);
        return;
    }
    for (size_t next = 0; next < n_rows; next += ROWS) {
        size_t r = next + ROWS <= n_rows ? next : n_rows - ROWS;
        gradient_tile(dw + r * n_in, groups, n_groups, task, first + r, column, ROWS, vecs);
    }
}

/* dw: (n_rows, n_in) of the task */
static void linear_gradients(float *dw, const Group *groups, size_t n_groups, const Task *task) {
    size_t padded = rounded_up(task->n_in, W), c = 0;
    for (; c + 2 * W <= padded; c += 2 * W)
        gradient_columns(dw, groups, n_groups, task, c, 2);
    if (c < padded)
        gradient_columns(dw, groups, n_groups, task, c, 1);
}

/* x_t: [token][feature, padded] of x: [feature][token], zeros past the last feature. Token `first` is the first of x_t. */
INLINE void transpose_to(float *x_t, const float *x, size_t n_rows, size_t first, size_t end, size_t stride) {
    size_t padded = rounded_up(n_rows, W);
    for (size_t t = first; t < end; t += W)
        for (size_t j = 0; j < padded; j += W) {
            vf block[W];
            UNROLL_FOR (size_t k = 0; k < W; k++)
                block[k] = j + k < n_rows ? vload(x + (j + k) * stride + t) : vset1(0.0f);
            vtranspose(block);
            UNROLL_FOR (size_t k = 0; k < W; k++)
                vstore(x_t + (t - first + k) * padded + j, block[k]);
        }
}

static void transpose(float *x_t, const float *x, size_t n_rows, Columns to) {
    transpose_to(x_t + to.first * rounded_up(n_rows, W), x, n_rows, to.first, to.end, to.stride);
}

#endif
