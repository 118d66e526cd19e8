/* Adam: gradient descent with momentum and a step size for each parameter, in one pass over parameters, moments and gradients.
 *
 *     m = beta1 * m + (1 - beta1) * g
 *     v = beta2 * v + (1 - beta2) * g**2
 *     p -= lr * (m / c1) / ((v / c2)**0.5 + eps)          c = 1 - beta**(step + 1)
 *
 * The square and the root are the C library's pow, so a correctly rounded result is in doubt near a midpoint (see libm.h): one
 * lane in seventeen. But pow then gives one of two neighbours, and usually both lead to the same sum with a larger number: v
 * adds a hundredth of g**2, and p a small step. So a lane is settled when the other neighbour, with a margin for the roundings
 * on the way, leads to the same double. One lane in a thousand is not: it keeps its old values, and the C library computes it
 * again.
 */
#ifndef MICROGPT_ADAM_H
#define MICROGPT_ADAM_H

#include "libm.h"
#include "share.h"

/* One parameter, with the C library. Returns 0, with v and p unchanged as in the reference, if the square of g overflows. */
static int adam_v(const AdamStep *a, double *v, double g) {
    double square = pow(g, 2.0); /* mutant: adam-square */
    if (square > DBL_MAX && fabs(g) <= DBL_MAX)
        return 0;
    *v = a->beta2 * *v + a->rest2 * square;
    return 1;
}

static void adam_p(const AdamStep *a, double *p, double m, double v) {
    *p -= a->lr * (m / a->c1) / (pow(v / a->c2, 0.5) + a->eps); /* mutant: adam-root */
}

/* The same without the C library, if the next double in place of the rounded root leads to the same p: that is the only other
 * root the C library may give. Returns whether it does; if not, p is unchanged. */
INLINE int adam_p_either(const AdamStep *a, double *p, double m, double v) {
#ifdef HAVE_FMA
    double x = v / a->c2, numerator = a->lr * (m / a->c1), root = sqrt(x), error = fma(-root, root, x);
    double other = double_of(bits_of(root) + (error < 0 ? (uint64_t)-1 : error > 0));
    double next = *p - numerator / (root + a->eps);
    if (!(x > 1e-70) || next != *p - numerator / (other + a->eps)) /* mutant: either-root */
        return 0;
    *p = next;
    return 1;
#else
    (void)a, (void)p, (void)m, (void)v;
    return 0;
#endif
}

/* Parameters first..n one by one; returns n, or the index of the one that overflows. */
static size_t adam_plain(const AdamStep *a, double *p, double *m, double *v, const double *g, size_t first, size_t n) {
    for (size_t i = first; i < n; i++) {
        m[i] = a->beta1 * m[i] + a->rest1 * g[i];
        if (!adam_v(a, &v[i], g[i])) /* mutant: overflowing-square */
            return i;
        adam_p(a, &p[i], m[i], v[i]);
    }
    return n;
}

/* True where pow(x, 2) might be the neighbour of `square`, x * x rounded, on the side of *error's sign. */
INLINE vm square_in_doubt(vd x, vd square, vd *error) {
    *error = square_error(x, square);
    vm near = vnlt(vabs(*error), vspacing(square, 2 - 4 * MARGIN));
    return vor(near, vand(vlt(square, vset1(1e-35)), vneq(x, vset1(0.0))));
}

#if defined(HAVE_FMA) && W == 8 /* dividers of fewer lanes keep up */

/* a / b to the last bit, given 1 / b, without the processor's slow divider. A quotient q is corrected by its remainder: by
 * Markstein's theorem (Computation of elementary functions on the IBM RISC System/6000 processor, IBM J. Res. Dev. 34, 1990)
 * q + (a - b * q) / b, rounded in this way, is the correctly rounded quotient if q was within a unit in the last place. The
 * first q is within 1.5 units, the second within one. Nothing may over- or underflow on the way. */
INLINE vd quotient(vd a, vd b, vd inverse) {
    vd q = a * inverse;
    q = vfma(vfnma(b, q, a), inverse, q);    /* mutant: correct-quotient */
    return vfma(vfnma(b, q, a), inverse, q); /* mutant: correct-it-again */
}

/* The corrected moments. Where v is below 1e-290, the quotient may be wrong, but its root is negligible next to eps. Where m
 * is that small, most often 0, the divider is used. */
INLINE void corrected(const AdamStep *a, vd m, vd v, vd *m_hat, vd *v_hat, const int correct1, const int correct2) {
    *m_hat = m, *v_hat = v;
    if (correct2)
        *v_hat = quotient(v, vset1(a->c2), vset1(a->inverse_c2));
    if (correct1) {
        *m_hat = quotient(m, vset1(a->c1), vset1(a->inverse_c1));
        if (RARELY(vbits(vnlt(vset1(1e-200), vabs(m))))) /* mutant: tiny-moment */
            *m_hat = m / vset1(a->c1);
    }
}

