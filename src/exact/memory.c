/* Everything a run allocates. Sizes are computed with overflow checks before anything is asked for. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64 /* a cache line, and the widest vector */

double *allocate_doubles(size_t n) {
    if (n > (PTRDIFF_MAX - 2 * ALIGNMENT) / sizeof(double))
        return NULL;
    /* The address malloc gave is kept just before the aligned block. */
    char *block = calloc(1, n * sizeof(double) + 2 * ALIGNMENT);
    if (!block)
        return NULL;
    char *aligned = block + ALIGNMENT + (ALIGNMENT - (uintptr_t)block % ALIGNMENT) % ALIGNMENT;
    ((void **)aligned)[-1] = block;
    return (double *)aligned;
}

static void free_doubles(double *p) {
    if (p)
        free(((void **)p)[-1]);
}

/* A block of memory given out piece by piece. Without a base it only counts. */
typedef struct {
    double *base;
    size_t used;
    int overflow;
} Arena;

static double *take(Arena *a, size_t rows, size_t columns) {
    if (columns && rows > SIZE_MAX / columns) {
        a->overflow = 1;
        return NULL;
    }
    size_t n = rows * columns, start = a->used;
    if (n > SIZE_MAX - 8 - start) {
        a->overflow = 1;
        return NULL;
    }
    a->used = start + (n + 7) / 8 * 8;
    return a->base ? a->base + start : NULL;
}

static void place_layer(Layer *l, const Shape *s, Arena *a, size_t positions) {
    size_t e = s->n_embd, h = s->n_head;
    l->x = take(a, e, positions);
    l->me1 = take(a, 1, positions);
    l->scale1 = take(a, 1, positions);
    l->norm1 = take(a, e, positions);
    l->q = take(a, e, positions);
    l->k = take(a, e, positions);
    l->v = take(a, e, positions);
    /* the triangle: sum of (p0 + W) * W over the tiles, at most positions * (positions + 8) / 2 */
    size_t before = a->used;
    take(a, positions + 8, positions);
    size_t triangle = (a->used - before) / 2;
    a->used = before;
    l->exps = take(a, h, triangle);
    l->total = take(a, h, positions);
    l->inverse_total = take(a, h, positions);
    l->heads = take(a, e, positions);
    l->mid = take(a, e, positions);
    l->me2 = take(a, 1, positions);
    l->scale2 = take(a, 1, positions);
    l->norm2 = take(a, e, positions);
    l->pre = take(a, 4 * e, positions);
    l->act = take(a, 4 * e, positions);
}

static void place(Document *d, const Shape *s, Arena *a, size_t positions) {
    size_t e = s->n_embd;
    d->embedding = take(a, e, positions);
    d->me0 = take(a, 1, positions);
    d->scale0 = take(a, 1, positions);
    d->out = take(a, e, positions);
    d->logits = take(a, s->vocab, positions);
    d->exps = take(a, s->vocab, positions);
    d->total = take(a, 1, positions);
    d->inverse_total = take(a, 1, positions);
    d->p = take(a, 1, positions);
    d->d_logits = take(a, s->vocab, positions);
    d->d_x = take(a, e, positions);
    d->d_mid = take(a, e, positions);
    d->d_norm = take(a, e, positions);
    d->d_heads = take(a, e, positions);
    d->d_q = take(a, e, positions);
    d->d_k = take(a, e, positions);
    d->d_v = take(a, e, positions);
    d->d_act = take(a, 4 * e, positions);
    d->row1 = take(a, s->n_head, positions);
    d->row2 = take(a, 1, positions);
    d->row3 = take(a, 1, positions);
    d->tile = take(a, 8, positions);
    d->grad_scores = take(a, positions, positions);
    d->weights = take(a, positions, positions);
    d->transposed = take(a, positions, (4 * e + 7) / 8 * 8);
    for (size_t i = 0; i < s->n_layer && !a->overflow; i++)
        place_layer(&d->layers[i], s, a, positions);
}

int document_reserve(Document *d, const Shape *s, size_t positions) {
    if (positions <= d->capacity)
        return 0;
    if (positions > SIZE_MAX - 8 || s->n_embd > SIZE_MAX / 32)
        return -1;
    positions = (positions + 7) / 8 * 8;
    if (!d->layers)
        d->layers = calloc(s->n_layer, sizeof(Layer));
    if (!d->segments)
        d->segments = calloc(s->n_head, 3 * sizeof(Segment));
    if (!d->layers || !d->segments)
        return -1;
    Arena arena = {NULL, 0, 0};
    place(d, s, &arena, positions);
    double *base = arena.overflow ? NULL : allocate_doubles(arena.used);
    d->capacity = 0;
    free_doubles(d->arena);
    d->arena = base;
    if (!base)
        return -1;
    arena = (Arena){base, 0, 0};
    place(d, s, &arena, positions);
    d->capacity = positions;
    return 0;
}

void document_free(Document *d) {
    free_doubles(d->arena);
    free(d->layers);
    free(d->segments);
    memset(d, 0, sizeof *d);
}

int cache_reserve(Cache *c, const Shape *s, size_t positions) {
    if (positions <= c->capacity)
        return 0;
    if (positions > SIZE_MAX / 4 - 8)
        return -1;
    size_t capacity = (2 * c->capacity > positions ? 2 * c->capacity : positions) + 7;
    capacity -= capacity % 8;
    Cache new = {c->length, capacity, NULL, NULL, NULL, NULL};
    Arena arena = {NULL, 0, 0};
    size_t rows = s->n_layer * s->n_embd; /* no overflow: the parameters are more */
    for (int placing = 0; placing < 2; placing++) {
        new.keys = take(&arena, rows, capacity);
        new.values = take(&arena, rows, capacity);
        take(&arena, 1, 8);
        new.scores = take(&arena, 1, capacity);
        new.exps = take(&arena, 2, capacity);
        if (placing == 0) {
            double *base = arena.overflow ? NULL : allocate_doubles(arena.used);
            if (!base)
                return -1;
            arena = (Arena){base, 0, 0};
        }
    }
    for (size_t row = 0; row < rows && c->length; row++)
        memcpy(new.keys + row * capacity, c->keys + row * c->capacity, c->length * sizeof(double));
    for (size_t layer = 0; layer < s->n_layer && c->length; layer++)
        memcpy(new.values + layer * s->n_embd * capacity, c->values + layer * s->n_embd * c->capacity,
               c->length * s->n_embd * sizeof(double));
    cache_free(c);
    *c = new;
    return 0;
}

void cache_free(Cache *c) {
    free_doubles(c->keys); /* the first piece of its arena */
    memset(c, 0, sizeof *c);
}

int adam_reserve(Adam *a, const Shape *s) {
    if (a->gradients)
        return 0;
    if (s->n_params > SIZE_MAX / 4)
        return -1;
    size_t aligned = (s->n_params + 7) / 8 * 8;
    double *block = allocate_doubles(3 * aligned);
    if (!block)
        return -1;
    a->gradients = block;
    a->m = block + aligned;
    a->v = block + 2 * aligned;
    return 0;
}

void adam_free(Adam *a) {
    free_doubles(a->gradients);
    memset(a, 0, sizeof *a);
}
