/* Value's operators in sequence, on registers: the parts of a script's expression or method.
 *
 * An operator on plain Values and floats that behaves like the reference's is called directly, any other through Python.
 */
#ifndef MICROGPT_STEPS_H
#define MICROGPT_STEPS_H

#include "operators.h"

#define MAX_STEPS 64
#define NO_INPUT 255

/* In the order of microgpt/scripts/symbols.py */
enum { STEP_ADD, STEP_SUB, STEP_MUL, STEP_DIV, STEP_POW, STEP_NEG, STEP_METHOD, STEP_DOT };

/* a, b: registers, which are the loads and then the results of the steps. METHOD: of a, with name b. DOT: of vectors a and b; size: an
 * input, or NO_INPUT for all, where both have as many; start: the register that the sum starts with, or NO_INPUT; wraps: as a Value. */
typedef struct {
    uint8_t kind, a, b, size, start, wraps;
    uint8_t invariant; /* it is the same for all elements */
} Step;

/* number ** -1 as Python computes it; NULL with or without an exception where it is no float. */
static Node *inverse_of(double number) {
    static double last = 1.0, inverse = 1.0;
    if (number != last) {
        last = 1.0;
        if (!float_pow(number, -1.0, &inverse)) {
            inverse = 1.0;
            return NULL;
        }
        last = number;
    }
    return node_new(inverse);
}

/* The reference's operator on a node and a node or float; NULL where that is left to `operate`. */
static inline Node *operate_plain(int kind, Node *a, PyObject *b) {
    int is_float = PyFloat_CheckExact(b);
    double number = is_float ? PyFloat_AS_DOUBLE(b) : 0.0;
    Node *node = (Node *)b;
    switch (kind) {
    case STEP_ADD: return is_float ? then_apply(node_add, node_incref(a), node_new(number)) : node_add(a, node);
    case STEP_SUB:
        return is_float ? then_apply(node_add, node_incref(a), node_new(-number))
                        : then_apply(node_add, node_incref(a), then_mul_int(node_incref(node), -1));
    case STEP_MUL: return is_float ? then_apply(node_mul, node_incref(a), node_new(number)) : node_mul(a, node);
    case STEP_DIV: return then_apply(node_mul, node_incref(a), is_float ? inverse_of(number) : node_pow(node, minus_one));
    default: return NULL;
    }
}

/* Python's operators, which also raise the errors. */
static PyObject *operate(int kind, PyObject *a, PyObject *b) {
    switch (kind) {
    case STEP_ADD: return PyNumber_Add(a, b);
    case STEP_SUB: return PyNumber_Subtract(a, b);
    case STEP_MUL: return PyNumber_Multiply(a, b);
    case STEP_DIV: return PyNumber_TrueDivide(a, b);
    case STEP_POW: return PyNumber_Power(a, b, Py_None);
    default: return PyNumber_Negative(a);
    }
}

static inline PyObject *operate_on(int kind, PyObject *a, PyObject *b) {
    static const unsigned methods[] = {BIT(ADD), BIT(SUB) | BIT(NEG) | BIT(ADD) | BIT(MUL), BIT(MUL), DIV_METHODS};
    PyObject *made = NULL;
    if (kind <= STEP_DIV && are_standard(methods[kind]) && is_exact(a) && (is_exact(b) || PyFloat_CheckExact(b)))
        made = (PyObject *)operate_plain(kind, (Node *)a, b);
    return made || PyErr_Occurred() ? made : operate(kind, a, b);
}

#endif
