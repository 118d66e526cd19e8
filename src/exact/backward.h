/* The backward pass over a whole document: from the loss to the gradient of every parameter.
 *
 * dx, or d_name, is the derivative of the loss L with respect to x, or name. Gradients, flat like the parameters, are
 * overwritten, or with accumulate added to, term after term in the same sums. */
#ifndef MICROGPT_BACKWARD_H
#define MICROGPT_BACKWARD_H

#include "activation.h"
#include "attention.h"
#include "linear.h"
#include "loss.h"
#include "model.h"
#include "norm.h"

/* forward computed logit[i] = sum over j of w[i][j] * out[j]; so
 *     dw[i][j] = sum over descending p of out[j](p) * d_logit[i](p)
 *     d_out[j] = sum over i of w[i][j] * d_logit[i], descending, but with the target last
 * for the reference's depth-first search finds the target's logit first, and so goes back through it last. Each position has
 * its own target: so the sum is computed without it (a term of zero changes no sum), and then it is added.
 *
 * d_out: (n_embd), dw, w: (vocab, n_embd). d->d_logits is used up. */
static void lm_head_backward(const Shape *s, double *d_out, double *dw, const double *w, Document *d, int accumulate) {
    size_t e = s->n_embd, stride = d->stride;
    double *d_target = d->d_p;
    transpose(d->transposed, d->out, e, stride);
    linear_backward_w(dw, d->transposed, d->d_logits, s->vocab, e, d->n, stride, accumulate);
    for (size_t p = 0; p < d->n; p++) {
        double *target = d->d_logits + d->tokens[p + 1] * stride + p;
        d_target[p] = *target;
        *target = 0.0; /* mutant: target-last */
    }
    Segment all = {w, d->d_logits, s->vocab};
    linear_backward_x(d_out, &all, 1, e, stride);
    for (size_t p = 0; p < d->n; p++)
        for (size_t j = 0; j < e; j++)
            d_out[j * stride + p] += w[d->tokens[p + 1] * e + j] * d_target[p];
}

/* forward computed norm2 = rmsnorm(mid); pre = fc1 norm2; act = activation(pre); out = fc2 act + mid; so from d_out, in d->d_x,
 *     d_fc2 = d_out act^T and d_act = fc2^T d_out; d_pre as in activation.h
 *     d_fc1 = d_pre norm2^T and d_norm2 = fc1^T d_pre
 *     d_mid = d_out + what comes through rmsnorm */
static void mlp_block_backward(const Shape *s, const double *params, double *gradients, const Layer *a, LayerOffsets w,
                               Document *d, int accumulate) {
    size_t e = s->n_embd, n_mlp = s->n_mlp, stride = d->stride;
    double *d_out = d->d_x, *d_act = d->d_act, *d_pre = d->d_act;
    Segment fc2 = {params + w.fc2, d_out, e}, fc1 = {params + w.fc1, d_pre, n_mlp};
    transpose(d->transposed, a->act, n_mlp, stride);
    linear_backward_w(gradients + w.fc2, d->transposed, d_out, e, n_mlp, d->n, stride, accumulate);
    linear_backward_x(d_act, &fc2, 1, n_mlp, stride);
    activation_backward(s, d_pre, d_act, a->pre, n_mlp * stride);
    transpose(d->transposed, a->norm2, e, stride);
    linear_backward_w(gradients + w.fc1, d->transposed, d_pre, n_mlp, e, d->n, stride, accumulate);
    linear_backward_x(d->d_norm, &fc1, 1, e, stride);
    rmsnorm_backward(s, d->d_mid, d->d_norm, d_out, a->mid, a->mean_square2, a->scale2, d->power, stride);
}

/* forward computed q = wq norm1, k = wk norm1, v = wv norm1, each head its own rows; so d_norm1[j] is one sum over the rows of
 * all three: heads from the last to the first, in each the rows of v, then k, then q, each from the last to the first. */
