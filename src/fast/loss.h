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
        vf largest = vload(logits + t), total = vset1(0.0f);
        for (size_t i = 1; i < s->vocab; i++)
            largest = vmax(largest, vload(logits + i * stride + t));
        float at_target[W];
        for (size_t k = 0; k < W; k++)
            at_target[k] = logits[g->targets[t + k] * stride + t + k];
        for (size_t i = 0; i < s->vocab; i++) {
            vf e = vexp(vload(logits + i * stride + t) - largest);
            vstore(logits + i * stride + t, e);
            total = total + e;
        }
        vf share = vload(g->shares + t);
        vf surprise = vlog(total) + (total - total) - (vload(at_target) - largest); /* vlog knows no NaN */
        vstore(losses + t, share * surprise);
        /* The target's derivative is minus the sum of the others: 1 - its probability, without losing what is near 1. */
        for (size_t k = 0; k < W; k++)
            logits[g->targets[t + k] * stride + t + k] = 0.0f;
        vf scale = share / total, others = vset1(0.0f);
        for (size_t i = 0; i < s->vocab; i++) {
            vf d = vload(logits + i * stride + t) * scale;
            vstore(logits + i * stride + t, d);
            others = others + d;
        }
        vstore(at_target, others);
        for (size_t k = 0; k < W; k++)
            logits[g->targets[t + k] * stride + t + k] = -at_target[k];
    }
}

#endif
