/* exp and pow as this machine's C library gives them, to the last bit, at vector speed.
 *
 * CPython computes x**k and math.exp(x) with the C library, and the bits of a run are the C library's. A good one (glibc) errs
 * by at most 0.511 units in the last place for exp and hardly more for pow: its result is the correctly rounded one unless
 * the true value lies within about 0.011 units of the midpoint of two doubles. So compute in vectors, as an unevaluated sum
 * hi + lo good to about 2**-64; round it; and where the sum is within MARGIN of a midpoint, which is rare, call the C library.
 *
 * libm_agrees() tests whether this machine's C library is that accurate. If it is not, the library computes every value.
 */
#ifndef MICROGPT_LIBM_H
#define MICROGPT_LIBM_H

#include <float.h>

#include "simd/doubles.h"

#if defined(__GNUC__)
#define RARELY(x) __builtin_expect(!!(x), 0)
#else
#define RARELY(x) (x)
#endif

#define MARGIN 0.015 /* in units in the last place; enough for powers from 1e-35 to 1e35 */

/* a * b + c with or without a rounding in between: for numbers whose last bits do not matter. */
INLINE vd fused(vd a, vd b, vd c) {
#ifdef HAVE_FMA
    return vfma(a, b, c);
#else
    return a * b + c;
#endif
}

/* Round hi + lo (|lo| << |hi|, hi > 0). True in the lanes whose rounding is in doubt. */
INLINE vm round_sum(vd hi, vd lo, double margin, vd *rounded) {
    vd sum = hi + lo;
    vd rest = lo - (sum - hi);
    *rounded = sum;
    return vnlt(vabs(rest), vspacing(sum, 2 - 4 * margin)); /* "not less", so that NaN is in doubt too */
}

/* What the reference computes with the C library, besides log: exp(x), and x ** k for k = 2, -1, -2, 0.5, -0.5, -1.5. */
enum function { EXP, SQUARE, INVERSE, INVERSE_SQUARE, ROOT, INVERSE_ROOT, INVERSE_ROOT_CUBED };

INLINE double by_libm(const enum function f, double x) {
    switch (f) {
    case EXP: return exp(x);
    case SQUARE: return pow(x, 2.0);
    case INVERSE: return pow(x, -1.0);
    case INVERSE_SQUARE: return pow(x, -2.0);
    case ROOT: return pow(x, 0.5);
    case INVERSE_ROOT: return pow(x, -0.5);
    case INVERSE_ROOT_CUBED: return pow(x, -1.5);
    }
    return NAN;
}

/* ---- x ** k, for x = 0 or from 1e-20 to 1e20; the rest is in doubt -------------------------------------------------- */

INLINE void inverse_dd(vd x, vd *hi, vd *lo) {
    vd q = vset1(1.0) / x;
    vd p = q * x;
    vd e = product_error(q, x, p);
    *hi = q;
    *lo = q * ((vset1(1.0) - p) - e);
}

INLINE void inverse_root_dd(vd x, vd *hi, vd *lo) { /* a Newton step from y: y + y/2 * (1 - y*y*x) */
    vd y = vset1(1.0) / vsqrt(x);
    vd yy = y * y;
    vd yy_lo = product_error(y, y, yy);
    vd p = yy * x;
    vd e = product_error(yy, x, p);
    *hi = y;
    *lo = (vset1(0.5) * y) * (((vset1(1.0) - p) - e) - yy_lo * x);
}

INLINE void multiply_dd(vd *hi, vd *lo, vd by, vd by_lo) {
    vd p = *hi * by;
    *lo = product_error(*hi, by, p) + (*hi * by_lo + *lo * by);
    *hi = p;
}

