/* What training is given, and how it ends: the same for both engines. */
#ifndef MICROGPT_TRAINING_H
#define MICROGPT_TRAINING_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint32_t *tokens; /* n_tokens: BOS d0 BOS d1 BOS ... */
    const uint64_t *starts; /* n_docs + 1 */
    size_t n_tokens, n_docs;
} Documents;

enum outcome { DONE, NO_MEMORY, BAD_CORPUS, LOSS_NOT_FINITE, GRADIENT_OVERFLOW };

#endif
