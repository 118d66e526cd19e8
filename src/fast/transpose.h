/* Activations, [feature][token], to and from their transposes: [token][feature], a row padded to whole vectors. */
#ifndef MICROGPT_FAST_TRANSPOSE_H
#define MICROGPT_FAST_TRANSPOSE_H

#include "blocks.h"
#include "model.h"
#include "simd/floats.h"

/* x_t = x transposed, for tokens first to end of x, which become the first of x_t; n_rows features, zeros in the padding. */
INLINE void transpose_to(float *x_t, const float *x, size_t n_rows, size_t first, size_t end, size_t stride) {
    size_t padded = rounded_up(n_rows, W);
    for (size_t t = first; t < end; t += W)
        for (size_t j = 0; j < padded; j += W) {
            vf block[W];
            UNROLL_FOR (size_t k = 0; k < W; k++)
                block[k] = j + k < n_rows ? vload(x + (j + k) * stride + t) : vset1(0.0f);
            vtranspose(block);
            UNROLL_FOR (size_t k = 0; k < W; k++)
                vstore(x_t + (t - first + k) * padded + j, block[k]);
        }
}

/* ---- In panels: [panel][token][feature of the panel], see blocks.h ---- */

/* Features j.. of a token, where j is a multiple of W */
INLINE float *transposed_at(float *x_t, size_t columns, size_t j, size_t t) {
    return x_t + j / PANEL * PANEL * columns + t * PANEL + j % PANEL;
}

/* For the tokens `to`, which keep their places among the `columns` tokens of the group */
static void transpose(float *x_t, const float *x, size_t n_rows, size_t columns, Columns to) {
    for (size_t t = to.first; t < to.end; t += W)
        for (size_t j = 0; j < n_rows; j += W) {
            vf block[W];
            UNROLL_FOR (size_t k = 0; k < W; k++)
                block[k] = j + k < n_rows ? vload(x + (j + k) * to.stride + t) : vset1(0.0f);
            vtranspose(block);
            float *at = transposed_at(x_t, columns, j, t);
            UNROLL_FOR (size_t k = 0; k < W; k++)
                vstore(at + k * PANEL, block[k]);
        }
}

/* x = x_t transposed back */
static void transpose_back(float *x, const float *x_t, size_t n_rows, size_t n_tokens, size_t stride) {
    size_t padded = rounded_up(n_rows, W);
    for (size_t t = 0; t < n_tokens; t += W)
        for (size_t j = 0; j < n_rows; j += W) {
            vf block[W];
            UNROLL_FOR (size_t k = 0; k < W; k++)
                block[k] = vload(x_t + (t + k) * padded + j);
            vtranspose(block);
            for (size_t k = 0; k < smaller(W, n_rows - j); k++)
                vstore(x + (j + k) * stride + t, block[k]);
        }
}

#endif
