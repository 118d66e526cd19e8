/* A model's shape, and where its matrices are. Python fills it in (shape.pxi): nothing here computes a size or an order. */
#ifndef MICROGPT_SHAPE_H
#define MICROGPT_SHAPE_H

#include "activations.h"

#include <stddef.h>

/* Where the matrices of a layer start in the flat parameter buffer, and in the gradient buffer; each is row-major. wq, wk and
 * wv follow one another. */
typedef struct {
    size_t wq, wk, wv, wo, fc1, fc2;
} LayerOffsets;

typedef struct {
    size_t n_layer, n_embd, n_head, head_dim, n_mlp, block_size, vocab;
    enum activation activation;
    double inverse_n_embd, inverse_root; /* n_embd**-1 and (head_dim**0.5)**-1, by the C library's pow */
    size_t n_params, wte, wpe, lm_head;  /* how many parameters; where the matrices outside the layers start */
    LayerOffsets first_layer;
    size_t layer_params; /* from a matrix to the same matrix of the next layer */
    int vector_libm;     /* exact only: pow and exp in vectors, by libm.h; else the C library for each number */
} Shape;

static inline LayerOffsets layer_offsets(const Shape *s, size_t layer) {
    size_t skipped = layer * s->layer_params; /* mutant: skipped-layers */
    LayerOffsets at = s->first_layer;
    /* mutant: layer-matrices */
    return (LayerOffsets){at.wq + skipped, at.wk + skipped,  at.wv + skipped,
                          at.wo + skipped, at.fc1 + skipped, at.fc2 + skipped};
}

#endif
