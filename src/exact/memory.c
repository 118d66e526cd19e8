/* Everything a run allocates. */
#include "engine.h"

#include "common/arena.h"

#include <string.h>

static double *doubles(Arena *a, size_t rows, size_t columns) { return take(a, rows, columns, sizeof(double)); }

static void place_layer(Layer *l, const Shape *s, Arena *a, size_t columns) {
    size_t e = s->n_embd, h = s->n_head;
    l->x = doubles(a, e, columns);
    l->mean_square1 = doubles(a, 1, columns);
    l->scale1 = doubles(a, 1, columns);
    l->norm1 = doubles(a, e, columns);
    l->qkv = doubles(a, 3 * e, columns);
    /* the triangles: of a document of n columns, at most (n + 7) * (n + 15) / 2 <= (n / 2 + 64) * n */
    size_t before = a->used;
    doubles(a, columns / 2 + 64, columns);
    size_t triangles = (a->used - before) / sizeof(double);
    a->used = before;
    l->exps = doubles(a, h, triangles);
    l->total = doubles(a, h, columns);
    l->inverse_total = doubles(a, h, columns);
    l->heads = doubles(a, e, columns);
    l->mid = doubles(a, e, columns);
    l->mean_square2 = doubles(a, 1, columns);
    l->scale2 = doubles(a, 1, columns);
    l->norm2 = doubles(a, e, columns);
    l->pre = doubles(a, s->n_mlp, columns);
    l->act = doubles(a, s->n_mlp, columns);
    l->d_out = doubles(a, e, columns);
    l->d_mid = doubles(a, e, columns);
    l->d_qkv = doubles(a, 3 * e, columns);
    l->d_pre = doubles(a, s->n_mlp, columns);
}

static void place_scratch(Scratch *t, const Shape *s, Arena *a, size_t columns) {
    size_t padded = (s->n_mlp + 15) / 16 * 16;
    t->tile = doubles(a, 8, columns);
    t->d_dots = doubles(a, columns, columns);
    t->weights = doubles(a, columns, columns);
    t->transposed = doubles(a, columns, padded);
    t->gradients = doubles(a, 8, padded > BLOCK_PARAMS / 8 ? padded : BLOCK_PARAMS / 8 + 1);
    t->segments = take(a, 3, s->n_head, sizeof(Segment));
}

static void place(Group *g, const Shape *s, Arena *a, size_t columns) {
    size_t e = s->n_embd;
    g->embedding = doubles(a, e, columns);
    g->mean_square = doubles(a, 1, columns);
    g->scale = doubles(a, 1, columns);
    g->out = doubles(a, e, columns);
    g->logits = doubles(a, s->vocab, columns);
    g->exps = doubles(a, s->vocab, columns);
    g->total = doubles(a, 1, columns);
    g->inverse_total = doubles(a, 1, columns);
    g->p = doubles(a, 1, columns);
    g->d_logits = doubles(a, s->vocab, columns);
    g->d_target = doubles(a, 1, columns);
    g->d_embedding = doubles(a, e, columns);
    g->d_norm = doubles(a, e, columns);
    g->d_heads = doubles(a, e, columns);
    g->power = doubles(a, s->n_head, columns);
    g->d_total = doubles(a, 1, columns);
    g->d_p = doubles(a, 1, columns);
    for (size_t i = 0; i < s->n_layer && !a->overflow; i++)
        place_layer(&g->layers[i], s, a, columns);
    for (size_t i = 0; i < g->n_scratch && !a->overflow; i++)
        place_scratch(&g->scratch[i], s, a, columns);
}

/* A list of at least n items of `size` bytes, replacing one of *capacity items that may be full. */
static int reserve_list(void **list, size_t *capacity, size_t n, size_t size) {
    if (n <= *capacity)
        return 0;
    void *longer = n > SIZE_MAX / size ? NULL : realloc(*list, n * size);
    if (!longer)
        return -1;
    *list = longer;
    *capacity = n;
    return 0;
}

int exact_group_reserve(Group *g, const Shape *s, size_t spans, size_t columns, size_t threads) {
    void *list = g->spans;
    int failed = reserve_list(&list, &g->span_capacity, spans, sizeof(Span));
    g->spans = list;
    if (failed)
        return -1;
    if (columns <= g->capacity && threads <= g->n_scratch)
        return 0;
    if (columns > SIZE_MAX - 8 || s->n_mlp > SIZE_MAX - 16)
        return -1;
    columns = ((columns > g->capacity ? columns : g->capacity) + 7) / 8 * 8;
    g->capacity = 0;
    free_zeros(g->arena); /* freed before the new one is allocated: its contents are not needed */
    g->arena = NULL;
    if (!g->layers)
        g->layers = calloc(s->n_layer, sizeof(Layer));
    list = g->scratch;
    failed = reserve_list(&list, &g->n_scratch, threads, sizeof(Scratch));
    g->scratch = list;
    if (!g->layers || failed)
        return -1;
    Arena arena = {NULL, 0, 0};
    place(g, s, &arena, columns);
    char *base = g->arena = arena.overflow ? NULL : allocate_zeros(arena.used);
    if (!base)
        return -1;
    arena = (Arena){base, 0, 0};
    place(g, s, &arena, columns);
    g->capacity = columns;
    return 0;
}

void exact_group_free(Group *g) {
    free_zeros(g->arena);
    free(g->layers);
    free(g->scratch);
    free(g->spans);
    memset(g, 0, sizeof *g);
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
    size_t rows = s->n_layer * s->n_embd; /* no overflow: there are more parameters */
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
