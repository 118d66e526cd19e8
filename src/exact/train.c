/* The training loop: forward, loss, backward, update, step after step, without going back to Python. */
#include "engine.h"

#include <math.h>
#include <stdlib.h>

/* The mean loss of the `n` predictions of a document. */
static enum outcome forward(Trainer *t, const uint32_t *tokens, size_t n, double *loss) {
    const Shape *s = &t->shape;
    for (size_t i = 0; i <= n; i++)
        if (tokens[i] >= s->vocab)
            return BAD_CORPUS;
    if (exact_document_reserve(&t->document, s, n) < 0)
        return NO_MEMORY;
    t->document.n = n;
    t->document.tokens = tokens;
    t->kernels->forward(s, t->params, &t->document);
    *loss = t->kernels->loss(s, &t->document);
    return isfinite(*loss) ? DONE : LOSS_NOT_FINITE;
}

enum outcome exact_document_loss(Trainer *t, const uint32_t *tokens, size_t length, double *loss) {
    return length < 2 ? BAD_CORPUS : forward(t, tokens, predictions(length, t->shape.block_size), loss);
}

enum outcome exact_losses(Trainer *t, const Documents *docs, size_t first, size_t n_docs, double *losses) {
    for (size_t i = 0; i < n_docs; i++) {
        const uint32_t *tokens;
        size_t n = batch_document(docs, first + i, 0, 1, t->shape.block_size, &tokens);
        enum outcome outcome = n == 0 ? BAD_CORPUS : forward(t, tokens, n, &losses[i]);
        if (outcome != DONE && outcome != LOSS_NOT_FINITE)
            return outcome;
    }
    return DONE;
}

void exact_trainer_free(Trainer *t) {
    exact_document_free(&t->document);
    exact_adam_free(&t->adam);
    free(t->losses);
}

static int reserve_losses(Trainer *t, size_t n) {
    if (n <= t->n_losses)
        return 0;
    double *longer = n > SIZE_MAX / sizeof(double) ? NULL : realloc(t->losses, n * sizeof(double));
    if (!longer)
        return -1;
    t->losses = longer;
    t->n_losses = n;
    return 0;
}

/* The reference builds the documents' graphs one after the other and goes back through them from the last: so the last document
 * is done first here, and only one document's activations are kept. */
enum outcome exact_batch_gradients(Trainer *t, const Documents *docs, size_t step, const Options *o, double *loss) {
    size_t batch_size = o->batch_size;
    double mean = 1.0 / (double)batch_size, sum = 0.0;
    int accumulate = 0;
    if (reserve_losses(t, batch_size) < 0)
        return NO_MEMORY;
    for (size_t j = batch_size; j-- > 0;) { /* mutant: documents-fold */
        const uint32_t *tokens;
        size_t n = batch_document(docs, step, j, batch_size, t->shape.block_size, &tokens);
        enum outcome outcome = n == 0 ? BAD_CORPUS : forward(t, tokens, n, &t->losses[j]);
        if (outcome != DONE)
            return outcome;
        t->kernels->backward(&t->shape, t->params, &t->document, mean, t->adam.gradients, accumulate);
        accumulate = 1;
    }
    for (size_t j = 0; j < batch_size; j++)
        sum += t->losses[j];
    *loss = sum * mean; /* of one document: its own */
    return DONE;
}

/* What follows the gradients in a step. Returns n_params, or the index of the gradient whose square overflows. */
static size_t update(Trainer *t, const Options *o, double lr) {
    const Kernels *k = t->kernels;
    if (o->clip_norm > 0) { /* mutant: clipping */
        size_t done = k->clip(&t->shape, t->adam.gradients, o->clip_norm);
        if (done < t->shape.n_params)
            return done;
    }
    if (o->weight_decay != 0) /* mutant: decay */
        k->decay(&t->shape, t->params, lr * o->weight_decay);
    return k->adam(&t->shape, t->params, &t->adam, lr); /* mutant: adam-step */
}

enum outcome exact_train(Trainer *t, const Documents *docs, size_t first, size_t n_steps, const Options *o, const double *lr,
                         double *losses, size_t *n_losses, double *overflowing) {
    for (size_t i = 0; i < t->shape.n_params; i++) /* Python may have written there */
        t->adam.large |= !(fabs(t->adam.m[i]) < 1e50 && t->adam.v[i] < 1e50);
    for (size_t i = 0; i < n_steps; i++) {
        *n_losses = i;
        enum outcome outcome = exact_batch_gradients(t, docs, first + i, o, &losses[i]);
        if (outcome != DONE)
            return outcome;
        size_t done = update(t, o, lr[i]);
        if (done < t->shape.n_params) {
            *overflowing = t->adam.gradients[done];
            return GRADIENT_OVERFLOW;
        }
    }
    *n_losses = n_steps;
    return DONE;
}
