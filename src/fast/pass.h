/* The forward and backward passes of a group: all activations, and the derivatives of the batch's loss with respect to them.
 *
 * Only attention looks at more than one token. So a stage for columns (tokens) goes up to layer 0's attention, one for heads
 * computes that, one for columns continues to the next attention, and so on up to the loss and back. Within a stage, columns
 * and heads are independent.
 */
#ifndef MICROGPT_FAST_PASS_H
#define MICROGPT_FAST_PASS_H

#include "activation.h"
#include "attention.h"
#include "attention_by_document.h"
#include "embedding.h"
#include "linear.h"
#include "loss.h"
#include "model.h"
#include "norm.h"
#include "transpose.h"

/* The input of layer i: the normed embeddings, or the residual stream. */
static const float *input_of(const Group *g, size_t i) { return i == 0 ? g->norm0 : g->x; }

/* norm1 = rmsnorm(input), qkv = [wq; wk; wv] norm1. By Shape, the three matrices follow one another, so here they are one: (3
 * n_embd, n_embd). */
static void before_attention(const Shape *s, const float *params, const Group *g, size_t i, Columns to) {
    size_t e = s->n_embd;
    Layer *a = &g->layers[i];
    rmsnorm_forward(s, a->norm1, a->scale1, input_of(g, i), to);
    transpose(a->norm1_t, a->norm1, e, g->columns, to);
    linear_forward(a->qkv, params + layer_offsets(s, i).wq, a->norm1, 3 * e, e, to);
}

/* d_norm1 = [wq; wk; wv] transposed times d_qkv; d_input = d_mid, through the residual stream, + the derivative through
 * rmsnorm. */
static void before_attention_backward(const Shape *s, const float *params, const Group *g, size_t i, float *d_input,
                                      Columns to) {
    const Layer *a = &g->layers[i];
    linear_backward(g->d_norm, params + layer_offsets(s, i).wq, a->d_qkv, 3 * s->n_embd, s->n_embd, to);
    rmsnorm_backward(s, d_input, g->d_norm, a->d_mid, a->norm1, a->scale1, to);
}

/* mid = input + wo heads, norm2 = rmsnorm(mid), act = f(fc1 norm2), x = mid + fc2 act */
static void after_attention(const Shape *s, const float *params, const Group *g, size_t i, Columns to) {
    size_t e = s->n_embd;
    Layer *a = &g->layers[i];
    LayerOffsets at = layer_offsets(s, i);
    transpose(a->heads_t, a->heads, e, g->columns, to);
    linear_forward_to(g->mid, params + at.wo, a->heads, e, e, to, plus, input_of(g, i));
    rmsnorm_forward(s, a->norm2, a->scale2, g->mid, to);
    transpose(a->norm2_t, a->norm2, e, g->columns, to);
    mlp_forward(s, a->act, a->slope, params + at.fc1, a->norm2, to);
    transpose(a->act_t, a->act, s->n_mlp, g->columns, to);
    linear_forward_to(g->x, params + at.fc2, a->act, e, s->n_mlp, to, plus, g->mid);
}

/* d_pre = f'(pre) * (fc2 transposed times d_out), d_norm2 = fc1 transposed times d_pre, d_mid = d_out + rmsnorm's,
 * d_heads = wo transposed times d_mid; d_out: with respect to what the layer put into x */
static void after_attention_backward(const Shape *s, const float *params, const Group *g, size_t i, Columns to) {
    size_t e = s->n_embd;
    const Layer *a = &g->layers[i];
    LayerOffsets at = layer_offsets(s, i);
    mlp_backward(s, a->d_pre, params + at.fc2, a->d_out, a->act, a->slope, to);
    linear_backward(g->d_norm, params + at.fc1, a->d_pre, s->n_mlp, e, to);
    rmsnorm_backward(s, a->d_mid, g->d_norm, a->d_out, a->norm2, a->scale2, to);
    linear_backward(g->d_heads, params + at.wo, a->d_mid, e, e, to);
}

/* logits = lm_head x, the loss, and back: d_logits, and d_out = lm_head transposed times d_logits for the last layer */
static void head_and_loss(const Shape *s, const float *params, const Group *g, Columns to) {
    size_t e = s->n_embd;
    const float *lm_head = params + s->lm_head;
    transpose(g->out_t, g->x, e, g->columns, to);
    linear_forward(g->d_logits, lm_head, g->x, s->vocab, e, to); /* logits, until the next line */
    loss_and_derivatives(s, g->losses, g->d_logits, g, to);
    linear_backward(g->layers[s->n_layer - 1].d_out, lm_head, g->d_logits, s->vocab, e, to);
}

/* An even stage, for the columns `to`. */
static void stage_for(const Shape *s, const float *params, const Group *g, size_t stage, Columns to) {
    size_t n = s->n_layer, i = stage / 2; /* attention passes before this stage, 2 n of them in all */
    if (i == 0) {
        embedding_forward(s, g->x, params, g->inputs, g->positions, to);
        rmsnorm_forward(s, g->norm0, g->scale0, g->x, to);
        before_attention(s, params, g, 0, to);
    } else if (i < n) {
        after_attention(s, params, g, i - 1, to);
        before_attention(s, params, g, i, to);
    } else if (i == n) {
        after_attention(s, params, g, n - 1, to);
        head_and_loss(s, params, g, to);
        after_attention_backward(s, params, g, n - 1, to);
    } else if (i < 2 * n) {
        size_t layer = 2 * n - i;
        before_attention_backward(s, params, g, layer, g->layers[layer - 1].d_out, to);
        after_attention_backward(s, params, g, layer - 1, to);
    } else {
        before_attention_backward(s, params, g, 0, g->x, to); /* x, now free, takes d_norm0 and then d_embedding */
        rmsnorm_backward(s, g->x, g->x, NULL, g->norm0, g->scale0, to);
        transpose(g->d_embedding_t, g->x, s->n_embd, g->columns, to);
    }
}

/* Few columns at a time, whose numbers stay in the cache from one matrix to the next; or many, for matrices too large for it.
 * */
static void columns(const Shape *s, const float *params, Group *g, size_t stage, size_t first, size_t end, float *packed) {
    size_t step = BREADTH;
    if (s->n_embd < 128 || s->n_embd * (end - first) < 1 << 15) { /* copies would not pay */
        step = TILE < WIDEST ? WIDEST : TILE / WIDEST * WIDEST;
        packed = NULL;
    }
    int half = g->columns == W && g->n_tokens <= W / 2; /* mutant: half-a-vector */
    for (size_t c = first; c < end; c += step)
        stage_for(s, params, g, stage, (Columns){c, smaller(c + step, end), g->stride, half, packed});
}

/* An odd stage, for heads first to end. */
static void heads(const Shape *s, Group *g, size_t stage, size_t first, size_t end) {
    size_t n = s->n_layer, i = stage / 2;
    if (i < n) {
        if (g->by_document)
            attention_by_document_forward(s, g, &g->layers[i], first, end);
        else
            attention_forward(s, g, &g->layers[i], first, end);
    } else {
        Layer *a = &g->layers[2 * n - 1 - i];
        if (g->by_document)
            attention_by_document_backward(s, g, a, first, end);
        else
            attention_backward(s, g, a, first, end);
    }
}

#endif
