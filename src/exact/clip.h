/* What may come between the gradients and Adam: clipping by their norm, and weight decay. */
#ifndef MICROGPT_CLIP_H
#define MICROGPT_CLIP_H

#include "libm.h"
#include "model.h"

/* The gradients' squares, added up one after the other in parameter order: this fold is most of what clipping costs. */
static double sum_of_squares(const double *g, size_t n, int vectors) {
    double squares[512], sum = 0.0;
    for (size_t start = 0; start < n; start += 512) {
        size_t count = n - start < 512 ? n - start : 512;
        /* whole vectors: the gradients are followed by zeros up to a multiple of 8 */
        pow_array(SQUARE, squares, g + start, (count + W - 1) / W * W, vectors);
        for (size_t k = 0; k < count; k++)
            sum += squares[k];
    }
    return sum;
}

/* The first gradient whose square overflows, or n. One that is not finite has a square without an error, in Python too. */
static size_t first_overflow(const double *g, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (fabs(g[i]) <= DBL_MAX && pow(g[i], 2.0) > DBL_MAX)
            return i;
    return n;
}

/* Scale the gradients down to length clip_norm if they are longer. Returns n_params, or the index of the first gradient whose
 * square overflows; then nothing has changed. */
static size_t clip(const Shape *s, double *gradients, double clip_norm) {
    size_t n = s->n_params;
    double squares = sum_of_squares(gradients, n, s->vector_libm);
    if (!(squares <= DBL_MAX)) {
        size_t i = first_overflow(gradients, n);
        if (i < n)
            return i;
    }
    double norm = pow(squares, 0.5);
    if (norm > clip_norm) { /* not if it is NaN */
        double scale = clip_norm / norm;
        for (size_t i = 0; i < n; i++)
            gradients[i] *= scale;
    }
    return n;
}

/* share: the learning rate times weight_decay */
static void decay(const Shape *s, double *params, double share) {
    for (size_t i = 0; i < s->n_params; i++)
        params[i] -= share * params[i];
}

#endif
