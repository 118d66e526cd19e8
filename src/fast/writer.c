/* Writing many documents: memory, and dealing them out to threads. */
#include "writer.h"

#include "common/arena.h"
#include "simd/denormals.h"

#include <math.h>
#include <string.h>

#define FIRST_SLOTS 16
#define MOST_BEGINNINGS ((size_t)1 << 20) /* bytes: they stay in a cache */

static size_t slot_size(const Shape *s, size_t lanes) { return s->n_layer * 2 * s->n_embd * lanes; }

int fast_ring_grow(Lanes *l, const Shape *s) {
    size_t size = slot_size(s, l->n), n = l->n_slots ? 2 * l->n_slots : FIRST_SLOTS;
    float *ring = n > SIZE_MAX / sizeof(float) / size ? NULL : allocate_zeros(n * size * sizeof(float));
    if (!ring)
        return -1;
    for (size_t back = 1; back <= l->n_slots; back++) /* the next slot is 0 */
        memcpy(ring + (n - back) * size, l->ring + (l->slot + l->n_slots - back) % l->n_slots * size, size * sizeof(float));
    free_zeros(l->ring);
    l->ring = ring;
    l->n_slots = n;
    l->slot = 0;
    return 0;
}

static float *floats(Arena *a, size_t rows, size_t columns) { return take(a, rows, columns, sizeof(float)); }

static void place_lanes(Lanes *l, const Shape *s, size_t n, Arena *a) {
    size_t e = s->n_embd;
    l->x = floats(a, e, n);
    l->mid = floats(a, e, n);
    l->norm = floats(a, e, n);
    l->query = floats(a, e, n);
    l->heads = floats(a, e, n);
    l->scale = floats(a, 1, n);
    l->hidden = floats(a, 4 * e, n);
    l->logits = floats(a, s->vocab, n);
    l->weights = floats(a, s->vocab, n);
    l->kept = floats(a, s->vocab, n);
    l->scores = floats(a, s->block_size, WIDEST);
    l->ages = floats(a, 1, n);
    l->chances = floats(a, 1, n);
    l->chosen = floats(a, 1, n);
    l->inputs = take(a, n, 1, sizeof(uint32_t));
    l->positions = take(a, n, 1, sizeof(uint32_t));
    l->docs = take(a, n, 1, sizeof(size_t));
    l->random = take(a, n, DRAWN, sizeof(uint32_t));
    l->block = take(a, BLOCK, DRAWN, sizeof(uint32_t));
}

static int lanes_reserve(Lanes *l, const Shape *s, size_t n) {
    Arena arena = {NULL, 0, 0};
    place_lanes(l, s, n, &arena);
    l->memory = arena.overflow ? NULL : allocate_zeros(arena.used);
    if (!l->memory)
        return -1;
    arena = (Arena){l->memory, 0, 0};
    place_lanes(l, s, n, &arena);
    l->n = n;
    return fast_ring_grow(l, s);
}

static int lanes_for(Writer *w, size_t n_threads) {
    Lanes *longer = n_threads > SIZE_MAX / sizeof(Lanes) ? NULL : realloc(w->lanes, n_threads * sizeof(Lanes));
    if (!longer)
        return -1;
    w->lanes = longer;
    for (; w->n_lanes < n_threads; w->n_lanes++) {
        memset(&w->lanes[w->n_lanes], 0, sizeof(Lanes));
        if (lanes_reserve(&w->lanes[w->n_lanes], &w->shape, w->kernels->lanes) < 0) {
            free_zeros(w->lanes[w->n_lanes].memory);
            return -1;
        }
        w->lanes[w->n_lanes].n_prefix = w->n_prefix;
    }
    return 0;
}

/* As many levels as are worth it for so many documents. */
static void choose_levels(Writer *w, double expected) {
    const Shape *s = &w->shape;
    size_t bytes = sizeof(float) * (rounded_up(s->vocab, ROW) + s->n_layer * 2 * s->n_embd), row = 1, n = 1;
    w->n_beginnings = 1;
    for (w->n_levels = 0; w->n_levels < MOST_LEVELS && w->n_prefix + w->n_levels + 1 < s->block_size; w->n_levels++) {
        if (row > MOST_BEGINNINGS / s->vocab)
            return;
        row *= s->vocab;
        n += row;
        if (n > MOST_BEGINNINGS / bytes || 16.0 * (double)n > expected)
            return;
        w->n_beginnings = n;
    }
}

