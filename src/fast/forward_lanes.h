/* Passes one token in each lane through the model: computes its logits, and puts its keys and values into the ring. */
#ifndef MICROGPT_FAST_FORWARD_LANES_H
#define MICROGPT_FAST_FORWARD_LANES_H

#include "activation.h"
#include "embedding.h"
#include "lanes.h"
#include "linear.h"
#include "norm.h"
#include "sampler.h"
#include "simd/floats.h"

#define LANES (VECS * W)

static const Columns ALL_LANES = {0, LANES, LANES, 0, NULL};

/* Where the keys of a head and a vector of lanes are: those of the prefix, the same in all lanes, and those in the ring, the
 * last token's first. Values are n_embd features further on. */
typedef struct {
    const float *prefix; /* of its first token, the head's first feature */
    const float *slot;   /* of this token's slot, the head's first feature and the vector's first lane */
    size_t n_prefix, n_ring;
    size_t across;      /* floats from a token of the prefix to the next */
    size_t before_wrap; /* tokens back to the ring's first slot */
    size_t slot_floats, ring_floats;
} Keys;

/* The features of the token `back` before this one. */
INLINE const float *ring_row(const Keys *k, size_t back) {
    return k->slot + ((ptrdiff_t)(back > k->before_wrap ? k->ring_floats : 0) - (ptrdiff_t)(back * k->slot_floats));
}

/* scores[key] = sum over n features of query * key, added to what is there if `more` */
INLINE void score_keys(float *scores, const float *query, const Keys *k, const int n, const int more) {
    vf q[4];
    UNROLL_FOR (int j = 0; j < n; j++)
        q[j] = vload(query + j * LANES);
    for (size_t i = 0; i < k->n_prefix; i++, scores += W) {
        const float *key = k->prefix + i * k->across;
        vf score = vfma(vset1(key[0]), q[0], more ? vload(scores) : vset1(0.0f));
        UNROLL_FOR (int j = 1; j < n; j++)
            score = vfma(vset1(key[j]), q[j], score);
        vstore(scores, score);
    }
    for (size_t i = 0; i < k->n_ring; i++, scores += W) {
        const float *key = ring_row(k, i);
        vf score = vfma(vload(key), q[0], more ? vload(scores) : vset1(0.0f));
        UNROLL_FOR (int j = 1; j < n; j++)
            score = vfma(vload(key + j * LANES), q[j], score);
        vstore(scores, score);
    }
}

/* out = scale * sum over keys of weight * value, for n features */
INLINE void mix_lanes(float *out, const float *weights, const Keys *k, vf scale, const int n) {
    vf sum[4];
    UNROLL_FOR (int j = 0; j < n; j++)
        sum[j] = vset1(0.0f);
    for (size_t i = 0; i < k->n_prefix; i++, weights += W) {
        const float *value = k->prefix + i * k->across;
        vf w = vload(weights);
        UNROLL_FOR (int j = 0; j < n; j++)
            sum[j] = vfma(vset1(value[j]), w, sum[j]);
    }
    for (size_t i = 0; i < k->n_ring; i++, weights += W) {
        const float *value = ring_row(k, i);
        vf w = vload(weights);
        UNROLL_FOR (int j = 0; j < n; j++)
            sum[j] = vfma(vload(value + j * LANES), w, sum[j]);
    }
    UNROLL_FOR (int j = 0; j < n; j++)
        vstore(out + j * LANES, sum[j] * scale);
}

/* weights = e**((scores - the largest) / sqrt(head_dim)) in place of scores, 0 for keys before a lane's document; returns
 * their sum. */
INLINE vf softmax_lanes(float *scores, const Keys *k, vf ages, size_t least_age, vf inverse_root) {
    size_t n = k->n_prefix + k->n_ring, all = k->n_prefix + smaller(least_age + 1, k->n_ring);
    vf largest = vset1(-INFINITY), total = vset1(0.0f);
    for (size_t i = 0; i < all; i++)
        largest = vmax(largest, vload(scores + i * W));
    for (size_t i = all; i < n; i++) {
        vf score = vload(scores + i * W);
        largest = vselect(vgt(vset1((float)(i - k->n_prefix)), ages), largest, vmax(largest, score));
    }
    vf lowest = vset1(0.0f) - largest * inverse_root;
    for (size_t i = 0; i < all; i++) {
        vf e = vexp(vfma(vload(scores + i * W), inverse_root, lowest));
        vstore(scores + i * W, e);
        total = total + e;
    }
    for (size_t i = all; i < n; i++) {
        vf e = vexp(vfma(vload(scores + i * W), inverse_root, lowest));
        e = vkeep(vgt(ages + vset1(1.0f), vset1((float)(i - k->n_prefix))), e);
        vstore(scores + i * W, e);
        total = total + e;
    }
    return total;
}

