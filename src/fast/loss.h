/* Softmax and cross-entropy of the logits, with their derivatives. */
#ifndef MICROGPT_FAST_LOSS_H
#define MICROGPT_FAST_LOSS_H

#include "model.h"
#include "simd/floats.h"

/* logits: (vocab), replaced by the derivatives of the batch's loss by them: share * (probability - (1 at the target)).
 * losses: share * -log(probability of the target); NaN where a logit is. Where the share is 0, derivatives are 0. */
static void loss_and_derivatives(const Shape *s, float *losses, float *logits, const Group *g, Columns to) {
    size_t stride = to.stride;
    for (size_t t = to.first; t < to.end; t += W) {
        vf largest = vload(logits + t), target = vload(g->targets + t), none = vset1(0.0f);
        for (size_t i = 1; i < s->vocab; i++)
            largest = vmax(largest, vload(logits + i * stride + t));
        vf at_target = none, hit = none, others = none; /* the logit; e to the power of it; the sum of the other powers */
        for (size_t i = 0; i < s->vocab; i++) {
            vf logit = vload(logits + i * stride + t) - largest, e = vexp(logit);
            vm is_target = veq(target, vset1((float)i));
            at_target = vselect(is_target, logit, at_target);
            hit = vselect(is_target, e, hit);
            others = others + vselect(is_target, none, e);
            vstore(logits + i * stride + t, e);
        }
        vf total = hit + others, share = vload(g->shares + t), scale = share / total;
        /* Near 1 the total has lost what the others say; and vlog knows no NaN. */
        vf surprise = vlog(total) + (others - (total - hit)) / total - at_target;
        vstore(losses + t, share * surprise);
        /* The target's derivative is minus the sum of the others: 1 - its probability, without losing what is near 1. */
        for (size_t i = 0; i < s->vocab; i++) {
            vf e = vselect(veq(target, vset1((float)i)), none - others, vload(logits + i * stride + t));
            vstore(logits + i * stride + t, e * scale);
        }
    }
}

#endif
