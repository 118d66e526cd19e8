/* The sampler of documents: weights and options, the common beginning of all documents, and the buffer for their tokens.
 *
 * Documents are numbered from 0 on. A document depends only on its number and the sampler: not on its lane, the other
 * documents, the threads, or the number requested.
 */
#ifndef MICROGPT_FAST_SAMPLER_H
#define MICROGPT_FAST_SAMPLER_H

#include "model.h"

#define ROW 32 /* cumulative weights that are compared at a time */

enum written { WRITTEN, WRITER_NO_MEMORY, NOT_FINITE, UNFINISHED };

struct Sampler {
    Shape shape;
    float *params; /* n_params */
    uint32_t key[2], bos;
    size_t top_k;       /* 1 .. vocab */
    float scale, top_p; /* 1 / temperature; a top_p of 2 or more omits no token */
    size_t never;       /* a token that is not chosen, BOS in a text; vocab: none */
    size_t most;        /* tokens of a document, the prompt's among them */
    int is_long;        /* documents may be longer than the block: see slide.h, which uses no beginnings */
    /* The prefix: the tokens that all documents begin with, BOS (or what stands before a text) and the prompt. */
    size_t n_prefix;
    uint32_t *prefix;
    size_t n_prefix_kv; /* of the prefix, the tokens whose keys and values are in prefix_kv: all or none */
    float *prefix_kv;   /* [layer][position][feature]: keys, then values, 2 n_embd */
    /* Beginnings: the prefix followed by up to n_levels more tokens, computed once. The prefix is beginning 0; beginning i
     * followed by token t is beginning 1 + i * vocab + t. */
    size_t n_levels, n_beginnings;
    float *cumulative;    /* [beginning][vocab, padded to whole ROWs] of the weights of the token that follows */
    float *beginnings_kv; /* [beginning][layer][feature] keys and values of its last token; unused for beginning 0 */
};

/* The documents that are being written: numbers `first` to first + n_docs - 1. Document first + i has lengths[i] tokens, the
 * prompt's among them, from tokens[i * most] on. */
struct Portion {
    uint64_t first;
    size_t n_docs;
    uint32_t *tokens, *lengths;
};

#endif
