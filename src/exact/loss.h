/* Softmax and cross-entropy of the last layer's logits. */
#ifndef MICROGPT_LOSS_H
#define MICROGPT_LOSS_H

#include "libm.h"
#include "model.h"

/* At each position, over the tokens i in ascending order:
 *     e[i] = exp(logit[i] - largest)
 *     total = sum of e[i]
 *     p = e[target] * total**-1                              the target's probability
 * loss = (sum over ascending positions of log(p) * -1) * (1 / n), for n positions. Not finite if
 * anything on the way was not.
 *
 * From d->logits: (vocab), which are used up; keeps exps, total, inverse_total and p for the backward pass. */
static double loss_forward(const Shape *s, Document *d) {
    size_t stride = d->stride;
    for (size_t p = 0; p < stride; p += W) {
        vd largest = vload(d->logits + p);
        for (size_t i = 1; i < s->vocab; i++)
            largest = vmax(vload(d->logits + i * stride + p), largest);
        for (size_t i = 0; i < s->vocab; i++)
            vstore(d->logits + i * stride + p, vload(d->logits + i * stride + p) - largest);
    }
    exp_array(d->exps, d->logits, s->vocab * stride, s->vector_libm);
    for (size_t p = 0; p < stride; p += W) {
        vd sum = vset1(0.0);
        for (size_t i = 0; i < s->vocab; i++)
            sum = sum + vload(d->exps + i * stride + p);
        vstore(d->total + p, sum);
    }
    inverse_array(d->inverse_total, d->total, stride, s->vector_libm);
    double sum = 0.0;
    for (size_t p = 0; p < d->n; p++) {
        d->p[p] = d->exps[d->tokens[p + 1] * stride + p] * d->inverse_total[p];
        sum += log(d->p[p]) * -1.0;
    }
    return sum * (1.0 / (double)d->n);
}

/* forward computed, at each position, e[i] = exp(logit[i] - largest) with a constant largest, total = sum of e[i],
 * p = e[target] * total**-1, and the loss's term log(p) * -1 * (1 / n); so
 *     dp = 1 / p * (-1 * (1 / n * d_loss))
 *     d_total = (-1 * total**-2) * (e[target] * dp)
 *     d_e[i] = d_total                            a token reaches the loss through the total,
 *     d_e[target] = total**-1 * dp + d_total      the target by its own probability too
 *     d_logit[i] = e[i] * d_e[i]
 *
 * d->d_logits: (vocab). d_loss: the derivative of the step's loss with respect to this document's. */
static void loss_backward(const Shape *s, Document *d, double d_loss) {
    size_t stride = d->stride;
    double *inverse_square = d->power, *d_total = d->d_total;
    double d_term = -1.0 * (1.0 / (double)d->n * d_loss); /* mutant: mean-loss */
    inverse_square_array(inverse_square, d->total, stride, s->vector_libm);
    for (size_t p = 0; p < d->n; p++) {
        double e = d->exps[d->tokens[p + 1] * stride + p];
        d->d_p[p] = 1.0 / d->p[p] * d_term;
        d_total[p] = -1.0 * inverse_square[p] * (e * d->d_p[p]);
    }
    for (size_t p = d->n; p < stride; p++)
        d_total[p] = 0.0;
    for (size_t i = 0; i < s->vocab; i++)
        for (size_t p = 0; p < stride; p += W)
            vstore(d->d_logits + i * stride + p, vload(d->exps + i * stride + p) * vload(d_total + p));
    for (size_t p = 0; p < d->n; p++) {
        size_t target = d->tokens[p + 1] * stride + p;
        d->d_logits[target] = d->exps[target] * (d->inverse_total[p] * d->d_p[p] + d_total[p]);
    }
}

#endif
