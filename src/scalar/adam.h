/* One parameter's update by Adam. */
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
    p->f.slot[GRAD].number = 0.0;
    p->f.flags |= IS_INT(GRAD);
    return 1;
}

#endif
