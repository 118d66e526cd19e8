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

/* f(n) for features j to j + n - 1, whose numbers are in registers, up to hd: so that the keys are gone over few times, because
 * each end of a loop over keys costs as much as two keys. */
#define CHUNK (REGISTERS / 4)
#define IN_CHUNKS(j, hd, f)                                                                                                    \
    for (size_t j = 0; j < hd;)                                                                                                \
        if (j + CHUNK <= hd) {                                                                                                 \
            f(CHUNK);                                                                                                          \
            j += CHUNK;                                                                                                        \
        } else if (j + 4 <= hd) {                                                                                              \
            f(4);                                                                                                              \
            j += 4;                                                                                                            \
        } else {                                                                                                               \
            f(1);                                                                                                              \
            j++;                                                                                                               \
        }

/* The rows x[j] of a group, for documents d, d + 1, ... */
typedef struct {
    const float *row[CHUNK];
} RowsOf;

INLINE RowsOf rows_of(const float *x, const Group *g, size_t d, const int n) {
    RowsOf rows;
    UNROLL_FOR (int j = 0; j < n; j++)
        rows.row[j] = x + j * g->stride + d;
    return rows;
}

/* dots[q] = y[p] . x[q] for q <= p, over n features; added to what is there if `before`. Returns the largest. */
INLINE vf dot_some(float *dots, const float *y, const float *x, const Group *g, size_t p, size_t d, const int n,
                   const int before) {
    const RowsOf xs = rows_of(x, g, d, n);
    const size_t *offsets = g->offsets;
    vf yj[CHUNK], largest = vset1(-INFINITY);
    UNROLL_FOR (int j = 0; j < n; j++)
        yj[j] = vload(y + j * g->stride + offsets[p] + d);
    for (size_t q = 0; q <= p; q++) {
        size_t at = offsets[q];
        vf sum = before ? vload(dots + q * W) : vset1(0.0f);
        UNROLL_FOR (int j = 0; j < n; j++)
            sum = vfma(yj[j], vload(xs.row[j] + at), sum);
        vstore(dots + q * W, sum);
        largest = vmax(sum, largest); /* mutant: largest-score */
    }
    return largest;
}

/* y[p] = scale * sum over q <= p of weights[q] * x[q], for n features. With `scores`, these are replaced by the weights, e to
 * their differences from the largest, and scale becomes 1 / the sum of these. */
INLINE void mix_some(float *y, float *weights, const float *x, const Group *g, size_t p, size_t d, const int n, vf *scale,
                     const int scores, vf largest, vf inverse_root, vm documents) {
    const RowsOf xs = rows_of(x, g, d, n);
    const size_t *offsets = g->offsets;
    vf sum[CHUNK], total = vset1(0.0f);
    UNROLL_FOR (int j = 0; j < n; j++)
        sum[j] = vset1(0.0f);
    for (size_t q = 0; q <= p; q++) {
        size_t at = offsets[q];
        vf w = vload(weights + q * W);
        if (scores) {
            w = vexp((w - largest) * inverse_root);
            vstore(weights + q * W, w);
            total = total + w;
        }
        UNROLL_FOR (int j = 0; j < n; j++)
            sum[j] = vfma(w, vload(xs.row[j] + at), sum[j]);
    }
    if (scores)
        *scale = vkeep(documents, vset1(1.0f) / total); /* mutant: lanes-of-documents */
    UNROLL_FOR (int j = 0; j < n; j++)
        vstore(y + j * g->stride + offsets[p] + d, sum[j] * *scale);
}

/* heads: (n_embd), every head's out, from qkv: (3 n_embd), for heads first to end */
static void attention_forward(const Shape *s, const Group *g, Layer *a, size_t first, size_t end) {
    size_t hd = s->head_dim, stride = g->stride, block = s->n_embd * stride;
    const vf inverse_root = vset1((float)s->inverse_root);
    for (size_t h = first; h < end; h++) {
        const float *query = a->qkv + h * hd * stride, *key = query + block, *value = key + block;
        float *out = a->heads + h * hd * stride;
        for (size_t p = 0; p < g->n_runs; p++)
            for (size_t d = 0; d < g->counts[p]; d += W) {
                float *weights = a->weights + h * g->n_pairs + pairs_at(g, p, d);
                vm documents = lanes_below(g->counts[p] - d);
                vf largest = vset1(0.0f), scale = largest;
#define DOT(n) largest = dot_some(weights, query + j * stride, key + j * stride, g, p, d, n, j > 0)
                IN_CHUNKS(j, hd, DOT)
#define MIX(n)                                                                                                                 \
    mix_some(out + j * stride, weights, value + j * stride, g, p, d, n, &scale, j == 0, largest, inverse_root, documents)
                IN_CHUNKS(j, hd, MIX)
                for (size_t q = 0; q <= p; q++)
                    vstore(weights + q * W, vload(weights + q * W) * scale);
            }
    }
}

