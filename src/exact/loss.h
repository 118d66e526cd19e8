/* Softmax and cross-entropy of the last layer's logits. */
#ifndef MICROGPT_LOSS_H
#define MICROGPT_LOSS_H

#include "libm.h"
#include "model.h"

/* At each position, over the tokens i in ascending order:
 *     e[i] = exp(logit[i] - largest)
 *     total = sum of e[i]
 *     p = e[target] * total**-1                              the target's probability
 * A document's loss is (sum over ascending positions of log(p) * -1) * (1 / n), for n positions. Not finite if any
 * intermediate result is not.
 *
 * From g->logits: (vocab), which are used up; keeps exps, total, inverse_total and p for the backward pass. */
static void loss_forward(const Shape *s, Group *g, double *losses) {
    size_t stride = g->stride;
    for (size_t p = 0; p < stride; p += W) {
        vd largest = vload(g->logits + p);
        for (size_t i = 1; i < s->vocab; i++)
            largest = vmax(vload(g->logits + i * stride + p), largest);
        for (size_t i = 0; i < s->vocab; i++)
            vstore(g->logits + i * stride + p, vload(g->logits + i * stride + p) - largest);
    }
    exp_array(g->exps, g->logits, s->vocab * stride, s->vector_libm);
    for (size_t p = 0; p < stride; p += W) {
        vd sum = vset1(0.0);
        for (size_t i = 0; i < s->vocab; i++)
            sum = sum + vload(g->exps + i * stride + p);
        vstore(g->total + p, sum);
    }
    inverse_array(g->inverse_total, g->total, stride, s->vector_libm);
    for (size_t i = 0; i < g->n_spans; i++) {
        const Span *d = &g->spans[i];
        double sum = 0.0;
        for (size_t p = 0; p < d->n; p++) {
            size_t column = d->first + p;
            g->p[column] = g->exps[d->tokens[p + 1] * stride + column] * g->inverse_total[column];
            sum += log(g->p[column]) * -1.0;
        }
        losses[i] = sum * (1.0 / (double)d->n);
    }
}

/* forward computed, at each position, e[i] = exp(logit[i] - largest) with a constant largest, total = sum of e[i],
 * p = e[target] * total**-1, and the loss's term log(p) * -1 * (1 / n); so
 *     dp = 1 / p * (-1 * (1 / n * d_loss))
 *     d_total = (-1 * total**-2) * (e[target] * dp)
 *     d_e[i] = d_total                            a token reaches the loss through the total,
 *     d_e[target] = total**-1 * dp + d_total      the target by its own probability too
 *     d_logit[i] = e[i] * d_e[i]
 *
 * g->d_logits: (vocab), with 0 for the targets, whose numbers are in g->d_target. d_loss: the derivative of the step's loss with
 * respect to a document's. */
static void loss_backward(const Shape *s, const Group *g, double d_loss) {
    size_t stride = g->stride;
    double *inverse_square = g->power, *d_total = g->d_total;
    inverse_square_array(inverse_square, g->total, stride, s->vector_libm);
    for (size_t p = 0; p < stride; p++)
        d_total[p] = 0.0; /* of the columns that are not positions */
    for (const Span *d = g->spans; d < g->spans + g->n_spans; d++) {
        double d_term = -1.0 * (1.0 / (double)d->n * d_loss); /* mutant: mean-loss */
        for (size_t p = d->first; p < d->first + d->n; p++) {
            double e = g->exps[d->tokens[p - d->first + 1] * stride + p];
            g->d_p[p] = 1.0 / g->p[p] * d_term;
            d_total[p] = -1.0 * inverse_square[p] * (e * g->d_p[p]);
        }
    }
    for (size_t i = 0; i < s->vocab; i++)
        for (size_t p = 0; p < stride; p += W)
            vstore(g->d_logits + i * stride + p, vload(g->exps + i * stride + p) * vload(d_total + p));
    for (const Span *d = g->spans; d < g->spans + g->n_spans; d++)
        for (size_t p = d->first; p < d->first + d->n; p++) {
            size_t target = d->tokens[p - d->first + 1] * stride + p;
            g->d_target[p] = g->exps[target] * (g->inverse_total[p] * g->d_p[p] + d_total[p]);
            g->d_logits[target] = 0.0; /* mutant: target-last */
        }
}

#endif
