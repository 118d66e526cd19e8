/* The training loop, as every thread of a team runs it, step after step, without going back to Python.
 *
 * Each number is computed by one thread, as in a run on a single thread: so results do not depend on the number of threads. */
#include "engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* With fewer features, sharing the passes costs more time in waiting than it saves: the threads share only the gradients and
 * Adam, and the first thread does the rest. */
enum { SHARED_EMBD = 32 };

/* Documents that a thread reads at a time, forward only, at least: starting a thread takes longer than reading fewer. */
enum { FEW_DOCS = 16 };

typedef struct {
    Trainer *trainer;
    const Documents *docs;
    const Options *options;
    size_t first_step, n_steps, n_threads;
    const double *lr;                     /* NULL: gradients only */
    double *losses, overflowing, seconds; /* of the steps, since all threads had started */
    double *norms;                        /* of the steps' gradients; NULL: not wanted */
    size_t n_losses;
    /* What the first thread determines for all, which the others read between two barriers: */
    enum outcome outcome;
    size_t first_doc;   /* of the group, in the batch */
    double bound;       /* no finite gradient so far is larger */
    int fused, clipped; /* whether the gradients go straight into Adam; whether Adam is shared after clipping */
    AdamStep step;
} Job;

/* ---- a group of documents ------------------------------------------------------------------------------------------- */

static size_t padded(const Trainer *t, size_t n) { return (n + t->kernels->width - 1) / t->kernels->width * t->kernels->width; }

static void clear(Group *g) { g->n_spans = g->columns = 0; }

/* Append a document of n predictions to the group. */
static enum outcome put(const Trainer *t, Group *g, const uint32_t *tokens, size_t n, size_t n_threads) {
    for (size_t i = 0; i <= n; i++)
        if (tokens[i] >= t->shape.vocab)
            return BAD_CORPUS;
    if (exact_group_reserve(g, &t->shape, g->n_spans + 1, padded(t, g->columns + n), n_threads) < 0)
        return NO_MEMORY;
    g->spans[g->n_spans++] = (Span){.tokens = tokens, .n = n, .first = g->columns};
    g->columns += n;
    return DONE;
}

/* After the last document: the group's padding, and where each document's triangles are, see attention.h. */
static void complete(const Trainer *t, Group *g) {
    size_t width = t->kernels->width, exps = 0;
    g->stride = padded(t, g->columns);
    for (Span *d = g->spans; d < g->spans + g->n_spans; d++) {
        int last = d + 1 == g->spans + g->n_spans;
        d->length = padded(t, last ? g->stride - d->first : d->n);
        d->exps = exps;
        size_t blocks = d->length / width;
        exps += t->shape.n_head * (blocks * (blocks + 1) / 2 * width * width);
    }
}

/* The last documents of a batch before `end`. */
static enum outcome fill(Job *job, size_t step, size_t end) {
    Trainer *t = job->trainer;
    size_t first = end, columns = 0, batch_size = job->options->batch_size, block_size = t->shape.block_size;
    const uint32_t *tokens;
    while (first > 0) {
        size_t n = batch_document(job->docs, step, first - 1, batch_size, block_size, &tokens);
        if (n == 0)
            return BAD_CORPUS;
        if (columns > 0 && columns + n > COLUMNS)
            break;
        columns += n;
        first--;
    }
    clear(&t->group);
    job->first_doc = first;
    for (size_t j = first; j < end; j++) {
        size_t n = batch_document(job->docs, step, j, batch_size, block_size, &tokens);
        enum outcome outcome = put(t, &t->group, tokens, n, job->n_threads);
        if (outcome != DONE)
            return outcome;
    }
    complete(t, &t->group);
    return DONE;
}

/* ---- a step --------------------------------------------------------------------------------------------------------- */

static void meet(Team *team) { SYMBOL(team_barrier)(team); }

