/* What exact.pyx calls: choosing kernels, memory, and training step after step. */
#ifndef MICROGPT_ENGINE_H
#define MICROGPT_ENGINE_H

#include "model.h"
#include "common/documents.h"
#include "common/pace.h"

const Kernels *exact_kernels_at(int i); /* this build's, best first; NULL after the last */

/* ---- memory.c: everything a run allocates; each returns 0, or -1 when there is no memory (or no number for its size) ---- */
/* Reserves room for this many documents, columns and threads; it grows, and never shrinks. */
int exact_group_reserve(Group *g, const Shape *s, size_t spans, size_t columns, size_t threads);
void exact_group_free(Group *g);
int exact_cache_reserve(Cache *c, const Shape *s, size_t positions); /* keeps its contents */
void exact_cache_free(Cache *c);
int exact_adam_reserve(Adam *a, const Shape *s);
void exact_adam_free(Adam *a);

/* ---- train.c ---- */
/* A batch is done in groups of as many documents as fit this many columns: so a matrix is fetched once for the whole group. */
enum { COLUMNS = 128 };

/* A thread that computes documents' losses, forward only. */
typedef struct {
    Group group;
    enum outcome outcome;
} Reader;

typedef struct {
    Shape shape;
    const Kernels *kernels;
    double *params;
    Group group;
    Adam adam;
    Pace pace;
    double *losses; /* of a step's documents; there is room for n_losses */
    size_t n_losses;
    Reader *readers; /* n_readers */
    size_t n_readers;
} Trainer;

void exact_trainer_free(Trainer *t); /* all but params */

/* The document's mean loss, forward only. tokens: length of them, both BOS included. */
enum outcome exact_document_loss(Trainer *t, const uint32_t *tokens, size_t length, double *loss);

/* The mean loss of each of n_docs documents from number `first` on, forward only, on at most n_threads; some may be infinite or
 * NaN. */
enum outcome exact_losses(Trainer *t, const Documents *docs, size_t first, size_t n_docs, double *losses, size_t n_threads);

/* The mean loss of a step's documents (from 0), and its gradients, which have no meaning if the loss is not finite. */
enum outcome exact_batch_gradients(Trainer *t, const Documents *docs, size_t step, const Options *o, double *loss);

/* Steps first .. first + n_steps - 1 with their learning rates. Writes the losses, how many there are and, unless norms is NULL,
 * the length of each step's gradients before clipping. When a gradient's square overflows, *overflowing is that gradient. The
 * results do not depend on n_threads. */
enum outcome exact_train(Trainer *t, const Documents *docs, size_t first, size_t n_steps, const Options *o, const double *lr,
                         double *losses, double *norms, size_t *n_losses, double *overflowing);

#endif
