/* Attention over a group whose tokens lie position by position: each lane is a document, each run a position.
 *
 * The weight a query at position p gives to the key at position q <= p is in the vectors from pairs[p] on: for each W documents
 * that reach p, the keys 0..p. Lanes past the documents that reach p have weight 0, so what they add elsewhere is 0; what they
 * overwrite, at later positions, is written after them.
 */
#ifndef MICROGPT_FAST_ATTENTION_H
#define MICROGPT_FAST_ATTENTION_H

#include "model.h"
#include "simd/floats.h"

/* The vectors of (query position p, key position 0), for documents d, d + 1, ..., among the pairs of one head. */
INLINE size_t pairs_at(const Group *g, size_t p, size_t d) { return g->pairs[p] + d * (p + 1); }

/* out: [j] = sum over q of weights[q] * v[j](q), for n features j from `v` on */
INLINE void mix_values(float *out, const float *weights, const float *v, const Group *g, size_t p, size_t d, const int n) {
    vf sum[4];
    UNROLL for (int j = 0; j < n; j++)
        sum[j] = vset1(0.0f);
    for (size_t q = 0; q <= p; q++) {
        vf w = vload(weights + q * W);
        UNROLL for (int j = 0; j < n; j++)
            sum[j] = vfma(w, vload(v + j * g->stride + g->offsets[q] + d), sum[j]);
    }
    UNROLL for (int j = 0; j < n; j++)
        vstore(out + j * g->stride + g->offsets[p] + d, sum[j]);
}

/* heads: (n_embd) from qkv: (3 n_embd), for heads first to end */
static void attention_forward(const Shape *s, const Group *g, Layer *a, size_t first, size_t end) {
    size_t e = s->n_embd, hd = s->head_dim, stride = g->stride;
    const vf inverse_root = vset1((float)s->inverse_root);
    for (size_t h = first; h < end; h++) {
        const float *query = a->qkv + h * hd * stride, *key = query + e * stride, *value = key + e * stride;
        for (size_t p = 0; p < g->n_runs; p++)
            for (size_t d = 0; d < g->counts[p]; d += W) {
                float *weights = a->weights + h * g->n_pairs + pairs_at(g, p, d);
                vf largest = vset1(-INFINITY), total = vset1(0.0f);
                for (size_t q = 0; q <= p; q++) {
                    const float *x = query + g->offsets[p] + d, *y = key + g->offsets[q] + d;
                    vf score = vload(x) * vload(y);
                    for (size_t j = 1; j < hd; j++)
                        score = vfma(vload(x + j * stride), vload(y + j * stride), score);
                    score = score * inverse_root;
                    vstore(weights + q * W, score);
                    largest = vmax(largest, score);
                }
                for (size_t q = 0; q <= p; q++) {
                    vf k = vexp(vload(weights + q * W) - largest);
                    vstore(weights + q * W, k);
                    total = total + k;
                }
                vf scale = vkeep(lanes_below(g->counts[p] - d), vset1(1.0f) / total);
                for (size_t q = 0; q <= p; q++)
                    vstore(weights + q * W, vload(weights + q * W) * scale);
                size_t j = 0;
                for (; j + 4 <= hd; j += 4)
                    mix_values(a->heads + (h * hd + j) * stride, weights, value + j * stride, g, p, d, 4);
                for (; j < hd; j++)
                    mix_values(a->heads + (h * hd + j) * stride, weights, value + j * stride, g, p, d, 1);
            }
    }
}

/* d_scores of one head: weight * (d_weight - sum over keys of weight * d_weight) / sqrt(head_dim), where d_weight = v . d_out and
 * that sum is out . d_out (Dao et al., FlashAttention, 2022, appendix B). */
static void scores_backward(const Shape *s, const Group *g, float *d_scores, const float *weights, const float *value,
                            const float *out, const float *d_out) {
    size_t hd = s->head_dim, stride = g->stride;
    const vf inverse_root = vset1((float)s->inverse_root);
    for (size_t p = 0; p < g->n_runs; p++)
        for (size_t d = 0; d < g->counts[p]; d += W) {
            size_t at = g->offsets[p] + d, pair = pairs_at(g, p, d);
            vf mean = vset1(0.0f);
            for (size_t j = 0; j < hd; j++)
                mean = vfma(vload(out + j * stride + at), vload(d_out + j * stride + at), mean);
            for (size_t q = 0; q <= p; q++) {
                const float *v = value + g->offsets[q] + d;
                vf d_weight = vload(v) * vload(d_out + at);
                for (size_t j = 1; j < hd; j++)
                    d_weight = vfma(vload(v + j * stride), vload(d_out + j * stride + at), d_weight);
                vf w = vload(weights + pair + q * W) * inverse_root;
                vstore(d_scores + pair + q * W, w * (d_weight - mean));
            }
        }
}

/* d_key and d_value of position q, and what it adds to d_query, for n features of one head and the documents from d on. What the
 * later queries give to a key stays in registers. */
INLINE void mix_backward(const Group *g, float *d_query, float *d_key, float *d_value, const float *query, const float *key,
                         const float *d_out, const float *weights, const float *d_scores, size_t q, size_t d, const int n) {
    size_t stride = g->stride, at = g->offsets[q] + d;
    vf dk[4], dv[4], k[4];
    UNROLL for (int j = 0; j < n; j++) {
        dk[j] = dv[j] = vset1(0.0f);
        k[j] = vload(key + j * stride + at);
    }
    for (size_t p = q; p < g->n_runs && g->counts[p] > d; p++) {
        size_t from = g->offsets[p] + d, pair = pairs_at(g, p, d) + q * W;
        vf w = vload(weights + pair), ds = vload(d_scores + pair);
        UNROLL for (int j = 0; j < n; j++) {
            dv[j] = vfma(w, vload(d_out + j * stride + from), dv[j]);
            dk[j] = vfma(ds, vload(query + j * stride + from), dk[j]);
            vstore(d_query + j * stride + from, vfma(ds, k[j], vload(d_query + j * stride + from)));
        }
    }
    UNROLL for (int j = 0; j < n; j++) {
        vstore(d_key + j * stride + at, dk[j]);
        vstore(d_value + j * stride + at, dv[j]);
    }
}

/* d_qkv: (3 n_embd) from d_heads: (n_embd) */
static void attention_backward(const Shape *s, const Group *g, Layer *a, size_t first, size_t end) {
    const float *d_heads = g->d_heads;
    size_t hd = s->head_dim, block = s->n_embd * g->stride;
    for (size_t h = first; h < end; h++) {
        const float *weights = a->weights + h * g->n_pairs;
        float *d_scores = g->d_scores + h * g->n_pairs;
        size_t row = h * hd * g->stride;
        scores_backward(s, g, d_scores, weights, a->qkv + 2 * block + row, a->heads + row, d_heads + row);
        for (size_t j = 0, n; j < hd; j += n) {
            size_t at = row + j * g->stride;
            n = j + 4 <= hd ? 4 : 1;
            memset(a->d_qkv + at, 0, n * g->stride * sizeof(float));
            for (size_t q = 0; q < g->n_runs; q++)
                for (size_t d = 0; d < g->counts[q]; d += W) {
#define MIX(n)                                                                                                                 \
    mix_backward(g, a->d_qkv + at, a->d_qkv + block + at, a->d_qkv + 2 * block + at, a->qkv + at, a->qkv + block + at,         \
                 d_heads + at, weights, d_scores, q, d, n)
                    if (n == 4)
                        MIX(4);
                    else
                        MIX(1);
#undef MIX
                }
        }
    }
}

#endif
