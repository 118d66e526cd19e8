/* The losses of documents, forward only: each thread takes whole groups, and never waits for another. */
#include "engine.h"
#include "simd/denormals.h"
#include "common/team.h"

#include "common/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    Measure *measure;
    const Documents *docs;
    size_t first, end; /* documents */
    double *losses;    /* [document from first on] */
    Shape one_layer;   /* whose activations there is room for */
} Job;

/* A group's token p of its document d, and whether the document has so many. */
static int has_token(const Group *g, size_t d, size_t p) {
    return g->by_document ? p < g->counts[d] : p < g->n_runs && d < g->counts[p];
}
static size_t token_of(const Group *g, size_t d, size_t p) { return g->by_document ? g->offsets[d] + p : g->offsets[p] + d; }

/* The mean losses of those of a group's documents that are requested. before: the number of the document before the group's.
 * */
static void store(const Job *job, const Group *g, size_t before) {
    for (size_t d = 0; d < g->n_docs; d++) {
        size_t number = before + g->numbers[d];
        double sum = 0.0;
        for (size_t p = 0; has_token(g, d, p); p++)
            sum += (double)g->losses[token_of(g, d, p)];
        if (number >= job->first && number < job->end)
            job->losses[number - job->first] = sum * MOST_DOCS; /* a share is that in a batch of so many */
    }
}

static void work(void *context, Team *team, size_t thread) {
    const Job *job = context;
    const Measure *m = job->measure;
    Group *g = &m->groups[thread];
    uint64_t denormals = flush_denormals();
    size_t first = job->first / MOST_DOCS, end = (job->end + MOST_DOCS - 1) / MOST_DOCS;
    for (size_t i; g->outcome == DONE && (i = first + fast_team_next(team)) < end;) {
        g->outcome = fast_group_fill(g, &job->one_layer, job->docs, i, MOST_DOCS, 0, 1);
        if (g->outcome != DONE)
            break;
        m->kernels->measure(&m->shape, m->params, g);
        store(job, g, i * MOST_DOCS);
    }
    restore_denormals(denormals);
}

static void free_groups(Measure *m) {
    for (size_t i = 0; i < m->n_groups; i++)
        free_zeros(m->groups[i].memory);
    free(m->groups);
    m->groups = NULL;
    m->n_groups = 0;
}

void fast_measure_free(Measure *m) {
    free_groups(m);
    free(m->params);
    m->params = NULL;
}

static int reserve(Measure *m, size_t n_threads) {
    if (!m->params && m->shape.n_params <= SIZE_MAX / 8)
        m->params = malloc((m->shape.n_params + WIDEST) * sizeof(float));
    if (n_threads > m->n_groups) {
        free_groups(m);
        m->groups = calloc(n_threads, sizeof(Group));
        m->n_groups = m->groups ? n_threads : 0;
    }
    return m->params && m->groups ? 0 : -1;
}

enum outcome fast_losses(Measure *m, const double *params, const Documents *docs, size_t first, size_t n_docs, double *losses,
                         size_t n_threads) {
    Job job = {m, docs, first, first + n_docs, losses, m->shape};
    size_t most = n_docs / MOST_DOCS + 1; /* more threads would find nothing to do */
    enum outcome outcome = DONE;
    int finite = 1;
    n_threads = smaller(n_threads, most);
    if (reserve(m, n_threads) < 0)
        return NO_MEMORY;
    for (size_t i = 0; i < m->shape.n_params; i++)
        m->params[i] = (float)params[i];
    job.one_layer.n_layer = 1;
    fast_team_run(n_threads, work, &job);
    for (size_t i = 0; i < m->n_groups; i++)
        outcome = outcome == DONE ? (enum outcome)m->groups[i].outcome : outcome;
    for (size_t i = 0; i < n_docs && outcome == DONE; i++)
        finite &= isfinite(losses[i]) != 0;
    if (outcome != DONE || !finite)
        free_groups(m); /* to begin with zeros, see train.c */
    return outcome;
}
