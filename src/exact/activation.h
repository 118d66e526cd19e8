/* The MLP's activations: all that depends on which one a model has. Their meaning is ACTIVATIONS in microgpt/reference.py.
 *
 * An activation maps one number to one number, so these functions take n numbers in any order; n is a multiple of W. */
#ifndef MICROGPT_ACTIVATION_H
#define MICROGPT_ACTIVATION_H

#include "libm.h"
#include "model.h"

/* r = max(0, x), which is 0 for NaN too */
static void relu_forward(double *r, const double *x, size_t n) {
    const vd zero = vset1(0.0);
    for (size_t i = 0; i < n; i += W) {
        vd xi = vload(x + i);
        vstore(r + i, vselect(vgt(xi, zero), xi, zero)); /* mutant: exact-relu */
    }
}

/* forward computed r = max(0, x); so with dr = dL/dr: dx = dr times 1 where x > 0, else 0, and 0 * inf is NaN in the reference
 * too. dx may be dr. */
static void relu_backward(double *dx, const double *dr, const double *x, size_t n) {
    const vd zero = vset1(0.0), one = vset1(1.0);
    for (size_t i = 0; i < n; i += W)
        vstore(dx + i, vselect(vgt(vload(x + i), zero), one, zero) * vload(dr + i));
}

/* y = r**2, r = max(0, x); work: n. An overflow shows in the loss. */
static void relu2_forward(double *y, const double *x, double *work, size_t n, int vector_libm) {
    relu_forward(work, x, n);
    square_array(y, work, n, vector_libm);
}

/* forward computed y = r**2, r = max(0, x); so dr = (2 * r) * dy, and dx as above */
static void relu2_backward(double *dx, const double *dy, const double *x, size_t n) {
    const vd zero = vset1(0.0), one = vset1(1.0);
    for (size_t i = 0; i < n; i += W) {
        vd xi = vload(x + i);
        vm positive = vgt(xi, zero);
        vd dr = (vset1(2.0) * vselect(positive, xi, zero)) * vload(dy + i);
        vstore(dx + i, vselect(positive, one, zero) * dr);
    }
}

/* ---- gelu and silu: y = x * s, s = sigmoid(z), z = gate(x) ---------------------------------------------------------- */

#define CHUNK 128 /* numbers done at a time, a multiple of every W */

/* gelu: z = (x + x * x * x * 0.044715) * (8 / pi)**0.5, and sigmoid(z) is 0.5 * (1 + tanh(z / 2)); silu: z = x */
INLINE vd gate(const enum activation which, vd x) {
    if (which == ACTIVATION_SILU)
        return x;
    return (x + x * x * x * vset1(0.044715)) * vset1(1.5957691216057308);
}

/* As the reference computes sigmoid(z) from e**-|z|, which cannot overflow:
 *     z >= 0: e = exp(z * -1), t = e + 1, s = t**-1
 *     else:   e = exp(z),      t = e + 1, s = e * t**-1 */
INLINE vd sigmoid(vd z, vd e, vd inverse) {
    return vselect(vlt(z, vset1(0.0)), e * inverse, inverse); /* mutant: exact-sigmoid */
}

/* e and t of n numbers x, at most CHUNK. exp maps 0 and -0 to 1, so 0 - z serves as z * -1. */
INLINE void gate_exps(const enum activation which, double *e, double *t, const double *x, size_t n, int vector_libm) {
    double exponents[CHUNK];
    for (size_t i = 0; i < n; i += W) {
        vd z = gate(which, vload(x + i));
        vstore(exponents + i, vselect(vlt(z, vset1(0.0)), z, vset1(0.0) - z));
    }
    exp_array(e, exponents, n, vector_libm);
    for (size_t i = 0; i < n; i += W)
        vstore(t + i, vload(e + i) + vset1(1.0));
}

INLINE void gated_forward(const enum activation which, double *y, const double *x, size_t n, int vector_libm) {
    double e[CHUNK], t[CHUNK], inverse[CHUNK];
    for (size_t start = 0; start < n; start += CHUNK) {
        size_t count = n - start < CHUNK ? n - start : CHUNK;
        gate_exps(which, e, t, x + start, count, vector_libm);
        inverse_array(inverse, t, count, vector_libm);
        for (size_t i = 0; i < count; i += W) {
            vd xi = vload(x + start + i);
            vstore(y + start + i, xi * sigmoid(gate(which, xi), vload(e + i), vload(inverse + i)));
        }
    }
}

