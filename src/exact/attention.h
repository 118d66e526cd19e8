/* Causal self-attention over whole documents, one head at a time.
 *
 * The query at position p sees the keys t <= p. For each of them, sums over t in ascending order:
 *
 *     score[t] = (sum over ascending j of q[j] * k[j](t)) * inverse_root        inverse_root = (head_dim**0.5)**-1
 *     e[t] = exp(score[t] - largest)
 *     total = sum of e[t]
 *     weight[t] = e[t] * total**-1
 *     out[j] = sum of weight[t] * v[j](t)
 *
 * A vector holds W queries, and there is a row of W lanes for each key. The queries from p0 on see keys 0..p0+W-1, but in the
 * last W of these rows query p0 + lane sees key t only if t <= p0 + lane. So the e of a head are a triangle of rows; those of
 * the queries from p0 on begin at triangle(p0). A lane that does not see a key holds 0 there, and omits it from every sum.
 *
 * The last vector of a document also covers columns of the next one, which is computed later and overwrites them, or reaches the
 * end of the row: `room` is what a row has from the vector on, and where it is less than W, the other lanes are left alone.
 */
#ifndef MICROGPT_ATTENTION_H
#define MICROGPT_ATTENTION_H

#include "libm.h"
#include "linear.h"
#include "model.h"

#define HEAD_ROWS 4 /* keys or features in a tile; the rest one by one */

/* Rows before those of the queries from p0 on, times W: W * (W + 2W + ... + p0). */
INLINE size_t triangle(size_t p0) { return p0 / W * (p0 / W + 1) / 2 * W * W; }

/* The lanes whose query sees key t. */
INLINE vm sees(size_t p0, size_t t) { return lanes_from(t > p0 ? t - p0 : 0); }

/* ---- forward -------------------------------------------------------------------------------------------------------- */

/* A tile of score[t], for `rows` keys. scores: [key][W], q: (head_dim)(query), k: (head_dim)(key) */
INLINE void score_tile(double *scores, const double *q, const double *k, vd inverse_root, size_t hd, size_t stride, size_t room,
                       const int rows) {
    vd sum[HEAD_ROWS];
    UNROLL_FOR (int r = 0; r < rows; r++)
        sum[r] = vset1(0.0);
    for (size_t j = 0; j < hd; j++)
        UNROLL_FOR (int r = 0; r < rows; r++)
            sum[r] = sum[r] + vload_some(q + j * stride, room) * vset1(k[j * stride + r]);
    UNROLL_FOR (int r = 0; r < rows; r++)
        vstore(scores + r * W, sum[r] * inverse_root);
}

INLINE void scores_forward(double *scores, const double *q, const double *k, vd inverse_root, size_t n_keys, size_t hd,
                           size_t stride, size_t room) {
    size_t t = 0;
    for (; t + HEAD_ROWS <= n_keys; t += HEAD_ROWS)
        score_tile(scores + t * W, q, k + t, inverse_root, hd, stride, room, HEAD_ROWS);
    for (; t < n_keys; t++)
        score_tile(scores + t * W, q, k + t, inverse_root, hd, stride, room, 1);
}

/* e[t] and their total. exps, scores: [key][W]; scores are used up. total: (1)(query) */
INLINE void exps_forward(double *exps, double *total, double *scores, size_t p0, size_t n_keys, size_t room, int vector_libm) {
    vd largest = vload(scores), sum = vset1(0.0);
    for (size_t t = 1; t < n_keys; t++)
        largest = vselect(sees(p0, t), vmax(vload(scores + t * W), largest), largest);
    for (size_t t = 0; t < n_keys; t++)
        vstore(scores + t * W, vselect(sees(p0, t), vload(scores + t * W) - largest, vset1(0.0)));
    exp_array(exps, scores, n_keys * W, vector_libm);
    for (size_t t = 0; t < n_keys; t++) {
        vd e = vselect(sees(p0, t), vload(exps + t * W), vset1(0.0));
        vstore(exps + t * W, e);
        sum = sum + e;
    }
    vstore_some(total, sum, room);
}

