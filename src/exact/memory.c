/* Everything a run allocates. */
#include "engine.h"

#include "common/arena.h"

#include <string.h>

static double *doubles(Arena *a, size_t rows, size_t columns) { return take(a, rows, columns, sizeof(double)); }

static void place_layer(Layer *l, const Shape *s, Arena *a, size_t positions) {
    size_t e = s->n_embd, h = s->n_head;
    l->x = doubles(a, e, positions);
    l->mean_square1 = doubles(a, 1, positions);
    l->scale1 = doubles(a, 1, positions);
    l->norm1 = doubles(a, e, positions);
    l->q = doubles(a, e, positions);
    l->k = doubles(a, e, positions);
    l->v = doubles(a, e, positions);
    /* the triangle: sum of (p0 + W) * W over the tiles, at most positions * (positions + 8) / 2 */
    size_t before = a->used;
    doubles(a, positions + 8, positions);
    size_t triangle = (a->used - before) / (2 * sizeof(double));
    a->used = before;
    l->exps = doubles(a, h, triangle);
    l->total = doubles(a, h, positions);
    l->inverse_total = doubles(a, h, positions);
    l->heads = doubles(a, e, positions);
    l->mid = doubles(a, e, positions);
    l->mean_square2 = doubles(a, 1, positions);
    l->scale2 = doubles(a, 1, positions);
    l->norm2 = doubles(a, e, positions);
    l->pre = doubles(a, s->n_mlp, positions);
    l->act = doubles(a, s->n_mlp, positions);
}

static void place(Document *d, const Shape *s, Arena *a, size_t positions) {
    size_t e = s->n_embd;
    d->embedding = doubles(a, e, positions);
    d->mean_square = doubles(a, 1, positions);
    d->scale = doubles(a, 1, positions);
    d->out = doubles(a, e, positions);
    d->logits = doubles(a, s->vocab, positions);
    d->exps = doubles(a, s->vocab, positions);
    d->total = doubles(a, 1, positions);
    d->inverse_total = doubles(a, 1, positions);
    d->p = doubles(a, 1, positions);
    d->d_logits = doubles(a, s->vocab, positions);
    d->d_x = doubles(a, e, positions);
    d->d_mid = doubles(a, e, positions);
    d->d_norm = doubles(a, e, positions);
    d->d_heads = doubles(a, e, positions);
    d->d_q = doubles(a, e, positions);
    d->d_k = doubles(a, e, positions);
    d->d_v = doubles(a, e, positions);
    d->d_act = doubles(a, s->n_mlp, positions);
    d->power = doubles(a, s->n_head, positions);
    d->d_total = doubles(a, 1, positions);
    d->d_p = doubles(a, 1, positions);
    d->tile = doubles(a, 8, positions);
    d->d_dots = doubles(a, positions, positions);
    d->weights = doubles(a, positions, positions);
    d->transposed = doubles(a, positions, (s->n_mlp + 7) / 8 * 8);
    for (size_t i = 0; i < s->n_layer && !a->overflow; i++)
        place_layer(&d->layers[i], s, a, positions);
}

int exact_document_reserve(Document *d, const Shape *s, size_t positions) {
    if (positions <= d->capacity)
        return 0;
    if (positions > SIZE_MAX - 8 || s->n_mlp > SIZE_MAX - 8)
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
    d->capacity = 0;
    free_zeros(d->arena); /* before the new one: its contents are not needed */
    char *base = d->arena = arena.overflow ? NULL : allocate_zeros(arena.used);
    if (!base)
        return -1;
    arena = (Arena){base, 0, 0};
    place(d, s, &arena, positions);
    d->capacity = positions;
    return 0;
}

void exact_document_free(Document *d) {
    free_zeros(d->arena);
    free(d->layers);
    free(d->segments);
    memset(d, 0, sizeof *d);
}

int exact_cache_reserve(Cache *c, const Shape *s, size_t positions) {
    if (positions <= c->capacity)
        return 0;
    if (positions > SIZE_MAX / 4 - 8)
        return -1;
    size_t capacity = (2 * c->capacity > positions ? 2 * c->capacity : positions) + 7;
    capacity -= capacity % 8;
    Cache grown = {c->length, capacity, NULL, NULL, NULL, NULL};
    Arena arena = {NULL, 0, 0};
    size_t rows = s->n_layer * s->n_embd; /* no overflow: the parameters are more */
    for (int placing = 0; placing < 2; placing++) {
        grown.keys = doubles(&arena, rows, capacity);
        grown.values = doubles(&arena, rows, capacity);
        doubles(&arena, 1, 8);
        grown.scores = doubles(&arena, 1, capacity);
        grown.exps = doubles(&arena, 2, capacity);
        if (placing == 0) {
            char *base = arena.overflow ? NULL : allocate_zeros(arena.used);
            if (!base)
                return -1;
            arena = (Arena){base, 0, 0};
        }
    }
    for (size_t row = 0; row < rows && c->length; row++)
        memcpy(grown.keys + row * capacity, c->keys + row * c->capacity, c->length * sizeof(double));
    for (size_t layer = 0; layer < s->n_layer && c->length; layer++)
        memcpy(grown.values + layer * s->n_embd * capacity, c->values + layer * s->n_embd * c->capacity,
               c->length * s->n_embd * sizeof(double));
    exact_cache_free(c);
    *c = grown;
    return 0;
}

void exact_cache_free(Cache *c) {
    free_zeros(c->keys); /* the first piece of its arena */
    memset(c, 0, sizeof *c);
}

int exact_adam_reserve(Adam *a, const Shape *s) {
    if (a->gradients)
        return 0;
    if (s->n_params > SIZE_MAX / 32)
        return -1;
    size_t aligned = (s->n_params + 7) / 8 * 8;
    double *block = allocate_zeros(3 * aligned * sizeof(double));
    if (!block)
        return -1;
    a->gradients = block;
    a->m = block + aligned;
    a->v = block + 2 * aligned;
    return 0;
}

void exact_adam_free(Adam *a) {
    free_zeros(a->gradients);
    memset(a, 0, sizeof *a);
}
