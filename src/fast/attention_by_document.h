/* Attention over a group whose tokens lie document by document: each run is a document, each lane one of its queries. The
 * formulas are those of attention.h.
 *
 * Weights and scores of W queries, at positions p to p + W - 1, are vectors from weights_of() on: one for each key up to the
 * last of the queries. They are 0 for a key after the lane's query, and in lanes past the document. The documents' tokens
 * follow one another, so what a vector overwrites past the end of its document is written after it; and past the last document
 * there is room.
 */
#ifndef MICROGPT_FAST_ATTENTION_BY_DOCUMENT_H
#define MICROGPT_FAST_ATTENTION_BY_DOCUMENT_H

#include "model.h"
#include "simd/floats.h"
#include "transpose.h"

/* Where the weights of the queries at p.. are among those of a document and a head. There is room for WIDEST queries, whatever
 * W is: see batch.c. */
INLINE float *weights_of(float *pairs, size_t p) { return pairs + (p / W) * (p / W + 1) / 2 * W * W; }

/* weights: [key][lane] of the queries at p.. of a document with n tokens; query, key: at its first token */
INLINE void softmax_of_scores(const Shape *s, float *weights, const float *query, const float *key, size_t p, size_t n,
                              size_t stride) {
    size_t n_keys = smaller(p + W, n);
    const vf inverse_root = vset1((float)s->inverse_root);
    vf largest = vset1(-INFINITY), total = vset1(0.0f);
    for (size_t q = 0; q < n_keys; q++) {
        vf even = vset1(0.0f), odd = even;
        size_t j = 0;
        for (; j + 2 <= s->head_dim; j += 2) {
            even = vfma(vset1(key[j * stride + q]), vload(query + j * stride + p), even);
            odd = vfma(vset1(key[(j + 1) * stride + q]), vload(query + (j + 1) * stride + p), odd);
        }
        if (j < s->head_dim)
            even = vfma(vset1(key[j * stride + q]), vload(query + j * stride + p), even);
        vf score = (even + odd) * inverse_root;
        vstore(weights + q * W, score);
        largest = q <= p ? vmax(largest, score) : vselect(lanes_below(q - p), largest, vmax(largest, score));
    }
    for (size_t q = 0; q < n_keys; q++) {
        vf k = vexp(vload(weights + q * W) - largest);
        if (q > p)
            k = vselect(lanes_below(q - p), vset1(0.0f), k); /* mutant: later-keys */
        vstore(weights + q * W, k);
        total = total + k;
    }
    vf scale = vkeep(lanes_below(n - p), vset1(1.0f) / total); /* mutant: weights-of-queries */
    for (size_t q = 0; q < n_keys; q++)
        vstore(weights + q * W, vload(weights + q * W) * scale);
}

/* y[p..] = sum over keys q of weights[q] * x[q], for n features; y: at the queries, x: at the document's first token */
INLINE void mix_keys(float *y, const float *weights, const float *x, size_t n_keys, size_t stride, const int n) {
    vf sum[4];
    UNROLL_FOR (int j = 0; j < n; j++)
        sum[j] = vset1(0.0f);
    for (size_t q = 0; q < n_keys; q++) {
        vf w = vload(weights + q * W);
        UNROLL_FOR (int j = 0; j < n; j++)
            sum[j] = vfma(w, vset1(x[j * stride + q]), sum[j]);
    }
    UNROLL_FOR (int j = 0; j < n; j++)
        vstore(y + j * stride, sum[j]);
}

/* The same for all hd features. */
static void mix_all_keys(float *y, const float *weights, const float *x, size_t n_keys, size_t hd, size_t stride) {
    size_t j = 0;
    for (; j + 4 <= hd; j += 4)
        mix_keys(y + j * stride, weights, x + j * stride, n_keys, stride, 4);
    for (; j < hd; j++)
        mix_keys(y + j * stride, weights, x + j * stride, n_keys, stride, 1);
}

