/* What `microgpt run` puts in the place of lines in other people's scripts.
 *
 * Each function does what one line or loop of the reference does, on the script's own lists. It returns None (or does nothing)
 * where it finds anything but plain Values and floats, or where Python would raise an exception: the script's own line is then
 * run after all, so every error comes from that line, as if nothing had been replaced.
 */
#ifndef MICROGPT_SCRIPT_H
#define MICROGPT_SCRIPT_H

#include "adam.h"

/* From now on Value is untouched (operators.h) as long as it stays as it is now. */
static int script_vouch(void)
{
    PyObject *now = PyDict_Copy(value_type->tp_dict);
    if (!now)
        return -1;
    Py_SETREF(untouched, now);
    return 0;
}

/* A list of `n` nodes that `make` returns for 0, 1, ...; None where it returns NULL. */
typedef Node *(*Make)(void *context, Py_ssize_t i);

static PyObject *list_of_nodes(Make make, void *context, Py_ssize_t n)
{
    PyObject *out = n > 0 ? PyList_New(n) : NULL;
    for (Py_ssize_t i = 0; out && i < n; i++) {
        Node *node = make(context, i);
        if (node)
            PyList_SET_ITEM(out, i, (PyObject *)node);
        else
            Py_CLEAR(out);
    }
    return or_none(out);
}

/* ---- [a + b for a, b in zip(x, y)] and [xi.relu() for xi in x] --------------------------------------------------------- */

typedef struct {
    Node *const *x, *const *y;
    PyObject *exponent; /* of relu(x) ** exponent; NULL for relu(x) */
} Elements;

static Node *add_element(void *context, Py_ssize_t i)
{
    Elements *of = context;
    return node_add(of->x[i], of->y[i]);
}

static PyObject *script_add(PyObject *x, PyObject *y)
{
    Py_ssize_t n, n_y;
    Elements of = {plain_items(x, &n), plain_items(y, &n_y), NULL};
    return of.x && of.y && n == n_y ? list_of_nodes(add_element, &of, n) : or_none(NULL);
}

static Node *relu_element(void *context, Py_ssize_t i)
{
    Elements *of = context;
    Node *positive = node_relu(of->x[i]), *power;
    if (!positive || !of->exponent)
        return positive;
    power = node_pow(positive, of->exponent);
    drop(positive);
    return power;
}

static PyObject *script_relu(PyObject *x, PyObject *exponent)
{
    Py_ssize_t n;
    Elements of = {plain_items(x, &n), NULL, exponent == Py_None ? NULL : exponent};
    return of.x ? list_of_nodes(relu_element, &of, n) : or_none(NULL);
}

/* ---- One attention head -------------------------------------------------------------------------------------------------- */

typedef struct {
    Operands *head;  /* the query, or the weights */
    PyObject **rows; /* keys or values: lists of at least `dim` Values, one for each position */
    Py_ssize_t dim, positions;
    double inverse; /* of the divisor */
    PyObject **column;
} Head;

static int head_rows(Head *head, PyObject *rows)
{
    if (!PyList_CheckExact(rows))
        return 0;
    head->rows = PySequence_Fast_ITEMS(rows);
    head->positions = PyList_GET_SIZE(rows);
    return head->positions > 0;
}

static Node *head_logit(void *context, Py_ssize_t t)
{
    Head *head = context;
    Operands *key = operands_of(head->rows[t], 0, head->dim, FLOATS);
    Node *dot = key ? dot_new(head->head, key) : NULL;
    operands_drop(key);
    return dot ? with_constant(node_mul, dot, node_new(head->inverse)) : NULL;
}

/* [sum(q[j] * keys[t][j] for j in range(dim)) / divisor for t in range(len(keys))] */
static PyObject *script_logits(PyObject *q, PyObject *keys, Py_ssize_t dim, double divisor)
{
    Head head = {.dim = dim};
    if (!head_rows(&head, keys) || !float_pow(divisor, -1.0, &head.inverse) || !(head.head = operands_of(q, 0, dim, FLOATS)))
        return or_none(NULL);
    PyObject *out = list_of_nodes(head_logit, &head, head.positions);
    operands_drop(head.head);
    return out;
}

