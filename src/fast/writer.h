/* What it takes to write many documents at once: each lane of the vectors writes one, and takes the next when it has ended.
 *
 * Documents are numbered from 0 on. One depends on its number, the key and the options, and on nothing else: not on its lane, the
 * other documents, the threads, or how many are asked for.
 */
#ifndef MICROGPT_FAST_WRITER_H
#define MICROGPT_FAST_WRITER_H

#include "model.h"
#include "team.h"

#define BLOCK 16 /* documents a thread takes at a time */
#define DRAWN 8  /* random numbers of a document, drawn at a time */
#define MOST_LEVELS (DRAWN - 5) /* see drawn_from() in sample.h */
#define ROW 32   /* sums of a beginning, looked through at a time */

struct Writer {
    Shape shape;
    const Kernels *kernels;
    float *params;             /* n_params */
    uint32_t key[2], bos;
    size_t top_k;              /* 1 .. vocab */
    float scale, top_p;        /* 1 / temperature; top_p of 2 or more: of all */
    size_t n_prefix;           /* the tokens that all documents begin with: BOS and the prompt */
    uint32_t *prefix;
    float *prefix_kv;          /* [layer][position][feature]: keys, then values, 2 n_embd */
    /* Beginnings: the prefix followed by up to n_levels more tokens, computed once. The prefix is number 0; token t after number i
     * is number 1 + i * vocab + t. */
    size_t n_levels, n_beginnings;
    float *cumulative;         /* [beginning][vocab] of the next token's weights; padded to whole ROWs */
    float *beginnings_kv;      /* [beginning][layer][feature] of its last token; for 0 nothing */
    /* What is written: of document first + i, lengths[i] tokens from tokens[i * block_size] on, the prompt among them. */
    uint64_t first;
    size_t n_docs, there_is;
    uint32_t *tokens, *lengths;
    Lanes *lanes;              /* a thread's each */
    size_t n_lanes;
};

/* A document's first tokens: a beginning and the token after it. open: it does not end there. */
typedef struct { size_t beginning, last; int open; } Begun;

/* A thread's lanes, `n` of them, and their activations: [feature][lane]. */
struct Lanes {
    size_t n;
    float *x, *mid, *norm, *query, *heads; /* (n_embd) */
    float *scale;              /* (1) */
    float *hidden;             /* (4 n_embd) */
    float *logits, *weights, *kept; /* (vocab); cumulative weights end up in `weights` */
    float *scores;             /* [key][W] of a head and a vector: prefix and ring */
    /* The last tokens' keys and values, [slot][layer][feature][lane]: all lanes write to the same slot, and each looks back over
     * as many as its document has since the prefix. */
    float *ring;
    size_t n_slots, slot;
    size_t n_prefix;           /* how much of the prefix is in prefix_kv */
    float *ages;               /* [lane] tokens in the ring before this one */
    uint32_t *inputs, *positions; /* [lane] */
    float *chances, *chosen;   /* [lane] the random number, and the token it chooses */
    /* The document of each lane, among the writer's; SIZE_MAX: none. */
    size_t *docs;
    uint32_t *random;          /* [lane][DRAWN] */
    /* The block that documents are taken from: the next one, and their first random numbers, [word][counter][document]. */
    size_t next, end;
    uint32_t *block;
    Begun begun[BLOCK];
    size_t n_busy;
    void *memory;              /* of all but the ring */
    int failed;
};

enum written { WRITTEN, WRITER_NO_MEMORY, NOT_FINITE };

/* Prepare: shape, kernels, key, bos, top_k, scale, top_p, n_prefix, expected documents; takes copies of params and prefix. */
int fast_writer_prepare(Writer *w, const double *params, const uint32_t *prefix, double expected);
/* Documents first .. first + n_docs - 1. */
int fast_writer_write(Writer *w, uint64_t first, size_t n_docs, size_t n_threads);
void fast_writer_free(Writer *w);

/* Twice the slots. 0, or -1 when there is no memory. */
int fast_ring_grow(Lanes *l, const Shape *s);

#endif