static void qkv_backward_x(const Shape *s, const double *params, LayerOffsets w, Document *d) {
    size_t e = s->n_embd, hd = s->head_dim;
    Segment *segment = d->segments;
    for (size_t h = s->n_head; h-- > 0;) { /* mutant: heads-fold */
        size_t row = h * hd;
        *segment++ = (Segment){params + w.wv + row * e, d->d_v + row * d->stride, hd}; /* mutant: v-segment */
        *segment++ = (Segment){params + w.wk + row * e, d->d_k + row * d->stride, hd}; /* mutant: k-segment */
        *segment++ = (Segment){params + w.wq + row * e, d->d_q + row * d->stride, hd};
    }
    linear_backward_x(d->d_norm, d->segments, 3 * s->n_head, e, d->stride);
}

/* forward computed norm1 = rmsnorm(x); q, k, v = wq norm1, wk norm1, wv norm1; heads = attention(q, k, v); mid = wo heads + x;
 * so from d_mid
 *     d_wo = d_mid heads^T and d_heads = wo^T d_mid; dq, dk, dv as in attention.h
 *     d_wq = dq norm1^T, and so on for k and v; d_norm1 as above
 *     dx = d_mid + what comes through rmsnorm */
static void attention_block_backward(const Shape *s, const double *params, double *gradients, const Layer *a, LayerOffsets w,
                                     Document *d, int accumulate) {
    size_t e = s->n_embd, stride = d->stride;
    Segment wo = {params + w.wo, d->d_mid, e};
    transpose(d->transposed, a->heads, e, stride);
    linear_backward_w(gradients + w.wo, d->transposed, d->d_mid, e, e, d->n, stride, accumulate);
    linear_backward_x(d->d_heads, &wo, 1, e, stride);
    attention_backward(s, a, d);
    transpose(d->transposed, a->norm1, e, stride);
    linear_backward_w(gradients + w.wq, d->transposed, d->d_q, e, e, d->n, stride, accumulate);
    linear_backward_w(gradients + w.wk, d->transposed, d->d_k, e, e, d->n, stride, accumulate);
    linear_backward_w(gradients + w.wv, d->transposed, d->d_v, e, e, d->n, stride, accumulate);
    qkv_backward_x(s, params, w, d);
    rmsnorm_backward(s, d->d_x, d->d_norm, d->d_mid, a->x, a->mean_square1, a->scale1, d->power, stride);
}

/* forward computed x = wte[token] + wpe[position]; so each of these rows collects dx, over descending positions. A row that no
 * document uses has gradient 0. dx: (n_embd) */
static void embedding_backward(const Shape *s, double *gradients, const double *dx, const Document *d, int accumulate) {
    size_t e = s->n_embd;
    double *wte = gradients + s->wte, *wpe = gradients + s->wpe;
    if (!accumulate) {
        memset(wte, 0, s->vocab * e * sizeof(double));
        memset(wpe, 0, s->block_size * e * sizeof(double));
    }
    for (size_t p = d->n; p-- > 0;)
        for (size_t j = 0; j < e; j++) {
            wte[d->tokens[p] * e + j] += dx[j * d->stride + p];
            wpe[p * e + j] += dx[j * d->stride + p];
        }
}

/* d_loss: the derivative of the step's loss with respect to the document's. After forward() and loss_forward(). */
static void backward(const Shape *s, const double *params, Document *d, double d_loss, double *gradients, int accumulate) {
    loss_backward(s, d, d_loss);
    lm_head_backward(s, d->d_x, gradients + s->lm_head, params + s->lm_head, d, accumulate);
    for (size_t i = s->n_layer; i-- > 0;) {
        const Layer *a = &d->layers[i];
        LayerOffsets w = layer_offsets(s, i);
        mlp_block_backward(s, params, gradients, a, w, d, accumulate);
        attention_block_backward(s, params, gradients, a, w, d, accumulate);
    }
    rmsnorm_backward(s, d->d_x, d->d_x, NULL, d->embedding, d->mean_square, d->scale, d->power, d->stride);
    embedding_backward(s, gradients, d->d_x, d, accumulate);
}

#endif
