/* Aligned memory, and blocks of it given out piece by piece. Sizes are computed with overflow checks before anything is asked
 * for. */
#ifndef MICROGPT_ARENA_H
#define MICROGPT_ARENA_H

#include "engine.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define ALIGNMENT 64 /* a cache line, and the widest vector */

void SYMBOL(ask_for_large_pages)(void *block, size_t bytes); /* before it is used; a small block does not get them */

/* Zeros; NULL when there is no memory. */
static inline void *allocate_zeros(size_t bytes) {
    if (bytes > PTRDIFF_MAX - 2 * ALIGNMENT)
        return NULL;
    /* The address malloc gave is kept just before the aligned block. */
    char *block = calloc(1, bytes + 2 * ALIGNMENT);
    if (!block)
        return NULL;
    SYMBOL(ask_for_large_pages)(block, bytes);
    char *aligned = block + ALIGNMENT + (ALIGNMENT - (uintptr_t)block % ALIGNMENT) % ALIGNMENT;
    ((void **)aligned)[-1] = block;
    return aligned;
}

static inline void free_zeros(void *p) {
    if (p)
        free(((void **)p)[-1]);
}

/* Without a base it only counts. */
typedef struct {
    char *base;
    size_t used; /* bytes */
    int overflow;
} Arena;

/* rows * columns items of `size` bytes each, aligned. */
static inline void *take(Arena *a, size_t rows, size_t columns, size_t size) {
    if (columns && rows > SIZE_MAX / size / columns) {
        a->overflow = 1;
        return NULL;
    }
    size_t bytes = rows * columns * size, start = a->used;
    if (bytes > SIZE_MAX - ALIGNMENT - start) {
        a->overflow = 1;
        return NULL;
    }
    a->used = start + (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return a->base ? a->base + start : NULL;
}

#endif
