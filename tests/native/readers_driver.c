/* One model read by several threads, without Python, for fast_driver.sh: each writes with a memory of its own (the exact engine's
 * decoders and document losses; the fast engine's writers), with a team of its own for losses and writers, and fails where it gets
 * other bits than one alone. */
#include "driver.h"
#ifdef READ_exact
#include "exact/engine.h"
#else
#include "fast/engine.h"
#include "fast/writer.h"
#endif
#include "common/engine.h"
#include "simd/isa.h"

#include <pthread.h>

enum { READERS = 4, ROUNDS = 3, TOKENS = 7, WRITTEN_DOCS = 150, READ_DOCS = 50 };

typedef struct {
    const Shape *shape;
    const Kernels *kernels;
    double *params; /* which all readers share */
    uint64_t hash;
} Read;

static uint64_t hashed(uint64_t hash, const void *data, size_t size) {
    for (size_t i = 0; i < size; i++)
        hash = hash * 31 + ((const unsigned char *)data)[i];
    return hash;
}

#ifdef READ_exact
static void read_once(Read *r) {
    Trainer t = {.shape = *r->shape, .kernels = r->kernels, .params = r->params};
    Shape one_layer = *r->shape;
    Cache cache = {0};
    Group scratch = {0};
    double logits[VOCAB + 8], loss, overflowing;
    one_layer.n_layer = 1;
    if (exact_group_reserve(&scratch, &one_layer, 1, 8, 1) < 0)
        exit(2);
    for (size_t i = 0; i < TOKENS; i++) {
        if (exact_cache_reserve(&cache, r->shape, i + 1) < 0 ||
            r->kernels->decode(r->shape, r->params, &cache, &scratch, tokens[i], logits, &overflowing))
            exit(3);
        r->hash = hashed(r->hash, logits, VOCAB * sizeof(double));
    }
    for (size_t i = 0; i < 5; i++) {
        if (exact_document_loss(&t, tokens + starts[i], (size_t)(starts[i + 1] - starts[i]) + 1, &loss) != DONE)
            exit(4);
        r->hash = hashed(r->hash, &loss, sizeof loss);
    }
    Documents docs = {.tokens = tokens, .starts = starts, .n_tokens = starts[DOCS] + 1, .n_docs = DOCS};
    double losses[READ_DOCS];
    if (exact_losses(&t, &docs, 1, READ_DOCS, losses, 3) != DONE)
        exit(5);
    r->hash = hashed(r->hash, losses, sizeof losses);
    exact_cache_free(&cache);
    exact_group_free(&scratch);
    exact_trainer_free(&t);
}
#else
static void read_once(Read *r) {
    uint32_t prefix[] = {VOCAB - 1};
    Writer w = {
        .kernels = r->kernels,
        .sampler = {
            .shape = *r->shape, .key = {1, 2}, .bos = VOCAB - 1, .top_k = VOCAB, .scale = 1.0f, .top_p = 2.0f, .n_prefix = 1}};
    if (fast_writer_prepare(&w, r->params, prefix, 1e4) != WRITTEN || fast_writer_write(&w, 7, WRITTEN_DOCS, 2) != WRITTEN)
        exit(2);
    for (size_t i = 0; i < WRITTEN_DOCS; i++)
        r->hash = hashed(r->hash, w.portion.tokens + i * r->shape->block_size, w.portion.lengths[i] * sizeof(uint32_t));
    fast_writer_free(&w);
}
#endif

static void *reader(void *read) {
    for (int i = 0; i < ROUNDS; i++)
        read_once(read);
    return NULL;
}

int main(void) {
    int failed = 0;
    make_corpus();
    for (size_t s = 0; s < SHAPES; s++) {
        double *params = malloc(shapes[s].n_params * sizeof(double));
        if (!params)
            exit(1);
        state = 7;
        for (size_t i = 0; i < shapes[s].n_params; i++)
            params[i] = 0.3 * (random_unit() - 0.5);
        for (int k = 0; SYMBOL(kernels_at)(k); k++) {
            if (!isa_supported(SYMBOL(kernels_at)(k)->isa))
                continue;
            Read alone = {&shapes[s], SYMBOL(kernels_at)(k), params, 1}, reads[READERS];
            pthread_t threads[READERS];
            reader(&alone);
            for (int i = 0; i < READERS; i++) {
                reads[i] = (Read){&shapes[s], SYMBOL(kernels_at)(k), params, 1};
                if (pthread_create(&threads[i], NULL, reader, &reads[i]))
                    exit(5);
            }
            for (int i = 0; i < READERS; i++) {
                pthread_join(threads[i], NULL);
                failed |= reads[i].hash != alone.hash;
            }
        }
        free(params);
    }
    if (failed)
        puts("readers change results");
    return failed;
}
