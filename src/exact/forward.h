/* The forward pass over a group: tokens in, logits of every position out.
 *
 * The threads share columns where features are summed up or tokens looked up (a norm, the embedding), heads in attention, and
 * rows in every product with a matrix; they synchronize where one needs what others have computed. */
#ifndef MICROGPT_FORWARD_H
#define MICROGPT_FORWARD_H

#include "activation.h"
#include "attention.h"
#include "linear.h"
#include "model.h"
#include "norm.h"

/* sum = a + b, of n numbers; sum may be a or b */
static void add(double *sum, const double *a, const double *b, size_t n) {
    for (size_t i = 0; i < n; i += W)
        vstore(sum + i, vload(a + i) + vload(b + i));
}

/* x = wte[token] + wpe[position]; x: (n_embd). The padding gets zeros. */
static void embedding_forward(const Shape *s, double *x, const double *params, const Group *g, Range columns) {
    size_t stride = g->stride;
    for (const Span *d = g->spans; d < g->spans + g->n_spans; d++)
        for (size_t p = 0; p < d->n; p++) {
            size_t column = d->first + p;
            if (column < columns.first || column >= columns.end)
                continue;
            const double *token = params + s->wte + d->tokens[p] * s->n_embd, *position = params + s->wpe + p * s->n_embd;
            for (size_t j = 0; j < s->n_embd; j++)
                x[j * stride + column] = token[j] + position[j];
        }
    for (size_t column = g->columns; column < columns.end; column++)
        for (size_t j = 0; j < s->n_embd; j++)
            x[j * stride + column] = 0.0;
}

/* norm1 = rmsnorm(x); q, k, v = wq norm1, wk norm1, wv norm1; heads = attention(q, k, v); mid = wo heads + x. By Shape, the
 * first three matrices follow one another. */
static void attention_block_forward(const Shape *s, const double *params, Layer *a, LayerOffsets w, const Group *g,
                                    const Share *share) {
    size_t e = s->n_embd, stride = g->stride;
    Range heads = share_of(share, s->n_head, 1), rows = share_of(share, e, 8);
    rmsnorm_forward(s, a->norm1, a->mean_square1, a->scale1, a->x, stride, share_of(share, stride, W));
    meet(share);
    for (size_t row = 0; row < 3 * e; row += e)
        linear_forward(a->qkv, params + w.wq, a->norm1, (Range){row + heads.first * s->head_dim, row + heads.end * s->head_dim},
                       e, stride);
    attention_forward(s, a, g->scratch[share->index].tile, g, heads);
    meet(share);
    linear_forward(a->mid, params + w.wo, a->heads, rows, e, stride);
    add(a->mid + rows.first * stride, a->mid + rows.first * stride, a->x + rows.first * stride,
        (rows.end - rows.first) * stride);
    meet(share);
}

/* norm2 = rmsnorm(mid); pre = fc1 norm2; act = activation(pre); out = fc2 act + mid. out: (n_embd) */
static void mlp_block_forward(const Shape *s, const double *params, double *out, Layer *a, LayerOffsets w, const Group *g,
                              const Share *share) {
    size_t e = s->n_embd, stride = g->stride;
    Range rows = share_of(share, e, 8), hidden = share_of(share, s->n_mlp, 8);
    size_t first = hidden.first * stride;
    rmsnorm_forward(s, a->norm2, a->mean_square2, a->scale2, a->mid, stride, share_of(share, stride, W));
    meet(share);
    linear_forward(a->pre, params + w.fc1, a->norm2, hidden, e, stride);
    activation_forward(s, a->act + first, a->pre + first, a->d_pre + first, (hidden.end - hidden.first) * stride);
    meet(share);
    linear_forward(out, params + w.fc2, a->act, rows, s->n_mlp, stride);
    add(out + rows.first * stride, out + rows.first * stride, a->mid + rows.first * stride, (rows.end - rows.first) * stride);
    meet(share);
}

/* embedding = wte[token] + wpe[position]; x = rmsnorm(embedding); every layer's two blocks; logits = lm_head out */
static void forward(const Shape *s, const double *params, Group *g, const Share *share) {
    size_t stride = g->stride;
    Range columns = share_of(share, stride, W);
    embedding_forward(s, g->embedding, params, g, columns);
    rmsnorm_forward(s, g->layers[0].x, g->mean_square, g->scale, g->embedding, stride, columns);
    for (size_t i = 0; i < s->n_layer; i++) {
        Layer *a = &g->layers[i];
        LayerOffsets w = layer_offsets(s, i);
        attention_block_forward(s, params, a, w, g, share);
        mlp_block_forward(s, params, i + 1 < s->n_layer ? g->layers[i + 1].x : g->out, a, w, g, share);
    }
    linear_forward(g->logits, params + s->lm_head, g->out, share_of(share, s->vocab, 8), s->n_embd, stride);
    meet(share);
}

#endif
