/* Attention over a group whose tokens lie position by position: each lane is a document, each run a position.
 *
 * Of one document and one head, for the query at position p, with keys and values at q <= p, each (head_dim):
 *
 *     score[p][q]    = query[p] . key[q] / sqrt(head_dim)
 *     weight[p]      = softmax(score[p])
 *     out[p]         = sum over q <= p of weight[p][q] * value[q]
 *
 * and backward, where d_score includes the factor 1 / sqrt(head_dim), so it is the derivative with respect to query . key:
 *
 *     d_weight[p][q] = d_out[p] . value[q]
 *     d_score[p][q]  = weight[p][q] * (d_weight[p][q] - sum over k <= p of weight[p][k] * d_weight[p][k]) / sqrt(head_dim)
 *     d_query[p]     = sum over q <= p of d_score[p][q] * key[q]
 *     d_key[q]       = sum over p >= q of d_score[p][q] * query[p]
 *     d_value[q]     = sum over p >= q of weight[p][q] * d_out[p]
 *
 * The sum over k is out[p] . d_out[p], since d_weight[p][k] = d_out[p] . value[k] (Dao et al., FlashAttention, 2022, appendix
 * B).
 *
 * Weights and scores of a query, of W documents that reach its position, are p + 1 vectors from pairs_at() on: a vector for
 * each key. Lanes past the documents that reach p have weight 0, so they add 0 elsewhere; what they overwrite, at later
 * positions, is written after them.
 */
#ifndef MICROGPT_FAST_ATTENTION_H
#define MICROGPT_FAST_ATTENTION_H

#include "model.h"
#include "simd/floats.h"

/* Where the weights of the query at p lie among those of a head, for documents d, d + 1, ... */
INLINE size_t pairs_at(const Group *g, size_t p, size_t d) { return g->pairs[p] + d * (p + 1); }

/* dots[q] = y[p] . x[q] for q <= p, over n features; added to what is there if `before` */
INLINE void dot_some(float *dots, const float *y, const float *x, const Group *g, size_t p, size_t d, const int n,
                     const int before) {
    const float *xj[4];
    vf yj[4];
    UNROLL_FOR (int j = 0; j < n; j++) {
        xj[j] = x + j * g->stride + d;
        yj[j] = vload(y + j * g->stride + g->offsets[p] + d);
    }
    for (size_t q = 0; q <= p; q++) {
        size_t at = g->offsets[q];
        vf sum = before ? vload(dots + q * W) : vset1(0.0f);
        UNROLL_FOR (int j = 0; j < n; j++)
            sum = vfma(yj[j], vload(xj[j] + at), sum);
        vstore(dots + q * W, sum);
    }
}

/* The same over all hd features. */
static void dot_positions(float *dots, const float *y, const float *x, const Group *g, size_t p, size_t d, size_t hd) {
    size_t j = 0;
    for (; j + 4 <= hd; j += 4)
        dot_some(dots, y + j * g->stride, x + j * g->stride, g, p, d, 4, j > 0);
    for (; j < hd; j++)
        dot_some(dots, y + j * g->stride, x + j * g->stride, g, p, d, 1, j > 0);
}

/* y[p] = sum over q <= p of weights[q] * x[q], for n features */
INLINE void mix_some(float *y, const float *weights, const float *x, const Group *g, size_t p, size_t d, const int n) {
    const float *xj[4];
    vf sum[4];
    UNROLL_FOR (int j = 0; j < n; j++) {
        xj[j] = x + j * g->stride + d;
        sum[j] = vset1(0.0f);
    }
    for (size_t q = 0; q <= p; q++) {
        size_t at = g->offsets[q];
        vf w = vload(weights + q * W);
        UNROLL_FOR (int j = 0; j < n; j++)
            sum[j] = vfma(w, vload(xj[j] + at), sum[j]);
    }
    UNROLL_FOR (int j = 0; j < n; j++)
        vstore(y + j * g->stride + g->offsets[p] + d, sum[j]);
}

/* The same for all hd features. */
static void mix_positions(float *y, const float *weights, const float *x, const Group *g, size_t p, size_t d, size_t hd) {
    size_t j = 0;
    for (; j + 4 <= hd; j += 4)
        mix_some(y + j * g->stride, weights, x + j * g->stride, g, p, d, 4);
    for (; j < hd; j++)
        mix_some(y + j * g->stride, weights, x + j * g->stride, g, p, d, 1);
}

/* Replaces query . key by the weights, for the keys up to p; 0 in lanes past the documents. */
INLINE void softmax(float *scores, size_t p, vf inverse_root, vm documents) {
    vf largest = vload(scores), total = vset1(0.0f);
    for (size_t q = 1; q <= p; q++)
        largest = vmax(largest, vload(scores + q * W)); /* mutant: largest-score */
    for (size_t q = 0; q <= p; q++) {
        vf k = vexp((vload(scores + q * W) - largest) * inverse_root);
        vstore(scores + q * W, k);
        total = total + k;
    }
    vf scale = vkeep(documents, vset1(1.0f) / total); /* mutant: lanes-of-documents */
    for (size_t q = 0; q <= p; q++)
        vstore(scores + q * W, vload(scores + q * W) * scale);
}

