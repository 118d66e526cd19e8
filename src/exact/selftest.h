/* Is this machine's C library as accurate as libm.h takes it to be, and does the compiler keep each operation as it is written? */
#ifndef MICROGPT_SELFTEST_H
#define MICROGPT_SELFTEST_H

#include "libm.h"

/* Pseudo-random doubles; the same ones everywhere. */
static double random_unit(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-53;
}

/* True if the C library's f(x) is the rounded vector in every lane that is outside the margin, but inside twice the margin,
 * where a less accurate library would be the first to differ. x: some numbers from 2**low to 2**high, or for exp from
 * -EXP_LIMIT to 0. */
INLINE int agrees(const enum function f, int low, int high, uint64_t *state) {
    for (int first = 0; first < 4096; first += W) {
        double x[W], narrow[W], wide[W];
        vd result;
        for (int i = 0; i < W; i++)
            x[i] = f == EXP ? -EXP_LIMIT * random_unit(state) : ldexp(1 + random_unit(state), low + (first + i) % (high - low));
        unsigned doubt = vbits(by_vectors(f, vload(x), MARGIN, &result));
        vstore(narrow, result);
        unsigned near = vbits(by_vectors(f, vload(x), 2 * MARGIN, &result)) & ~doubt;
        vstore(wide, result);
        FOR_EACH_BIT (i, 0, near) {
            double expected = by_libm(f, x[i]);
            if (narrow[i] != expected || wide[i] != expected)
                return 0;
        }
    }
    return 1;
}

/* A few hundred values next to midpoints for each function; takes less than a millisecond. */
static int libm_agrees(void) {
    uint64_t state = 42;
    return agrees(SQUARE, -60, 30, &state) && agrees(INVERSE, 0, 12, &state) && agrees(INVERSE_SQUARE, 0, 12, &state) &&
           agrees(INVERSE_ROOT, -17, 20, &state) && agrees(INVERSE_ROOT_CUBED, -17, 20, &state) &&
           agrees(ROOT, -120, 20, &state) && agrees(EXP, 0, 0, &state);
}

/* False if products and sums are fused, or sums reordered, in vectors or one by one. */
static int rounds_as_written(void) {
    volatile double x = 1 + 0x1p-30, square = 1 + 0x1p-29, one = 1, large = 0x1p60; /* unknown to the compiler */
    vd vx = vset1(x), v_large = vset1(large);
    double vector[W], a = x, b = square, c = one, d = large;
    vstore(vector, vx * vx - vset1(square) + (vset1(one) + v_large - v_large));
    return a * a - b == 0 && c + d - d == 0 && vector[0] == 0;
}

#endif