/* A group through the model and back, by all threads of a share. */
static void pass(Job *job, const Share *share) {
    Trainer *t = job->trainer;
    Group *g = &t->group;
    const Shape *s = &t->shape;
    double *losses = t->losses + job->first_doc;
    t->kernels->forward(s, t->params, g, share);
    if (share->index == 0) {
        t->kernels->loss(s, g, losses);
        for (size_t i = 0; i < g->n_spans; i++)
            if (!isfinite(losses[i]))
                job->outcome = LOSS_NOT_FINITE;
    }
    if (share->n > 1)
        meet(share->team);
    if (job->outcome != DONE)
        return;
    t->kernels->backward(s, t->params, g, 1.0 / (double)job->options->batch_size, share);
    double bound = t->kernels->bound(s, g, share);
    if (share->index == 0)
        job->bound += bound;
}

/* 1 - beta**step. Once it is 1 the power is too small to change it, and pow is not called again. */
static double correction(double before, double beta, double step) { return before == 1 ? 1 : 1 - pow(beta, step); }

static AdamStep adam_step(Adam *adam, const Options *o, double lr) {
    double step = (double)(adam->num_steps + 1);
    adam->c1 = correction(adam->c1, adam->beta1, step);
    adam->c2 = correction(adam->c2, adam->beta2, step);
    return (AdamStep){
        .beta1 = adam->beta1,
        .rest1 = 1 - adam->beta1,
        .beta2 = adam->beta2,
        .rest2 = 1 - adam->beta2,
        .c1 = adam->c1,
        .c2 = adam->c2,
        .lr = lr,
        .eps = adam->eps,
        .inverse_c1 = 1 / adam->c1,
        .inverse_c2 = 1 / adam->c2,
        .decay = lr * o->weight_decay,
    };
}

/* Whether every parameter can be updated by itself: no square overflows, which would end the update at that parameter, and all
 * numbers are in the range of Adam's vectors. */
static int separable(const Job *job) {
    const Trainer *t = job->trainer;
    return t->shape.vector_libm && !t->adam.large && t->adam.eps >= 1e-15 && job->bound < 1e17; /* mutant: separable */
}

/* Whether all gradients must be there before the first parameter changes. */
static int wants_norm(const Job *job) { return job->options->clip_norm > 0 || job->norms; }

/* Losses and gradients of a step's documents, and with *fused the update too, if nothing comes between. The reference builds
 * the documents' graphs one after the other, and its backward pass begins with the last: so the last group is done first here,
 * and only one group's activations are kept. */
static enum outcome gradients(Job *job, Team *team, size_t thread, size_t step, int *fused) {
    Trainer *t = job->trainer;
    const Share all = {team, thread, SYMBOL(team_size)(team)}, alone = {NULL, 0, 1};
    int accumulate = 0;
    size_t end = job->options->batch_size;
    while (end > 0) {
        if (thread == 0)
            job->outcome = fill(job, step, end);
        if (t->shape.n_embd >= SHARED_EMBD) {
            meet(team);
            if (job->outcome != DONE)
                return job->outcome;
            pass(job, &all);
        } else if (thread == 0 && job->outcome == DONE)
            pass(job, &alone); /* no other thread reads the outcome before it is final */
        if (thread == 0)
            job->fused = job->lr && job->first_doc == 0 && !wants_norm(job) && separable(job);
        meet(team);
        if (job->outcome != DONE)
            return job->outcome;
        *fused = job->fused;
        end = job->first_doc;
        t->kernels->gradients(&t->shape, t->params, &t->group, &t->adam, accumulate, *fused ? &job->step : NULL, &all);
        accumulate = 1;
        meet(team);
    }
    return DONE;
}

