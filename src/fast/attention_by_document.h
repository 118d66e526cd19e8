/* Attention over a group whose tokens lie document by document: each run is a document, each lane one of its queries. The
 * formulas are those of attention.h.
 *
 * Weights and scores of W queries, at positions p to p + W - 1, are vectors from weights_of() on: one for each key up to the
 * last of the queries. They are 0 for a key after the lane's query, and in lanes past the document. The documents' tokens
 * follow one another, so what a vector overwrites past the end of its document is written later; and there is room past the
 * last document.
 */
#ifndef MICROGPT_FAST_ATTENTION_BY_DOCUMENT_H
#define MICROGPT_FAST_ATTENTION_BY_DOCUMENT_H

#include "attention.h"
#include "model.h"
#include "simd/floats.h"
#include "transpose.h"

/* Where the weights of the queries at p.. lie among those of a document and a head. There is room for WIDEST queries, whatever
 * W is: see batch.c. */
INLINE float *weights_of(float *pairs, size_t p) { return pairs + (p / W) * (p / W + 1) / 2 * W * W; }

/* Sums in registers, a vector for each of `rows` rows: += a[r * across + i * along] * x[i * stride] for i < n */
INLINE void add_rows(vf *sum, const float *a, size_t across, size_t along, const float *x, size_t stride, size_t n,
                     const int rows) {
    for (size_t i = 0; i < n; i++, a += along, x += stride) {
        vf xi = vload(x);
        UNROLL_FOR (int r = 0; r < rows; r++)
            sum[r] = vfma(vset1(a[r * across]), xi, sum[r]);
    }
}

/* dots: [key][lane] key . query, for `rows` keys */
INLINE void dot_rows(float *dots, const float *key, const float *query, size_t hd, size_t stride, const int rows) {
    vf sum[W];
    UNROLL_FOR (int k = 0; k < rows; k++)
        sum[k] = vset1(0.0f);
    add_rows(sum, key, 1, stride, query, stride, hd, rows);
    UNROLL_FOR (int k = 0; k < rows; k++)
        vstore(dots + k * W, sum[k]);
}

/* The same for the queries at p.. of a document with n tokens, and all keys up to the last query's; key, query: at the
 * document's first token */
static void dot_keys(float *dots, const float *key, const float *query, size_t p, size_t n, size_t hd, size_t stride) {
    for (size_t q = 0; q <= p; q += W)
        if (n - q > W / 2)
            dot_rows(dots + q * W, key + q, query + p, hd, stride, W);
        else
            dot_rows(dots + q * W, key + q, query + p, hd, stride, W / 2);
}

/* Replaces query . key by weights, for the queries at p.. of a document with n tokens */
static void softmax_of_queries(const Shape *s, float *weights, size_t p, size_t n) {
    size_t n_keys = smaller(p + W, n);
    const vf inverse_root = vset1((float)s->inverse_root);
    vf largest = vset1(-INFINITY), total = vset1(0.0f);
    for (size_t q = 0; q < n_keys; q++) {
        vf score = vload(weights + q * W) * inverse_root;
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
    for (size_t q = n_keys; q < p + W; q++)
        vstore(weights + q * W, vset1(0.0f));
}

/* y = sum over keys q of weights[q] * x[q], for `rows` features; y: at the queries, x: at the document's first token */
INLINE void mix_rows(float *y, const float *weights, const float *x, size_t n_keys, size_t stride, const int rows) {
    vf sum[W > 4 ? W : 4];
    UNROLL_FOR (int j = 0; j < rows; j++)
        sum[j] = vset1(0.0f);
    add_rows(sum, x, stride, 1, weights, W, n_keys, rows);
    UNROLL_FOR (int j = 0; j < rows; j++)
        vstore(y + j * stride, sum[j]);
}

/* The same for all hd features. */
static void mix_keys(float *y, const float *weights, const float *x, size_t n_keys, size_t hd, size_t stride) {
    size_t j = 0;
    for (; j + W <= hd; j += W)
        mix_rows(y + j * stride, weights, x + j * stride, n_keys, stride, W);
    for (; j + 4 <= hd; j += 4)
        mix_rows(y + j * stride, weights, x + j * stride, n_keys, stride, 4);
    for (; j < hd; j++)
        mix_rows(y + j * stride, weights, x + j * stride, n_keys, stride, 1);
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
                dot_keys(weights, query + block, query, p, n, hd, stride);
                softmax_of_queries(s, weights, p, n);
                mix_keys(a->heads + row + p, weights, query + 2 * block, smaller(p + W, n), hd, stride);
            }
        }
}

/* Replaces d_weights by d_scores, for the queries at p.. of a document with n tokens; out, d_out: at the queries */
static void softmax_of_queries_backward(const Shape *s, float *d_weights, const float *weights, const float *out,
                                        const float *d_out, size_t p, size_t n, size_t stride) {
    size_t n_keys = smaller(p + W, n);
    vf sum = mean_derivative(out, d_out, stride, s->head_dim), inverse_root = vset1((float)s->inverse_root);
    for (size_t q = 0; q < n_keys; q++)
        vstore(d_weights + q * W, vload(weights + q * W) * inverse_root * (vload(d_weights + q * W) - sum));
    for (size_t q = n_keys; q < p + W; q++)
        vstore(d_weights + q * W, vset1(0.0f));
}

/* d_key_t of W keys from q on, for W features, from d_scores and query_t; d_value_t from weights and d_out_t. Only the first
 * `rows` of the keys are in the document. Here features fill the vectors, and a token has `padded` of them. Queries before a key
 * add 0. */
INLINE void key_rows_backward(float *d_key_t, float *d_scores, const float *query_t, size_t q, size_t n, size_t padded,
                              const int rows) {
    vf sum[W];
    UNROLL_FOR (int k = 0; k < W; k++)
        sum[k] = vset1(0.0f);
    for (size_t p = q; p < n; p += W)
        add_rows(sum, weights_of(d_scores, p) + q * W, W, 1, query_t + p * padded, padded, smaller(W, n - p), rows);
    UNROLL_FOR (int k = 0; k < W; k++)
        vstore(d_key_t + (q + k) * padded, sum[k]);
}

INLINE void key_backward(float *d_key_t, float *d_scores, const float *query_t, size_t q, size_t n, size_t padded) {
    if (n - q > W / 2)
        key_rows_backward(d_key_t, d_scores, query_t, q, n, padded, W);
    else
        key_rows_backward(d_key_t, d_scores, query_t, q, n, padded, W / 2);
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
                dot_keys(ds, query + 2 * block, d_out, p, n, hd, stride);
                softmax_of_queries_backward(s, ds, weights_of(weights, p), a->heads + row + p, d_out + p, p, n, stride);
                mix_keys(a->d_qkv + row + p, ds, query + block, smaller(p + W, n), hd, stride);
            }
            transpose_to(query_t, query, hd, 0, n, stride);
            transpose_to(d_out_t, d_out, hd, 0, n, stride);
            for (size_t q = 0; q < n; q += W)
                for (size_t j = 0; j < hd; j += W) {
                    key_backward(d_key_t + j, d_scores, query_t + j, q, n, padded);
                    key_backward(d_value_t + j, weights, d_out_t + j, q, n, padded);
                }
            transpose_back(a->d_qkv + row + block, d_key_t, hd, n, stride);
            transpose_back(a->d_qkv + row + 2 * block, d_value_t, hd, n, stride);
        }
}

#endif