/* d_weights[q] += d_out[p] . value[q], over the last n features, and d_scores in their place; d_query[p] for n features */
INLINE void query_backward_some(float *d_scores, const float *weights, float *d_query, const float *d_out, const float *value,
                                const float *key, const Group *g, size_t p, size_t d, vf sum, vf inverse_root, const int n,
                                const int before) {
    const RowsOf values = rows_of(value, g, d, n), keys = rows_of(key, g, d, n);
    const size_t *offsets = g->offsets;
    vf out[CHUNK], dq[CHUNK];
    UNROLL_FOR (int j = 0; j < n; j++) {
        out[j] = vload(d_out + j * g->stride + offsets[p] + d);
        dq[j] = vset1(0.0f);
    }
    for (size_t q = 0; q <= p; q++) {
        size_t at = offsets[q];
        vf dw = before ? vload(d_scores + q * W) : vset1(0.0f);
        UNROLL_FOR (int j = 0; j < n; j++)
            dw = vfma(out[j], vload(values.row[j] + at), dw);
        vf ds = vload(weights + q * W) * inverse_root * (dw - sum);
        vstore(d_scores + q * W, ds);
        UNROLL_FOR (int j = 0; j < n; j++)
            dq[j] = vfma(ds, vload(keys.row[j] + at), dq[j]);
    }
    UNROLL_FOR (int j = 0; j < n; j++)
        vstore(d_query + j * g->stride + offsets[p] + d, dq[j]);
}

/* d_key[q] and d_value[q], for n features */
INLINE void key_backward_some(float *d_key, float *d_value, const float *query, const float *d_out, const float *weights,
                              const float *d_scores, const Group *g, size_t q, size_t d, const int n) {
    const RowsOf queries = rows_of(query, g, d, n), outs = rows_of(d_out, g, d, n);
    size_t at = g->offsets[q] + d;
    vf dk[CHUNK], dv[CHUNK];
    UNROLL_FOR (int j = 0; j < n; j++)
        dk[j] = dv[j] = vset1(0.0f);
    for (size_t p = q; p < g->n_runs && g->counts[p] > d; p++) {
        size_t from = g->offsets[p], pair = pairs_at(g, p, d) + q * W;
        vf w = vload(weights + pair), ds = vload(d_scores + pair);
        UNROLL_FOR (int j = 0; j < n; j++) {
            dv[j] = vfma(w, vload(outs.row[j] + from), dv[j]);
            dk[j] = vfma(ds, vload(queries.row[j] + from), dk[j]);
        }
    }
    UNROLL_FOR (int j = 0; j < n; j++) {
        vstore(d_key + j * g->stride + at, dk[j]);
        vstore(d_value + j * g->stride + at, dv[j]);
    }
}

/* The sum over the keys of weight * d_weight, which is out . d_out; both: at the queries */
INLINE vf mean_derivative(const float *out, const float *d_out, size_t stride, size_t hd) {
    vf sum = vset1(0.0f);
    for (size_t j = 0; j < hd; j++)
        sum = vfma(vload(out + j * stride), vload(d_out + j * stride), sum);
    return sum;
}

/* d_qkv: (3 n_embd) from d_heads: (n_embd), for heads first to end */
static void attention_backward(const Shape *s, const Group *g, Layer *a, size_t first, size_t end) {
    size_t hd = s->head_dim, stride = g->stride, block = s->n_embd * stride;
    const vf inverse_root = vset1((float)s->inverse_root);
    for (size_t h = first; h < end; h++) {
        size_t row = h * hd * stride;
        const float *query = a->qkv + row, *key = query + block, *value = key + block;
        const float *weights = a->weights + h * g->n_pairs, *out = a->heads + row, *d_out = g->d_heads + row;
        float *d_scores = g->d_scores + h * g->n_pairs;
        float *d_query = a->d_qkv + row, *d_key = d_query + block, *d_value = d_key + block;
        for (size_t p = 0; p < g->n_runs; p++)
            for (size_t d = 0; d < g->counts[p]; d += W) {
                size_t at = g->offsets[p] + d, pair = pairs_at(g, p, d);
                vf sum = mean_derivative(out + at, d_out + at, stride, hd), one = vset1(1.0f);
#define QUERY(n)                                                                                                               \
    if (j + n < hd)                                                                                                            \
        dot_some(d_scores + pair, d_out + j * stride, value + j * stride, g, p, d, n, j > 0);                                  \
    else                                                                                                                       \
        query_backward_some(d_scores + pair, weights + pair, d_query + j * stride, d_out + j * stride, value + j * stride,     \
                            key + j * stride, g, p, d, sum, inverse_root, n, j > 0)
                IN_CHUNKS(j, hd, QUERY)
#define REST(n)                                                                                                                \
    if (j + n < hd)                                                                                                            \
    mix_some(d_query + j * stride, d_scores + pair, key + j * stride, g, p, d, n, &one, 0, one, one, lanes_below(W))
                IN_CHUNKS(j, hd, REST)
            }
        for (size_t q = 0; q < g->n_runs; q++)
            for (size_t d = 0; d < g->counts[q]; d += W) {
#define KEY(n)                                                                                                                 \
    key_backward_some(d_key + j * stride, d_value + j * stride, query + j * stride, d_out + j * stride, weights, d_scores, g,  \
                      q, d, n)
                IN_CHUNKS(j, hd, KEY)
            }
    }
}

#endif
