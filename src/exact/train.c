/* The training loop: forward, loss, backward, update, step after step, without going back to Python. */
#include "engine.h"

#include <math.h>

enum outcome document_loss(Trainer *t, const uint32_t *tokens, size_t length, double *loss) {
    const Shape *s = &t->shape;
    if (length < 2)
        return BAD_CORPUS;
    size_t n = length - 1 < s->block_size ? length - 1 : s->block_size;
    for (size_t i = 0; i <= n; i++)
        if (tokens[i] >= s->vocab)
            return BAD_CORPUS;
    if (document_reserve(&t->document, s, n) < 0)
        return NO_MEMORY;
    t->document.n = n;
    t->document.tokens = tokens;
    t->kernels->forward(s, t->params, &t->document);
    *loss = t->kernels->loss(s, &t->document);
    return isfinite(*loss) ? DONE : LOSS_NOT_FINITE;
}

/* The reference builds the documents' graphs one after the other and goes back through them from the last: so the last document
 * is done first here, and only one document's activations are kept. */
enum outcome batch_gradients(Trainer *t, const Documents *docs, size_t first, const Options *o, double *loss) {
    size_t n = o->batch_size;
    double mean = 1.0 / (double)n, sum = 0.0;
    int go_on = 0;
    for (size_t j = n; j-- > 0;) {
        size_t doc = (first + j % docs->n_docs) % docs->n_docs;
        uint64_t start = docs->starts[doc], end = docs->starts[doc + 1];
        if (start >= end || end >= docs->n_tokens)
            return BAD_CORPUS;
        enum outcome outcome = document_loss(t, docs->tokens + start, (size_t)(end - start) + 1, &o->losses[j]);
        if (outcome != DONE)
            return outcome;
        t->kernels->backward(&t->shape, t->params, &t->document, mean, t->adam.gradients, go_on);
        go_on = 1;
    }
    for (size_t j = 0; j < n; j++)
        sum += o->losses[j];
    *loss = sum * mean; /* of one document: its own */
    return DONE;
}

/* What follows the gradients in a step. Returns n_params, or the index of the gradient whose square overflows. */
static size_t update(Trainer *t, const Options *o, double lr) {
    const Kernels *k = t->kernels;
    if (o->clip_norm > 0) {
        size_t done = k->clip(&t->shape, t->adam.gradients, o->clip_norm);
        if (done < t->shape.n_params)
            return done;
    }
    if (o->weight_decay != 0)
        k->decay(&t->shape, t->params, lr * o->weight_decay);
    return k->adam(&t->shape, t->params, &t->adam, lr);
}

enum outcome train(Trainer *t, const Documents *docs, size_t first, const Options *o, size_t n_steps, const double *lr,
                   double *losses, size_t *n_losses, double *culprit) {
    for (size_t i = 0; i < t->shape.n_params; i++) /* Python may have written there */
        t->adam.large |= !(fabs(t->adam.m[i]) < 1e50 && t->adam.v[i] < 1e50);
    for (size_t i = 0; i < n_steps; i++) {
        *n_losses = i;
        enum outcome outcome = batch_gradients(t, docs, first, o, &losses[i]);
        if (outcome != DONE)
            return outcome;
        size_t done = update(t, o, lr[i]);
        if (done < t->shape.n_params) {
            *culprit = t->adam.gradients[done];
            return GRADIENT_OVERFLOW;
        }
        first = (first + o->batch_size % docs->n_docs) % docs->n_docs;
    }
    *n_losses = n_steps;
    return DONE;
}