/* The update after gradients that were kept. */
static enum outcome update(Job *job, Team *team, size_t thread) {
    Trainer *t = job->trainer;
    const Kernels *k = t->kernels;
    const Share all = {team, thread, SYMBOL(team_size)(team)};
    size_t done = t->shape.n_params;
    if (thread == 0) {
        double norm = 0.0;
        if (wants_norm(job)) /* mutant: clipping */
            done = k->clip(&t->shape, t->adam.gradients, job->options->clip_norm, &norm);
        if (job->norms)
            job->norms[job->n_losses] = norm;
        job->clipped = done == t->shape.n_params && separable(job);
        if (done == t->shape.n_params && !job->clipped) {
            if (job->step.decay != 0) /* mutant: decay */
                k->decay(&t->shape, t->params, job->step.decay);
            done = k->adam(&t->shape, t->params, &t->adam, &job->step); /* mutant: adam-step */
        }
        if (done < t->shape.n_params) {
            job->overflowing = t->adam.gradients[done];
            job->outcome = GRADIENT_OVERFLOW;
        }
    }
    meet(team);
    enum outcome outcome = job->outcome;
    if (job->clipped)
        k->share_adam(&t->shape, t->params, &t->adam, &job->step, &all);
    meet(team);
    return outcome;
}

static void work(void *context, Team *team, size_t thread) {
    Job *job = context;
    Trainer *t = job->trainer;
    meet(team);
    double started = SYMBOL(team_clock)();
    for (size_t i = 0; i < job->n_steps; i++) {
        if (thread == 0) {
            job->bound = 0.0;
            if (job->lr)
                job->step = adam_step(&t->adam, job->options, job->lr[i]);
        }
        int fused = 0;
        enum outcome outcome = gradients(job, team, thread, job->first_step + i, &fused);
        if (outcome == DONE && job->lr && !fused)
            outcome = update(job, team, thread);
        if (outcome != DONE)
            return;
        if (thread == 0) {
            double sum = 0.0;
            for (size_t j = 0; j < job->options->batch_size; j++)
                sum += t->losses[j];
            job->losses[i] = sum * (1.0 / (double)job->options->batch_size); /* of one document: its own */
            job->n_losses = i + 1;
            t->adam.num_steps += job->lr != NULL;
            job->seconds = SYMBOL(team_clock)() - started;
        }
    }
}

/* ---- what exact.pyx calls ------------------------------------------------------------------------------------------- */

