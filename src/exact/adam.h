/* Adam: gradient descent with momentum and a step size for each parameter, in one pass over parameters, moments and gradients.
 *
 *     m = beta1 * m + (1 - beta1) * g
 *     v = beta2 * v + (1 - beta2) * g**2
 *     p -= lr * (m / c1) / ((v / c2)**0.5 + eps)          c = 1 - beta**(step + 1)
 *
 * The square and the root are the C library's pow, so a correctly rounded one is in doubt next to a midpoint (see libm.h): one
 * lane in seventeen. But then pow gives one of two neighbours, and most often nobody can tell which once it is added to
 * something larger: v takes in a hundredth of g**2, p a small step. So a lane is settled when the other neighbour, and some
 * more for the roundings on the way, leads to the same double. One in a thousand is not: it keeps its old values, and is done
 * again with the C library.
 */
#ifndef MICROGPT_ADAM_H
#define MICROGPT_ADAM_H

#include "libm.h"
#include "model.h"

typedef struct {
    double beta1, rest1, beta2, rest2, c1, c2, lr, eps; /* rest = 1 - beta */
    double inverse_c1, inverse_c2;                      /* 1 / c */
} AdamStep;

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

/* a * b + c with or without a rounding in between, just to see if it differs. */
INLINE vd bound(vd a, vd b, vd c) {
#ifdef HAVE_FMA
    return vfma(a, b, c);
#else
    return a * b + c;
#endif
}

#if defined(HAVE_FMA) && W == 8 /* dividers of fewer lanes keep up */

/* a / b to the bit, given 1 / b, which leaves the divider to those who need it. A quotient q is corrected by what it leaves: by
 * Markstein's theorem (Computation of elementary functions on the IBM RISC System/6000 processor, IBM J. Res. Dev. 34, 1990)
 * q + (a - b * q) / b, rounded like this, is the correctly rounded quotient if q was within a unit in the last place. The first
 * q is within 1.5 units, the second within one. Nothing may over- or underflow on the way. */
INLINE vd quotient(vd a, vd b, vd inverse) {
    vd q = a * inverse;
    q = vfma(vfnma(b, q, a), inverse, q);    /* mutant: correct-quotient */
    return vfma(vfnma(b, q, a), inverse, q); /* mutant: correct-it-again */
}

/* The corrected moments. Where v is below 1e-290, the quotient may be wrong, but its root is nothing to eps. Where m is that
 * small, 0 most often, the divider does it. */
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

/* W parameters, with gradients below 1e17, |m| and v below 1e50; where the root is below 1e-35, eps, 1e-15 or more, is all
 * there is of the sum. Returns the lanes that are not settled: their p and v are left as they were, m is new. The corrections
 * c1 and c2 become exactly 1 after some hundred or thousand steps, and then their divisions are left out. */
INLINE unsigned adam_vector(const AdamStep *a, double *p, double *m, double *v, const double *g, const int correct1,
                            const int correct2) {
    const double change = 0x1p-50; /* more than two neighbours, and what is computed of them, can differ, relatively */
    const vd hair = vset1(1e-300); /* moves nothing but what is too small for relative errors */
    const vd one = vset1(1.0);
    vd gi = vload(g), pi = vload(p), vi = vload(v), error;
    vd mi = vset1(a->beta1) * vload(m) + vset1(a->rest1) * gi;
    vstore(m, mi);

    vd square = gi * gi, decayed = vset1(a->beta2) * vi, share = vset1(a->rest2) * square, v_new = decayed + share;
#ifdef HAVE_FMA
    vm open = square_in_doubt(gi, square, &error);
    open = vand(open, vneq(v_new, bound(share, one + vcopysign(change, error), decayed + hair)));
#else /* the doubt is dear without it, and seldom matters: look on both sides first */
    vm open = vneq(decayed - hair + share * vset1(1 - change), decayed + hair + share * vset1(1 + change));
    if (RARELY(vbits(open)))
        open = vand(open, square_in_doubt(gi, square, &error));
#endif

    vd m_hat, v_hat;
    corrected(a, mi, v_new, &m_hat, &v_hat, correct1, correct2);
    vd root = vsqrt(v_hat);
    vd step = (vset1(a->lr) * m_hat) / (root + vset1(a->eps));
    vd p_new = pi - step; /* a larger root gives a smaller step */
    vm p_open = root_in_doubt(v_hat, root, MARGIN, &error);
    p_open = vand(p_open, vneq(p_new, bound(step, vcopysign(change, error) - one, pi - hair)));

    open = vor(open, p_open);
    vstore(v, vselect(open, vi, v_new));
    vstore(p, vselect(open, pi, p_new));
    return vbits(open); /* mutant: open-lanes */
}

#define GROUP (8 * W)      /* parameters whose open lanes fit in 64 bits */
#define BLOCK (64 * GROUP) /* parameters between looks at the open lanes: a branch a group would wait for its last division */

/* Are all |g| < limit (> 2)? The union of their bits tells at once if all are below 2: then no exponent has its highest bit. */
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

INLINE size_t adam_vectors(const AdamStep *a, double *p, double *m, double *v, const double *g, size_t n, int *large,
                           const int correct1, const int correct2) {
    uint64_t open[BLOCK / GROUP];
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
        for (size_t i = start; i < end; i += GROUP) {
            size_t stop = end - i < GROUP ? end : i + GROUP;
            uint64_t bits = 0;
            for (size_t k = i; k < stop; k += W)
                bits |= (uint64_t)adam_vector(a, p + k, m + k, v + k, g + k, correct1, correct2) << (k - i);
            open[(i - start) / GROUP] = bits;
        }
        for (size_t i = start; i < end; i += GROUP)
            FOR_EACH_BIT (k, i, open[(i - start) / GROUP]) {
                adam_v(a, &v[k], g[k]);
                adam_p(a, &p[k], m[k], v[k]);
            }
    }
    return adam_plain(a, p, m, v, g, whole, n);
}

/* Update every parameter from its gradient. Returns n_params, or the index of the gradient whose square overflows. */
static size_t adam_update(const Shape *s, double *params, Adam *adam, double lr) {
    double t = (double)(adam->num_steps + 1);
    if (adam->c1 != 1) /* from then on the power is too small to change it */
        adam->c1 = 1 - pow(adam->beta1, t);
    if (adam->c2 != 1)
        adam->c2 = 1 - pow(adam->beta2, t);
    AdamStep a = {
        .beta1 = adam->beta1,
        .rest1 = 1 - adam->beta1,
        .beta2 = adam->beta2,
        .rest2 = 1 - adam->beta2,
        .c1 = adam->c1,
        .c2 = adam->c2,
        .lr = lr,
        .eps = adam->eps,
        .inverse_c1 = 1 / adam->c1,
        .inverse_c2 = 1 / adam->c2,
    };
    size_t n = s->n_params, done;
    if (!s->vector_libm || adam->large || adam->eps < 1e-15)
        done = adam_plain(&a, params, adam->m, adam->v, adam->gradients, 0, n);
    else if (a.c1 != 1)
        done = adam_vectors(&a, params, adam->m, adam->v, adam->gradients, n, &adam->large, 1, 1);
    else if (a.c2 != 1) /* mutant: second-moment-only */
        done = adam_vectors(&a, params, adam->m, adam->v, adam->gradients, n, &adam->large, 0, 1);
    else
        done = adam_vectors(&a, params, adam->m, adam->v, adam->gradients, n, &adam->large, 0, 0);
    if (done == n)
        adam->num_steps++;
    return done;
}

#endif
