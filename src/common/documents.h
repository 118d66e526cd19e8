/* What training is given (documents and options), which documents a step uses, and how training ends. */
#ifndef MICROGPT_DOCUMENTS_H
#define MICROGPT_DOCUMENTS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint32_t *tokens; /* n_tokens: BOS d0 BOS d1 BOS ..., or those of a text */
    const uint64_t *starts; /* n_docs + 1: each document's first BOS; NULL: the documents are the windows of a text */
    size_t n_tokens, n_docs;
    size_t first, length; /* where window 0 starts, and how many tokens further on each window ends */
} Documents;

/* The numbers of a TrainConfig that the kernels use besides Adam's own, under the same names; None is 0. */
#define FOR_EACH_NUMBER(X) X(clip_norm) X(weight_decay)

typedef struct {
    size_t batch_size, n_threads;
#define FIELD(name) double name;
    FOR_EACH_NUMBER(FIELD)
#undef FIELD
} Options;

/* Number i of the options, and its name; NULL after the last. */
static inline double *option_number(Options *o, int i, const char **name) {
#define NAME(name) #name,
#define PLACE(name) &o->name,
    const char *const names[] = {FOR_EACH_NUMBER(NAME) NULL};
    double *const places[] = {FOR_EACH_NUMBER(PLACE) NULL};
#undef NAME
#undef PLACE
    *name = names[i];
    return places[i];
}

enum outcome { DONE, NO_MEMORY, BAD_CORPUS, LOSS_NOT_FINITE, GRADIENT_OVERFLOW };

/* How many tokens of a document are predicted, of `length` tokens with both BOS: those after the first, cut at block_size. */
static inline size_t predictions(size_t length, size_t block_size) {
    return length - 1 < block_size ? length - 1 : block_size; /* mutant: truncation */
}

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15) /* microgpt.reference.GOLDEN */

/* Where document i of a text starts, as microgpt.reference.window() says. There are fewer than 2**32. */
static inline uint64_t window(const Documents *docs, uint64_t i) {
    return (docs->first + ((i * GOLDEN >> 32) * docs->n_docs >> 32)) % docs->n_docs; /* mutant: next-window */
}

/* Document j of a step (both from 0), as microgpt.reference.batch() says: its tokens, and how many are predicted. 0 where the
 * corpus is not as Documents says. */
static inline size_t batch_document(const Documents *docs, size_t step, size_t j, size_t batch_size, size_t block_size,
                                    const uint32_t **tokens) {
    size_t n = docs->n_docs;
    /* mutant: first-document */
    size_t first = (size_t)((uint64_t)(step % n) * (batch_size % n) % n); /* corpora have fewer than 2**32 documents */
    size_t doc = (first + j % n) % n;                                     /* mutant: next-document */
    uint64_t start = docs->starts ? docs->starts[doc] : window(docs, doc);
    uint64_t end = docs->starts ? docs->starts[doc + 1] : start + docs->length;
    if (start >= end || end >= docs->n_tokens)
        return 0;
    *tokens = docs->tokens + start;
    return predictions((size_t)(end - start) + 1, block_size);
}

#endif
