/* The forward pass over a whole document: tokens in, logits of every position out. */
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

/* x = wte[token] + wpe[position]; x: (n_embd). The lanes past the document get zeros. */
static void embedding_forward(const Shape *s, double *x, const double *params, const uint32_t *tokens, size_t n,
                              size_t stride) {
    for (size_t p = 0; p < n; p++) {
        const double *token = params + s->wte + tokens[p] * s->n_embd;
        const double *position = params + s->wpe + p * s->n_embd;
        for (size_t j = 0; j < s->n_embd; j++)
            x[j * stride + p] = token[j] + position[j];
    }
    for (size_t p = n; p < stride; p++)
        for (size_t j = 0; j < s->n_embd; j++)
            x[j * stride + p] = 0.0;
}

/* norm1 = rmsnorm(x); q, k, v = wq norm1, wk norm1, wv norm1; heads = attention(q, k, v); mid = wo heads + x */
static void attention_block_forward(const Shape *s, const double *params, Layer *a, LayerOffsets w, Document *d) {
    size_t e = s->n_embd, stride = d->stride;
    rmsnorm_forward(s, a->norm1, a->mean_square1, a->scale1, a->x, stride);
    linear_forward(a->q, params + w.wq, a->norm1, e, e, stride);
    linear_forward(a->k, params + w.wk, a->norm1, e, e, stride);
    linear_forward(a->v, params + w.wv, a->norm1, e, e, stride);
    attention_forward(s, a, d->tile, d->n, stride);
    linear_forward(a->mid, params + w.wo, a->heads, e, e, stride);
    add(a->mid, a->mid, a->x, e * stride);
}

/* norm2 = rmsnorm(mid); pre = fc1 norm2; act = activation(pre); out = fc2 act + mid. out: (n_embd) */
static void mlp_block_forward(const Shape *s, const double *params, double *out, Layer *a, LayerOffsets w, Document *d) {
    size_t e = s->n_embd, stride = d->stride;
    rmsnorm_forward(s, a->norm2, a->mean_square2, a->scale2, a->mid, stride);
    linear_forward(a->pre, params + w.fc1, a->norm2, s->n_mlp, e, stride);
    activation_forward(s, a->act, a->pre, d->d_act, s->n_mlp * stride);
    linear_forward(out, params + w.fc2, a->act, e, s->n_mlp, stride);
    add(out, out, a->mid, e * stride);
}

/* embedding = wte[token] + wpe[position]; x = rmsnorm(embedding); every layer's two blocks; logits = lm_head out */
static void forward(const Shape *s, const double *params, Document *d) {
    size_t stride = d->stride = padded_to_vector(d->n);
    embedding_forward(s, d->embedding, params, d->tokens, d->n, stride);
    rmsnorm_forward(s, d->layers[0].x, d->mean_square, d->scale, d->embedding, stride);
    for (size_t i = 0; i < s->n_layer; i++) {
        Layer *a = &d->layers[i];
        LayerOffsets w = layer_offsets(s, i);
        attention_block_forward(s, params, a, w, d);
        mlp_block_forward(s, params, i + 1 < s->n_layer ? d->layers[i + 1].x : d->out, a, w, d);
    }
    linear_forward(d->logits, params + s->lm_head, d->out, s->vocab, s->n_embd, stride);
}

#endif
