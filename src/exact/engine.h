/* What exact.pyx calls: choosing kernels, memory, and training step after step. */
#ifndef MICROGPT_ENGINE_H
#define MICROGPT_ENGINE_H

#include "model.h"
#include "common/training.h"

const Kernels *kernels_at(int i); /* this build's, best first; NULL after the last */

/* ---- memory.c: everything a run allocates; each returns 0, or -1 when there is no memory (or no number for its size) ---- */
int document_reserve(Document *d, const Shape *s, size_t positions); /* room for that many; grows, never shrinks */
void document_free(Document *d);
int cache_reserve(Cache *c, const Shape *s, size_t positions); /* keeps what is in it */
void cache_free(Cache *c);
int adam_reserve(Adam *a, const Shape *s);
void adam_free(Adam *a);

/* ---- train.c ---- */
typedef struct {
    size_t batch_size;
    double clip_norm; /* 0: no clipping */
    double weight_decay;
    double *losses; /* batch_size, for the losses of a step's documents */
} Options;

typedef struct {
    Shape shape;
    const Kernels *kernels;
    double *params;
    Document document;
    Adam adam;
} Trainer;

/* The document's mean loss, forward only. tokens: length of them, both BOS included. */
enum outcome document_loss(Trainer *t, const uint32_t *tokens, size_t length, double *loss);

/* The mean loss of batch_size documents from number `first` on (after the last comes the first again), and its gradients. When
 * the loss is not finite, the gradients are of no use. */
enum outcome batch_gradients(Trainer *t, const Documents *docs, size_t first, const Options *o, double *loss);

/* n_steps steps with their learning rates; the first of them begins with document `first`. Writes the losses and how many there
 * are. When a gradient's square overflows, *culprit is that gradient. */
enum outcome train(Trainer *t, const Documents *docs, size_t first, const Options *o, size_t n_steps, const double *lr,
                   double *losses, size_t *n_losses, double *culprit);

#endif
