/* The forward pass of a group: what pass.h computes up to the loss, without what only a backward pass needs. So the
 * activations of one layer are enough, and every layer uses those of the first. */
#ifndef MICROGPT_FAST_MEASURE_H
#define MICROGPT_FAST_MEASURE_H

#include "pass.h"

/* norm1 = rmsnorm(x), qkv = [wq; wk; wv] norm1 */
static void measure_before_attention(const Shape *s, const float *params, const Group *g, LayerOffsets at, Columns to) {
    const Layer *a = g->layers;
    rmsnorm_forward(s, a->norm1, a->scale1, g->x, to);
    linear_forward(a->qkv, params + at.wq, a->norm1, 3 * s->n_embd, s->n_embd, to);
}

/* mid = x + wo heads, x = mid + fc2 f(fc1 rmsnorm(mid)) */
static void measure_after_attention(const Shape *s, const float *params, const Group *g, LayerOffsets at, Columns to) {
    size_t e = s->n_embd;
    const Layer *a = g->layers;
    linear_forward_to(g->mid, params + at.wo, a->heads, e, e, to, plus, g->x);
    rmsnorm_forward(s, a->norm2, a->scale2, g->mid, to);
    mlp_forward(s, a->act, NULL, params + at.fc1, a->norm2, to);
    linear_forward_to(g->x, params + at.fc2, a->act, e, s->n_mlp, to, plus, g->mid);
}

/* Fills g->losses. */
static void measure(const Shape *s, const float *params, Group *g) {
    size_t step = VECS * W < WIDEST ? WIDEST : VECS * W / WIDEST * WIDEST;
    for (size_t layer = 0; layer <= s->n_layer; layer++) {
        for (size_t c = 0; c < g->columns; c += step) {
            Columns to = {c, smaller(c + step, g->columns), g->stride, 0, NULL};
            if (layer > 0) {
                measure_after_attention(s, params, g, layer_offsets(s, layer - 1), to);
            } else {
                embedding_forward(s, g->x, params, g->inputs, g->positions, to);
                rmsnorm_forward(s, g->x, g->scale0, g->x, to);
            }
            if (layer < s->n_layer) {
                measure_before_attention(s, params, g, layer_offsets(s, layer), to);
            } else {
                linear_forward(g->d_logits, params + s->lm_head, g->x, s->vocab, s->n_embd, to); /* logits */
                loss_and_derivatives(s, g->losses, g->d_logits, g, to);
            }
        }
        if (layer < s->n_layer && g->by_document)
            attention_by_document_forward(s, g, g->layers, 0, s->n_head);
        else if (layer < s->n_layer)
            attention_forward(s, g, g->layers, 0, s->n_head);
    }
}

#endif
