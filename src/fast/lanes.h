/* A thread's lanes, which write documents: each lane of the vectors writes one, and then takes the next.
 *
 * The activations hold what a lane computes for one token, until the next token; the ring holds the keys and values of its
 * last tokens.
 */
#ifndef MICROGPT_FAST_LANES_H
#define MICROGPT_FAST_LANES_H

#include "model.h"

#define BLOCK 16 /* documents that a thread takes at a time */
#define DRAWN 8  /* random numbers of a document that are drawn at a time */

/* A document's first tokens: a beginning (see sampler.h) and the token after it. open: the document does not end there. */
typedef struct {
    size_t beginning, last;
    int open;
} Begun;

struct Lanes {
    size_t n;
    /* Activations, [feature][lane] */
    float *x, *mid, *norm, *query, *heads; /* (n_embd) */
    float *scale;                          /* (1) */
    float *act;                            /* (n_mlp) */
    float *logits, *weights, *kept;        /* (vocab) */
    float *scores;                         /* [key][W], of one head and one vector of lanes */
    /* Keys and values, [slot][layer][feature][lane]. All lanes write to the same slot, and each looks back over as many slots
     * as its document has tokens since the prefix. */
    float *ring;
    size_t n_slots, slot; /* slot: the one to write next */
    /* The next token of each lane, [lane] */
    uint32_t *inputs, *positions;
    float *ages;             /* tokens of its document that are in the ring */
    float *chances, *chosen; /* the random number, and the token it chooses */
    size_t *docs;            /* the lane's document, counted from the portion's first; SIZE_MAX: none */
    uint32_t *random;        /* [lane][DRAWN] */
    size_t *read, *known;    /* of its document's tokens, the one that is read and how many there are; see slide.h */
    size_t n_busy;           /* lanes that have a document */
    /* The block that documents are taken from: the next one, the block's end, and the first random numbers of each. */
    size_t next, end;
    uint32_t *block; /* [word][counter][document] */
    Begun begun[BLOCK];
    int outcome;  /* an enum written, see sampler.h */
    void *memory; /* of everything but the ring */
};

/* The floats of one slot of the ring. */
static inline size_t slot_size(const Shape *s, size_t n) { return s->n_layer * 2 * s->n_embd * n; }

/* The slot of the token `back` before the next one. */
static inline float *slot_at(const Lanes *l, const Shape *s, size_t back) {
    size_t slot = l->slot >= back ? l->slot - back : l->slot + l->n_slots - back;
    return l->ring + slot * slot_size(s, l->n);
}

/* The next token has been written to its slot. */
static inline void slot_done(Lanes *l) { l->slot = l->slot + 1 == l->n_slots ? 0 : l->slot + 1; }

/* Each returns 0, or -1 when there is no memory. Lanes that could not be reserved may be freed. */
int fast_lanes_reserve(Lanes *l, const Shape *s, size_t n);
int fast_lanes_make_room(Lanes *l, const Shape *s); /* in the ring, for the next token of every lane */
void fast_lanes_free(Lanes *l);

#endif
