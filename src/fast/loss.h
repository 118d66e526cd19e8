/* Softmax and cross-entropy of the logits, with their derivative.
 *
 *     p = softmax(logits),  loss = share * -log(p[target]),  d_logits[i] = share * (p[i] - (i == target))      logits: (vocab)
 *
 * for each token. share: what the token counts for in the batch's loss, 1 / (the document's predictions * batch_size).
 */
#ifndef MICROGPT_FAST_LOSS_H
#define MICROGPT_FAST_LOSS_H

#include "model.h"
#include "simd/floats.h"

/* d_logits takes the place of logits. losses: (1) is NaN where a logit is. */
static void loss_and_derivatives(const Shape *s, float *losses, float *logits, const Group *g, Columns to) {
    size_t stride = to.stride;
    for (size_t t = to.first; t < to.end; t += W) {
        vf largest = vload(logits + t), target = vload(g->targets + t), none = vset1(0.0f);
        for (size_t i = 1; i < s->vocab; i++)
            largest = vmax(largest, vload(logits + i * stride + t));
        vf at_target = none; /* the target's logit */
        vf hit = none;       /* e to its power */
        vf others = none;    /* the sum of e to the power of the other logits */
        for (size_t i = 0; i < s->vocab; i++) {
            vf logit = vload(logits + i * stride + t) - largest, e = vexp(logit);
            vm is_target = veq(target, vset1((float)i));
            at_target = vselect(is_target, logit, at_target);
            hit = vselect(is_target, e, hit);
            others = others + vselect(is_target, none, e);
            vstore(logits + i * stride + t, e);
        }
        vf total = hit + others, share = vload(g->shares + t), scale = share / total;
        /* Where the total is near 1, it has lost the low bits of `others`, which are added again. This also propagates NaN,
         * which vlog does not. */
        vf surprise = vlog(total) + (others - (total - hit)) / total - at_target;
        vstore(losses + t, share * surprise);
        /* p[target] - 1 is minus the sum of the others: so its digits do not cancel. */
        for (size_t i = 0; i < s->vocab; i++) {
            /* mutant: target-derivative */
            vf e = vselect(veq(target, vset1((float)i)), none - others, vload(logits + i * stride + t));
            vstore(logits + i * stride + t, e * scale);
        }
    }
}

#endif
