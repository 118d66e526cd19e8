/* The MLP's activations: all that depends on which one a model has. Their meaning is ACTIVATIONS in microgpt/reference.py.
 *
 * An activation takes one number to one number, so these take n numbers in any order; n is a multiple of W. */
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

/* act = activation(pre); work: n */
static void activation_forward(const Shape *s, double *act, const double *pre, double *work, size_t n) {
    switch (s->activation) {
    case ACTIVATION_RELU: relu_forward(act, pre, n); break;
    /* mutant: exact-relu2 */
    case ACTIVATION_RELU2: relu2_forward(act, pre, work, n, s->vector_libm); break;
    }
}

/* d_pre from d_act; it may be d_act */
static void activation_backward(const Shape *s, double *d_pre, const double *d_act, const double *pre, size_t n) {
    switch (s->activation) {
    case ACTIVATION_RELU: relu_backward(d_pre, d_act, pre, n); break;
    case ACTIVATION_RELU2: relu2_backward(d_pre, d_act, pre, n); break;
    }
}

/* Where act = activation(pre) raises OverflowError in the reference, as its power of a finite number does: the first such pre,
 * or n. */
static size_t activation_overflow(const Shape *s, const double *act, const double *pre, size_t n) {
    switch (s->activation) {
    case ACTIVATION_RELU: break;
    case ACTIVATION_RELU2:
        for (size_t i = 0; i < n; i++)
            if (act[i] > DBL_MAX && pre[i] <= DBL_MAX)
                return i;
        break;
    }
    return n;
}

#endif