/* heads: (n_embd), every head's out, from qkv: (3 n_embd), for heads first to end */
static void attention_by_document_forward(const Shape *s, const Group *g, Layer *a, size_t first, size_t end) {
    size_t hd = s->head_dim, stride = g->stride, block = s->n_embd * stride;
    for (size_t h = first; h < end; h++)
        for (size_t d = 0; d < g->n_runs; d++) {
            size_t row = h * hd * stride + g->offsets[d], n = g->counts[d];
            const float *query = a->qkv + row;
            float *pairs = a->weights + h * g->n_pairs + g->pairs[d];
            for (size_t p = 0; p < n; p += W) {
                float *weights = weights_of(pairs, p);
                softmax_of_scores(s, weights, query, query + block, p, n, stride);
                mix_all_keys(a->heads + row + p, weights, query + 2 * block, smaller(p + W, n), hd, stride);
            }
        }
}

/* d_scores of the queries at p.. of a document with n tokens; value, out, d_out: at its first token */
static void scores_by_document_backward(const Shape *s, float *d_scores, const float *weights, const float *value,
                                        const float *out, const float *d_out, size_t p, size_t n, size_t stride) {
    size_t hd = s->head_dim;
    vf sum = vset1(0.0f), inverse_root = vset1((float)s->inverse_root);
    for (size_t j = 0; j < hd; j++)
        sum = vfma(vload(out + j * stride + p), vload(d_out + j * stride + p), sum);
    for (size_t q = 0; q < smaller(p + W, n); q++) {
        vf d_weight = vset1(0.0f);
        for (size_t j = 0; j < hd; j++)
            d_weight = vfma(vset1(value[j * stride + q]), vload(d_out + j * stride + p), d_weight);
        vstore(d_scores + q * W, vload(weights + q * W) * inverse_root * (d_weight - sum));
    }
}

/* d_key[q] and d_value[q] of all keys of a document with n tokens, for W features: here they fill the vectors, and a token has
 * `padded` of them. */
INLINE void keys_backward(float *d_key_t, float *d_value_t, float *d_scores, float *weights, const float *query_t,
                          const float *d_out_t, size_t n, size_t padded) {
    for (size_t q = 0; q < n; q++) {
        vf dk = vset1(0.0f), dv = dk;
        for (size_t p = q / W * W; p < n; p += W) {
            const float *ds = weights_of(d_scores, p) + q * W, *w = weights_of(weights, p) + q * W;
            for (size_t lane = q > p ? q - p : 0; lane < smaller(W, n - p); lane++) { /* mutant: lanes-of-queries */
                dk = vfma(vset1(ds[lane]), vload(query_t + (p + lane) * padded), dk);
                dv = vfma(vset1(w[lane]), vload(d_out_t + (p + lane) * padded), dv);
            }
        }
        vstore(d_key_t + q * padded, dk);
        vstore(d_value_t + q * padded, dv);
    }
}

/* d_qkv: (3 n_embd) from d_heads: (n_embd), for heads first to end */
static void attention_by_document_backward(const Shape *s, const Group *g, Layer *a, size_t first, size_t end) {
    size_t hd = s->head_dim, padded = rounded_up(hd, W), stride = g->stride, block = s->n_embd * stride;
    for (size_t h = first; h < end; h++)
        for (size_t d = 0; d < g->n_runs; d++) {
            size_t row = h * hd * stride + g->offsets[d], n = g->counts[d], at = h * padded * g->columns;
            const float *query = a->qkv + row, *d_out = g->d_heads + row;
            float *weights = a->weights + h * g->n_pairs + g->pairs[d], *d_scores = g->d_scores + h * g->n_pairs + g->pairs[d];
            float *query_t = g->query_t + at, *d_out_t = g->d_out_t + at, *d_key_t = g->d_key_t + at,
                  *d_value_t = g->d_value_t + at;
            for (size_t p = 0; p < n; p += W) {
                float *ds = weights_of(d_scores, p);
                scores_by_document_backward(s, ds, weights_of(weights, p), query + 2 * block, a->heads + row, d_out, p, n,
                                            stride);
                mix_all_keys(a->d_qkv + row + p, ds, query + block, smaller(p + W, n), hd, stride);
            }
            transpose_to(query_t, query, hd, 0, n, stride);
            transpose_to(d_out_t, d_out, hd, 0, n, stride);
            for (size_t j = 0; j < hd; j += W)
                keys_backward(d_key_t + j, d_value_t + j, d_scores, weights, query_t + j, d_out_t + j, n, padded);
            transpose_back(a->d_qkv + row + block, d_key_t, hd, n, stride);
            transpose_back(a->d_qkv + row + 2 * block, d_value_t, hd, n, stride);
        }
}

#endif