/* forward computed s = sigmoid(z) as above; so with ds = dL/ds
 *     z >= 0: dz = -1 * (e * ((-1 * t**-2) * ds)) = e * (t**-2 * ds)
 *     else:   dz = e * (t**-1 * ds + (-1 * t**-2) * (e * ds)) = e * (t**-1 * ds - t**-2 * (e * ds)) */
INLINE vd sigmoid_backward(vd z, vd e, vd inverse, vd inverse_square, vd ds) {
    return e * vselect(vlt(z, vset1(0.0)), inverse * ds - inverse_square * (e * ds), inverse_square * ds);
}

/* forward computed y = x * s and z = gate(x); so, starting from dx = s * dy,
 *     silu: dx + dz
 *     gelu: dx + d_sum + square * d_cube + x * d_square + x * d_square, in this order, for
 *         square = x * x, cube = square * x, sum = x + cube * 0.044715, z = sum * 1.5957691216057308, hence
 *         d_sum = 1.5957691216057308 * dz, d_cube = 0.044715 * d_sum, d_square = x * d_cube */
INLINE vd gate_backward(const enum activation which, vd dx, vd dz, vd x) {
    if (which == ACTIVATION_SILU)
        return dx + dz;
    vd d_sum = vset1(1.5957691216057308) * dz, d_cube = vset1(0.044715) * d_sum, d_square = x * d_cube;
    return dx + d_sum + x * x * d_cube + x * d_square + x * d_square; /* mutant: exact-gelu-dx */
}

/* forward computed y = x * s, s = sigmoid(z), z = gate(x); so ds = x * dy, and dz and dx as above. dx may be dy. */
INLINE void gated_backward(const enum activation which, double *dx, const double *dy, const double *x, size_t n,
                           int vector_libm) {
    double e[CHUNK], t[CHUNK], inverse[CHUNK], inverse_square[CHUNK];
    for (size_t start = 0; start < n; start += CHUNK) {
        size_t count = n - start < CHUNK ? n - start : CHUNK;
        gate_exps(which, e, t, x + start, count, vector_libm);
        inverse_array(inverse, t, count, vector_libm);
        inverse_square_array(inverse_square, t, count, vector_libm);
        for (size_t i = 0; i < count; i += W) {
            vd xi = vload(x + start + i), dyi = vload(dy + start + i), ei = vload(e + i), inverse_i = vload(inverse + i);
            vd z = gate(which, xi), s = sigmoid(z, ei, inverse_i);
            vd dz = sigmoid_backward(z, ei, inverse_i, vload(inverse_square + i), xi * dyi);
            vstore(dx + start + i, gate_backward(which, s * dyi, dz, xi));
        }
    }
}

/* ---- by name -------------------------------------------------------------------------------------------------------- */

/* act = activation(pre); work: n */
static void activation_forward(const Shape *s, double *act, const double *pre, double *work, size_t n) {
    switch (s->activation) {
    case ACTIVATION_RELU: relu_forward(act, pre, n); break;
    /* mutant: exact-relu2 */
    case ACTIVATION_RELU2: relu2_forward(act, pre, work, n, s->vector_libm); break;
    /* mutant: exact-gelu */
    case ACTIVATION_GELU: gated_forward(ACTIVATION_GELU, act, pre, n, s->vector_libm); break;
    case ACTIVATION_SILU: gated_forward(ACTIVATION_SILU, act, pre, n, s->vector_libm); break;
    }
}

/* d_pre from d_act; it may be d_act */
static void activation_backward(const Shape *s, double *d_pre, const double *d_act, const double *pre, size_t n) {
    switch (s->activation) {
    case ACTIVATION_RELU: relu_backward(d_pre, d_act, pre, n); break;
    case ACTIVATION_RELU2: relu2_backward(d_pre, d_act, pre, n); break;
    case ACTIVATION_GELU: gated_backward(ACTIVATION_GELU, d_pre, d_act, pre, n, s->vector_libm); break;
    case ACTIVATION_SILU: gated_backward(ACTIVATION_SILU, d_pre, d_act, pre, n, s->vector_libm); break;
    }
}

/* Where act = activation(pre) raises OverflowError in the reference, as its power of a finite number does: the first such pre,
 * or n. */
static size_t activation_overflow(const Shape *s, const double *act, const double *pre, size_t n) {
    switch (s->activation) {
    case ACTIVATION_RELU:
    case ACTIVATION_GELU:
    case ACTIVATION_SILU: break;
    case ACTIVATION_RELU2:
        for (size_t i = 0; i < n; i++)
            if (act[i] > DBL_MAX && pre[i] <= DBL_MAX)
                return i;
        break;
    }
    return n;
}

#endif
