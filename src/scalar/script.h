/* What `microgpt run` substitutes for lines of other people's scripts.
 *
 * Each function does what one line or loop of the reference does, on the script's own lists. It returns None (or does nothing)
 * where it finds anything but plain Values and floats, or where Python would raise an exception. The script's own line then
 * runs after all, so every error comes from that line, as if nothing had been replaced.
 */
#ifndef MICROGPT_SCRIPT_H
#define MICROGPT_SCRIPT_H

#include "adam.h"
#include "functions.h"

/* From now on, Value counts as unmodified (overrides.h) as long as it has the attributes that it has now. */
static int script_accept_attributes(void) {
    PyObject *now = PyDict_Copy(value_type->tp_dict);
    if (!now)
        return -1;
    Py_SETREF(original_attributes, now);
    return 0;
}

/* Which of the class's own numbers are floats: a new gradient, the gradient that backward() starts with, a sum's local
 * gradients. */
static void script_floats(int start, int root, int locals) {
    start_grad = start ? 0 : IS_INT(GRAD);
    sum_locals = locals ? 0 : IS_INT(LOCAL0) | IS_INT(LOCAL1);
    Py_XSETREF(root_grad, root ? PyFloat_FromDouble(1.0) : Py_NewRef(one));
}

typedef Node *(*Make)(void *context, Py_ssize_t i);

/* Fills the new list `out` with what `make` returns for 0, 1, ... Takes over the reference to the list. None if `make` returns
 * NULL. The caller makes the list before it borrows the items of the script's lists, because that may run the garbage
 * collector, which may run any code. */
static PyObject *fill(PyObject *out, Make make, void *context) {
    for (Py_ssize_t i = 0, n = PyList_GET_SIZE(out); i < n; i++) {
        Node *node = make(context, i);
        if (!node) {
            Py_CLEAR(out);
            break;
        }
        PyList_SET_ITEM(out, i, (PyObject *)node);
    }
    return or_none(out);
}

static PyObject *give_up(PyObject *out) {
    Py_XDECREF(out);
    return or_none(NULL);
}

/* ---- [a + b for a, b in zip(x, y)] and [xi.relu() for xi in x] --------------------------------------------------- */

typedef struct {
    Node *const *x, *const *y;
    PyObject *exponent; /* of relu(x) ** exponent; NULL for relu(x) */
} Elements;

static Node *add_element(void *context, Py_ssize_t i) {
    Elements *of = context;
    return node_add(of->x[i], of->y[i]);
}

static PyObject *script_add(PyObject *x, PyObject *y) {
    PyObject *out = is_vector(x) ? PyList_New(PySequence_Fast_GET_SIZE(x)) : NULL;
    Py_ssize_t n_x, n_y;
    Elements of;
    if (!out || !(of.x = plain_items(x, &n_x)) || !(of.y = plain_items(y, &n_y)) || n_x != n_y || n_x != PyList_GET_SIZE(out))
        return give_up(out);
    return fill(out, add_element, &of);
}

static Node *relu_element(void *context, Py_ssize_t i) {
    Elements *of = context;
    Node *positive = node_relu(of->x[i]);
    return of->exponent ? then_pow(positive, of->exponent) : positive;
}

static PyObject *script_relu(PyObject *x, PyObject *exponent) {
    PyObject *out = is_vector(x) ? PyList_New(PySequence_Fast_GET_SIZE(x)) : NULL;
    Py_ssize_t n;
    Elements of = {.exponent = exponent == Py_None ? NULL : exponent};
    if (!out || !(of.x = plain_items(x, &n)) || n != PyList_GET_SIZE(out))
        return give_up(out);
    return fill(out, relu_element, &of);
}

/* ---- One attention head ------------------------------------------------------------------------------------------ */

typedef struct {
    Operands *head; /* the query, or the weights */
    PyObject *rows; /* keys or values: a list of vectors of at least `dim` Values, one for each position */
    Py_ssize_t dim;
    double inverse; /* of the divisor */
    PyObject **column;
} Head;

static Node *head_logit(void *context, Py_ssize_t t) {
    Head *head = context;
    Node *dot = dot_new(operands_xincref(head->head), operands_of(PyList_GET_ITEM(head->rows, t), 0, head->dim, FLOATS));
    return dot ? then_apply(node_mul, dot, node_new(head->inverse)) : NULL;
}

/* [sum(q[j] * keys[t][j] for j in range(dim)) / divisor for t in range(len(keys))] */
static PyObject *script_logits(PyObject *q, PyObject *keys, Py_ssize_t dim, double divisor) {
    Head head = {.rows = keys, .dim = dim};
    if (!PyList_CheckExact(keys) || !is_unmodified() || !float_pow(divisor, -1.0, &head.inverse))
        return or_none(NULL);
    PyObject *out = PyList_New(PyList_GET_SIZE(keys));
    if (!out || PyList_GET_SIZE(out) != PyList_GET_SIZE(keys) || !(head.head = operands_of(q, 0, dim, FLOATS)))
        return give_up(out);
    out = fill(out, head_logit, &head);
    operands_xdecref(head.head);
    return out;
}

