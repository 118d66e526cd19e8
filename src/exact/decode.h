/* One token at a time, with a KV cache: the forward pass of writing. There is only one position, so the lanes of a vector are
 * features; an activation is its n_embd numbers in sequence, with room up to a whole vector. The formulas are those of
 * linear.h, norm.h and attention.h, so the results are too. */
#ifndef MICROGPT_DECODE_H
#define MICROGPT_DECODE_H

#include "forward.h"

/* e[i] = exp(x[i] - largest), and x[i] = e[i] * (sum over ascending i of e[i])**-1 in their place. x: n logits, or scores;
 * work: 2 n. Both have room for whole vectors. */
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
    vstore(work, vset1(total));
    inverse_array(work + W, work, W, s->vector_libm);
    for (size_t i = 0; i < padded; i += W)
        vstore(x + i, vload(x + i) * vload(work + W));
}

/* W rows of y, or twice as many. These rows of w are transposed, so that a vector holds one column of them. */
INLINE void row_tile(double *y, const double *w, const double *x, size_t n_in, const int vecs) {
    vd sum[2];
    size_t j = 0;
    UNROLL_FOR (int c = 0; c < vecs; c++)
        sum[c] = vset1(0.0);
    for (; j + W <= n_in; j += W)
        UNROLL_FOR (int c = 0; c < vecs; c++) {
            vd columns[W];
            UNROLL_FOR (int r = 0; r < W; r++)
                columns[r] = vload(w + (c * W + r) * n_in + j);
            vtranspose(columns);
            UNROLL_FOR (int k = 0; k < W; k++)
                sum[c] = sum[c] + columns[k] * vset1(x[j + k]);
        }
    for (; j < n_in; j++)
        UNROLL_FOR (int c = 0; c < vecs; c++) {
            double column[W];
            for (int r = 0; r < W; r++)
                column[r] = w[(c * W + r) * n_in + j];
            sum[c] = sum[c] + vload(column) * vset1(x[j]);
        }
    UNROLL_FOR (int c = 0; c < vecs; c++)
        vstore(y + c * W, sum[c]);
}

/* y[i] = sum over ascending j of w[i][j] * x[j]; y: (n_out), w: (n_out, n_in), x: (n_in) */
static void linear_row(double *y, const double *w, const double *x, size_t n_out, size_t n_in) {
    size_t i = 0;
    for (; i + 2 * W <= n_out; i += 2 * W)
        row_tile(y + i, w + i * n_in, x, n_in, 2);
    for (; i < n_out && n_out >= W; i += W) {
        size_t first = smaller(i, n_out - W); /* the last block may repeat rows: it writes the same numbers */
        row_tile(y + first, w + first * n_in, x, n_in, 1);
    }
    for (; i < n_out; i++) {
        y[i] = 0.0;
        for (size_t j = 0; j < n_in; j++)
            y[i] = y[i] + w[i * n_in + j] * x[j];
    }
}

/* y, x: (n_embd); mean_square, scale: (W), the same number in every lane */
static void rmsnorm_row(const Shape *s, double *y, double *mean_square, double *scale, const double *x) {
    double sum = 0.0;
    for (size_t j = 0; j < s->n_embd; j++)
        sum = sum + x[j] * x[j];
    vstore(mean_square, vset1(sum * s->inverse_n_embd + 1e-5));
    inverse_root_array(scale, mean_square, W, s->vector_libm);
    for (size_t j = 0; j < s->n_embd; j += W)
        vstore(y + j, vload(x + j) * vload(scale));
}

/* a->heads: (n_embd) from a->qkv: (3 n_embd) of the position at the end of the cache, which it joins.
 * keys: [n_embd][capacity], values: [capacity][n_embd] */
static void attention_row(const Shape *s, const Layer *a, Cache *cache, double *keys, double *values) {
    size_t e = s->n_embd, hd = s->head_dim, last = cache->length, n = last + 1;
    for (size_t j = 0; j < e; j++)
        keys[j * cache->capacity + last] = a->qkv[e + j];
    memcpy(values + last * e, a->qkv + 2 * e, e * sizeof(double));
    for (size_t h = 0; h < s->n_head; h++) {
        for (size_t t = 0; t < n; t += W) {
            vd sum = vset1(0.0);
            for (size_t j = h * hd; j < (h + 1) * hd; j++)
                sum = sum + vset1(a->qkv[j]) * vload(keys + j * cache->capacity + t);
            vstore(cache->scores + t, sum * vset1(s->inverse_root));
        }
        softmax_row(s, cache->scores, cache->exps, n);
        for (size_t j = 0; j < hd; j += W) {
            vd sum = vset1(0.0);
            for (size_t t = 0; t < n; t++)
                sum = sum + vset1(cache->scores[t]) * vload(values + t * e + h * hd + j);
            vstore_some(a->heads + h * hd + j, sum, hd - j);
        }
    }
}

/* Returns 0, or 1 where the activation of *overflowing overflows: the reference raises OverflowError there. logits: vocab. */
static int decode(const Shape *s, const double *params, Cache *cache, Group *g, uint32_t token, double *logits,
                  double *overflowing) {
    size_t e = s->n_embd, n_mlp = s->n_mlp;
    const double *wte = params + s->wte + token * e, *wpe = params + s->wpe + cache->length * e;
    for (size_t j = 0; j < e; j++)
        g->embedding[j] = wte[j] + wpe[j];
    double *x = g->out;
    rmsnorm_row(s, x, g->mean_square, g->scale, g->embedding);
    for (size_t i = 0; i < s->n_layer; i++) {
        Layer *a = &g->layers[0]; /* no backward pass follows, so one layer's memory is enough */
        LayerOffsets w = layer_offsets(s, i);
        rmsnorm_row(s, a->norm1, a->mean_square1, a->scale1, x);
        linear_row(a->qkv, params + w.wq, a->norm1, 3 * e, e); /* three matrices, one after the other */
        attention_row(s, a, cache, cache->keys + i * e * cache->capacity, cache->values + i * e * cache->capacity);
        linear_row(a->mid, params + w.wo, a->heads, e, e);
        add(a->mid, a->mid, x, e);
        rmsnorm_row(s, a->norm2, a->mean_square2, a->scale2, a->mid);
        linear_row(a->pre, params + w.fc1, a->norm2, n_mlp, e);
        activation_forward(s, a->act, a->pre, a->d_pre, padded_to_vector(n_mlp));
        size_t overflow = activation_overflow(s, a->act, a->pre, n_mlp);
        if (overflow < n_mlp) {
            *overflowing = a->pre[overflow];
            return 1;
        }
        linear_row(x, params + w.fc2, a->act, e, n_mlp);
        add(x, x, a->mid, e);
    }
    linear_row(logits, params + s->lm_head, x, s->vocab, e);
    cache->length++;
    return 0;
}

#endif
