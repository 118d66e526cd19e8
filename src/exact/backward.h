/* The backward pass over a whole document: from the loss to the gradient of every parameter. */
#ifndef MICROGPT_BACKWARD_H
#define MICROGPT_BACKWARD_H

#include "attention.h"
#include "linear.h"
#include "loss.h"
#include "model.h"
#include "norm.h"

/* dx: (n_embd), dw: (vocab, n_embd). The target's row comes last in the fold, and each position has its own target: so fold
 * without it (a term of zero changes no sum), then add it. */
static void lm_head_backward(const Shape *s, double *dx, double *dw, const double *w, Document *d, int go_on) {
    size_t e = s->n_embd, stride = d->stride;
    double *d_target = d->row1;
    transpose(d->transposed, d->out, e, stride);
    linear_backward_w(dw, d->transposed, d->d_logits, s->vocab, e, d->n, stride, go_on);
    for (size_t p = 0; p < d->n; p++) {
        double *target = d->d_logits + d->tokens[p + 1] * stride + p;
        d_target[p] = *target;
        *target = 0.0;
    }
    Segment all = {w, d->d_logits, s->vocab};
    linear_backward_x(dx, &all, 1, e, stride);
    for (size_t p = 0; p < d->n; p++)
        for (size_t j = 0; j < e; j++)
            dx[j * stride + p] += w[d->tokens[p + 1] * e + j] * d_target[p];
}

/* d_pre over d_act: (4 n_embd) */
static void activation_backward(const Shape *s, double *d_act, const double *pre, size_t n) {
    const vd zero = vset1(0.0), one = vset1(1.0);
    for (size_t i = 0; i < n; i += W) {
        vm positive = vgt(vload(pre + i), zero);
        vd g = vload(d_act + i);
        if (s->activation == ACTIVATION_RELU2)
            g = (vset1(2.0) * vselect(positive, vload(pre + i), zero)) * g;
        vstore(d_act + i, vselect(positive, one, zero) * g); /* 0 * inf is NaN in the reference too */
    }
}

static void mlp_backward(const Shape *s, const double *params, double *gradients, const Layer *a, LayerOffsets w, Document *d,
                         int go_on) {
    size_t e = s->n_embd, stride = d->stride;
    Segment fc2 = {params + w.fc2, d->d_x, e}, fc1 = {params + w.fc1, d->d_act, 4 * e};
    transpose(d->transposed, a->act, 4 * e, stride);
    linear_backward_w(gradients + w.fc2, d->transposed, d->d_x, e, 4 * e, d->n, stride, go_on);
    linear_backward_x(d->d_act, &fc2, 1, 4 * e, stride);
    activation_backward(s, d->d_act, a->pre, 4 * e * stride);
    transpose(d->transposed, a->norm2, e, stride);
    linear_backward_w(gradients + w.fc1, d->transposed, d->d_act, 4 * e, e, d->n, stride, go_on);
    linear_backward_x(d->d_norm, &fc1, 1, e, stride);
    rmsnorm_backward(s, d->d_mid, d->d_norm, d->d_x, a->mid, a->me2, a->scale2, d->row1, stride);
}

/* The input of q, k and v collects from all three in one fold: heads from the last to the first, in each v, then k, then q. */
static void qkv_backward_x(const Shape *s, const double *params, LayerOffsets w, Document *d) {
    size_t e = s->n_embd, hd = s->head_dim;
    Segment *segment = d->segments;
    for (size_t h = s->n_head; h-- > 0;) {
        size_t row = h * hd;
        *segment++ = (Segment){params + w.wv + row * e, d->d_v + row * d->stride, hd};
        *segment++ = (Segment){params + w.wk + row * e, d->d_k + row * d->stride, hd};
        *segment++ = (Segment){params + w.wq + row * e, d->d_q + row * d->stride, hd};
    }
    linear_backward_x(d->d_norm, d->segments, 3 * s->n_head, e, d->stride);
}

static void block_backward(const Shape *s, const double *params, double *gradients, const Layer *a, LayerOffsets w, Document *d,
                           int go_on) {
    size_t e = s->n_embd, stride = d->stride;
    Segment wo = {params + w.wo, d->d_mid, e};
    transpose(d->transposed, a->heads, e, stride);
    linear_backward_w(gradients + w.wo, d->transposed, d->d_mid, e, e, d->n, stride, go_on);
    linear_backward_x(d->d_heads, &wo, 1, e, stride);
    attention_backward(s, a, d);
    transpose(d->transposed, a->norm1, e, stride);
    linear_backward_w(gradients + w.wq, d->transposed, d->d_q, e, e, d->n, stride, go_on);
    linear_backward_w(gradients + w.wk, d->transposed, d->d_k, e, e, d->n, stride, go_on);
    linear_backward_w(gradients + w.wv, d->transposed, d->d_v, e, e, d->n, stride, go_on);
    qkv_backward_x(s, params, w, d);
    rmsnorm_backward(s, d->d_x, d->d_norm, d->d_mid, a->x, a->me1, a->scale1, d->row1, stride);
}

/* Rows of wte and wpe that no document uses have gradient 0. */
static void embedding_backward(const Shape *s, double *gradients, const double *dx, const Document *d, int go_on) {
    size_t e = s->n_embd;
    double *wte = gradients + s->wte, *wpe = gradients + s->wpe;
    if (!go_on) {
        memset(wte, 0, s->vocab * e * sizeof(double));
        memset(wpe, 0, s->block_size * e * sizeof(double));
    }
    for (size_t p = d->n; p-- > 0;)
        for (size_t j = 0; j < e; j++) {
            wte[d->tokens[p] * e + j] += dx[j * d->stride + p];
            wpe[p * e + j] += dx[j * d->stride + p];
        }
}

/* gradients: flat, as the parameters; overwritten, or with go_on added to, term after term in the same sums. d_loss: the
 * derivative of the step's loss by the document's. After forward() and loss_forward(), whose logits it uses up. */
static void backward(const Shape *s, const double *params, Document *d, double d_loss, double *gradients, int go_on) {
    loss_backward(s, d, d_loss);
    lm_head_backward(s, d->d_x, gradients + s->lm_head, params + s->lm_head, d, go_on);
    for (size_t i = s->n_layer; i-- > 0;) {
        mlp_backward(s, params, gradients, &d->layers[i], layer_offsets(s, i), d, go_on);
        block_backward(s, params, gradients, &d->layers[i], layer_offsets(s, i), d, go_on);
    }
    rmsnorm_backward(s, d->d_x, d->d_x, NULL, d->embedding, d->me0, d->scale0, d->row1, d->stride);
    embedding_backward(s, gradients, d->d_x, d, go_on);
}

#endif
