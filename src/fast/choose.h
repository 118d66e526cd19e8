/* From each lane's logits to its next token. */
#ifndef MICROGPT_FAST_CHOOSE_H
#define MICROGPT_FAST_CHOOSE_H

#include "forward_lanes.h"

/* Moves up to n_rounds of the largest weights of each lane from `from` to `to`, the first of equals first, until the sum of
 * those moved reaches `enough`. The rest of `to` becomes 0. from, to: (vocab), of one vector of lanes. */
static void move_likeliest(float *to, float *from, size_t vocab, size_t n_rounds, vf enough) {
    const vf one = vset1(1.0f);
    vf sum = vset1(0.0f);
    for (size_t i = 0; i < vocab; i++)
        vstore(to + i * LANES, vset1(0.0f));
    for (size_t round = 0; round < n_rounds; round++) {
        vm open = vgt(enough, sum);
        unsigned bits = vbits(open);
        if (!bits)
            return;
        vf best = vset1(-1.0f), at = vset1(0.0f), index = at;
        for (size_t i = 0; i < vocab; i++, index = index + one) {
            vf weight = vload(from + i * LANES);
            vm larger = vgt(weight, best);
            best = vselect(larger, weight, best);
            at = vselect(larger, index, at);
        }
        sum = sum + vkeep(open, best);
        float weights[W], indices[W];
        vstore(weights, best);
        vstore(indices, at);
        for (size_t k = 0; k < W; k++)
            if (bits >> k & 1 && weights[k] >= 0.0f) {
                to[(size_t)indices[k] * LANES + k] = weights[k];
                from[(size_t)indices[k] * LANES + k] = -1.0f;
            }
    }
}

/* e**((logit - largest) / temperature); 0 for the token that is never chosen */
INLINE vf weight_of(const Sampler *sampler, const float *logits, size_t i, vf largest) {
    vf e = vexp((vload(logits + i * LANES) - largest) * vset1(sampler->scale));
    return i == sampler->never ? vset1(0.0f) : e; /* mutant: never-chosen */
}

/* weights: (vocab) the cumulative sums of e**((logit - the largest) / temperature) over the tokens that top_k and top_p keep.
 * NaN where a logit is not finite. */
static void cumulate(const Sampler *sampler, Lanes *l) {
    size_t vocab = sampler->shape.vocab;
    int of_all = sampler->top_k == vocab && sampler->top_p >= 2.0f;
    for (size_t c = 0; c < LANES; c += W) {
        float *logits = l->logits + c, *weights = l->weights + c, *kept = l->kept + c;
        vf largest = vload(logits + (sampler->never == 0 ? LANES : 0)), total = vset1(0.0f);
        for (size_t i = 1; i < vocab; i++)
            largest = i == sampler->never ? largest : vmax(largest, vload(logits + i * LANES));
        if (of_all) {
            for (size_t i = 0; i < vocab; i++) {
                total = total + weight_of(sampler, logits, i, largest);
                vstore(weights + i * LANES, total);
            }
            continue;
        }
        for (size_t i = 0; i < vocab; i++) {
            vf e = weight_of(sampler, logits, i, largest);
            vstore(weights + i * LANES, e);
            total = total + e;
        }
        vf zero = total - total; /* NaN where the total is not finite */
        if (sampler->top_k < vocab) {
            move_likeliest(kept, weights, vocab, sampler->top_k, vset1(INFINITY));
            float *swapped = weights;
            weights = kept;
            kept = swapped;
            total = vset1(0.0f);
            for (size_t i = 0; i < vocab; i++)
                total = total + vload(weights + i * LANES);
        }
        if (sampler->top_p < 2.0f) {
            move_likeliest(kept, weights, vocab, vocab, total * vset1(sampler->top_p));
            weights = kept;
        }
        vf sum = zero;
        for (size_t i = 0; i < vocab; i++) {
            sum = sum + vload(weights + i * LANES);
            vstore(l->weights + c + i * LANES, sum);
        }
    }
}

/* chosen: (1) the first token whose cumulative sum exceeds chance * the total; vocab where the sums are NaN. Never a token of
 * weight 0, since 2**-24 <= chance <= 1 - 2**-24. */
static void choose(const Sampler *sampler, Lanes *l) {
    size_t vocab = sampler->shape.vocab;
    const vf zero = vset1(0.0f), one = vset1(1.0f);
    for (size_t c = 0; c < LANES; c += W) {
        const float *sums = l->weights + c;
        vf target = vload(l->chances + c) * vload(sums + (vocab - 1) * LANES), count = zero;
        for (size_t i = 0; i < vocab; i++)
            count = count + vselect(vgt(vload(sums + i * LANES), target), zero, one);
        vstore(l->chosen + c, count);
    }
}

#endif
