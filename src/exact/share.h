/* A thread's part of a group's rows, columns or heads. */
#ifndef MICROGPT_SHARE_H
#define MICROGPT_SHARE_H

#include "model.h"
#include "simd/doubles.h"

typedef struct {
    size_t first, end;
} Range;

INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* The next multiple of a vector. */
INLINE size_t padded_to_vector(size_t n) { return (n + W - 1) / W * W; }

/* This thread's share of n, in whole units except for the last. */
INLINE Range share_of(const Share *w, size_t n, size_t unit) {
    size_t units = (n + unit - 1) / unit;
    return (Range){smaller(units * w->index / w->n * unit, n), smaller(units * (w->index + 1) / w->n * unit, n)};
}

/* Wait for the others: what each wrote before can be read after it. */
INLINE void meet(const Share *w) {
    if (w->n > 1)
        SYMBOL(team_barrier)(w->team);
}

#endif
