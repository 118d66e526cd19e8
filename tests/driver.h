/* What the drivers of both engines train on: documents and shapes, the same on every system. */
#include "common/shape.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOCS = 60, LONGEST = 40, STEPS = 3, VOCAB = 11 };

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

enum { SHAPES = 4 };

static Shape shape_at(size_t i) {
    static const size_t sizes[SHAPES][4] = {{1, 16, 4, 16}, {2, 24, 2, 40}, {1, 9, 3, 7}, {1, 80, 5, 16}};
    size_t l = sizes[i][0], e = sizes[i][1], h = sizes[i][2], block = sizes[i][3]; /* layers, width, heads, block */
    return (Shape){.n_layer = l, .n_embd = e, .n_head = h, .head_dim = e / h, .block_size = block, .vocab = VOCAB,
                   .relu2 = i == 1, .n_params = (2 * VOCAB + block) * e + 12 * l * e * e,
                   .inverse_n_embd = 1.0 / (double)e, .inverse_root = 1.0 / sqrt((double)(e / h))};
}
