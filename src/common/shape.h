/* A model's shape, and where its matrices are. */
#ifndef MICROGPT_SHAPE_H
#define MICROGPT_SHAPE_H

#include <stddef.h>

typedef struct {
    size_t n_layer, n_embd, n_head, head_dim, block_size, vocab;
    int relu2;        /* square the MLP's activation */
    int vector_libm;  /* exact only: pow and exp by libm.h's vectors, else the C library for each */
    size_t n_params;
    double inverse_n_embd, inverse_root; /* n_embd**-1 and (head_dim**0.5)**-1, by the C library's pow */
} Shape;

/* Where each matrix starts in the flat parameter buffer, and in the gradient buffer: row-major, the reference's order. */
typedef struct { size_t wq, wk, wv, wo, fc1, fc2; } LayerOffsets;

static inline size_t wte_offset(void) { return 0; }
static inline size_t wpe_offset(const Shape *s) { return s->vocab * s->n_embd; }
static inline size_t lm_head_offset(const Shape *s) { return wpe_offset(s) + s->block_size * s->n_embd; }
static inline LayerOffsets layer_offsets(const Shape *s, size_t layer) {
    size_t square = s->n_embd * s->n_embd;
    size_t at = lm_head_offset(s) + s->vocab * s->n_embd + layer * 12 * square;
    LayerOffsets offsets = {at, at + square, at + 2 * square, at + 3 * square, at + 4 * square, at + 8 * square};
    return offsets;
}

#endif
