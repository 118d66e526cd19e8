/* What fast.pyx calls: choosing kernels, memory, and training step after step on several threads. */
#ifndef MICROGPT_FAST_ENGINE_H
#define MICROGPT_FAST_ENGINE_H

#include "model.h"
#include "common/pace.h"
#include "common/documents.h"

const Kernels *fast_kernels_at(int i); /* this build's, best first; NULL after the last */

/* ---- batch.c: a batch's documents, dealt into groups ---- */
size_t fast_groups_of(size_t batch_size);
/* Group `index` of `n_groups` of a step's documents. */
enum outcome fast_group_fill(Group *g, const Shape *s, const Documents *docs, size_t step, size_t batch_size, size_t index,
                             size_t n_groups);

/* ---- memory.c; each returns 0, or -1 when there is no memory (or no number for its size) ---- */
size_t fast_token_bytes(const Shape *s);                         /* approximate bytes for each token of a batch */
int fast_group_reserve(Group *g, const Shape *s, Extent needed); /* clears the group if it grows */

typedef struct {
    enum outcome outcome; /* of filling the group */
    double loss;          /* its part of the batch's */
} Result;

typedef struct {
    Shape shape;
    const Kernels *kernels;
    float *params, *m, *v; /* n_params each */
    int is_small;          /* whether groups can have gradients of their own */
    float *gradients;      /* those of all groups, n_params, with room for n_tasks * largest_task; if small, [group][padded] */
    size_t padded;         /* n_params up to whole vectors */
    double beta1, beta2, eps;
    uint64_t num_steps; /* that Adam has done */
    Task *tasks;
    size_t largest_task; /* parameters of the largest one, up to whole vectors */
    double *squares;     /* [task] the sum of the squares of its gradients */
    int *overflowed;     /* [task] what its update returned */
    size_t n_tasks;
    Group *groups;   /* those of a batch; or one for each thread */
    Result *results; /* [group] */
    size_t n_groups; /* that are reserved; a batch may need fewer */
    float *packed;   /* [thread][PACKED] room for linear.h */
    size_t n_packed;
    Pace pace;
    void *memory; /* of params to overflowed */
} Trainer;

int fast_trainer_reserve(Trainer *t);
int fast_trainer_reserve_batch(Trainer *t, size_t n_groups, size_t n_threads);
void fast_trainer_free_batch(Trainer *t);
void fast_trainer_free(Trainer *t);

/* ---- measure.c: losses, forward only ---- */
typedef struct {
    Shape shape;
    const Kernels *kernels;
    float *params;
    Group *groups; /* one for each thread */
    size_t n_groups;
} Measure;

/* The mean loss of each of n_docs documents from number `first` on, which depends on neither first nor n_threads. */
enum outcome fast_losses(Measure *m, const double *params, const Documents *docs, size_t first, size_t n_docs, double *losses,
                         size_t n_threads);
void fast_measure_free(Measure *m);

/* ---- train.c ---- */

/* The mean loss of a step's documents (from 0), and its gradients. */
enum outcome fast_batch_gradients(Trainer *t, const Documents *docs, size_t step, const Options *o, double *loss);

/* Steps first .. first + n_steps - 1 with their learning rates. Writes the losses, how many there are and, unless norms is NULL,
 * the length of each step's gradients before clipping. The results do not depend on n_threads. */
enum outcome fast_train(Trainer *t, const Documents *docs, size_t first, size_t n_steps, const Options *o, const double *lr,
                        double *losses, double *norms, size_t *n_losses);

#endif