static enum outcome run(Job *job, size_t n_threads) {
    job->n_threads = n_threads;
    job->n_losses = 0;
    SYMBOL(team_run)(n_threads, work, job);
    return job->outcome;
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

enum outcome exact_batch_gradients(Trainer *t, const Documents *docs, size_t step, const Options *o, double *loss) {
    Job job = {.trainer = t, .docs = docs, .options = o, .first_step = step, .n_steps = 1, .losses = loss};
    if (reserve_losses(t, o->batch_size) < 0)
        return NO_MEMORY;
    return run(&job, o->n_threads > 0 ? o->n_threads : 1);
}

/* All steps, in stretches with the team or without, see pace.h. */
enum outcome exact_train(Trainer *t, const Documents *docs, size_t first, size_t n_steps, const Options *o, const double *lr,
                         double *losses, double *norms, size_t *n_losses, double *overflowing) {
    Job job = {.trainer = t, .docs = docs, .options = o, .first_step = first, .lr = lr, .losses = losses};
    enum outcome outcome = DONE;
    *n_losses = 0;
    if (reserve_losses(t, o->batch_size) < 0)
        return NO_MEMORY;
    for (size_t i = 0; i < t->shape.n_params; i++) /* Python may have written to it */
        t->adam.large |= !(fabs(t->adam.m[i]) < 1e50 && t->adam.v[i] < 1e50);
    while (*n_losses < n_steps && outcome == DONE) {
        int with_team = 0;
        job.n_steps = o->n_threads > 1 ? pace_next(&t->pace, o->batch_size, n_steps - *n_losses, &with_team) : n_steps;
        job.norms = norms ? norms + *n_losses : NULL;
        outcome = run(&job, with_team ? o->n_threads : 1);
        pace_done(&t->pace, with_team, job.n_steps, job.seconds);
        *n_losses += job.n_losses;
        job.lr += job.n_steps;
        job.losses += job.n_steps;
        job.first_step += job.n_steps;
    }
    *overflowing = job.overflowing;
    return outcome;
}

/* ---- forward only --------------------------------------------------------------------------------------------------- */

/* The losses of the group's documents. */
static void read(const Trainer *t, Group *g, double *losses) {
    const Share alone = {NULL, 0, 1};
    complete(t, g);
    t->kernels->forward(&t->shape, t->params, g, &alone);
    t->kernels->loss(&t->shape, g, losses);
    clear(g);
}

enum outcome exact_document_loss(Trainer *t, const uint32_t *tokens, size_t length, double *loss) {
    Group *g = &t->group;
    clear(g);
    enum outcome outcome = length < 2 ? BAD_CORPUS : put(t, g, tokens, predictions(length, t->shape.block_size), 1);
    if (outcome != DONE)
        return outcome;
    read(t, g, loss);
    return isfinite(*loss) ? DONE : LOSS_NOT_FINITE;
}

typedef struct {
    Trainer *trainer;
    const Documents *docs;
    size_t first, n_docs, portion; /* documents: from this one on; all; a thread's at a time */
    double *losses;
} Reading;

/* Documents begin .. end - 1 of a reading, a group at a time. */
static enum outcome read_some(const Reading *r, Group *g, size_t begin, size_t end) {
    const Trainer *t = r->trainer;
    clear(g);
    for (size_t i = begin; i < end; i++) {
        const uint32_t *tokens;
        size_t n = batch_document(r->docs, r->first + i, 0, 1, t->shape.block_size, &tokens);
        if (n > 0 && g->n_spans && g->columns + n > COLUMNS)
            read(t, g, r->losses + i - g->n_spans);
        enum outcome outcome = n == 0 ? BAD_CORPUS : put(t, g, tokens, n, 1);
        if (outcome != DONE)
            return outcome;
    }
    read(t, g, r->losses + end - g->n_spans);
    return DONE;
}

/* Each thread repeatedly takes some documents, and never waits for another. */
static void read_portions(void *context, Team *team, size_t thread) {
    const Reading *r = context;
    Reader *own = &r->trainer->readers[thread];
    for (size_t i; own->outcome == DONE && (i = SYMBOL(team_next)(team) * r->portion) < r->n_docs;)
        own->outcome = read_some(r, &own->group, i, r->n_docs - i < r->portion ? r->n_docs : i + r->portion);
}

static int reserve_readers(Trainer *t, size_t n) {
    if (n <= t->n_readers)
        return 0;
    Reader *longer = n > SIZE_MAX / sizeof(Reader) ? NULL : realloc(t->readers, n * sizeof(Reader));
    if (!longer)
        return -1;
    memset(longer + t->n_readers, 0, (n - t->n_readers) * sizeof(Reader));
    t->readers = longer;
    t->n_readers = n;
    return 0;
}

enum outcome exact_losses(Trainer *t, const Documents *docs, size_t first, size_t n_docs, double *losses, size_t n_threads) {
    size_t most = n_docs / FEW_DOCS + 1; /* as many threads as have enough to do */
    n_threads = n_threads < most ? n_threads : most;
    if (reserve_readers(t, n_threads) < 0)
        return NO_MEMORY;
    for (size_t i = 0; i < n_threads; i++)
        t->readers[i].outcome = DONE;
    Reading reading = {t, docs, first, n_docs, n_threads > 1 ? n_docs / (8 * n_threads) + FEW_DOCS : n_docs, losses};
    SYMBOL(team_run)(n_threads, read_portions, &reading);
    for (size_t i = 0; i < n_threads; i++)
        if (t->readers[i].outcome != DONE)
            return t->readers[i].outcome;
    return DONE;
}

void exact_trainer_free(Trainer *t) {
    for (size_t i = 0; i < t->n_readers; i++)
        exact_group_free(&t->readers[i].group);
    free(t->readers);
    exact_group_free(&t->group);
    exact_adam_free(&t->adam);
    free(t->losses);
}
