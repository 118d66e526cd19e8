/* A group through the model and back: all activations, and the derivatives by what each matrix gave.
 *
 * Only attention looks at more than one token. So there is a stage for columns (tokens) up to layer 0's attention, then one for
 * heads, one for columns up to the next attention, and so on to the loss and back. Within a stage, columns or heads do not need
 * each other.
 */
#ifndef MICROGPT_FAST_PASS_H
#define MICROGPT_FAST_PASS_H

#include "attention.h"
#include "attention_by_document.h"
#include "linear.h"
#include "loss.h"
#include "model.h"
#include "norm.h"

/* x: (n_embd) = wte[token] + wpe[position] */
static void embedding_forward(const Shape *s, float *x, const float *params, const Group *g, Columns to) {
    size_t e = s->n_embd;
    const float *wte = params + s->wte, *wpe = params + s->wpe;
    for (size_t t = to.first; t < to.end; t += W)
        for (size_t j = 0; j < e; j += W) {
            vf block[W];
            for (size_t k = 0; k < W; k++)
                block[k] =
                    vload_some(wte + g->inputs[t + k] * e + j, e - j) + vload_some(wpe + g->positions[t + k] * e + j, e - j);
            vtranspose(block);
            for (size_t k = 0; k < smaller(W, e - j); k++)
                vstore(x + (j + k) * to.stride + t, block[k]);
        }
}

static void square(float *y, const float *x, size_t n_rows, Columns to) {
    for (size_t j = 0; j < n_rows; j++)
        for (size_t t = j * to.stride + to.first; t < j * to.stride + to.end; t += W)
            vstore(y + t, vload(x + t) * vload(x + t));
}

/* What layer i gets: the normed embeddings, or the residual stream. */
static const float *input_of(const Group *g, size_t i) { return i == 0 ? g->norm0 : g->x; }

/* From what the layer gets to its queries, keys and values. */
static void before_attention(const Shape *s, const float *params, const Group *g, size_t i, Columns to) {
    size_t e = s->n_embd;
    Layer *a = &g->layers[i];
    rmsnorm_forward(s, a->norm1, a->scale1, input_of(g, i), to);
    transpose(a->norm1_t, a->norm1, e, to);
    /* wq, wk and wv follow each other */
    linear_forward(a->qkv, params + layer_offsets(s, i).wq, a->norm1, a->norm1, 3 * e, e, to, KEEP);
}

/* From what the heads found to what the layer gives, in g->x. */
static void after_attention(const Shape *s, const float *params, const Group *g, size_t i, Columns to) {
    size_t e = s->n_embd;
    Layer *a = &g->layers[i];
    LayerOffsets w = layer_offsets(s, i);
    transpose(a->heads_t, a->heads, e, to);
    linear_forward(g->mid, params + w.wo, a->heads, input_of(g, i), e, e, to, ADD);
    rmsnorm_forward(s, a->norm2, a->scale2, g->mid, to);
    transpose(a->norm2_t, a->norm2, e, to);
    linear_forward(a->relu, params + w.fc1, a->norm2, a->norm2, 4 * e, e, to, RELU);
    if (s->activation == ACTIVATION_RELU2)
        square(a->act, a->relu, 4 * e, to);
    transpose(a->act_t, a->act, 4 * e, to);
    linear_forward(g->x, params + w.fc2, a->act, g->mid, e, 4 * e, to, ADD);
}

/* From the last layer's output to the loss, and back to the derivatives by it. */
static void head_and_loss(const Shape *s, const float *params, const Group *g, Columns to) {
    size_t e = s->n_embd;
    const float *lm_head = params + s->lm_head;
    float *d_out = g->layers[s->n_layer - 1].d_out;
    transpose(g->out_t, g->x, e, to);
    linear_forward(g->d_logits, lm_head, g->x, g->x, s->vocab, e, to, KEEP);
    loss_and_derivatives(s, g->losses, g->d_logits, g, to);
    linear_backward(d_out, lm_head, g->d_logits, d_out, s->vocab, e, to, KEEP);
}

/* From d_out back to the derivatives by what the heads found. */
static void after_attention_backward(const Shape *s, const float *params, const Group *g, size_t i, Columns to) {
    size_t e = s->n_embd;
    const Layer *a = &g->layers[i];
    LayerOffsets w = layer_offsets(s, i);
    if (s->activation == ACTIVATION_RELU2)
        linear_backward(a->d_pre, params + w.fc2, a->d_out, a->relu, e, 4 * e, to, TIMES);
    else
        linear_backward(a->d_pre, params + w.fc2, a->d_out, a->act, e, 4 * e, to, WHERE);
    linear_backward(g->d_norm, params + w.fc1, a->d_pre, a->d_pre, 4 * e, e, to, KEEP);
    rmsnorm_backward(s, a->d_mid, g->d_norm, a->d_out, a->norm2, a->scale2, to);
    linear_backward(g->d_heads, params + w.wo, a->d_mid, a->d_mid, e, e, to, KEEP);
}

/* From the derivatives by queries, keys and values to those by what the layer got, in `d_in`. */
static void before_attention_backward(const Shape *s, const float *params, const Group *g, size_t i, float *d_in, Columns to) {
    const Layer *a = &g->layers[i];
    linear_backward(g->d_norm, params + layer_offsets(s, i).wq, a->d_qkv, a->d_qkv, 3 * s->n_embd, s->n_embd, to, KEEP);
    rmsnorm_backward(s, d_in, g->d_norm, a->d_mid, a->norm1, a->scale1, to);
}

/* An even stage, for the columns `to`. */
static void stage_for(const Shape *s, const float *params, const Group *g, size_t stage, Columns to) {
    size_t n = s->n_layer, i = stage / 2; /* attention passes before this stage, 2 n of them in all */
    if (i == 0) {
        embedding_forward(s, g->x, params, g, to);
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
        before_attention_backward(s, params, g, 0, g->x, to);
        rmsnorm_backward(s, g->x, g->x, NULL, g->norm0, g->scale0, to);
        transpose(g->d_embedding_t, g->x, s->n_embd, to);
    }
}

/* Few columns at a time, whose numbers stay in the cache from one matrix to the next. */
static void columns(const Shape *s, const float *params, Group *g, size_t stage, size_t first, size_t end) {
    size_t step = VECS * W < WIDEST ? WIDEST : VECS * W / WIDEST * WIDEST;
    for (size_t c = first; c < end; c += step)
        stage_for(s, params, g, stage, (Columns){c, smaller(c + step, end), g->stride});
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