/* f: SQUARE, INVERSE, INVERSE_SQUARE, INVERSE_ROOT or INVERSE_ROOT_CUBED */
INLINE vm pow_vector(const enum function f, vd x, double margin, vd *y) {
    vd hi, lo, q, q_lo;
    if (f == SQUARE) {
        hi = x * x;
        lo = product_error(x, x, hi);
    } else if (f == INVERSE || f == INVERSE_SQUARE)
        inverse_dd(x, &hi, &lo);
    else
        inverse_root_dd(x, &hi, &lo);
    if (f == INVERSE_SQUARE)
        multiply_dd(&hi, &lo, hi, lo);
    if (f == INVERSE_ROOT_CUBED) {
        inverse_dd(x, &q, &q_lo);
        multiply_dd(&hi, &lo, q, q_lo);
    }
    vm inside = vand(vgt(x, vset1(1e-20)), vlt(x, vset1(1e20)));
    if (f == SQUARE)
        inside = vor(inside, vnot(vneq(x, vset1(0.0))));
    return vor(round_sum(hi, lo, margin, y), vnot(inside));
}

/* True where pow(x, 0.5) might be the neighbour of `root`, sqrt(x) rounded, on the side of *error's sign; x from 1e-70 to 1e70,
 * or 0. */
INLINE vm root_in_doubt(vd x, vd root, double margin, vd *error) {
#ifdef HAVE_FMA
    *error = vfnma(root, root, x);
#else
    vd square = root * root;
    *error = (x - square) - square_error(root, square);
#endif
    return vgt(vabs(*error), vset1(2.0) * root * vspacing(root, 2 - 4 * margin)); /* the true root: root + error / (2 * root) */
}

/* ---- exp(x) for |x| < EXP_LIMIT, the rest is in doubt --------------------------------------------------------------- */

/* Up to here no result is denormal or infinite, and the product of k below and the first part of ln2/16 is exact. */
#ifdef HAVE_FMA
#define EXP_LIMIT 700.0
#else
#define EXP_LIMIT 64.0
#endif

/* 2**(i/16), and the part of it that a double does not hold */
static const double EXP2_16[16] = {
    0x1.0000000000000p+0, 0x1.0b5586cf9890fp+0, 0x1.172b83c7d517bp+0, 0x1.2387a6e756238p+0,
    0x1.306fe0a31b715p+0, 0x1.3dea64c123422p+0, 0x1.4bfdad5362a27p+0, 0x1.5ab07dd485429p+0,
    0x1.6a09e667f3bcdp+0, 0x1.7a11473eb0187p+0, 0x1.8ace5422aa0dbp+0, 0x1.9c49182a3f090p+0,
    0x1.ae89f995ad3adp+0, 0x1.c199bdd85529cp+0, 0x1.d5818dcfba487p+0, 0x1.ea4afa2a490dap+0,
};
static const double EXP2_16_LO[16] = {
    0x0.0p+0,
    0x1.8a62e4adc610bp-54,
    -0x1.19041b9d78a76p-55,
    0x1.9b07eb6c70573p-54,
    0x1.6f46ad23182e4p-55,
    0x1.ada0911f09ebcp-55,
    0x1.d4397afec42e2p-56,
    0x1.6324c054647adp-54,
    -0x1.bdd3413b26456p-54,
    -0x1.41577ee04992fp-55,
    0x1.6e9f156864b27p-54,
    0x1.c7c46b071f2bep-56,
    0x1.7a1cd345dcc81p-54,
    0x1.11065895048ddp-55,
    0x1.2ed02d75b3707p-55,
    -0x1.e9c23179c2893p-54,
};

