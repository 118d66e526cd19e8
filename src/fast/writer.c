/* The memory and the threads for writing documents. */
#include "writer.h"

#include "common/arena.h"
#include "simd/denormals.h"
#include "common/team.h"

#include <math.h>
#include <string.h>

#define MOST_LEVELS (DRAWN - 5)           /* see first_drawn() in write.h */
#define MOST_BEGINNINGS ((size_t)1 << 20) /* bytes: they stay in a cache */

static int lanes_for(Writer *w, size_t n_threads) {
    if (n_threads <= w->n_lanes)
        return 0;
    Lanes *longer = n_threads > SIZE_MAX / sizeof(Lanes) ? NULL : realloc(w->lanes, n_threads * sizeof(Lanes));
    if (!longer)
        return -1;
    w->lanes = longer;
    for (; w->n_lanes < n_threads; w->n_lanes++)
        if (fast_lanes_reserve(&w->lanes[w->n_lanes], &w->sampler.shape, w->kernels->lanes) < 0) {
            fast_lanes_free(&w->lanes[w->n_lanes]);
            return -1;
        }
    return 0;
}

/* As many levels as pay off for so many documents. */
static void choose_levels(Sampler *sampler, double expected) {
    const Shape *s = &sampler->shape;
    size_t bytes = sizeof(float) * (rounded_up(s->vocab, ROW) + s->n_layer * 2 * s->n_embd), row = 1, n = 1;
    sampler->n_beginnings = 1;
    for (sampler->n_levels = 0; sampler->n_levels < MOST_LEVELS; sampler->n_levels++) {
        if (sampler->is_long || sampler->n_prefix + sampler->n_levels + 1 >= s->block_size || row > MOST_BEGINNINGS / s->vocab)
            return;
        row *= s->vocab;
        n += row;
        if (n > MOST_BEGINNINGS / bytes || 16.0 * (double)n > expected)
            return;
        sampler->n_beginnings = n;
    }
}

static int sampler_reserve(Sampler *sampler) {
    const Shape *s = &sampler->shape;
    size_t kv = 2 * s->n_embd, padded = rounded_up(s->vocab, ROW);
    size_t n_kept = sampler->is_long ? 1 : sampler->n_prefix; /* of the prefix, in a cache of keys and values */
    /* n_params is more than any size below but one, that of n_layer copies of the prefix. */
    if (s->n_params > SIZE_MAX / 32 || n_kept > SIZE_MAX / sizeof(float) / kv / s->n_layer)
        return -1;
    sampler->params = allocate_zeros(s->n_params * sizeof(float));
    sampler->prefix = allocate_zeros(sampler->n_prefix * sizeof(uint32_t));
    sampler->prefix_kv = allocate_zeros(s->n_layer * n_kept * kv * sizeof(float));
    sampler->cumulative = allocate_zeros(sampler->n_beginnings * padded * sizeof(float));
    sampler->beginnings_kv = allocate_zeros(sampler->n_beginnings * s->n_layer * kv * sizeof(float));
    return sampler->params && sampler->prefix && sampler->prefix_kv && sampler->cumulative && sampler->beginnings_kv ? 0 : -1;
}

static void sampler_free(Sampler *sampler) {
    free_zeros(sampler->params);
    free_zeros(sampler->prefix);
    free_zeros(sampler->prefix_kv);
    free_zeros(sampler->cumulative);
    free_zeros(sampler->beginnings_kv);
}

int fast_writer_prepare(Writer *w, const double *params, const uint32_t *prefix, double expected) {
    Sampler *sampler = &w->sampler;
    choose_levels(sampler, expected);
    if (lanes_for(w, 1) < 0 || sampler_reserve(sampler) < 0)
        return WRITER_NO_MEMORY;
    for (size_t i = 0; i < sampler->shape.n_params; i++) {
        sampler->params[i] = (float)params[i];
        if (!isfinite(sampler->params[i]))
            return NOT_FINITE;
    }
    memcpy(sampler->prefix, prefix, sampler->n_prefix * sizeof(uint32_t));
    if (sampler->is_long)
        return WRITTEN;
    uint64_t denormals = flush_denormals();
    int outcome = w->kernels->prepare(sampler, &w->lanes[0]);
    restore_denormals(denormals);
    return outcome;
}

static int portion_reserve(Writer *w, size_t n_docs) {
    Portion *portion = &w->portion;
    size_t most = w->sampler.most;
    if (n_docs <= w->room)
        return 0;
    free(portion->tokens);
    free(portion->lengths);
    w->room = 0;
    portion->tokens = n_docs > SIZE_MAX / sizeof(uint32_t) / most ? NULL : malloc(n_docs * most * sizeof(uint32_t));
    portion->lengths = malloc(n_docs * sizeof(uint32_t));
    if (!portion->tokens || !portion->lengths)
        return -1;
    w->room = n_docs;
    return 0;
}

static void work(void *context, Team *team, size_t thread) {
    Writer *w = context;
    uint64_t denormals = flush_denormals();
    size_t n_threads = fast_team_size(team); /* there may be fewer than lanes */
    for (size_t i = thread; i < w->n_writing; i += n_threads) {
        Lanes own = w->lanes[i]; /* apart from what other threads write */
        if (!w->sampler.is_long)
            own.outcome = w->kernels->write(&w->sampler, &w->portion, &own, team);
        else if (own.outcome != WRITTEN || own.next < own.end)
            own.outcome = w->kernels->write_long(&w->sampler, &w->portion, &own);
        w->lanes[i] = own;
    }
    restore_denormals(denormals);
}

/* An error where a thread met one, else UNFINISHED where one is. */
static int outcome_of(const Writer *w) {
    int outcome = WRITTEN;
    for (size_t i = 0; i < w->n_writing; i++)
        if (w->lanes[i].outcome != WRITTEN && (outcome == WRITTEN || outcome == UNFINISHED))
            outcome = w->lanes[i].outcome;
    return outcome;
}

int fast_writer_write(Writer *w, uint64_t first, size_t n_docs, size_t n_threads) {
    size_t most = (n_docs + BLOCK - 1) / BLOCK;
    n_threads = smaller(n_threads, most);
    if (portion_reserve(w, n_docs) < 0 || lanes_for(w, n_threads) < 0)
        return WRITER_NO_MEMORY;
    w->portion.first = first;
    w->portion.n_docs = n_docs;
    w->n_writing = n_threads;
    for (size_t i = 0; i < n_threads; i++) {
        w->lanes[i].outcome = WRITTEN; /* of a thread that the system did not give, too */
        w->lanes[i].next = n_docs * i / n_threads;
        w->lanes[i].end = n_docs * (i + 1) / n_threads;
    }
    fast_team_run(n_threads, work, w);
    return outcome_of(w);
}

int fast_writer_continue(Writer *w) {
    fast_team_run(w->n_writing, work, w);
    return outcome_of(w);
}

void fast_writer_free(Writer *w) {
    for (size_t i = 0; i < w->n_lanes; i++)
        fast_lanes_free(&w->lanes[i]);
    free(w->lanes);
    free(w->portion.tokens);
    free(w->portion.lengths);
    sampler_free(&w->sampler);
    memset(w, 0, sizeof *w);
}
