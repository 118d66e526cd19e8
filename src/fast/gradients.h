/* The gradients of the matrices, after the groups' forward and backward passes.
 *
 *     of a matrix in a product     dw[i][j] = sum over t of dy[i][t] * x[j][t]      where y = w x, see linear.h
 *     of the embeddings            dwte[id] = sum of d_embedding[t] over the tokens t with that id; dwpe the same by position
 *
 * Sums are over all tokens of all groups, in their order.
 */
#ifndef MICROGPT_FAST_GRADIENTS_H
#define MICROGPT_FAST_GRADIENTS_H

#include "blocks.h"
#include "model.h"
#include "transpose.h"
#include "simd/floats.h"

#include <string.h>

#define SPAN (4 * PANEL) /* columns of a block */
#define TOKENS 512       /* of a block */

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

/* dw[r][c] = sum over t of dy[first_row + r][t] * x[c][t] */
static void linear_gradients(float *dw, const Group *groups, size_t n_groups, const Task *task) {
    size_t n_in = task->n_in;
    for (size_t c = 0; c < n_in; c += SPAN)
        for (const Group *g = groups; g < groups + n_groups; g++) {
            Sources from = sources_of(g, task);
            size_t n_tokens = g->n_tokens, stride = g->stride; /* mutant: tokens-of-group */
            for (size_t t = 0; t < n_tokens; t += TOKENS) {
                Rows dy = {from.dy + task->first_row * stride + t, ROWS * stride, stride, 1};
                const float *x_t = from.x_t + c * g->columns + t * PANEL;
                add_block(dw + c, n_in, task->n_rows, smaller(SPAN, n_in - c), dy, x_t, g->columns,
                          smaller(TOKENS, n_tokens - t), g > groups || t > 0);
            }
        }
}

/* A row of wte: the sum of d_embedding over the tokens with that id. A row of wpe: the sum over the tokens at that position. */
static void embedding_gradients(float *dw, const Shape *s, const Group *groups, size_t n_groups, const Task *task) {
    size_t e = s->n_embd;
    memset(dw, 0, task->n_rows * e * sizeof(float));
    for (const Group *g = groups; g < groups + n_groups; g++)
        for (size_t t = 0; t < g->n_tokens; t++) {
            size_t row = (task->matrix == WPE ? g->positions : g->inputs)[t] - task->first_row;
            if (row >= task->n_rows) /* below first_row too: size_t has no sign */
                continue;
            for (size_t j = 0; j < e; j += W) {
                float *sum = dw + row * e + j;
                vstore_some(sum, vload_some(sum, e - j) + vload(transposed_at(g->d_embedding_t, g->columns, j, t)), e - j);
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
