/* Is this machine's C library as accurate as libm.h takes it to be? */
#ifndef MICROGPT_SELFTEST_H
#define MICROGPT_SELFTEST_H

#include "adam.h"
#include "libm.h"

/* Pseudo-random doubles; the same ones everywhere. */
static double random_unit(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-53;
}

INLINE vm root_vector(vd x, double margin, vd *root) {
    vd error;
    *root = vsqrt(x);
    return root_in_doubt(x, *root, margin, &error);
}

/* True if `libm` is the rounded `vector` in every lane that is outside the margin, but not outside twice the margin: there a
 * less accurate library is the first to differ. x: from 2**low to 2**high, or -x from there up to 0 for exp. */
#define AGREES(vector, libm, draw)                                                                                             \
    for (int round = 0; round < 4096; round += W) {                                                                            \
        double xs[W], narrow[W], wide[W];                                                                                      \
        vd result;                                                                                                             \
        for (size_t i = 0; i < W; i++)                                                                                         \
            xs[i] = draw;                                                                                                      \
        unsigned doubt = vbits(vector(vload(xs), MARGIN, &result));                                                            \
        vstore(narrow, result);                                                                                                \
        unsigned near = vbits(vector(vload(xs), 2 * MARGIN, &result)) & ~doubt;                                                \
        vstore(wide, result);                                                                                                  \
        for (size_t i = 0; near; i++, near >>= 1) {                                                                            \
            double x = xs[i];                                                                                                  \
            if ((near & 1) && (narrow[i] != (libm) || wide[i] != (libm)))                                                      \
                return 0;                                                                                                      \
        }                                                                                                                      \
    }

/* A few hundred values next to midpoints for each function; takes less than a millisecond. */
static int libm_agrees(void) {
    uint64_t state = 42;
    int exponent = 0;
#define SPREAD(low, high) ldexp(1 + random_unit(&state), (low) + exponent++ % ((high) - (low)))
#define VECTOR(x, margin, y) pow_vector(SQUARE, x, margin, y)
    AGREES(VECTOR, pow(x, 2.0), SPREAD(-60, 30))
#undef VECTOR
#define VECTOR(x, margin, y) pow_vector(INVERSE, x, margin, y)
    AGREES(VECTOR, pow(x, -1.0), SPREAD(0, 12))
#undef VECTOR
#define VECTOR(x, margin, y) pow_vector(INVERSE_SQUARE, x, margin, y)
    AGREES(VECTOR, pow(x, -2.0), SPREAD(0, 12))
#undef VECTOR
#define VECTOR(x, margin, y) pow_vector(INVERSE_ROOT, x, margin, y)
    AGREES(VECTOR, pow(x, -0.5), SPREAD(-17, 20))
#undef VECTOR
#define VECTOR(x, margin, y) pow_vector(INVERSE_ROOT_CUBED, x, margin, y)
    AGREES(VECTOR, pow(x, -1.5), SPREAD(-17, 20))
#undef VECTOR
#define VECTOR(x, margin, y) root_vector(x, margin, y)
    AGREES(VECTOR, pow(x, 0.5), SPREAD(-120, 20))
#undef VECTOR
    AGREES(exp_vector, exp(x), -32 * random_unit(&state))
    return 1;
}

#endif