/* heads: (n_embd) from query: (n_embd) and the keys and values of layer i */
static void attend_lanes(const Sampler *sampler, Lanes *l, size_t i) {
    const Shape *s = &sampler->shape;
    size_t e = s->n_embd, hd = s->head_dim;
    const vf inverse_root = vset1((float)s->inverse_root);
    for (size_t c = 0; c < LANES; c += W) {
        float least = l->ages[c], most = least;
        for (size_t k = 1; k < W; k++) {
            least = l->ages[c + k] < least ? l->ages[c + k] : least;
            most = l->ages[c + k] > most ? l->ages[c + k] : most;
        }
        vf ages = vload(l->ages + c);
        for (size_t h = 0; h < s->n_head; h++) {
            size_t row = h * hd;
            Keys keys = {
                .prefix = sampler->prefix_kv + i * sampler->n_prefix_kv * 2 * e + row,
                .slot = slot_at(l, s, 0) + (i * 2 * e + row) * LANES + c,
                .n_prefix = sampler->n_prefix_kv,
                .n_ring = (size_t)most + 1,
                .across = 2 * e,
                .before_wrap = l->slot,
                .slot_floats = slot_size(s, LANES),
                .ring_floats = l->n_slots * slot_size(s, LANES),
            };
            const float *query = l->query + row * LANES + c;
            size_t j = 0;
            for (; j + 4 <= hd; j += 4, keys.prefix += 4, keys.slot += 4 * LANES)
                if (j == 0)
                    score_keys(l->scores, query, &keys, 4, 0);
                else
                    score_keys(l->scores, query + j * LANES, &keys, 4, 1);
            for (; j < hd; j++, keys.prefix++, keys.slot += LANES)
                if (j == 0)
                    score_keys(l->scores, query, &keys, 1, 0);
                else
                    score_keys(l->scores, query + j * LANES, &keys, 1, 1);
            vf scale = vset1(1.0f) / softmax_lanes(l->scores, &keys, ages, (size_t)least, inverse_root);
            keys.prefix += e - hd;
            keys.slot += (e - hd) * LANES;
            float *out = l->heads + row * LANES + c;
            for (j = 0; j + 4 <= hd; j += 4, keys.prefix += 4, keys.slot += 4 * LANES)
                mix_lanes(out + j * LANES, l->scores, &keys, scale, 4);
            for (; j < hd; j++, keys.prefix++, keys.slot += LANES)
                mix_lanes(out + j * LANES, l->scores, &keys, scale, 1);
        }
    }
}

/* logits: (vocab) after the inputs at their positions, whose keys and values go into the ring's next slot. The same formulas as
 * in pass.h, for one token of each document. */
static void forward_lanes(const Sampler *sampler, Lanes *l) {
    const Shape *s = &sampler->shape;
    const float *params = sampler->params;
    size_t e = s->n_embd;
    float *x = l->x;
    embedding_forward(s, x, params, l->inputs, l->positions, ALL_LANES);
    rmsnorm_forward(s, x, l->scale, x, ALL_LANES);
    for (size_t i = 0; i < s->n_layer; i++) {
        LayerOffsets at = layer_offsets(s, i);
        float *kv = slot_at(l, s, 0) + i * 2 * e * LANES;
        rmsnorm_forward(s, l->norm, l->scale, x, ALL_LANES);
        linear_forward(l->query, params + at.wq, l->norm, e, e, ALL_LANES);
        linear_forward(kv, params + at.wk, l->norm, 2 * e, e, ALL_LANES); /* wv follows wk, as Shape says */
        attend_lanes(sampler, l, i);
        linear_forward_to(l->mid, params + at.wo, l->heads, e, e, ALL_LANES, plus, x);
        rmsnorm_forward(s, l->norm, l->scale, l->mid, ALL_LANES);
        mlp_forward(s, l->act, NULL, params + at.fc1, l->norm, ALL_LANES);
        linear_forward_to(x, params + at.fc2, l->act, e, s->n_mlp, ALL_LANES, plus, l->mid);
    }
    linear_forward(l->logits, params + s->lm_head, x, s->vocab, e, ALL_LANES);
    slot_done(l);
}

#endif