INLINE vm exp_vector(vd x, double margin, vd *y) {
    /* x = k * ln2/16 + r + r_lo, |r| < 0.022; ln2/16's first part has 42 bits, so that its product with k below 2**11 is exact
     * (and with fused operations with every k) */
    const vd magic = vset1(0x1.8p52);
    vd k_bits = fused(x, vset1(0x1.71547652b82fep+4), magic);
    vd k = k_bits - magic;
    vd r1 = fused(k, vset1(-0x1.62e42fefa3800p-5), x);
    vd t = k * vset1(-0x1.ef35793c76730p-49);
    vd r = r1 + t;
    vd r_lo = (r1 - r) + t;
    /* exp(r) - 1 = r + q */
    vd square = r * r;
    vd even = fused(fused(fused(square, vset1(1.0 / 40320), vset1(1.0 / 720)), square, vset1(1.0 / 24)), square, vset1(0.5));
    vd odd = fused(fused(square, vset1(1.0 / 5040), vset1(1.0 / 120)), square, vset1(1.0 / 6));
    vd q = fused(square, fused(odd, r, even), r_lo);
    /* 2**(k/16) * (1 + r + q), the leading products without rounding */
    vd table = vtable16(EXP2_16, k_bits), table_lo = vtable16(EXP2_16_LO, k_bits);
    vd p = table * r;
    vd rest = product_error(table, r, p) + fused(table, q, fused(table_lo, r, table_lo));
    vd s = p + rest;
    vd s_lo = (p - s) + rest;
    vd sum = table + s;
    vd lo = (s - (sum - table)) + s_lo;
    vm doubt = vnlt(vabs(lo), vspacing(sum, 2 - 4 * margin));
    *y = vscale16(sum, k_bits);
    return vor(doubt, vnlt(vabs(x), vset1(EXP_LIMIT)));
}

/* f(x) rounded; true in the lanes where the C library's result might be another. */
INLINE vm by_vectors(const enum function f, vd x, double margin, vd *y) {
    vd error;
    if (f == EXP)
        return exp_vector(x, margin, y);
    if (f != ROOT)
        return pow_vector(f, x, margin, y);
    *y = vsqrt(x);
    return root_in_doubt(x, *y, margin, &error);
}

/* ---- arrays --------------------------------------------------------------------------------------------------------- */

/* For each bit of `bits`, lowest first: i is where it is, counted from `start`. */
#if defined(__GNUC__)
#define LOWEST_BIT(bits) ((size_t)__builtin_ctzll(bits))
#else
INLINE size_t LOWEST_BIT(uint64_t bits) {
    size_t i = 0;
    for (; !(bits & 1); bits >>= 1)
        i++;
    return i;
}
#endif
#define FOR_EACH_BIT(i, start, bits) for (size_t i; RARELY(bits) && (i = (start) + LOWEST_BIT(bits), 1); bits &= bits - 1)

/* y[i] = f(x[i]) for i < n; with vectors, n is a multiple of W. x and y are not the same array. The calls for lanes in doubt
 * wait until a few vectors are done: a branch for each vector would be mispredicted every third time. */
INLINE void apply(const enum function f, double *y, const double *x, size_t n, int vectors) {
    if (!vectors) {
        for (size_t i = 0; i < n; i++)
            y[i] = by_libm(f, x[i]);
        return;
    }
    for (size_t start = 0; start < n; start += 8 * W) {
        size_t end = n - start < 8 * W ? n : start + 8 * W;
        uint64_t doubts = 0;
        for (size_t i = start; i < end; i += W) {
            vd result;
            doubts |= (uint64_t)vbits(by_vectors(f, vload(x + i), MARGIN, &result)) << (i - start);
            vstore(y + i, result);
        }
        FOR_EACH_BIT (i, start, doubts) /* mutant: lanes-in-doubt */
            y[i] = by_libm(f, x[i]);
    }
}

static void exp_array(double *y, const double *x, size_t n, int vectors) { apply(EXP, y, x, n, vectors); }
static void square_array(double *y, const double *x, size_t n, int vectors) { apply(SQUARE, y, x, n, vectors); }
static void inverse_array(double *y, const double *x, size_t n, int vectors) { apply(INVERSE, y, x, n, vectors); }
static void inverse_square_array(double *y, const double *x, size_t n, int vectors) { apply(INVERSE_SQUARE, y, x, n, vectors); }
static void inverse_root_array(double *y, const double *x, size_t n, int vectors) { apply(INVERSE_ROOT, y, x, n, vectors); }
static void inverse_root_cubed_array(double *y, const double *x, size_t n, int vectors) {
    apply(INVERSE_ROOT_CUBED, y, x, n, vectors);
}

#endif
