/* The backward pass over a group: from the loss to the derivatives with respect to every matrix's output. The gradients of the
 * matrices follow in gradients.h. Threads share the work as in forward.h.
 *
 * dx, or d_name, is the derivative of the loss L with respect to x, or name. */
#ifndef MICROGPT_BACKWARD_H
#define MICROGPT_BACKWARD_H

#include "activation.h"
#include "attention.h"
#include "linear.h"
#include "loss.h"
#include "norm.h"

/* forward computed logit[i] = sum over j of w[i][j] * out[j]; so
 *     d_out[j] = sum over i of w[i][j] * d_logit[i], descending, but with the target last
 * for the reference's depth-first search finds the target's logit first, and so goes back through it last. Each position has
 * its own target: so the sum is computed without it (a term of zero changes no sum), and then it is added.
 *
 * d_out: (n_embd), w: (vocab, n_embd) */
static void lm_head_backward(const Shape *s, double *d_out, const double *w, const Group *g, Range rows) {
    size_t e = s->n_embd, stride = g->stride;
    Segment all = {w, g->d_logits, s->vocab};
    linear_backward_x(d_out, &all, 1, rows, e, stride);
    for (const Span *d = g->spans; d < g->spans + g->n_spans; d++)
        for (size_t p = d->first; p < d->first + d->n; p++) {
            const double *target = w + d->tokens[p - d->first + 1] * e;
            for (size_t j = rows.first; j < rows.end; j++)
                d_out[j * stride + p] += target[j] * g->d_target[p];
        }
}

/* The targets' derivatives, where lm_head_backward() has a zero. */
static void put_targets_back(const Group *g) {
    for (const Span *d = g->spans; d < g->spans + g->n_spans; d++)
        for (size_t p = d->first; p < d->first + d->n; p++)
            g->d_logits[d->tokens[p - d->first + 1] * g->stride + p] = g->d_target[p]; /* mutant: targets-back */
}

/* forward computed norm2 = rmsnorm(mid); pre = fc1 norm2; act = activation(pre); out = fc2 act + mid; so from d_out
 *     d_act = fc2^T d_out; d_pre as in activation.h; d_norm2 = fc1^T d_pre
 *     d_mid = d_out + the derivative through rmsnorm */
static void mlp_block_backward(const Shape *s, const double *params, const Layer *a, LayerOffsets w, const Group *g,
                               const Share *share) {
    size_t e = s->n_embd, stride = g->stride;
    Range hidden = share_of(share, s->n_mlp, 8);
    double *d_act = a->d_pre;
    size_t first = hidden.first * stride;
    Segment fc2 = {params + w.fc2, a->d_out, e}, fc1 = {params + w.fc1, a->d_pre, s->n_mlp};
    linear_backward_x(d_act, &fc2, 1, hidden, s->n_mlp, stride);
    activation_backward(s, a->d_pre + first, d_act + first, a->pre + first, (hidden.end - hidden.first) * stride);
    meet(share);
    linear_backward_x(g->d_norm, &fc1, 1, share_of(share, e, 8), e, stride);
    meet(share);
    rmsnorm_backward(s, a->d_mid, g->d_norm, a->d_out, a->mid, a->mean_square2, a->scale2, g->power, stride,
                     share_of(share, stride, W));
    meet(share);
}

/* forward computed q = wq norm1, k = wk norm1, v = wv norm1, each head by its rows; so d_norm1[j] is one sum over the rows of
 * all three: heads from the last to the first, in each the rows of v, then k, then q, each from the last to the first. */
static void qkv_backward_x(const Shape *s, const double *params, const Layer *a, LayerOffsets w, const Group *g,
                           Segment *segments, Range rows) {
    size_t e = s->n_embd, hd = s->head_dim, stride = g->stride;
    Segment *segment = segments;
    for (size_t h = s->n_head; h-- > 0;) { /* mutant: heads-fold */
        size_t row = h * hd;
        *segment++ = (Segment){params + w.wv + row * e, a->d_qkv + (2 * e + row) * stride, hd}; /* mutant: v-segment */
        *segment++ = (Segment){params + w.wk + row * e, a->d_qkv + (e + row) * stride, hd};     /* mutant: k-segment */
        *segment++ = (Segment){params + w.wq + row * e, a->d_qkv + row * stride, hd};
    }
    linear_backward_x(g->d_norm, segments, 3 * s->n_head, rows, e, stride);
}

/* forward computed norm1 = rmsnorm(x); q, k, v = wq norm1, wk norm1, wv norm1; heads = attention(q, k, v); mid = wo heads + x;
 * so from d_mid
 *     d_heads = wo^T d_mid; dq, dk, dv as in attention.h; d_norm1 as above
 *     dx = d_mid + the derivative through rmsnorm
 * dx: (n_embd) */
static void attention_block_backward(const Shape *s, const double *params, double *dx, const Layer *a, LayerOffsets w,
                                     const Group *g, const Share *share) {
    size_t e = s->n_embd, stride = g->stride;
    Range heads = share_of(share, s->n_head, 1);
    Scratch *own = &g->scratch[share->index];
    Segment wo = {params + w.wo, a->d_mid, e};
    linear_backward_x(g->d_heads, &wo, 1, (Range){heads.first * s->head_dim, heads.end * s->head_dim}, e, stride);
    attention_backward(s, a, g, own, heads);
    meet(share);
    qkv_backward_x(s, params, a, w, g, own->segments, share_of(share, e, 8));
    meet(share);
    rmsnorm_backward(s, dx, g->d_norm, a->d_mid, a->x, a->mean_square1, a->scale1, g->power, stride,
                     share_of(share, stride, W));
    meet(share);
}

/* d_loss: the derivative of the step's loss with respect to a document's. After forward() and loss_forward(). */
static void backward(const Shape *s, const double *params, Group *g, double d_loss, const Share *share) {
    double *last = g->layers[s->n_layer - 1].d_out;
    if (share->index == 0)
        loss_backward(s, g, d_loss);
    meet(share);
    lm_head_backward(s, last, params + s->lm_head, g, share_of(share, s->n_embd, 8));
    meet(share);
    if (share->index == 0)
        put_targets_back(g);
    for (size_t i = s->n_layer; i-- > 0;) {
        const Layer *a = &g->layers[i];
        LayerOffsets w = layer_offsets(s, i);
        mlp_block_backward(s, params, a, w, g, share);
        attention_block_backward(s, params, i > 0 ? g->layers[i - 1].d_out : g->d_embedding, a, w, g, share);
    }
    rmsnorm_backward(s, g->d_embedding, g->d_embedding, NULL, g->embedding, g->mean_square, g->scale, g->power, g->stride,
                     share_of(share, g->stride, W));
    meet(share);
}

#endif
