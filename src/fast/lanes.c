/* The memory of a thread's lanes. */
#include "lanes.h"

#include "common/arena.h"

#include <string.h>

#define FIRST_SLOTS 16

static float *floats(Arena *a, size_t rows, size_t columns) { return take(a, rows, columns, sizeof(float)); }

static void place_lanes(Lanes *l, const Shape *s, size_t n, Arena *a) {
    size_t e = s->n_embd;
    l->x = floats(a, e, n);
    l->mid = floats(a, e, n);
    l->norm = floats(a, e, n);
    l->query = floats(a, e, n);
    l->heads = floats(a, e, n);
    l->scale = floats(a, 1, n);
    l->act = floats(a, s->n_mlp, n);
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
    l->read = take(a, n, 1, sizeof(size_t));
    l->known = take(a, n, 1, sizeof(size_t));
    l->random = take(a, n, DRAWN, sizeof(uint32_t));
    l->block = take(a, BLOCK, DRAWN, sizeof(uint32_t));
}

/* Twice the slots, with the last tokens in the same order. */
static int grow_ring(Lanes *l, const Shape *s) {
    size_t size = slot_size(s, l->n), n = l->n_slots ? 2 * l->n_slots : FIRST_SLOTS;
    float *ring = n > SIZE_MAX / sizeof(float) / size ? NULL : allocate_zeros(n * size * sizeof(float));
    if (!ring)
        return -1;
    for (size_t back = 1; back <= l->n_slots; back++) /* the next slot is 0 */
        memcpy(ring + (n - back) * size, slot_at(l, s, back), size * sizeof(float));
    free_zeros(l->ring);
    l->ring = ring;
    l->n_slots = n;
    l->slot = 0;
    return 0;
}

int fast_lanes_reserve(Lanes *l, const Shape *s, size_t n) {
    Arena arena = {NULL, 0, 0};
    memset(l, 0, sizeof *l);
    place_lanes(l, s, n, &arena);
    l->memory = arena.overflow ? NULL : allocate_zeros(arena.used);
    if (!l->memory)
        return -1;
    arena = (Arena){l->memory, 0, 0};
    place_lanes(l, s, n, &arena);
    l->n = n;
    return grow_ring(l, s);
}

int fast_lanes_make_room(Lanes *l, const Shape *s) {
    float most = 0.0f;
    for (size_t lane = 0; lane < l->n; lane++)
        most = l->ages[lane] > most ? l->ages[lane] : most;
    while ((size_t)most >= l->n_slots)
        if (grow_ring(l, s) < 0)
            return -1;
    return 0;
}

void fast_lanes_free(Lanes *l) {
    free_zeros(l->memory);
    free_zeros(l->ring);
}
