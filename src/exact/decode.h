/* One token at a time, with a KV cache: the forward pass of writing. The same kernels as in training, with one position: the lanes
 * of a vector all hold the same number. Only attention differs, because the earlier positions are in the cache. */
#ifndef MICROGPT_DECODE_H
#define MICROGPT_DECODE_H

#include "forward.h"

/* x: n logits in, their probabilities out; work: 2 n. x and work have room for whole vectors. */
static void softmax_row(const Shape *s, double *x, double *work, size_t n) {
    size_t padded = padded_to_vector(n);
    double largest = x[0], total = 0.0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > largest)
            largest = x[i];
    for (size_t i = 0; i < n; i++)
        work[i] = x[i] - largest;
    for (size_t i = n; i < padded; i++)
        work[i] = 0.0;
    exp_array(x, work, padded, s->vector_libm);
    for (size_t i = 0; i < n; i++)
        total += x[i];
    double inverse_total = pow(total, -1.0);
    for (size_t i = 0; i < n; i++)
        x[i] *= inverse_total;
}

/* heads: (n_embd) from q, k, v: (n_embd) of the position at the end of the cache, which it joins. keys: [n_embd][capacity],
 * values: [capacity][n_embd]. */
static void attention_decode(const Shape *s, const Layer *a, Cache *cache, double *keys, double *values) {
    size_t e = s->n_embd, hd = s->head_dim, last = cache->length, n = last + 1;
    for (size_t j = 0; j < e; j++) {
        keys[j * cache->capacity + last] = a->k[j * W];
        values[last * e + j] = a->v[j * W];
    }
    for (size_t h = 0; h < s->n_head; h++) {
        for (size_t t = 0; t < n; t += W) {
            vd sum = vset1(0.0);
            for (size_t j = h * hd; j < (h + 1) * hd; j++)
                sum = sum + vload(a->q + j * W) * vload(keys + j * cache->capacity + t);
            vstore(cache->scores + t, sum * vset1(s->inverse_root));
        }
        softmax_row(s, cache->scores, cache->exps, n);
        for (size_t j = 0; j < hd; j += W) {
            vd sum = vset1(0.0);
            for (size_t t = 0; t < n; t++)
                sum = sum + vset1(cache->scores[t]) * vload(values + t * e + h * hd + j);
            double lanes[W];
            vstore(lanes, sum);
            for (size_t lane = 0; lane < smaller(W, hd - j); lane++)
                vstore(a->heads + (h * hd + j + lane) * W, vset1(lanes[lane]));
        }
    }
}

/* Returns 0, or 1 when relu2's square of *culprit overflows: the reference raises OverflowError there. logits: vocab. */
static int decode(const Shape *s, const double *params, Cache *cache, Document *d, uint32_t token, double *logits,
                  double *culprit) {
    size_t e = s->n_embd;
    for (size_t j = 0; j < e; j++)
        vstore(d->embedding + j * W,
               vset1(params[wte_offset() + token * e + j] + params[wpe_offset(s) + cache->length * e + j]));
    double *x = d->out;
    rmsnorm_forward(s, x, d->me0, d->scale0, d->embedding, W);
    for (size_t i = 0; i < s->n_layer; i++) {
        Layer *a = &d->layers[0]; /* nothing is kept for a backward pass: one layer's memory will do */
        LayerOffsets w = layer_offsets(s, i);
        rmsnorm_forward(s, a->norm1, a->me1, a->scale1, x, W);
        linear_forward(a->q, params + w.wq, a->norm1, e, e, W);
        linear_forward(a->k, params + w.wk, a->norm1, e, e, W);
        linear_forward(a->v, params + w.wv, a->norm1, e, e, W);
        attention_decode(s, a, cache, cache->keys + i * e * cache->capacity, cache->values + i * e * cache->capacity);
        linear_forward(a->mid, params + w.wo, a->heads, e, e, W);
        add(a->mid, a->mid, x, e * W);
        rmsnorm_forward(s, a->norm2, a->me2, a->scale2, a->mid, W);
        linear_forward(a->pre, params + w.fc1, a->norm2, 4 * e, e, W);
        activation_forward(s, a->act, a->pre, d->d_act, 4 * e * W);
        for (size_t j = 0; j < 4 * e * W; j += W)
            if (a->act[j] > DBL_MAX && a->pre[j] <= DBL_MAX) {
                *culprit = a->pre[j];
                return 1;
            }
        linear_forward(x, params + w.fc2, a->act, e, 4 * e, W);
        add(x, x, a->mid, e * W);
    }
    linear_forward(d->logits, params + lm_head_offset(s), x, s->vocab, e, W);
    for (size_t i = 0; i < s->vocab; i++)
        logits[i] = d->logits[i * W];
    cache->length++;
    return 0;
}

#endif