static Node *head_output(void *context, Py_ssize_t j) {
    Head *head = context;
    Py_ssize_t positions = PyList_GET_SIZE(head->rows);
    for (Py_ssize_t t = 0; t < positions; t++) {
        PyObject *row = PyList_GET_ITEM(head->rows, t);
        if (!is_vector(row) || PySequence_Fast_GET_SIZE(row) <= j)
            return NULL;
        head->column[t] = PySequence_Fast_ITEMS(row)[j];
    }
    return dot_new(operands_xincref(head->head), operands_new(head->column, positions, FLOATS));
}

/* [sum(weights[t] * values[t][j] for t in range(len(values))) for j in range(dim)] */
static PyObject *script_mix(PyObject *weights, PyObject *values, Py_ssize_t dim) {
    Head head = {.rows = values, .dim = dim};
    if (!PyList_CheckExact(values) || !is_vector(weights) || !is_unmodified())
        return or_none(NULL);
    PyObject *out = PyList_New(dim);
    Py_ssize_t positions = PyList_GET_SIZE(values);
    if (!out || PySequence_Fast_GET_SIZE(weights) != positions || !(head.head = operands_of(weights, 0, positions, FLOATS)))
        return give_up(out);
    if ((head.column = PyMem_New(PyObject *, positions)))
        out = fill(out, head_output, &head);
    else
        out = give_up(out);
    PyMem_Free(head.column);
    operands_xdecref(head.head);
    return out;
}

/* ---- Loops over the parameters ----------------------------------------------------------------------------------- */

enum { GRAD_KEPT, GRAD_INT_ZERO, GRAD_FLOAT_ZERO }; /* p.grad after an iteration */

static inline void set_grad_after(Node *p, int grad_after) {
    if (grad_after == GRAD_KEPT)
        return;
    p->f.slot[GRAD].number = 0.0;
    p->f.flags = grad_after == GRAD_INT_ZERO ? p->f.flags | IS_INT(GRAD) : p->f.flags & ~IS_INT(GRAD);
}

/* Parameter i of the script's list if its data and gradient are floats (or its gradient the int 0), else NULL. */
static inline Node *plain_param(PyObject *params, Py_ssize_t i) {
    PyObject *p = PyList_GET_ITEM(params, i);
    if (!is_exact(p))
        return NULL;
    Node *node = (Node *)p;
    unsigned flags = node->f.flags;
    if (flags & (KIND(DATA) | IS_OBJECT(GRAD)) || (flags & IS_INT(GRAD) && node->f.slot[GRAD].number != 0.0))
        return NULL;
    return node;
}

/* list[i] = number. A float that only this list refers to is changed in place, which nobody can notice. */
static inline int set_float(PyObject *list, Py_ssize_t i, double number) {
    PyObject *item = PyList_GET_ITEM(list, i);
#ifndef Py_GIL_DISABLED
    if (Py_REFCNT(item) == 1) {
        ((PyFloatObject *)item)->ob_fval = number;
        return 0;
    }
#endif
    PyObject *made = PyFloat_FromDouble(number);
    return made ? PyList_SetItem(list, i, made) : -1;
}

typedef struct {
    double beta1, rest1, beta2, rest2; /* rest: the weight of the new gradient, 1 - beta in the reference */
    double correction1, correction2, lr, eps;
    int grad_after;
} AdamLine;

/* Iterations i, ..., end - 1 of the reference's Adam loop on the script's own lists. Returns the first one that was not done,
 * because a number in it is not an ordinary float, or `end`; -1 with MemoryError. */
static Py_ssize_t script_adam(PyObject *params, PyObject *m, PyObject *v, Py_ssize_t i, Py_ssize_t end, const AdamLine *line) {
    if (!(line->correction1 > 0.0) || !(line->correction2 > 0.0) || m == v)
        return i;
    if (end > PyList_GET_SIZE(params) || end > PyList_GET_SIZE(m) || end > PyList_GET_SIZE(v))
        return i;
    for (; i < end; i++) {
        Node *p = plain_param(params, i);
        PyObject *old_m = PyList_GET_ITEM(m, i), *old_v = PyList_GET_ITEM(v, i);
        double grad_squared, root;
        if (!p || !PyFloat_CheckExact(old_m) || !PyFloat_CheckExact(old_v))
            return i;
        double grad = p->f.slot[GRAD].number;
        if (!square(grad, &grad_squared))
            return i;
        double new_m = line->beta1 * PyFloat_AS_DOUBLE(old_m) + line->rest1 * grad;
        double new_v = line->beta2 * PyFloat_AS_DOUBLE(old_v) + line->rest2 * grad_squared;
        if (!square_root(new_v / line->correction2, &root) || root + line->eps == 0.0)
            return i;
        if (set_float(m, i, new_m) < 0 || set_float(v, i, new_v) < 0)
            return -1;
        p->f.slot[DATA].number -= line->lr * (new_m / line->correction1) / (root + line->eps);
        set_grad_after(p, line->grad_after);
    }
    return i;
}

/* The same for p.data -= lr * p.grad; without `moves`, only the gradient is set. */
static Py_ssize_t script_descent(PyObject *params, Py_ssize_t i, Py_ssize_t end, double lr, int moves, int grad_after) {
    if (end > PyList_GET_SIZE(params))
        return i;
    for (; i < end; i++) {
        Node *p = plain_param(params, i);
        if (!p)
            return i;
        if (moves)
            p->f.slot[DATA].number -= lr * p->f.slot[GRAD].number;
        set_grad_after(p, grad_after);
    }
    return i;
}

#endif