/* heads: (n_embd), every head's out, from qkv: (3 n_embd), for heads first to end */
static void attention_forward(const Shape *s, const Group *g, Layer *a, size_t first, size_t end) {
    size_t hd = s->head_dim, block = s->n_embd * g->stride;
    const vf inverse_root = vset1((float)s->inverse_root);
    for (size_t h = first; h < end; h++) {
        size_t row = h * hd * g->stride;
        const float *query = a->qkv + row;
        for (size_t p = 0; p < g->n_runs; p++)
            for (size_t d = 0; d < g->counts[p]; d += W) {
                float *weights = a->weights + h * g->n_pairs + pairs_at(g, p, d);
                dot_positions(weights, query, query + block, g, p, d, hd);
                softmax(weights, p, inverse_root, lanes_below(g->counts[p] - d));
                mix_positions(a->heads + row, weights, query + 2 * block, g, p, d, hd);
            }
    }
}

/* Replaces d_weights by d_scores, for the keys up to p. */
static void softmax_backward(const Shape *s, float *d_weights, const float *weights, const float *out, const float *d_out,
                             size_t p, size_t stride) {
    const vf inverse_root = vset1((float)s->inverse_root);
    vf sum = vset1(0.0f); /* over the keys of weight * d_weight */
    for (size_t j = 0; j < s->head_dim; j++)
        sum = vfma(vload(out + j * stride), vload(d_out + j * stride), sum);
    for (size_t q = 0; q <= p; q++) {
        vf w = vload(weights + q * W) * inverse_root;
        vstore(d_weights + q * W, w * (vload(d_weights + q * W) - sum));
    }
}

/* d_key[q] and d_value[q], for n features */
INLINE void key_backward_some(float *d_key, float *d_value, const float *query, const float *d_out, const float *weights,
                              const float *d_scores, const Group *g, size_t q, size_t d, const int n) {
    size_t stride = g->stride, at = g->offsets[q] + d;
    const float *queries[4], *d_outs[4];
    vf dk[4], dv[4];
    UNROLL_FOR (int j = 0; j < n; j++) {
        queries[j] = query + j * stride + d;
        d_outs[j] = d_out + j * stride + d;
        dk[j] = dv[j] = vset1(0.0f);
    }
    for (size_t p = q; p < g->n_runs && g->counts[p] > d; p++) {
        size_t from = g->offsets[p], pair = pairs_at(g, p, d) + q * W;
        vf w = vload(weights + pair), ds = vload(d_scores + pair);
        UNROLL_FOR (int j = 0; j < n; j++) {
            dv[j] = vfma(w, vload(d_outs[j] + from), dv[j]);
            dk[j] = vfma(ds, vload(queries[j] + from), dk[j]);
        }
    }
    UNROLL_FOR (int j = 0; j < n; j++) {
        vstore(d_key + j * stride + at, dk[j]);
        vstore(d_value + j * stride + at, dv[j]);
    }
}

/* d_qkv: (3 n_embd) from d_heads: (n_embd), for heads first to end */
static void attention_backward(const Shape *s, const Group *g, Layer *a, size_t first, size_t end) {
    size_t hd = s->head_dim, stride = g->stride, block = s->n_embd * stride;
    for (size_t h = first; h < end; h++) {
        size_t row = h * hd * stride;
        const float *weights = a->weights + h * g->n_pairs, *query = a->qkv + row, *d_out = g->d_heads + row;
        float *d_scores = g->d_scores + h * g->n_pairs, *d_query = a->d_qkv + row;
        for (size_t p = 0; p < g->n_runs; p++)
            for (size_t d = 0; d < g->counts[p]; d += W) {
                size_t at = g->offsets[p] + d, pair = pairs_at(g, p, d);
                dot_positions(d_scores + pair, d_out, query + 2 * block, g, p, d, hd);
                softmax_backward(s, d_scores + pair, weights + pair, a->heads + row + at, d_out + at, p, stride);
                mix_positions(d_query, d_scores + pair, query + block, g, p, d, hd);
            }
        float *d_key = d_query + block, *d_value = d_key + block;
        for (size_t q = 0; q < g->n_runs; q++)
            for (size_t d = 0; d < g->counts[q]; d += W) {
                size_t j = 0;
                for (; j + 4 <= hd; j += 4)
                    key_backward_some(d_key + j * stride, d_value + j * stride, query + j * stride, d_out + j * stride, weights,
                                      d_scores, g, q, d, 4);
                for (; j < hd; j++)
                    key_backward_some(d_key + j * stride, d_value + j * stride, query + j * stride, d_out + j * stride, weights,
                                      d_scores, g, q, d, 1);
            }
    }
}

#endif