#else

INLINE void corrected(const AdamStep *a, vd m, vd v, vd *m_hat, vd *v_hat, const int correct1, const int correct2) {
    *m_hat = m, *v_hat = v;
    if (correct1)
        *m_hat = m / vset1(a->c1);
    if (correct2)
        *v_hat = v / vset1(a->c2);
}

#endif

/* The square of x, and the square that pow(x, 2) might give instead: the neighbour on the side of the true value where that is
 * in doubt (within 0.02 units in the last place of the midpoint), else the same. Below 1e-85 pow may err by more, and 0 and 1e-85
 * stand for such a square: their sums with v, which is seldom as small, are the same. But v is as small where x has been 0 for
 * ten thousand steps: with `zeros`, the square of 0 is 0 and not in doubt. */
INLINE void square_and_other(vd x, vd *square, vd *other, const int zeros) {
    vd product = x * x;
#ifdef HAVE_FMA
    *other = vfma(square_error(x, product), vset1(1 / (1 - 2 * 0.02)), product); /* rounds to the neighbour if it is in doubt */
    *other = vmax(*other, vset1(1e-85));
    *square = vselect(vlt(product, vset1(1e-85)), vset1(0.0), product);
    if (zeros)
        *other = vselect(vneq(x, vset1(0.0)), *other, vset1(0.0));
#else
    vd error;
    vm near = square_in_doubt(x, product, &error);
    *other = vselect(near, product * (vset1(1.0) + vcopysign(0x1p-50, error)), product);
    *square = product;
    (void)zeros;
#endif
}

/* The root of x, rounded; in *doubt, where pow(x, 0.5) might give the neighbour on the side of *error's sign. x from 1e-70 on;
 * below it the root may be wrong, but is not above 1e-35. */
INLINE vd root_and_doubt(vd x, vm *doubt, vd *error) {
#ifdef HAVE_ROOT_ESTIMATE
    /* From an estimate y of x**-0.5: with t = x * y and r = 1 - t * y, below 2**-13, the root is t * (1 - r)**-0.5, by a series;
     * one Newton step later it errs, before its rounding, by less than 0.001 units in the last place. */
    x = x + vset1(1e-100);
    vd y = vroot_estimate(x), t = x * y, r = vfnma(t, y, vset1(1.0));
    vd series = vfma(vfma(r, vset1(0.3125), vset1(0.375)), r, vset1(0.5));
    vd root = vfma(t * r, series, t);
    root = vfma(vfnma(root, root, x), vset1(0.5) * y, root); /* mutant: root-step */
    *error = vfnma(root, root, x);
    *doubt = vneq(vfma(*error, vset1(0.5 / (1 - 2 * 0.017)) * y, root), root); /* rounds to the neighbour if it is in doubt */
    return root;
#else
    vd root = vsqrt(x);
    *doubt = root_in_doubt(x, root, MARGIN, error);
    return root;
#endif
}

/* What is known about W parameters before the division. */
typedef struct {
    vd p, numerator, denominator, change;
    vm open, doubt; /* the lanes whose v is not settled; those whose root is in doubt */
} Begun;

/* The moments of a parameter that no longer receives a gradient become denormal, below 2**-1022, and stay so: three times the
 * smallest double, times 0.85, is three times the smallest double again. Processors with wide vectors take a hundred cycles
 * and more to multiply such a number, though not to add it. So its multiple of the smallest double, an integer, is multiplied
 * in its place. */
#if defined(HAVE_FMA) && W > 2
#define SLOW_DENORMALS 1

/* beta * x, for beta below 1 */
INLINE vd times(double beta, vd x) {
    const vd integers = vset1(0x1p52); /* numbers of this size have no fraction: a sum of that size is rounded to an integer */
    vm denormal = vdenormal(x);
    vd k = vbits_or(vabs(vselect(denormal, x, vset1(0.0))), integers) - integers;
    vd product = vbits_subtract(vfma(k, vset1(beta), integers), bits_of(0x1p52)); /* mutant: denormal-product */
    return vselect(denormal, vbits_and_or(x, vset1(-0.0), product), vset1(beta) * vselect(denormal, vset1(0.0), x));
}

/* The moments as they affect p: 0 in place of denormal ones that do not. The root of such a v is negligible next to eps, which
 * is 1e-15 or more; and m divided by eps is negligible next to a p that is far larger. */