int fast_writer_prepare(Writer *w, const double *params, const uint32_t *prefix, double expected) {
    const Shape *s = &w->shape;
    size_t kv = 2 * s->n_embd, padded = rounded_up(s->vocab, ROW);
    choose_levels(w, expected);
    if (s->n_params > SIZE_MAX / 32 || lanes_for(w, 1) < 0)
        return WRITER_NO_MEMORY;
    /* no size overflows: n_params is more than each, but for n_layer copies of the prefix */
    if (w->n_prefix > SIZE_MAX / sizeof(float) / kv / s->n_layer)
        return WRITER_NO_MEMORY;
    w->params = allocate_zeros(s->n_params * sizeof(float));
    w->prefix = allocate_zeros(w->n_prefix * sizeof(uint32_t));
    w->prefix_kv = allocate_zeros(s->n_layer * w->n_prefix * kv * sizeof(float));
    w->cumulative = allocate_zeros(w->n_beginnings * padded * sizeof(float));
    w->beginnings_kv = allocate_zeros(w->n_beginnings * s->n_layer * kv * sizeof(float));
    if (!w->params || !w->prefix || !w->prefix_kv || !w->cumulative || !w->beginnings_kv)
        return WRITER_NO_MEMORY;
    for (size_t i = 0; i < s->n_params; i++) {
        w->params[i] = (float)params[i];
        if (!isfinite(w->params[i]))
            return NOT_FINITE;
    }
    memcpy(w->prefix, prefix, w->n_prefix * sizeof(uint32_t));
    uint64_t denormals = flush_denormals();
    int outcome = w->kernels->prepare(w, &w->lanes[0]);
    restore_denormals(denormals);
    return outcome;
}

static void work(void *context, Team *team, size_t thread) {
    Writer *w = context;
    uint64_t denormals = flush_denormals();
    Lanes own = w->lanes[thread]; /* away from what other threads write */
    own.failed = w->kernels->write(w, &own, team);
    w->lanes[thread] = own;
    restore_denormals(denormals);
}

int fast_writer_write(Writer *w, uint64_t first, size_t n_docs, size_t n_threads) {
    size_t most = (n_docs + BLOCK - 1) / BLOCK, block = w->shape.block_size;
    n_threads = n_threads < most ? n_threads : most;
    if (n_docs > w->there_is) {
        free(w->tokens);
        free(w->lengths);
        w->there_is = 0;
        w->tokens = n_docs > SIZE_MAX / sizeof(uint32_t) / block ? NULL : malloc(n_docs * block * sizeof(uint32_t));
        w->lengths = malloc(n_docs * sizeof(uint32_t));
        if (!w->tokens || !w->lengths)
            return WRITER_NO_MEMORY;
        w->there_is = n_docs;
    }
    if (lanes_for(w, n_threads) < 0)
        return WRITER_NO_MEMORY;
    w->first = first;
    w->n_docs = n_docs;
    for (size_t i = 0; i < w->n_lanes; i++)
        w->lanes[i].failed = WRITTEN;
    fast_team_run(n_threads, work, w);
    for (size_t i = 0; i < n_threads; i++)
        if (w->lanes[i].failed != WRITTEN)
            return w->lanes[i].failed;
    return WRITTEN;
}

void fast_writer_free(Writer *w) {
    for (size_t i = 0; i < w->n_lanes; i++) {
        free_zeros(w->lanes[i].memory);
        free_zeros(w->lanes[i].ring);
    }
    free(w->lanes);
    free(w->tokens);
    free(w->lengths);
    free_zeros(w->params);
    free_zeros(w->prefix);
    free_zeros(w->prefix_kv);
    free_zeros(w->cumulative);
    free_zeros(w->beginnings_kv);
    memset(w, 0, sizeof *w);
}
