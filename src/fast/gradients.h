/* The gradients of the matrices, once the groups have been through the model and back.
 *
 *     of a matrix in a product     dw[i][j] = sum over t of dy[i][t] * x[j][t]      where y = w x, see linear.h
 *     of the embeddings            dwte[id] = sum of d_embedding[t] over the tokens t with that id; dwpe the same by position
 *
 * Sums are over all tokens of all groups, in their order.
 */
#ifndef MICROGPT_FAST_GRADIENTS_H
#define MICROGPT_FAST_GRADIENTS_H

#include "linear.h"
#include "model.h"
#include "simd/floats.h"

#include <string.h>

/* In one group, a matrix's input, transposed, and the derivative with respect to its output. */
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
    case LM_HEAD: return (Sources){g->out_t, g->d_logits};
    case WTE:
    case WPE: break; /* no products */
    }
    return (Sources){NULL, NULL};
}

/* dw[r][column] = sum over t of dy[row + r][t] * x[column][t], for `rows` rows and `vecs` vectors of columns. */
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
        for (const float *end = dy + g->n_tokens; dy < end; dy++, x += padded) { /* mutant: tokens-of-group */
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

static void linear_gradients(float *dw, const Group *groups, size_t n_groups, const Task *task) {
    size_t padded = rounded_up(task->n_in, W), c = 0;
    for (; c + 2 * W <= padded; c += 2 * W)
        gradient_columns(dw, groups, n_groups, task, c, 2);
    if (c < padded)
        gradient_columns(dw, groups, n_groups, task, c, 1);
}

/* A row of wte: the sum of d_embedding over the tokens with that id. A row of wpe: the sum over the tokens at that position. */
static void embedding_gradients(float *dw, const Shape *s, const Group *groups, size_t n_groups, const Task *task) {
    size_t e = s->n_embd, padded = rounded_up(e, W);
    memset(dw, 0, task->n_rows * e * sizeof(float));
    for (const Group *g = groups; g < groups + n_groups; g++)
        for (size_t t = 0; t < g->n_tokens; t++) {
            size_t row = (task->matrix == WPE ? g->positions : g->inputs)[t] - task->first_row;
            if (row >= task->n_rows) /* below first_row too: size_t has no sign */
                continue;
            for (size_t j = 0; j < e; j += W) {
                float *sum = dw + row * e + j;
                vstore_some(sum, vload_some(sum, e - j) + vload(g->d_embedding_t + t * padded + j), e - j);
            }
        }
}

/* dw: (n_rows, n_in), the gradient of the task's rows */
static void task_gradients(const Shape *s, const Group *groups, size_t n_groups, const Task *task, float *dw) {
    if (task->matrix == WTE || task->matrix == WPE)
        embedding_gradients(dw, s, groups, n_groups, task);
    else
        linear_gradients(dw, groups, n_groups, task);
}

#endif