/* A tile of out[j], for `rows` features. out: (rows)(query), exps: [key][W], v: (rows)(key) */
INLINE void mix_tile(double *out, const double *exps, vd inverse_total, const double *v, size_t n_keys, size_t stride,
                     size_t room, const int rows) {
    vd sum[HEAD_ROWS];
    UNROLL_FOR (int r = 0; r < rows; r++)
        sum[r] = vset1(0.0);
    for (size_t t = 0; t < n_keys; t++) {
        vd weight = vload(exps + t * W) * inverse_total;
        UNROLL_FOR (int r = 0; r < rows; r++)
            sum[r] = sum[r] + weight * vset1(v[r * stride + t]);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        vstore_some(out + r * stride, sum[r], room);
}

INLINE void mix_forward(double *out, const double *exps, vd inverse_total, const double *v, size_t n_keys, size_t hd,
                        size_t stride, size_t room) {
    size_t j = 0;
    for (; j + HEAD_ROWS <= hd; j += HEAD_ROWS)
        mix_tile(out + j * stride, exps, inverse_total, v + j * stride, n_keys, stride, room, HEAD_ROWS);
    for (; j < hd; j++)
        mix_tile(out + j * stride, exps, inverse_total, v + j * stride, n_keys, stride, room, 1);
}

/* Some heads' rows of a->heads: (n_embd) from a->qkv: (3 n_embd); keeps exps, total and inverse_total for the backward pass.
 * scores: [key][W] */
static void attention_forward(const Shape *s, Layer *a, double *scores, const Group *g, Range heads) {
    size_t e = s->n_embd, hd = s->head_dim, stride = g->stride;
    for (size_t h = heads.first; h < heads.end; h++)
        for (const Span *d = g->spans; d < g->spans + g->n_spans; d++) {
            const double *q = a->qkv + h * hd * stride + d->first, *k = q + e * stride;
            for (size_t p0 = 0; p0 < d->length; p0 += W) {
                double *exps = a->exps + d->exps + h * triangle(d->length) + triangle(p0);
                size_t n_keys = smaller(d->n, p0 + W), at = d->first + p0;
                scores_forward(scores, q + p0, k, vset1(s->inverse_root), n_keys, hd, stride, stride - at);
                exps_forward(exps, a->total + h * stride + at, scores, p0, n_keys, stride - at, s->vector_libm);
            }
        }
    inverse_array(a->inverse_total + heads.first * stride, a->total + heads.first * stride, (heads.end - heads.first) * stride,
                  s->vector_libm);
    for (size_t h = heads.first; h < heads.end; h++)
        for (const Span *d = g->spans; d < g->spans + g->n_spans; d++) {
            size_t row = h * hd * stride + d->first;
            const double *v = a->qkv + 2 * e * stride + row;
            for (size_t p0 = 0; p0 < d->length; p0 += W) {
                const double *exps = a->exps + d->exps + h * triangle(d->length) + triangle(p0);
                size_t room = stride - d->first - p0;
                vd inverse_total = vload_some(a->inverse_total + h * stride + d->first + p0, room);
                mix_forward(a->heads + row + p0, exps, inverse_total, v, smaller(d->n, p0 + W), hd, stride, room);
            }
        }
}

/* ---- backward ------------------------------------------------------------------------------------------------------- */

/* dx, or d_name, is the derivative of the loss L with respect to x, or name. */

/* forward computed out[j] = sum over t of weight[t] * v[j](t); so
 *     d_weight[t] = sum over descending j of v[j](t) * d_out[j]
 * A tile of it, for `rows` keys. d_weights: [key][W], v: (head_dim)(key), d_out: (head_dim)(query) */
INLINE void weight_backward_tile(double *d_weights, const double *v, const double *d_out, size_t hd, size_t stride, size_t room,
                                 const int rows) {
    vd sum[HEAD_ROWS];
    UNROLL_FOR (int r = 0; r < rows; r++)
        sum[r] = vset1(0.0);
    for (size_t j = hd; j > 0; j--)
        UNROLL_FOR (int r = 0; r < rows; r++)
            sum[r] = sum[r] + vset1(v[(j - 1) * stride + r]) * vload_some(d_out + (j - 1) * stride, room);
    UNROLL_FOR (int r = 0; r < rows; r++)
        vstore(d_weights + r * W, sum[r]);
}

INLINE void weights_backward(double *d_weights, const double *v, const double *d_out, size_t n_keys, size_t hd, size_t stride,
                             size_t room) {
    size_t t = 0;
    for (; t + HEAD_ROWS <= n_keys; t += HEAD_ROWS)
        weight_backward_tile(d_weights + t * W, v + t, d_out, hd, stride, room, HEAD_ROWS);
    for (; t < n_keys; t++)
        weight_backward_tile(d_weights + t * W, v + t, d_out, hd, stride, room, 1);
}

/* forward computed e[t] = exp(score[t] - largest), total = sum of e[t], weight[t] = e[t] * total**-1; largest is a constant. So
 *     d_total = sum over descending t of (-1 * total**-2) * (e[t] * d_weight[t])
 *     d_e[t] = total**-1 * d_weight[t] + d_total
 *     d_score[t] = e[t] * d_e[t]
 * and, since forward computed score[t] = (sum of q[j] * k[j](t)) * inverse_root, the derivative with respect to that sum is
 *     d_dot[t] = inverse_root * d_score[t]
 *
 * d_dots: [key][W], holds d_weights at first; exps: [key][W]; inverse_square: total**-2. Also by query, for the derivatives of
 * keys and values: d_dots_of, weights_of: [query][key], `length` keys a row */
INLINE void softmax_backward(double *d_dots, double *d_dots_of, double *weights_of, const double *exps, vd inverse_total,
                             vd inverse_square, vd inverse_root, size_t p0, size_t n_keys, size_t length) {
    vd slope = vset1(-1.0) * inverse_square, d_total = vset1(0.0);
    for (size_t t = n_keys; t-- > 0;) {
        vd share = slope * (vload(exps + t * W) * vload(d_dots + t * W));
        d_total = vselect(sees(p0, t), d_total + share, d_total);
    }
    for (size_t t = 0; t < n_keys; t += W) {
        vd d_dot[W], weight[W];
        UNROLL_FOR (size_t k = 0; k < W; k++) {
            vd e = vload(exps + (t + k) * W), d_weight = vload(d_dots + (t + k) * W);
            d_dot[k] = inverse_root * (e * (inverse_total * d_weight + d_total));
            weight[k] = e * inverse_total;
            vstore(d_dots + (t + k) * W, d_dot[k]);
        }
        vtranspose(d_dot);
        vtranspose(weight);
        UNROLL_FOR (size_t k = 0; k < W; k++) {
            vstore(d_dots_of + k * length + t, d_dot[k]);
            vstore(weights_of + k * length + t, weight[k]);
        }
    }
}

/* forward computed dot[t] = sum over j of q[j] * k[j](t); so
 *     dq[j] = sum over descending t of k[j](t) * d_dot[t]
 * A tile of it, for `rows` features. dq: (rows)(query), k: (rows)(key), d_dots: [key][W] */
INLINE void query_backward_tile(double *dq, const double *k, const double *d_dots, size_t n_keys, size_t p0, size_t stride,
                                size_t room, const int rows) {
    vd sum[HEAD_ROWS];
    UNROLL_FOR (int r = 0; r < rows; r++)
        sum[r] = vset1(0.0);
    for (size_t t = n_keys; t > 0; t--) {
        vd d = vload(d_dots + (t - 1) * W);
        vm seen = sees(p0, t - 1); /* mutant: keys-seen */
        UNROLL_FOR (int r = 0; r < rows; r++)
            sum[r] = vselect(seen, sum[r] + vset1(k[r * stride + t - 1]) * d, sum[r]);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        vstore_some(dq + r * stride, sum[r], room);
}

INLINE void query_backward(double *dq, const double *k, const double *d_dots, size_t n_keys, size_t p0, size_t hd,
                           size_t stride, size_t room) {
    size_t j = 0;
    for (; j + HEAD_ROWS <= hd; j += HEAD_ROWS)
        query_backward_tile(dq + j * stride, k + j * stride, d_dots, n_keys, p0, stride, room, HEAD_ROWS);
    for (; j < hd; j++)
        query_backward_tile(dq + j * stride, k + j * stride, d_dots, n_keys, p0, stride, room, 1);
}

/* forward computed, for every query p >= t, dot[t](p) = sum over j of q[j](p) * k[j](t), and out[j](p) = sum over t of
 * weight[t](p) * v[j](t); so
 *     dk[j](t) = sum over descending p of q[j](p) * d_dot[t](p)
 *     dv[j](t) = sum over descending p of d_out[j](p) * weight[t](p)
 * A tile of either, for `rows` features and W keys from t0 on. dy: (rows)(key), x: (rows)(query), factors: [query][key],
 * `length` keys a row */
INLINE void key_backward_tile(double *dy, const double *x, const double *factors, size_t n, size_t t0, size_t length,
                              size_t stride, size_t room, const int rows) {
    vd sum[HEAD_ROWS];
    UNROLL_FOR (int r = 0; r < rows; r++)
        sum[r] = vset1(0.0);
    for (size_t p = n; p > t0; p--) { /* mutant: key-fold */
        vd factor = vload(factors + (p - 1) * length + t0);
        vm seen = vnot(lanes_from(smaller(p - t0, W)));
        UNROLL_FOR (int r = 0; r < rows; r++)
            sum[r] = vselect(seen, sum[r] + vset1(x[r * stride + p - 1]) * factor, sum[r]);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        vstore_some(dy + t0 + r * stride, sum[r], room);
}

INLINE void key_backward(double *dy, const double *x, const double *factors, size_t n, size_t t0, size_t length, size_t hd,
                         size_t stride, size_t room) {
    size_t j = 0;
    for (; j + HEAD_ROWS <= hd; j += HEAD_ROWS)
        key_backward_tile(dy + j * stride, x + j * stride, factors, n, t0, length, stride, room, HEAD_ROWS);
    for (; j < hd; j++)
        key_backward_tile(dy + j * stride, x + j * stride, factors, n, t0, length, stride, room, 1);
}

/* Some heads' rows of a->d_qkv: (3 n_embd) from g->d_heads: (n_embd) */
static void attention_backward(const Shape *s, const Layer *a, const Group *g, const Scratch *t, Range heads) {
    size_t e = s->n_embd, hd = s->head_dim, stride = g->stride;
    inverse_square_array(g->power + heads.first * stride, a->total + heads.first * stride, (heads.end - heads.first) * stride,
                         s->vector_libm);
    for (size_t h = heads.first; h < heads.end; h++)
        for (const Span *d = g->spans; d < g->spans + g->n_spans; d++) {
            size_t row = h * hd * stride + d->first, length = d->length;
            const double *q = a->qkv + row, *k = q + e * stride, *v = k + e * stride, *d_heads = g->d_heads + row;
            double *d_q = a->d_qkv + row, *d_k = d_q + e * stride, *d_v = d_k + e * stride;
            for (size_t p0 = 0; p0 < length; p0 += W) {
                const double *exps = a->exps + d->exps + h * triangle(length) + triangle(p0);
                size_t n_keys = smaller(d->n, p0 + W), at = h * stride + d->first + p0, room = stride - d->first - p0;
                vd inverse_total = vload_some(a->inverse_total + at, room), inverse_square = vload_some(g->power + at, room);
                weights_backward(t->tile, v, d_heads + p0, n_keys, hd, stride, room);
                softmax_backward(t->tile, t->d_dots + p0 * length, t->weights + p0 * length, exps, inverse_total,
                                 inverse_square, vset1(s->inverse_root), p0, n_keys, length);
                query_backward(d_q + p0, k, t->tile, n_keys, p0, hd, stride, room);
            }
            for (size_t t0 = 0; t0 < length; t0 += W) {
                size_t room = stride - d->first - t0;
                key_backward(d_k, q, t->d_dots, d->n, t0, length, hd, stride, room);
                key_backward(d_v, d_heads, t->weights, d->n, t0, length, hd, stride, room);
            }
        }
}

#endif
