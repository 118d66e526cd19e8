/* Adam's update: of all parameters at once where their numbers are ordinary, else of one. */
#ifndef MICROGPT_ADAM_H
#define MICROGPT_ADAM_H

#include "node.h"

/* x ** 2 and x ** 0.5 by the C library's pow, as Python computes them. False where Python may raise an error. */
static inline int square(double x, double *result) {
    *result = pow(fabs(x), 2.0);
    return isnormal(*result) || x == 0.0; /* mutant: square-domain */
}

static inline int square_root(double x, double *result) {
    *result = pow(x, 0.5);
    return isnormal(x) ? x > 0.0 : x == 0.0; /* mutant: root-domain */
}

/* Updates p, m and v, and sets the gradient to 0. c1 and c2 are the bias corrections 1 - beta**step. False, with nothing
 * changed, where a number is not an ordinary float. */
static int adam_update(Node *p, double *m, double *v, double lr, double beta1, double beta2, double eps, double c1, double c2) {
    double grad = p->f.slot[GRAD].number, grad_squared, root;
    if (p->f.flags & (KIND(DATA) | IS_OBJECT(GRAD)) || (p->f.flags & IS_INT(GRAD) && grad != 0.0))
        return 0;
    if (!square(grad, &grad_squared) || !(c1 > 0.0) || !(c2 > 0.0))
        return 0;
    double new_m = beta1 * *m + (1 - beta1) * grad;
    double new_v = beta2 * *v + (1 - beta2) * grad_squared;
    if (!square_root(new_v / c2, &root) || root + eps == 0.0)
        return 0;
    *m = new_m;
    *v = new_v;
    p->f.slot[DATA].number -= lr * (new_m / c1) / (root + eps);
    num_writes++;
    p->f.slot[GRAD].number = 0.0;
    p->f.flags |= IS_INT(GRAD);
    return 1;
}

/* ---- All at once, by the exact engine's kernel (AdamKernel in exact.pyx) on flat buffers -------------------------------- */

/* Whether the kernel's vectors may be used with these settings. */
static int adam_in_range(double lr, double beta1, double beta2, double eps, double c1, double c2) {
    /* mutant: adam-settings */
    return isfinite(lr) && beta1 >= 0.0 && beta1 < 1.0 && beta2 >= 0.0 && beta2 < 1.0 && eps >= 1e-15 && c1 > 0.0 && c2 > 0.0;
}

/* Whether it may be used with these moments. They then stay so. */
static int adam_moments_in_range(const double *m, const double *v, Py_ssize_t n) {
    Py_ssize_t i = 0;
    while (i < n && fabs(m[i]) < 1e50 && v[i] >= 0.0 && v[i] < 1e50) /* mutant: moment-ranges */
        i++;
    return i == n;
}

/* Copies the parameters' data and gradients. False if one is no number that the kernel takes. */
static int adam_gather(PyObject *params, double *data, double *gradients) {
    Py_ssize_t i = 0, n = PyList_GET_SIZE(params);
    for (; i < n; i++) {
        const NodeFields *p = &((Node *)PyList_GET_ITEM(params, i))->f;
        double gradient = p->slot[GRAD].number;
        data[i] = p->slot[DATA].number;
        gradients[i] = gradient;
        if (p->flags & (KIND(DATA) | KIND(GRAD)) && (p->flags & (KIND(DATA) | IS_OBJECT(GRAD)) || gradient != 0.0))
            break;
        if (!(fabs(gradient) < 1e17)) /* mutant: large-gradients */
            break;
    }
    return i == n;
}

/* Sets the parameters' data, and their gradients to 0. */
static void adam_scatter(PyObject *params, const double *data) {
    num_writes++; /* mutant: count-adam */
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(params); i++) {
        NodeFields *p = &((Node *)PyList_GET_ITEM(params, i))->f;
        p->slot[DATA].number = data[i];
        p->slot[GRAD].number = 0.0;
        p->flags |= IS_INT(GRAD);
    }
}

#endif
