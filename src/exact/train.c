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

enum outcome train(Trainer *t, const Documents *docs, uint64_t first, size_t n_steps, const double *lr, double *losses,
                   size_t *n_losses, double *culprit) {
    for (size_t i = 0; i < t->shape.n_params; i++) /* Python may have written there */
        t->adam.large |= !(t->adam.v[i] < 1e50);
    for (size_t i = 0; i < n_steps; i++) {
        size_t doc = (size_t)((first + i) % docs->n_docs);
        uint64_t start = docs->starts[doc], end = docs->starts[doc + 1];
        *n_losses = i;
        if (start >= end || end >= docs->n_tokens)
            return BAD_CORPUS;
        enum outcome outcome = document_loss(t, docs->tokens + start, (size_t)(end - start) + 1, &losses[i]);
        if (outcome != DONE)
            return outcome;
        t->kernels->backward(&t->shape, t->params, &t->document, t->adam.gradients);
        size_t updated = t->kernels->adam(&t->shape, t->params, &t->adam, lr[i]);
        if (updated < t->shape.n_params) {
            *culprit = t->adam.gradients[updated];
            return GRADIENT_OVERFLOW;
        }
    }
    *n_losses = n_steps;
    return DONE;
}
