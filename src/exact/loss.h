/* Softmax and cross-entropy of the last layer's logits. */
#ifndef MICROGPT_LOSS_H
#define MICROGPT_LOSS_H

#include "libm.h"
#include "model.h"

/* The mean over positions of -log(probability of the next token). It is not finite if anything on the way was not. */
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
    pow_array(INVERSE, d->inverse_total, d->total, stride, s->vector_libm);
    double sum = 0.0;
    for (size_t p = 0; p < d->n; p++) {
        d->p[p] = d->exps[d->tokens[p + 1] * stride + p] * d->inverse_total[p];
        sum += log(d->p[p]) * -1.0;
    }
    return sum * (1.0 / (double)d->n);
}

/* d_logits: (vocab); d_loss: the derivative of the step's loss by this document's. The target's logit has two ways into the
 * loss, its own probability and the total; the others have one. */
static void loss_backward(const Shape *s, Document *d, double d_loss) {
    size_t stride = d->stride;
    double *d_total = d->row2, mean = -1.0 * (1.0 / (double)d->n * d_loss);
    pow_array(INVERSE_SQUARE, d->row1, d->total, stride, s->vector_libm);
    for (size_t p = 0; p < stride; p++)
        d_total[p] = 0.0;
    for (size_t p = 0; p < d->n; p++) {
        double e = d->exps[d->tokens[p + 1] * stride + p];
        double d_p = 1.0 / d->p[p] * mean;
        d->row3[p] = d_p;
        d_total[p] = -1.0 * d->row1[p] * (e * d_p);
    }
    for (size_t i = 0; i < s->vocab; i++)
        for (size_t p = 0; p < stride; p += W)
            vstore(d->d_logits + i * stride + p, vload(d->exps + i * stride + p) * vload(d_total + p));
    for (size_t p = 0; p < d->n; p++) {
        size_t at = d->tokens[p + 1] * stride + p;
        d->d_logits[at] = d->exps[at] * (d->inverse_total[p] * d->row3[p] + d_total[p]);
    }
}

#endif
