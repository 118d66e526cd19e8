/* Causal self-attention over a whole document, one head at a time.
 *
 * Queries fill the vectors, W of them a tile; keys run downwards. A tile of queries that starts at p0 sees keys 0..p0+W-1, and
 * in the last W of these rows query p0 + lane sees key t only if t <= p0 + lane. So what a head keeps, exp(score - largest), is
 * a triangle of tiles: rows of W, the tile at p0 begins at triangle(p0). A masked lane keeps 0 and is left out of every sum.
 */
#ifndef MICROGPT_ATTENTION_H
#define MICROGPT_ATTENTION_H

#include "libm.h"
#include "linear.h"
#include "model.h"

/* Rows of all tiles before p0, times W: W * (W + 2W + ... + p0). */
INLINE size_t triangle(size_t p0) { return p0 / W * (p0 / W + 1) / 2 * W * W; }

INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Lanes whose query may see key t. */
INLINE vm sees(size_t p0, size_t t) { return lanes_from(t > p0 ? t - p0 : 0); }

/* scores[t] = (fold j up: q[j] * k[j](t)) * inverse_root, `rows` keys from t on */
INLINE void score_tile(double *scores, const double *q, const double *k, vd inverse_root, size_t hd, size_t stride,
                       const int rows) {
    vd sum[8];
    UNROLL_FOR (int r = 0; r < rows; r++)
        sum[r] = vset1(0.0);
    for (size_t j = 0; j < hd; j++)
        UNROLL_FOR (int r = 0; r < rows; r++)
            sum[r] = sum[r] + vload(q + j * stride) * vset1(k[j * stride + r]);
    UNROLL_FOR (int r = 0; r < rows; r++)
        vstore(scores + r * W, sum[r] * inverse_root);
}

