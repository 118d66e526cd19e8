/* Tokens and their positions become vectors. (The gradients of the embeddings are in gradients.h.) */
#ifndef MICROGPT_FAST_EMBEDDING_H
#define MICROGPT_FAST_EMBEDDING_H

#include "model.h"
#include "simd/floats.h"

/* x: (n_embd) = wte[input] + wpe[position]; wte: (vocab, n_embd), wpe: (block_size, n_embd); inputs, positions: [token] */
static void embedding_forward(const Shape *s, float *x, const float *params, const uint32_t *inputs, const uint32_t *positions,
                              Columns to) {
    size_t e = s->n_embd;
    const float *wte = params + s->wte, *wpe = params + s->wpe;
    for (size_t t = to.first; t < to.end; t += W)
        for (size_t j = 0; j < e; j += W) {
            vf block[W];
            UNROLL_FOR (size_t k = 0; k < W; k++)
                block[k] = vload_some(wte + inputs[t + k] * e + j, e - j) + vload_some(wpe + positions[t + k] * e + j, e - j);
            vtranspose(block);
            if (e - j >= W)
                UNROLL_FOR (size_t k = 0; k < W; k++)
                    vstore(x + (j + k) * to.stride + t, block[k]);
            else
                for (size_t k = 0; k < e - j; k++)
                    vstore(x + (j + k) * to.stride + t, block[k]);
        }
}

#endif
