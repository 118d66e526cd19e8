/* What the drivers of both engines train on: documents and shapes, the same on every system. */
#include "common/shape.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shapes.h" /* printed by driver_shapes.py */

enum { DOCS = 60, LONGEST = 40, STEPS = 3 };

static uint64_t state = 1;
static double random_unit(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) * 0x1p-53;
}

static uint32_t tokens[DOCS * (LONGEST + 1) + 1];
static uint64_t starts[DOCS + 1];

static void make_corpus(void) {
    size_t at = 0;
    for (size_t i = 0; i < DOCS; i++) {
        starts[i] = at;
        tokens[at++] = VOCAB - 1;
        for (size_t n = 1 + (size_t)(random_unit() * LONGEST); n > 0; n--)
            tokens[at++] = (uint32_t)(random_unit() * (VOCAB - 1));
    }
    starts[DOCS] = at;
    tokens[at] = VOCAB - 1;
}