/* out[j] = fold t up: weights[t] * v[j](t), `rows` features from j on */
INLINE void mix_tile(double *out, const double *exps, vd inverse_total, const double *v, size_t n_keys, size_t stride,
                     const int rows) {
    vd sum[8];
    UNROLL_FOR (int r = 0; r < rows; r++)
        sum[r] = vset1(0.0);
    for (size_t t = 0; t < n_keys; t++) {
        vd weight = vload(exps + t * W) * inverse_total;
        UNROLL_FOR (int r = 0; r < rows; r++)
            sum[r] = sum[r] + weight * vset1(v[r * stride + t]);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        vstore(out + r * stride, sum[r]);
}

/* heads: (n_embd) from q, k, v: (n_embd); keeps exps, total, inverse_total for the backward pass */
static void attention_forward(const Shape *s, Layer *a, double *tile, size_t n, size_t stride) {
    size_t hd = s->head_dim;
    const vd inverse_root = vset1(s->inverse_root);
    for (size_t h = 0; h < s->n_head; h++) {
        size_t at = h * hd * stride;
        double *head_exps = a->exps + h * triangle(stride), *total = a->total + h * stride;
        for (size_t p0 = 0; p0 < stride; p0 += W) {
            double *exps = head_exps + triangle(p0);
            size_t n_keys = smaller(n, p0 + W);
#define TILE(t, rows, vecs) score_tile(tile + (t)*W, a->q + at + p0, a->k + at + (t), inverse_root, hd, stride, rows)
            BLOCKS(n_keys, TILE, 1);
#undef TILE
            vd largest = vload(tile);
            for (size_t t = 1; t < n_keys; t++) {
                vd score = vload(tile + t * W);
                largest = vselect(sees(p0, t), vmax(score, largest), largest);
            }
            for (size_t t = 0; t < n_keys; t++)
                vstore(tile + t * W, vselect(sees(p0, t), vload(tile + t * W) - largest, vset1(0.0)));
            exp_array(exps, tile, n_keys * W, s->vector_libm);
            vd sum = vset1(0.0);
            for (size_t t = 0; t < n_keys; t++) {
                vd e = vselect(sees(p0, t), vload(exps + t * W), vset1(0.0));
                vstore(exps + t * W, e);
                sum = sum + e;
            }
            vstore(total + p0, sum);
        }
    }
    pow_array(INVERSE, a->inverse_total, a->total, s->n_head * stride, s->vector_libm);
    for (size_t h = 0; h < s->n_head; h++) {
        for (size_t p0 = 0; p0 < stride; p0 += W) {
            const double *exps = a->exps + h * triangle(stride) + triangle(p0);
            vd inverse_total = vload(a->inverse_total + h * stride + p0);
            size_t n_keys = smaller(n, p0 + W), at = h * hd * stride;
#define TILE(j, rows, vecs)                                                                                                    \
    mix_tile(a->heads + at + (j)*stride + p0, exps, inverse_total, a->v + at + (j)*stride, n_keys, stride, rows)
            BLOCKS(hd, TILE, 1);
#undef TILE
        }
    }
}

/* d_weights[t] = fold j down: v[j](t) * d_out[j], `rows` keys from t on */
INLINE void weight_backward_tile(double *d_weights, const double *v, const double *d_out, size_t hd, size_t stride,
                                 const int rows) {
    vd sum[8];
    UNROLL_FOR (int r = 0; r < rows; r++)
        sum[r] = vset1(0.0);
    for (size_t j = hd; j-- > 0;)
        UNROLL_FOR (int r = 0; r < rows; r++)
            sum[r] = sum[r] + vset1(v[j * stride + r]) * vload(d_out + j * stride);
    UNROLL_FOR (int r = 0; r < rows; r++)
        vstore(d_weights + r * W, sum[r]);
}

/* dq[j] = fold t down: k[j](t) * d_scores[t], `rows` features from j on */
INLINE void query_backward_tile(double *dq, const double *k, const double *d_scores, size_t n_keys, size_t p0, size_t stride,
                                const int rows) {
    vd sum[8];
    UNROLL_FOR (int r = 0; r < rows; r++)
        sum[r] = vset1(0.0);
    for (size_t t = n_keys; t-- > 0;) {
        vd d = vload(d_scores + t * W);
        vm seen = sees(p0, t);
        UNROLL_FOR (int r = 0; r < rows; r++)
            sum[r] = vselect(seen, sum[r] + vset1(k[r * stride + t]) * d, sum[r]);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        vstore(dq + r * stride, sum[r]);
}

/* out[j](s) = fold p down: x[j](p) * factor[p][s] over the queries p that see key s, for keys s0.. and `rows` features */
INLINE void cached_backward_tile(double *out, const double *x, const double *factor, size_t n, size_t s0, size_t stride,
                                 const int rows) {
    vd sum[8];
    UNROLL_FOR (int r = 0; r < rows; r++)
        sum[r] = vset1(0.0);
    for (size_t p = n; p-- > s0;) {
        vd f = vload(factor + p * stride + s0);
        vm seen = vnot(lanes_from(smaller(p - s0 + 1, W)));
        UNROLL_FOR (int r = 0; r < rows; r++)
            sum[r] = vselect(seen, sum[r] + vset1(x[r * stride + p]) * f, sum[r]);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        vstore(out + r * stride, sum[r]);
}

/* d_q, d_k, d_v: (n_embd) from d_heads: (n_embd) */
static void attention_backward(const Shape *s, const Layer *a, Document *d) {
    size_t hd = s->head_dim, n = d->n, stride = d->stride;
    const vd inverse_root = vset1(s->inverse_root);
    pow_array(INVERSE_SQUARE, d->row1, a->total, s->n_head * stride, s->vector_libm);
    for (size_t h = 0; h < s->n_head; h++) {
        size_t at = h * hd * stride;
        for (size_t p0 = 0; p0 < stride; p0 += W) {
            const double *exps = a->exps + h * triangle(stride) + triangle(p0);
            size_t n_keys = smaller(n, p0 + W);
            double *tile = d->tile;
#define TILE(t, rows, vecs) weight_backward_tile(tile + (t)*W, a->v + at + (t), d->d_heads + at + p0, hd, stride, rows)
            BLOCKS(n_keys, TILE, 1);
#undef TILE
            vd slope = vset1(-1.0) * vload(d->row1 + h * stride + p0);
            vd inverse_total = vload(a->inverse_total + h * stride + p0);
            vd d_total = vset1(0.0);
            for (size_t t = n_keys; t-- > 0;) {
                vd share = slope * (vload(exps + t * W) * vload(tile + t * W));
                d_total = vselect(sees(p0, t), d_total + share, d_total);
            }
            for (size_t t = 0; t < n_keys; t += W) { /* by query too, for what the keys and values collect */
                vd d_scores[W], weights[W];
                UNROLL_FOR (size_t k = 0; k < W; k++) {
                    vd e = vload(exps + (t + k) * W);
                    d_scores[k] = inverse_root * (e * (inverse_total * vload(tile + (t + k) * W) + d_total));
                    weights[k] = e * inverse_total;
                    vstore(tile + (t + k) * W, d_scores[k]);
                }
                vtranspose(d_scores);
                vtranspose(weights);
                UNROLL_FOR (size_t k = 0; k < W; k++) {
                    vstore(d->grad_scores + (p0 + k) * stride + t, d_scores[k]);
                    vstore(d->weights + (p0 + k) * stride + t, weights[k]);
                }
            }
#define TILE(j, rows, vecs)                                                                                                    \
    query_backward_tile(d->d_q + at + (j)*stride + p0, a->k + at + (j)*stride, tile, n_keys, p0, stride, rows)
            BLOCKS(hd, TILE, 1);
#undef TILE
        }
        for (size_t s0 = 0; s0 < stride; s0 += W) {
#define TILE(j, rows, vecs)                                                                                                    \
    cached_backward_tile(d->d_k + at + (j)*stride + s0, a->q + at + (j)*stride, d->grad_scores, n, s0, stride, rows)
            BLOCKS(hd, TILE, 1);
#undef TILE
#define TILE(j, rows, vecs)                                                                                                    \
    cached_backward_tile(d->d_v + at + (j)*stride + s0, d->d_heads + at + (j)*stride, d->weights, n, s0, stride, rows)
            BLOCKS(hd, TILE, 1);
#undef TILE
        }
    }
}

#endif