INLINE void without_denormals(const AdamStep *a, vd p, vd *m, vd *v) {
    vm large = vgt(vabs(p), vset1(fabs(a->lr) < 1e20 * a->c1 ? 1e-250 : INFINITY)); /* mutant: large-parameter */
    *m = vselect(vand(vdenormal(*m), large), vset1(0.0), *m);
    *v = vselect(vdenormal(*v), vset1(0.0), *v);
}
#else
INLINE vd times(double beta, vd x) { return vset1(beta) * x; }
INLINE void without_denormals(const AdamStep *a, vd p, vd *m, vd *v) { (void)a, (void)p, (void)m, (void)v; }
#endif

/* W parameters, with gradients below 1e17, |m| and v below 1e50; where the root is below 1e-35, it does not change its sum
 * with eps, which is 1e-15 or more. m is updated; v too, except in the lanes where it is not settled, which are set in *open.
 * The corrections c1 and c2 become exactly 1 after some hundred or thousand steps, and then their divisions are omitted.
 * denormals: m has some, or zeros. */
INLINE Begun adam_begin(const AdamStep *a, const double *p, double *m, double *v, const double *g, const int correct1,
                        const int correct2, const int denormals) {
    vd gi = vload(g), vi = vload(v), square, other, m_hat, v_hat, error, m_decayed, v_decayed;
    Begun b;
    b.p = vload(p);
    if (denormals)
        m_decayed = times(a->beta1, vload(m)), v_decayed = times(a->beta2, vi);
    else
        m_decayed = vset1(a->beta1) * vload(m), v_decayed = vset1(a->beta2) * vi;
    vd mi = m_decayed + vset1(a->rest1) * gi;
    vstore(m, mi);
    square_and_other(gi, &square, &other, denormals);
    vd v_new = v_decayed + vset1(a->rest2) * square;
    b.open = vneq(v_new, v_decayed + vset1(a->rest2) * other);
    vstore(v, vselect(b.open, vi, v_new));
    if (denormals)
        without_denormals(a, b.p, &mi, &v_new);
    corrected(a, mi, v_new, &m_hat, &v_hat, correct1, correct2);
    b.numerator = vset1(a->lr) * m_hat;
    b.denominator = root_and_doubt(v_hat, &b.doubt, &error) + vset1(a->eps);
    b.change = vcopysign(0x1p-50, error);
    return b;
}

INLINE Begun adam_begin_any(const AdamStep *a, const double *p, double *m, double *v, const double *g, const int correct1,
                            const int correct2) {
#ifdef SLOW_DENORMALS
    if (RARELY(vbits(vdenormal(vload(m)))))        /* v is seldom denormal where m is not */
        return adam_begin(a, p, m, v, g, 1, 1, 1); /* a division by 1 changes nothing */
#endif
    return adam_begin(a, p, m, v, g, correct1, correct2, 0);
}

/* p is updated, except in the lanes where it is not settled, which are returned. A larger root gives a smaller step.
 * Neighbours, and results computed from them, differ by a factor within 2**-50 of 1; 1e-300 covers numbers too small for
 * relative errors. */
INLINE vm adam_finish(double *p, Begun b) {
    vd step = b.numerator / b.denominator, p_new = b.p - step;
    vm open = vor(b.open, vneq_in(b.doubt, p_new, fused(step, b.change - vset1(1.0), b.p - vset1(1e-300))));
    vstore(p, vselect(open, b.p, p_new));
    return open; /* mutant: open-lanes */
}

#define BLOCK (512 * W) /* parameters done between two checks of the open lanes */

/* Are all |g| < limit (> 2)? The union of their bits tells in one test whether all are below 2: then no exponent has its
 * highest bit. */
INLINE int all_below(const double *g, size_t n, double limit) {
    vd all = vset1(0.0);
    for (size_t k = 0; k < n; k += W)
        all = vbits_or(all, vload(g + k));
    if (!vbits(vnot(vlt(vabs(all), vset1(2.0)))))
        return 1;
    for (size_t k = 0; k < n; k++)
        if (!(fabs(g[k]) < limit))
            return 0;
    return 1;
}

/* n parameters, a multiple of W, at most BLOCK. The root waits for the square, and the division for the root: so each vector
 * is started before the previous one is finished, to keep the processor busy. */
