/* The fast engine without Python, for fast_driver.sh and cross_compile.sh: trains some models and writes with them, with each
 * instruction set on one thread and on several, fails where a bit differs, and prints the losses. */
#include "driver.h"
#include "fast/engine.h"
#include "fast/writer.h"
#include "simd/isa.h"

enum { WRITTEN_DOCS = 300 };

#ifdef __SANITIZE_THREAD__ /* takes twenty times as long: a third of the work */
enum { FIRST_BATCH = 1, NEXT_BATCH = 2 };
#else
enum { FIRST_BATCH = 0, NEXT_BATCH = 1 };
#endif

/* The last loss, and in `params` (malloc) what was trained. */
static double run(Shape shape, const Kernels *kernels, const Options *options, float **params) {
    Documents docs = {.tokens = tokens, .starts = starts, .n_tokens = starts[DOCS] + 1, .n_docs = DOCS};
    Trainer t = {.shape = shape, .kernels = kernels, .beta1 = 0.85f, .beta2 = 0.99f, .eps = 1e-8};
    double losses[STEPS], lr[STEPS], loss;
    size_t n_losses;
    if (fast_trainer_reserve(&t) < 0)
        exit(2);
    state = 7;
    for (size_t i = 0; i < shape.n_params; i++)
        t.params[i] = (float)(0.3 * (random_unit() - 0.5));
    for (size_t i = 0; i < STEPS; i++)
        lr[i] = 0.01;
    t.pace = (Pace){.batch_size = options->batch_size, .alone = 1, .team = 1e9, .patience = 1}; /* the team at once */
    if (fast_train(&t, &docs, 3, STEPS, options, lr, losses, &n_losses) != DONE || n_losses != STEPS ||
        fast_batch_gradients(&t, &docs, 5, options, &loss) != DONE)
        exit(3);
    *params = malloc(2 * shape.n_params * sizeof(float));
    memcpy(*params, t.params, shape.n_params * sizeof(float));
    memcpy(*params + shape.n_params, t.gradients, shape.n_params * sizeof(float));
    uint32_t before = tokens[1]; /* a document that no thread may get stuck on */
    tokens[1] = VOCAB;
    if (fast_train(&t, &docs, 0, STEPS, options, lr, losses, &n_losses) != BAD_CORPUS || n_losses != 0)
        exit(4);
    tokens[1] = before;
    fast_trainer_free(&t);
    return loss;
}

/* A hash of documents that start beyond what 32 bits can number. */
static uint64_t written(Shape shape, const Kernels *kernels, const float *trained, size_t threads) {
    Sampler sampler = {.shape = shape,
                       .key = {1, 2},
                       .bos = VOCAB - 1,
                       .top_k = VOCAB - 2,
                       .scale = 1.5f,
                       .top_p = 0.95f,
                       .most = shape.block_size,
                       .n_prefix = 2};
    Writer w = {.kernels = kernels, .sampler = sampler};
    uint32_t prefix[] = {VOCAB - 1, 4};
    double *params = malloc(shape.n_params * sizeof(double));
    uint64_t hash = 0;
    for (size_t i = 0; i < shape.n_params; i++)
        params[i] = trained[i];
    if (fast_writer_prepare(&w, params, prefix, 1e4) != WRITTEN ||
        fast_writer_write(&w, 1ull << 33, WRITTEN_DOCS, threads) != WRITTEN)
        exit(5);
    for (size_t i = 0; i < WRITTEN_DOCS; i++)
        for (size_t n = 0; n < w.portion.lengths[i]; n++)
            hash = hash * 31 + w.portion.tokens[i * shape.block_size + n] + 1;
    fast_writer_free(&w);
    free(params);
    return hash;
}

int main(void) {
    static const size_t batches[] = {1, 5, 16, 33, 60};
    int failed = 0;
    make_corpus();
    for (size_t s = 0; s < SHAPES; s++)
        for (size_t b = FIRST_BATCH; b < 5; b += NEXT_BATCH) {
            Shape shape = shapes[s];
            for (int i = 0; fast_kernels_at(i); i++) {
                if (!isa_supported(fast_kernels_at(i)->isa))
                    continue;
                float *expected;
                double loss = run(shape, fast_kernels_at(i), &(Options){batches[b], 1, b % 2 ? 0.5 : 0.0, 0.01}, &expected);
                uint64_t documents = written(shape, fast_kernels_at(i), expected, 1);
                printf("%d %d %.5f\n", (int)shape.n_embd, (int)batches[b], loss);
                for (size_t threads = 2; threads <= 3; threads++) {
                    float *params;
                    run(shape, fast_kernels_at(i), &(Options){batches[b], threads, b % 2 ? 0.5 : 0.0, 0.01}, &params);
                    failed |= memcmp(params, expected, 2 * shape.n_params * sizeof(float)) != 0;
                    failed |= written(shape, fast_kernels_at(i), expected, threads) != documents;
                    free(params);
                }
                free(expected);
            }
        }
    if (failed)
        puts("threads change results");
    return failed;
}