static Node *head_output(void *context, Py_ssize_t j)
{
    Head *head = context;
    for (Py_ssize_t t = 0; t < head->positions; t++) {
        PyObject *row = head->rows[t];
        if (!PyList_CheckExact(row) || PyList_GET_SIZE(row) <= j)
            return NULL;
        head->column[t] = PyList_GET_ITEM(row, j);
    }
    Operands *values = operands_new(head->column, head->positions, FLOATS);
    Node *dot = values ? dot_new(head->head, values) : NULL;
    operands_drop(values);
    return dot;
}

/* [sum(weights[t] * values[t][j] for t in range(len(values))) for j in range(dim)] */
static PyObject *script_mix(PyObject *weights, PyObject *values, Py_ssize_t dim)
{
    Head head = {.dim = dim};
    if (!head_rows(&head, values) || PyObject_Size(weights) != head.positions ||
        !(head.head = operands_of(weights, 0, head.positions, FLOATS))) {
        PyErr_Clear();
        return or_none(NULL);
    }
    head.column = PyMem_New(PyObject *, head.positions);
    PyObject *out = head.column ? list_of_nodes(head_output, &head, dim) : or_none(NULL);
    PyMem_Free(head.column);
    operands_drop(head.head);
    return out;
}

/* ---- Loops over the parameters ------------------------------------------------------------------------------------------- */

enum { GRAD_KEPT, GRAD_INT_ZERO, GRAD_FLOAT_ZERO }; /* what an iteration leaves in p.grad */

static inline void leave_grad(Node *p, int leaves)
{
    if (leaves == GRAD_KEPT)
        return;
    p->f.slot[GRAD].number = 0.0;
    p->f.flags = leaves == GRAD_INT_ZERO ? p->f.flags | IS_INT(GRAD) : p->f.flags & ~IS_INT(GRAD);
}

/* Parameter i of the script's list if its numbers are floats (or its gradient the int 0), else NULL. */
static inline Node *plain_param(PyObject *params, Py_ssize_t i)
{
    PyObject *p = PyList_GET_ITEM(params, i);
    if (!is_exact(p))
        return NULL;
    Node *node = (Node *)p;
    unsigned flags = node->f.flags;
    if (flags & (KIND(DATA) | IS_OBJECT(GRAD)) || (flags & IS_INT(GRAD) && node->f.slot[GRAD].number != 0.0))
        return NULL;
    return node;
}

/* list[i] = number. A float that only this list refers to takes the new number itself, which nobody can notice. */
static inline int set_float(PyObject *list, Py_ssize_t i, double number)
{
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
    double beta1, rest1, beta2, rest2; /* rest: what the new gradient counts, 1 - beta in the reference */
    double correction1, correction2, lr, eps;
    int leaves;
} AdamLine;

/* The iterations i, i + 1, ... up to `end` of the reference's Adam loop on the script's own lists. Returns the first one that
 * was not done, because something in it is not an ordinary float; -1 with MemoryError. */
static Py_ssize_t script_adam(PyObject *params, PyObject *m, PyObject *v, Py_ssize_t i, Py_ssize_t end, const AdamLine *line)
{
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
        leave_grad(p, line->leaves);
    }
    return i;
}

/* The same for p.data -= lr * p.grad, and with lr 0 for p.grad = 0 alone. */
static Py_ssize_t script_descent(PyObject *params, Py_ssize_t i, Py_ssize_t end, double lr, int moves, int leaves)
{
    if (end > PyList_GET_SIZE(params))
        return i;
    for (; i < end; i++) {
        Node *p = plain_param(params, i);
        if (!p)
            return i;
        if (moves)
            p->f.slot[DATA].number -= lr * p->f.slot[GRAD].number;
        leave_grad(p, leaves);
    }
    return i;
}

#endif
