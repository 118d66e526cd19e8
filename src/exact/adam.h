/* Adam: gradient descent with momentum and a step size for each parameter, in one pass over parameters, moments and gradients.
 *
 *     m = beta1 * m + (1 - beta1) * g
 *     v = beta2 * v + (1 - beta2) * g**2
 *     p -= lr * (m / c1) / ((v / c2)**0.5 + eps)          c = 1 - beta**(step + 1)
 *
 * The square and the root are the C library's pow, so a correctly rounded one is in doubt next to a midpoint (see libm.h): a
 * lane in twenty. But then pow gives one of two neighbours, and which one is lost as soon as it is added to something
 * larger: v takes in a hundredth of g**2, p a small step. So a lane is settled when both neighbours lead to the same double.
 * About one in 300 is not, keeps its old values, and is done again with the C library.
 */
#ifndef MICROGPT_ADAM_H
#define MICROGPT_ADAM_H

#include "libm.h"
#include "model.h"

#define ADAM_MARGIN 0.03 /* wide enough for powers from 1e-180 to 1e180 */

typedef struct {
    double beta1, rest1, beta2, rest2, c1, c2, lr, eps; /* rest = 1 - beta */
} AdamStep;

/* One parameter, with the C library. Returns 0 if the square of g overflows; v and p are then as before, as in the reference. */
static int adam_v(const AdamStep *a, double *v, double g) {
    double square = pow(g, 2.0);
    if (square > DBL_MAX && fabs(g) <= DBL_MAX)
        return 0;
    *v = a->beta2 * *v + a->rest2 * square;
    return 1;
}

static void adam_p(const AdamStep *a, double *p, double m, double v) {
    *p -= a->lr * (m / a->c1) / (pow(v / a->c2, 0.5) + a->eps);
}

/* Parameters first..n one by one; returns n, or the index of the one that overflows. */
static size_t adam_plain(const AdamStep *a, double *p, double *m, double *v, const double *g, size_t first, size_t n) {
    for (size_t i = first; i < n; i++) {
        m[i] = a->beta1 * m[i] + a->rest1 * g[i];
        if (!adam_v(a, &v[i], g[i]))
            return i;
        adam_p(a, &p[i], m[i], v[i]);
    }
    return n;
}

/* The square root of x >= 0; true where pow might round it another way. */
INLINE vm root_in_doubt(vd x, double margin, vd *root) {
#ifdef HAVE_RSQRT /* Goldschmidt's iteration: three times faster than the divider, which is left to the division */
    vd y = vrsqrt14(vmax(x, vset1(1e-300)));
    vd g = x * y, h = vset1(0.5) * y;
    vd r = vfnma(g, h, vset1(0.5));
    g = vfma(g, r, g);
    h = vfma(h, r, h);
    r = vfnma(g, h, vset1(0.5));
    g = vfma(g, r, g);
    h = vfma(h, r, h);
    return round_sum(g, vfnma(g, g, x) * h, margin, root);
#else
    vd r = vsqrt(x), rr = r * r;
    vd residual = (x - rr) - product_error(r, r, rr); /* the root is r + residual / 2r */
    vd limit = vpower_below(r) * r * vset1(0x1p-51 * (0.5 - margin));
    *root = r;
    return vgt(vabs(residual), limit);
#endif
}

/* W parameters. Returns the lanes that are not settled: their p and v are left as they were, m is new. The corrections c1 and
 * c2 become exactly 1 after some hundred or thousand steps, and then their divisions are left out. */
INLINE unsigned adam_vector(const AdamStep *a, double *p, double *m, double *v, const double *g, const int correct1,
                            const int correct2) {
    const vd tiny = vset1(1e-180), zero = vset1(0.0), less = vset1(1 - 0x1p-50), more = vset1(1 + 0x1p-50);
    vd gi = vload(g), pi = vload(p), vi = vload(v);
    vd mi = vset1(a->beta1) * vload(m) + vset1(a->rest1) * gi;
    vstore(m, mi);

    vd square = gi * gi, error = product_error(gi, gi, square);
    vm open = vnot(vlt(vabs(error), vpower_below(square) * vset1(0x1p-52 * (0.5 - ADAM_MARGIN))));
    vd decayed = vset1(a->beta2) * vi, share = vset1(a->rest2) * square;
    vd v_new = decayed + share;
    open = vand(open, vneq(decayed + share * less, decayed + share * more));
    open = vor(open, vand(vlt(square, tiny), vneq(gi, zero)));

    vd v_hat = v_new, m_hat = mi, root;
    if (correct1)
        m_hat = mi / vset1(a->c1);
    if (correct2)
        v_hat = v_new / vset1(a->c2);
    vm root_open = root_in_doubt(v_hat, ADAM_MARGIN, &root);
    vd step = (vset1(a->lr) * m_hat) / (root + vset1(a->eps));
    vd p_new = pi - step;
    root_open = vand(root_open, vneq((pi - vset1(1e-300)) - step * less, (pi + vset1(1e-300)) - step * more));
    root_open = vor(root_open, vand(vlt(v_hat, tiny), vneq(v_hat, zero)));

    open = vor(open, root_open);
    vstore(v, vselect(open, vi, v_new));
    vstore(p, vselect(open, pi, p_new));
    return vbits(open);
}

#define CHUNK (8 * W) /* parameters; their open lanes fit in 64 bits */

INLINE size_t adam_chunks(const AdamStep *a, double *p, double *m, double *v, const double *g, size_t n, const int correct1,
                          const int correct2) {
    size_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) {
        vd largest = vset1(0.0);
        for (size_t k = 0; k < CHUNK; k += W)
            largest = vmax(vabs(vload(g + i + k)), largest); /* passes over NaN, whose lane is open below */
        if (RARELY(vbits(vgt(largest, vset1(1e150))))) {
            size_t end = adam_plain(a, p, m, v, g, i, i + CHUNK);
            if (end < i + CHUNK)
                return end;
            continue;
        }
        uint64_t open = 0;
        for (size_t k = 0; k < CHUNK; k += W)
            open |= (uint64_t)adam_vector(a, p + i + k, m + i + k, v + i + k, g + i + k, correct1, correct2) << k;
        for (size_t k = i; RARELY(open); k++, open >>= 1)
            if (open & 1) {
                adam_v(a, &v[k], g[k]);
                adam_p(a, &p[k], m[k], v[k]);
            }
    }
    return adam_plain(a, p, m, v, g, i, n);
}

/* Update every parameter from its gradient. Returns n_params, or the index of the parameter whose squared gradient overflows. */
static size_t adam_update(const Shape *s, double *params, Adam *adam, double lr) {
    double t = (double)(adam->num_steps + 1);
    AdamStep a = {adam->beta1, 1 - adam->beta1, adam->beta2, 1 - adam->beta2, 1, 1, lr, adam->eps};
    a.c1 = 1 - pow(adam->beta1, t);
    a.c2 = 1 - pow(adam->beta2, t);
    size_t n = s->n_params, done;
    if (!s->vector_libm)
        done = adam_plain(&a, params, adam->m, adam->v, adam->gradients, 0, n);
    else if (a.c1 != 1)
        done = adam_chunks(&a, params, adam->m, adam->v, adam->gradients, n, 1, 1);
    else if (a.c2 != 1)
        done = adam_chunks(&a, params, adam->m, adam->v, adam->gradients, n, 0, 1);
    else
        done = adam_chunks(&a, params, adam->m, adam->v, adam->gradients, n, 0, 0);
    if (done == n)
        adam->num_steps++;
    return done;
}

#endif
