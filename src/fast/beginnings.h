/* The first tokens of documents, computed once for all of them: the prefix, and the beginnings of sampler.h. */
#ifndef MICROGPT_FAST_BEGINNINGS_H
#define MICROGPT_FAST_BEGINNINGS_H

#include "choose.h"
#include "forward_lanes.h"

/* The beginning that extends `beginning` by one token; the one that a beginning extends, and the token. */
INLINE size_t continued(const Sampler *sampler, size_t beginning, size_t token) {
    return 1 + beginning * sampler->shape.vocab + token;
}
INLINE size_t without_last(const Sampler *sampler, size_t beginning) { return (beginning - 1) / sampler->shape.vocab; }
INLINE size_t last_token(const Sampler *sampler, size_t beginning) { return (beginning - 1) % sampler->shape.vocab; }

/* ---- Computing them ---- */

/* Store the results in `lane`: the keys and values of the beginning's last token, and the weights of the next token. */
static void keep_beginning(const Sampler *sampler, const Lanes *l, size_t lane, size_t beginning) {
    const Shape *s = &sampler->shape;
    size_t n = s->n_layer * 2 * s->n_embd;
    const float *from = slot_at(l, s, 1) + lane;
    for (size_t j = 0; j < n; j++)
        sampler->beginnings_kv[beginning * n + j] = from[j * LANES];
    for (size_t i = 0; i < s->vocab; i++)
        sampler->cumulative[beginning * rounded_up(s->vocab, ROW) + i] = l->weights[i * LANES + lane];
}

/* Put the keys and values of a beginning's last token into the ring of `lane`, as those of the token `back` before the next
 * one. */
static void recall(const Sampler *sampler, Lanes *l, size_t lane, size_t beginning, size_t back) {
    const Shape *s = &sampler->shape;
    size_t n = s->n_layer * 2 * s->n_embd;
    const float *from = sampler->beginnings_kv + beginning * n;
    float *to = slot_at(l, s, back) + lane;
    for (size_t j = 0; j < n; j++)
        to[j * LANES] = from[j];
}

/* All lanes compute the prefix alike, with its keys and values in the ring. */
static int prepare_prefix(Sampler *sampler, Lanes *l) {
    const Shape *s = &sampler->shape;
    size_t kv = 2 * s->n_embd;
    sampler->n_prefix_kv = 0;
    for (size_t p = 0; p < sampler->n_prefix; p++) {
        for (size_t lane = 0; lane < LANES; lane++) {
            l->inputs[lane] = sampler->prefix[p];
            l->positions[lane] = (uint32_t)p;
            l->ages[lane] = (float)p;
        }
        if (fast_lanes_make_room(l, s) < 0)
            return WRITER_NO_MEMORY;
        forward_lanes(sampler, l);
        const float *slot = slot_at(l, s, 1);
        for (size_t i = 0; i < s->n_layer; i++)
            for (size_t j = 0; j < kv; j++)
                sampler->prefix_kv[(i * sampler->n_prefix + p) * kv + j] = slot[(i * kv + j) * LANES];
    }
    cumulate(sampler, l);
    keep_beginning(sampler, l, 0, 0);
    sampler->n_prefix_kv = sampler->n_prefix;
    return WRITTEN;
}

/* Level by level, since a beginning needs the one it extends. */
static int prepare_beginnings(Sampler *sampler, Lanes *l) {
    size_t vocab = sampler->shape.vocab, first = 1, count = 1;
    int outcome = prepare_prefix(sampler, l);
    if (outcome != WRITTEN)
        return outcome;
    for (size_t level = 1; level <= sampler->n_levels; level++, first += count) {
        count *= vocab;
        for (size_t i = 0; i < count; i += LANES) {
            for (size_t lane = 0; lane < LANES; lane++) {
                size_t beginning = first + smaller(i + lane, count - 1), before = beginning;
                l->inputs[lane] = (uint32_t)last_token(sampler, beginning);
                l->positions[lane] = (uint32_t)(sampler->n_prefix + level - 1);
                l->ages[lane] = (float)(level - 1);
                for (size_t back = 1; back < level; back++) {
                    before = without_last(sampler, before);
                    recall(sampler, l, lane, before, back);
                }
            }
            forward_lanes(sampler, l);
            cumulate(sampler, l);
            for (size_t lane = 0; lane < smaller(LANES, count - i); lane++)
                keep_beginning(sampler, l, lane, first + i + lane);
        }
    }
    return WRITTEN;
}

/* ---- Beginning a document with them ---- */

INLINE size_t lowest_bit(unsigned bits) { /* bits != 0 */
#if defined(__GNUC__)
    return (size_t)__builtin_ctz(bits);
#else
    size_t n = 0;
    for (; !(bits & 1); bits >>= 1)
        n++;
    return n;
#endif
}

/* The token after a beginning, as choose() in choose.h finds it; vocab where the sums are NaN. */
INLINE size_t choose_next(const Sampler *sampler, size_t beginning, float chance) {
    size_t vocab = sampler->shape.vocab, padded = rounded_up(vocab, ROW);
    const float *sums = sampler->cumulative + beginning * padded;
    vf target = vset1(chance * sums[vocab - 1]);
    for (size_t i = 0; i < padded; i += ROW) { /* the padding is 0, and not chosen */
        uint32_t bits = 0;
        UNROLL_FOR (int k = 0; k < ROW; k += W)
            bits |= (uint32_t)vbits(vgt(vload(sums + i + k), target)) << k;
        if (bits)
            return i + lowest_bit(bits);
    }
    return vocab;
}

#endif
