/* The forward pass over a whole document: tokens in, logits of every position out. */
#ifndef MICROGPT_FORWARD_H
#define MICROGPT_FORWARD_H

#include "attention.h"
#include "linear.h"
#include "model.h"
#include "norm.h"

/* x: (n_embd) = wte[token] + wpe[position]; the lanes past the document get zeros */
static void embedding_forward(const Shape *s, double *x, const double *params, const uint32_t *tokens, size_t n,
                              size_t stride) {
    for (size_t p = 0; p < n; p++) {
        const double *tok = params + s->wte + tokens[p] * s->n_embd;
        const double *pos = params + s->wpe + p * s->n_embd;
        for (size_t j = 0; j < s->n_embd; j++)
            x[j * stride + p] = tok[j] + pos[j];
    }
    for (size_t p = n; p < stride; p++)
        for (size_t j = 0; j < s->n_embd; j++)
            x[j * stride + p] = 0.0;
}

/* act: relu(pre), or its square; max(0, x) gives 0 for NaN too. work: as long as act */
static void activation_forward(const Shape *s, double *act, const double *pre, double *work, size_t n) {
    double *relu = (s->activation == ACTIVATION_RELU2) ? work : act;
    for (size_t i = 0; i < n; i += W) {
        vd x = vload(pre + i);
        vstore(relu + i, vselect(vgt(x, vset1(0.0)), x, vset1(0.0)));
    }
    if (s->activation == ACTIVATION_RELU2)
        pow_array(SQUARE, act, relu, n, s->vector_libm); /* an overflow shows in the loss */
}

static void add(double *sum, const double *a, const double *b, size_t n) {
    for (size_t i = 0; i < n; i += W)
        vstore(sum + i, vload(a + i) + vload(b + i));
}

static void forward(const Shape *s, const double *params, Document *d) {
    size_t e = s->n_embd, stride = padded_to_vector(d->n);
    d->stride = stride;
    embedding_forward(s, d->embedding, params, d->tokens, d->n, stride);
    rmsnorm_forward(s, d->layers[0].x, d->me0, d->scale0, d->embedding, stride);
    for (size_t i = 0; i < s->n_layer; i++) {
        Layer *a = &d->layers[i];
        LayerOffsets w = layer_offsets(s, i);
        double *out = i + 1 < s->n_layer ? d->layers[i + 1].x : d->out;
        rmsnorm_forward(s, a->norm1, a->me1, a->scale1, a->x, stride);
        linear_forward(a->q, params + w.wq, a->norm1, e, e, stride);
        linear_forward(a->k, params + w.wk, a->norm1, e, e, stride);
        linear_forward(a->v, params + w.wv, a->norm1, e, e, stride);
        attention_forward(s, a, d->tile, d->n, stride);
        linear_forward(a->mid, params + w.wo, a->heads, e, e, stride);
        add(a->mid, a->mid, a->x, e * stride);
        rmsnorm_forward(s, a->norm2, a->me2, a->scale2, a->mid, stride);
        linear_forward(a->pre, params + w.fc1, a->norm2, 4 * e, e, stride);
        activation_forward(s, a->act, a->pre, d->d_act, 4 * e * stride);
        linear_forward(out, params + w.fc2, a->act, e, 4 * e, stride);
        add(out, out, a->mid, e * stride);
    }
    linear_forward(d->logits, params + s->lm_head, d->out, s->vocab, e, stride);
}

#endif
