/* The fast engine without Python, for tests/fast_driver.sh: trains some models with each instruction set on one thread and on
 * several, fails where a bit differs, and prints the losses. */
#include "fast/engine.h"
#include "simd/isa.h"

#include <math.h>
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

/* The last loss, and in `params` (malloc) what was trained. */
static double run(Shape shape, const Kernels *kernels, const Options *options, float **params) {
    Documents docs = {tokens, starts, starts[DOCS] + 1, DOCS};
    Trainer t = {.shape = shape, .kernels = kernels, .beta1 = 0.85f, .beta2 = 0.99f, .eps = 1e-8};
    double losses[STEPS], lr[STEPS], loss;
    size_t n_losses;
    if (trainer_reserve(&t) < 0)
        exit(2);
    state = 7;
    for (size_t i = 0; i < shape.n_params; i++)
        t.params[i] = (float)(0.3 * (random_unit() - 0.5));
    for (size_t i = 0; i < STEPS; i++)
        lr[i] = 0.01;
    t.pace = (Pace){.batch_size = options->batch_size, .alone = 1, .team = 1e9, .patience = 1}; /* the team at once */
    if (train(&t, &docs, 3, options, STEPS, lr, losses, &n_losses) != DONE || n_losses != STEPS ||
        batch_gradients(&t, &docs, 5, options, &loss) != DONE)
        exit(3);
    *params = malloc(2 * shape.n_params * sizeof(float));
    memcpy(*params, t.params, shape.n_params * sizeof(float));
    memcpy(*params + shape.n_params, t.gradients, shape.n_params * sizeof(float));
    uint32_t before = tokens[1]; /* a document that no thread may get stuck on */
    tokens[1] = VOCAB;
    if (train(&t, &docs, 0, options, STEPS, lr, losses, &n_losses) != BAD_CORPUS || n_losses != 0)
        exit(4);
    tokens[1] = before;
    trainer_free(&t);
    return loss;
}

int main(void) {
    static const size_t sizes[][4] = {{1, 16, 4, 16}, {2, 24, 2, 40}, {1, 9, 3, 7}, {1, 80, 5, 16}}; /* layers, width, heads, block */
    static const size_t batches[] = {1, 5, 16, 33, 60};
    int failed = 0;
    make_corpus();
    for (size_t s = 0; s < 4; s++)
        for (size_t b = 0; b < 5; b++) {
            size_t l = sizes[s][0], e = sizes[s][1], h = sizes[s][2], block = sizes[s][3];
            Shape shape = {.n_layer = l, .n_embd = e, .n_head = h, .head_dim = e / h, .block_size = block, .vocab = VOCAB,
                           .relu2 = s == 1, .n_params = (2 * VOCAB + block) * e + 12 * l * e * e,
                           .inverse_n_embd = 1.0 / (double)e, .inverse_root = 1.0 / sqrt((double)(e / h))};
            for (int i = 0; kernels_at(i); i++) {
                if (!isa_supported(kernels_at(i)->isa))
                    continue;
                float *expected;
                double loss = run(shape, kernels_at(i), &(Options){batches[b], 1, b % 2 ? 0.5 : 0.0, 0.01}, &expected);
                printf("%zu %zu %.5f\n", e, batches[b], loss);
                for (size_t threads = 2; threads <= 3; threads++) {
                    float *params;
                    run(shape, kernels_at(i), &(Options){batches[b], threads, b % 2 ? 0.5 : 0.0, 0.01}, &params);
                    failed |= memcmp(params, expected, 2 * shape.n_params * sizeof(float)) != 0;
                    free(params);
                }
                free(expected);
            }
        }
    if (failed)
        puts("threads change results");
    return failed;
}