INLINE void adam_block(const AdamStep *a, double *p, double *m, double *v, const double *g, size_t n, const int correct1,
                       const int correct2) {
    unsigned char v_open[BLOCK / W], open[BLOCK / W]; /* one bit per lane */
    size_t k = 0, i = 0;
    if (n == 0)
        return;
    Begun even = adam_begin_any(a, p, m, v, g, correct1, correct2), odd;
#define BEGIN(x, k) x = adam_begin_any(a, p + (k), m + (k), v + (k), g + (k), correct1, correct2)
#define FINISH(x, k, i) v_open[i] = (unsigned char)vbits(x.open), open[i] = (unsigned char)vbits(adam_finish(p + (k), x))
    for (; k + 2 * W < n; k += 2 * W, i += 2) {
        BEGIN(odd, k + W);
        FINISH(even, k, i);
        BEGIN(even, k + 2 * W);
        FINISH(odd, k + W, i + 1);
    }
    if (k + W < n) {
        BEGIN(odd, k + W);
        FINISH(even, k, i);
        FINISH(odd, k + W, i + 1);
        i += 2;
    } else {
        FINISH(even, k, i);
        i += 1;
    }
    for (k = 0; k < i; k += 8) { /* a branch for each vector would wait for its division */
        uint64_t bits = 0;
        memcpy(&bits, open + k, i - k < 8 ? i - k : 8);
        FOR_EACH_BIT (bit, 0, bits) {
            size_t at = (k + bit / 8) * W + bit % 8;
            if (v_open[k + bit / 8] >> bit % 8 & 1)
                adam_v(a, &v[at], g[at]);
            if (!adam_p_either(a, &p[at], m[at], v[at]))
                adam_p(a, &p[at], m[at], v[at]);
        }
    }
}

INLINE size_t adam_vectors(const AdamStep *a, double *p, double *m, double *v, const double *g, size_t n, int *large,
                           const int correct1, const int correct2) {
    size_t whole = n - n % W;
    for (size_t start = 0; start < whole; start += BLOCK) {
        size_t end = whole - start < BLOCK ? whole : start + BLOCK;
        if (RARELY(!all_below(g + start, end - start, 1e17))) {
            *large = 1;
            size_t done = adam_plain(a, p, m, v, g, start, end);
            if (done < end)
                return done;
            continue;
        }
        adam_block(a, p + start, m + start, v + start, g + start, end - start, correct1, correct2);
    }
    return adam_plain(a, p, m, v, g, whole, n);
}

/* Update every parameter from its gradient. Returns n_params, or the index of the gradient whose square overflows. */
static size_t adam_update(const Shape *s, double *params, Adam *adam, const AdamStep *a) {
    size_t n = s->n_params;
    if (!s->vector_libm || adam->large || adam->eps < 1e-15)
        return adam_plain(a, params, adam->m, adam->v, adam->gradients, 0, n);
    if (a->c1 != 1)
        return adam_vectors(a, params, adam->m, adam->v, adam->gradients, n, &adam->large, 1, 1);
    if (a->c2 != 1)
        return adam_vectors(a, params, adam->m, adam->v, adam->gradients, n, &adam->large, 0, 1);
    return adam_vectors(a, params, adam->m, adam->v, adam->gradients, n, &adam->large, 0, 0);
}

INLINE void adam_blocks(const AdamStep *a, double *p, double *m, double *v, const double *g, size_t n, const int correct1,
                        const int correct2) {
    for (size_t start = 0; start < n; start += BLOCK)
        adam_block(a, p + start, m + start, v + start, g + start, smaller(BLOCK, n - start), correct1, correct2);
}

/* A multiple of W, whose gradients are below 1e17. */
static void adam_whole(const AdamStep *a, double *p, double *m, double *v, const double *g, size_t n) {
    if (a->c1 != 1)
        adam_blocks(a, p, m, v, g, n, 1, 1);
    else if (a->c2 != 1) /* mutant: second-moment-only */
        adam_blocks(a, p, m, v, g, n, 0, 1);
    else
        adam_blocks(a, p, m, v, g, n, 0, 0);
}

/* `count` parameters from `at` on, whose gradients are below 1e17; with weight decay before it. g: the gradients of these
 * parameters only. A last, partial vector would reach into parameters of other threads, so it is done in a copy. */
static void adam_range(const AdamStep *a, double *params, double *ms, double *vs, const double *g, size_t at, size_t count) {
    double *p = params + at, *m = ms + at, *v = vs + at, rest[4][W] = {{0}};
    size_t whole = count - count % W, left = (count - whole) * sizeof(double);
    if (a->decay != 0)
        for (size_t i = 0; i < count; i++)
            p[i] -= a->decay * p[i]; /* mutant: share-decay */
    adam_whole(a, p, m, v, g, whole);
    if (left) {
        memcpy(rest[0], p + whole, left);
        memcpy(rest[1], m + whole, left);
        memcpy(rest[2], v + whole, left);
        memcpy(rest[3], g + whole, left);
        adam_whole(a, rest[0], rest[1], rest[2], rest[3], W);
        memcpy(p + whole, rest[0], left);
        memcpy(m + whole, rest[1], left);
        memcpy(v + whole, rest[2], left);
    }
}

/* A share of all. */
static void share_adam(const Shape *s, double *params, Adam *adam, const AdamStep *a, const Share *share) {
    Range mine = share_of(share, s->n_params, 8);
    adam_range(a, params, adam->m, adam->v, adam->gradients + mine.first, mine.first, mine.end - mine.first);
}

#endif
