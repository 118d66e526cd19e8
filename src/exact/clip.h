/* What may come between the gradients and Adam: clipping by their norm, and weight decay. */
#ifndef MICROGPT_CLIP_H
#define MICROGPT_CLIP_H

#include "adam.h"
#include "model.h"

#define SQUARES (8 * W) /* squares added up between checks of whether a doubtful one mattered */

/* squares: g * g. others: the neighbour that pow(g, 2) might give instead, or a number beyond it; the same where there is no
 * doubt. NaN for magnitudes outside the range of square_in_doubt(). */
INLINE void squares_in_doubt(double *squares, double *others, const double *g) {
    const double change = 0x1p-50; /* more than the relative difference of two neighbours */
    for (size_t k = 0; k < SQUARES; k += W) {
        vd gk = vload(g + k), square = gk * gk, error;
        vm doubt = square_in_doubt(gk, square, &error);
        vd other = vselect(doubt, square * (vset1(1.0) + vcopysign(change, error)), square);
        vm inside = vand(vgt(square, vset1(1e-280)), vlt(square, vset1(1e34)));
        inside = vor(inside, vnot(vneq(gk, vset1(0.0))));
        vstore(squares + k, square);
        vstore(others + k, vselect(inside, other, vset1(NAN)));
    }
}

/* The gradients' squares, added up one after the other in parameter order. As in adam.h, a square in doubt (one in thirty)
 * seldom matters to a larger sum: the C library is called only where the other neighbour would give another sum. */
static double sum_of_squares(const double *g, size_t n, int vectors) {
    double squares[SQUARES], others[SQUARES], sum = 0.0;
    for (size_t start = 0; start < n; start += SQUARES) {
        size_t count = n - start < SQUARES ? n - start : SQUARES;
        if (vectors && count == SQUARES) {
            double next = sum;
            int differ = 0;
            squares_in_doubt(squares, others, g + start);
            for (size_t k = 0; k < SQUARES; k++) {
                double before = next;
                next += squares[k];                   /* mutant: clip-fold */
                differ |= before + others[k] != next; /* mutant: clip-doubt */
            }
            if (!differ) { /* mutant: clip-settled */
                sum = next;
                continue;
            }
        }
        /* whole vectors: the gradients are followed by zeros up to a multiple of 8 */
        square_array(squares, g + start, (count + W - 1) / W * W, vectors);
        for (size_t k = 0; k < count; k++)
            sum += squares[k];
    }
    return sum;
}

/* The first gradient whose square overflows, or n. The square of one that is not finite raises no error, in Python either. */
static size_t first_overflow(const double *g, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (fabs(g[i]) <= DBL_MAX && pow(g[i], 2.0) > DBL_MAX)
            return i;
    return n;
}

/* The length of the gradients as one vector, and where clip_norm is not 0, they are scaled down to that if they are longer.
 * Returns n_params, or the index of the first gradient whose square overflows; then nothing has changed. */
static size_t clip(const Shape *s, double *gradients, double clip_norm, double *norm) {
    size_t n = s->n_params;
    double squares = sum_of_squares(gradients, n, s->vector_libm);
    *norm = pow(squares, 0.5);
    if (!(clip_norm > 0))
        return n;
    if (!(squares <= DBL_MAX)) {
        size_t i = first_overflow(gradients, n);
        if (i < n)
            return i;
    }
    if (*norm > clip_norm) { /* not if it is NaN */
        double scale = clip_norm / *norm;
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
