/* The exact engine without Python, for cross_compile.sh and fast_driver.sh: trains some models and writes with them, with each
 * instruction set, on one thread and on several, with the C library alone and (where it is good enough for them) with vectors in
 * its place, fails where a bit differs, and prints the losses. */
#include "driver.h"
#include "exact/engine.h"
#include "simd/isa.h"

enum { TOKENS = 7 }; /* of a document that is written */

/* The last loss; in `results` (malloc) what was trained, the gradients after it, and a document's logits. */
static double run(Shape shape, const Kernels *kernels, size_t batch_size, size_t threads, double **results) {
    Documents docs = {.tokens = tokens, .starts = starts, .n_tokens = starts[DOCS] + 1, .n_docs = DOCS};
    size_t n = shape.n_params, n_losses;
    double lr[STEPS], losses[STEPS], overflowing, loss;
    double *params = *results = calloc(2 * n + TOKENS * VOCAB, sizeof(double)), *logits = params + 2 * n;
    Options options = {batch_size, threads, .clip_norm = batch_size > 5 ? 0.5 : 0.0, .weight_decay = 0.01};
    Trainer t = {.shape = shape, .kernels = kernels, .params = params, .adam = {.beta1 = 0.85, .beta2 = 0.99, .eps = 1e-8}};
    if (!params || exact_adam_reserve(&t.adam, &shape) < 0)
        exit(2);
    t.pace = (Pace){.batch_size = batch_size, .alone = 1, .team = 1e9, .patience = 1}; /* the team at once */
    state = 7;
    for (size_t i = 0; i < n; i++)
        params[i] = 0.3 * (random_unit() - 0.5);
    for (size_t i = 0; i < STEPS; i++)
        lr[i] = 0.01;
    if (exact_train(&t, &docs, 3, STEPS, &options, lr, losses, &n_losses, &overflowing) != DONE || n_losses != STEPS ||
        exact_batch_gradients(&t, &docs, 5, &options, &loss) != DONE)
        exit(3);
    memcpy(params + n, t.adam.gradients, n * sizeof(double));
    Cache cache = {0};
    Group scratch = {0};
    Shape one_layer = shape;
    one_layer.n_layer = 1;
    if (exact_group_reserve(&scratch, &one_layer, 1, 8, 1) < 0)
        exit(4);
    for (size_t i = 0; i < TOKENS; i++)
        if (exact_cache_reserve(&cache, &shape, i + 1) < 0 ||
            kernels->decode(&shape, params, &cache, &scratch, tokens[i], logits + i * VOCAB, &overflowing))
            exit(5);
    exact_cache_free(&cache);
    exact_group_free(&scratch);
    exact_trainer_free(&t);
    return loss;
}

int main(void) {
    static const size_t batches[] = {1, 5, 60};
    int failed = 0;
    make_corpus();
    for (size_t s = 0; s < SHAPES; s++)
        for (size_t b = 0; b < 3; b++) {
            double *expected = NULL;
            for (int i = 0; exact_kernels_at(i); i++) {
                const Kernels *kernels = exact_kernels_at(i);
                if (!isa_supported(kernels->isa))
                    continue;
                for (int way = 0; way < (kernels->libm_agrees() ? 4 : 2); way++) {
                    Shape shape = shapes[s];
                    double *results;
                    int vectors = shape.vector_libm = way >= 2;
                    double loss = run(shape, kernels, batches[b], way % 2 ? 3 : 1, &results);
                    if (s + b == 0 && way % 2 == 0)
                        fprintf(stderr, "%s%s\n", kernels->isa, vectors ? ", vectors" : "");
                    if (!expected) {
                        expected = results;
                        printf("%d %s %d %.5f\n", (int)shape.n_embd, activation_name(shape.activation), (int)batches[b], loss);
                        continue;
                    }
                    failed |= memcmp(results, expected, (2 * shape.n_params + TOKENS * VOCAB) * sizeof(double)) != 0;
                    free(results);
                }
            }
            free(expected);
        }
    if (failed)
        puts("instruction sets or threads change results");
    return failed;
}
