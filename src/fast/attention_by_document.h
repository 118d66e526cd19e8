/* Attention over a group whose tokens lie document by document: each lane is a query of one document, each run a document.
 *
 * For W queries from position p on, the weights they give to the keys 0, 1, ..., p + W - 1 are in vectors that follow each
 * other; those of keys after a query, and of lanes past the document, are 0. The documents' tokens follow each other, so what a
 * vector overwrites past its document's last is written after it; and past the last document there is room.
 */
#ifndef MICROGPT_FAST_ATTENTION_BY_DOCUMENT_H
#define MICROGPT_FAST_ATTENTION_BY_DOCUMENT_H

#include "linear.h"
#include "model.h"

#include <string.h>

/* Pairs are counted in WIDEST queries, whatever W is: see batch.c. */
INLINE float *weights_of(float *pairs, size_t p) { return pairs + (p / W) * (p / W + 1) / 2 * W * W; }

/* weights: [key][lane] of the queries p.. of a document with n tokens; query, key: its first token */
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
            k = vselect(lanes_below(q - p), vset1(0.0f), k);
        vstore(weights + q * W, k);
        total = total + k;
    }
    vf scale = vkeep(lanes_below(n - p), vset1(1.0f) / total);
    for (size_t q = 0; q < n_keys; q++)
        vstore(weights + q * W, vload(weights + q * W) * scale);
}

/* y[j](lanes) (+)= sum over keys of weights[key](lanes) * x[j](key), for n features j; y at the queries, x at key 0 */
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

static void mix_all_keys(float *y, const float *weights, const float *x, size_t n_keys, size_t hd, size_t stride) {
    size_t j = 0;
    for (; j + 4 <= hd; j += 4)
        mix_keys(y + j * stride, weights, x + j * stride, n_keys, stride, 4);
    for (; j < hd; j++)
        mix_keys(y + j * stride, weights, x + j * stride, n_keys, stride, 1);
}

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

/* As scores_backward() in attention.h, for the queries p.. of a document; all but weights and d_scores at its first token. */
static void scores_by_document_backward(const Shape *s, float *d_scores, const float *weights, const float *value,
                                        const float *out, const float *d_out, size_t p, size_t n, size_t stride) {
    size_t hd = s->head_dim;
    vf mean = vset1(0.0f), inverse_root = vset1((float)s->inverse_root);
    for (size_t j = 0; j < hd; j++)
        mean = vfma(vload(out + j * stride + p), vload(d_out + j * stride + p), mean);
    for (size_t q = 0; q < smaller(p + W, n); q++) {
        vf d_weight = vset1(0.0f);
        for (size_t j = 0; j < hd; j++)
            d_weight = vfma(vset1(value[j * stride + q]), vload(d_out + j * stride + p), d_weight);
        vstore(d_scores + q * W, vload(weights + q * W) * inverse_root * (d_weight - mean));
    }
}

/* d_key_t[q] = sum over queries of d_scores * query_t, d_value_t[q] = sum of weights * d_out_t, of a document with n tokens:
 * here W features fill the vectors, and a token has `padded` of them. */
INLINE void keys_backward(float *d_key_t, float *d_value_t, float *d_scores, float *weights, const float *query_t,
                          const float *d_out_t, size_t n, size_t padded) {
    for (size_t q = 0; q < n; q++) {
        vf dk = vset1(0.0f), dv = dk;
        for (size_t p = q / W * W; p < n; p += W) {
            const float *ds = weights_of(d_scores, p) + q * W, *w = weights_of(weights, p) + q * W;
            for (size_t lane = q > p ? q - p : 0; lane < smaller(W, n - p); lane++) {
                dk = vfma(vset1(ds[lane]), vload(query_t + (p + lane) * padded), dk);
                dv = vfma(vset1(w[lane]), vload(d_out_t + (p + lane) * padded), dv);
            }
        }
        vstore(d_key_t + q * padded, dk);
        vstore(d_value_t + q * padded, dv);
    }
}

/* x: [feature][token] of x_t: [token][feature, padded] */
static void transpose_back(float *x, const float *x_t, size_t n_rows, size_t n_tokens, size_t stride) {
    size_t padded = rounded_up(n_rows, W);
    for (size_t t = 0; t < n_tokens; t += W)
        for (size_t j = 0; j < n_rows; j += W) {
            vf block[W];
            UNROLL_FOR (size_t k = 0; k < W; k++)
                block[k] = vload(x_t + (t + k) * padded + j);
            vtranspose(block);
            for (size_t k = 0; k < smaller(W, n_rows - j); k++)
                vstore(x + (j + k) * stride + t, block[k]);
        }
}

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
