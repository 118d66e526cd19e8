/* The model's functions on vectors of Values. They make the nodes that the reference's loops make, except that a dot product
 * is one node.
 *
 * Each takes lists of Values with float data. For anything else it returns None, and its caller in scalar.pyx runs the
 * reference's function, with whatever operators the objects have. Within this file, that result is NULL without an exception.
 */
#ifndef MICROGPT_FUNCTIONS_H
#define MICROGPT_FUNCTIONS_H

#include "dot.h"
#include "operators.h"

static PyObject *or_none(PyObject *result) { return result || PyErr_Occurred() ? result : Py_NewRef(Py_None); }

/* A list or tuple. References borrowed from one are valid until the next container object is created: that may run the garbage
 * collector, which may run any code, which may change the list. */
static inline int is_vector(PyObject *object) { return PyList_CheckExact(object) || PyTuple_CheckExact(object); }

/* The items, borrowed, of a vector of Values with float data; NULL if it is anything else. */
static Node *const *plain_items(PyObject *vector, Py_ssize_t *size) {
    if (!is_vector(vector) || !is_unmodified())
        return NULL;
    PyObject **items = PySequence_Fast_ITEMS(vector);
    *size = PySequence_Fast_GET_SIZE(vector);
    for (Py_ssize_t i = 0; i < *size; i++)
        if (!is_exact(items[i]) || ((Node *)items[i])->f.flags & KIND(DATA))
            return NULL;
    return *size > 0 ? (Node *const *)items : NULL;
}

/* An int that can be a size; -1 for anything else. */
static Py_ssize_t small_int(PyObject *object) {
    int overflow;
    long long n = PyLong_CheckExact(object) ? PyLong_AsLongLongAndOverflow(object, &overflow) : -1;
    return n < 0 || n > INT32_MAX ? -1 : (Py_ssize_t)n;
}

static Operands *operands_of(PyObject *vector, Py_ssize_t start, Py_ssize_t size, int allowed) {
    if (!is_vector(vector) || start < 0 || size > PySequence_Fast_GET_SIZE(vector) - start)
        return NULL;
    PyObject *const *items = PySequence_Fast_ITEMS(vector) + start;
    Operands *operands = operands_of_floats(items, size);
    return operands || allowed == FLOATS || PyErr_Occurred() ? operands : operands_new(items, size, allowed);
}

static PyObject *relu_node(PyObject *x) {
    return or_none(is_exact(x) && is_unmodified() ? (PyObject *)node_relu((Node *)x) : NULL);
}

/* ---- linear: x (n_in,), w (n_out, n_in) -> (n_out,) -------------------------------------------------------------- */

static PyObject *linear_nodes(PyObject *x, PyObject *w) {
    if (!is_vector(x) || !is_vector(w) || !is_unmodified() || !are_standard(DOT_METHODS))
        return or_none(NULL);
    Py_ssize_t n_in = PySequence_Fast_GET_SIZE(x), n_out = PySequence_Fast_GET_SIZE(w);
    Operands *xs = operands_of(x, 0, n_in, FLOATS_AND_INTS);
    PyObject *out = xs ? PyList_New(n_out) : NULL;
    for (Py_ssize_t i = 0; out && i < n_out; i++) { /* PyList_New may have run the collector: w may be shorter now */
        PyObject *row = i < PySequence_Fast_GET_SIZE(w) ? PySequence_Fast_ITEMS(w)[i] : Py_None; /* mutant: linear-row */
        int fits = is_vector(row) && PySequence_Fast_GET_SIZE(row) == n_in;
        Node *y = fits ? dot_new(operands_of(row, 0, n_in, FLOATS), operands_xincref(xs), NULL, 0) : NULL;
        if (y)
            PyList_SET_ITEM(out, i, (PyObject *)y);
        else
            Py_CLEAR(out);
    }
    operands_xdecref(xs);
    return or_none(out);
}

/* ---- rmsnorm: (n,) -> (n,) --------------------------------------------------------------------------------------- */

static PyObject *rmsnorm_nodes(PyObject *x) {
    Py_ssize_t n;
    double inverse;
    if (!are_standard(DOT_METHODS | DIV_METHODS) || !plain_items(x, &n) || !float_pow((double)n, -1.0, &inverse))
        return or_none(NULL);
    Operands *xs = operands_of(x, 0, n, FLOATS);
    Node *ms = then_apply(node_mul, dot_new(operands_xincref(xs), operands_xincref(xs), NULL, 0), node_new(inverse));
    Node *mean = then_apply(node_add, ms, node_new(1e-5));
    Node *scale = then_pow(mean, minus_half);
    PyObject *out = scale ? PyList_New(n) : NULL;
    for (Py_ssize_t i = 0; out && i < n; i++) {
        Node *y = node_mul(xs->nodes[i], scale); /* mutant: scaled-item */
        if (y)
            PyList_SET_ITEM(out, i, (PyObject *)y);
        else
            Py_CLEAR(out);
    }
    node_xdecref(scale);
    operands_xdecref(xs);
    return or_none(out);
}

/* ---- softmax: (n,) -> (n,) --------------------------------------------------------------------------------------- */

/* The result of max() over their data, also with NaNs. */
static double largest_of(Node *const *items, Py_ssize_t n) {
    double largest = items[0]->f.slot[DATA].number;
    for (Py_ssize_t i = 1; i < n; i++)
        if (items[i]->f.slot[DATA].number > largest)
            largest = items[i]->f.slot[DATA].number;
    return largest;
}

/* exps[i] = exp(logits[i] - max). Returns their sum, or NULL with an exception; exps then holds no references. */
static Node *exps_and_total(Node *const *logits, Py_ssize_t n, Node **exps) {
    double largest = largest_of(logits, n);
    Node *total = node_new_int(0);
    Py_ssize_t i = 0;
    for (; total && i < n; i++) {
        exps[i] = then_exp(then_apply(node_add, node_incref(logits[i]), node_new(-largest)));
        Node *sum = !exps[i] ? NULL : i == 0 ? node_add(exps[i], total) : node_add(total, exps[i]);
        node_xdecref(total);
        total = sum;
    }
    if (!total) /* mutant: release-exps */
        while (i-- > 0)
            node_xdecref(exps[i]);
    return total;
}

/* probs[i] for n logits. -1 with an exception; probs then holds no references. `probs` also serves as the memory for exps. */
static int softmax_into(Node *const *logits, Py_ssize_t n, Node **probs) {
    Node *total = exps_and_total(logits, n, probs);
    if (!total)
        return -1;
    Py_ssize_t done = 0;
    while (done < n && (probs[done] = then_div(probs[done], node_incref(total))))
        done++;
    node_xdecref(total);
    if (done == n)
        return 0;
    for (Py_ssize_t i = 0; i < n; i++) /* mutant: release-probabilities */
        node_xdecref(probs[i]);
    return -1;
}

static PyObject *softmax_nodes(PyObject *logits) {
    Py_ssize_t n;
    Node *const *items = are_standard(SOFTMAX_METHODS) ? plain_items(logits, &n) : NULL;
    Node **probs = items ? PyMem_New(Node *, n) : NULL;
    if (!probs)
        return or_none(items ? PyErr_NoMemory() : NULL);
    PyObject *out = NULL;
    if (softmax_into(items, n, probs) == 0) {
        out = PyList_New(n);
        for (Py_ssize_t i = 0; i < n; i++) {
            if (out)
                PyList_SET_ITEM(out, i, (PyObject *)probs[i]);
            else
                node_xdecref(probs[i]);
        }
    }
    PyMem_Free(probs); /* mutant: free-scratch */
    return or_none(out);
}

/* -softmax(logits)[target].log(), without the nodes of the other probabilities, to which nothing refers */
static PyObject *cross_entropy_nodes(PyObject *logits, PyObject *token) {
    Py_ssize_t n, target = small_int(token);
    Node *const *items = plain_items(logits, &n);
    if (!items || target < 0 || target >= n)
        return or_none(NULL);
    Node **exps = PyMem_New(Node *, n);
    if (!exps)
        return PyErr_NoMemory();
    Node *total = exps_and_total(items, n, exps), *prob = NULL;
    if (total) {
        prob = then_div(node_incref(exps[target]), total);
        for (Py_ssize_t i = 0; i < n; i++)
            node_xdecref(exps[i]);
    }
    Node *log = prob ? node_log(prob) : NULL;
    node_xdecref(prob);
    PyMem_Free(exps);
    return or_none((PyObject *)then_apply(node_mul, log, node_new_int(-1)));
}

/* ---- attention: q (n_embd,), keys and values (positions, n_embd) -> (n_embd,) ------------------------------------ */

/* One head: head_dim elements from `start` on, of q, of each key and value and of the list `out`, which gets the output.
 * `scratch` has room for 2 * positions pointers. */
static int attention_head(PyObject *out, PyObject *q, PyObject *const *keys, PyObject *const *values, Py_ssize_t positions,
                          Py_ssize_t start, Py_ssize_t head_dim, Node **scratch) {
    Node **logits = scratch, **weights = scratch + positions;
    Operands *q_head = operands_of(q, start, head_dim, FLOATS), *mixed = NULL;
    Py_ssize_t t = 0;
    double root, inverse;
    int done = 0;
    if (q_head && float_pow((double)head_dim, 0.5, &root) && float_pow(root, -1.0, &inverse))
        for (; t < positions; t++) {
            Node *dot = dot_new(operands_xincref(q_head), operands_of(keys[t], start, head_dim, FLOATS), NULL, 0);
            if (!(logits[t] = then_apply(node_mul, dot, node_new(inverse))))
                break;
        }
    if (t == positions && softmax_into(logits, positions, weights) == 0) {
        mixed = operands_new((PyObject *const *)weights, positions, FLOATS);
        for (Py_ssize_t i = 0; i < positions; i++)
            node_xdecref(weights[i]);
    }
    while (t-- > 0) /* mutant: release-logits */
        node_xdecref(logits[t]);
    PyObject **column = (PyObject **)scratch;
    for (; mixed && done < head_dim; done++) {
        for (t = 0; t < positions; t++)
            column[t] = PySequence_Fast_ITEMS(values[t])[start + done];
        Node *y = dot_new(operands_xincref(mixed), operands_new(column, positions, FLOATS), NULL, 0);
        if (!y)
            break;
        PyList_SET_ITEM(out, start + done, (PyObject *)y);
    }
    operands_xdecref(mixed);
    operands_xdecref(q_head);
    return done == head_dim ? 0 : -1;
}

/* Whether keys and values are lists of `positions` rows, and those of values have at least `width` elements. */
static int are_rows(PyObject *keys, PyObject *values, Py_ssize_t positions, Py_ssize_t width) {
    if (PyList_GET_SIZE(keys) != positions || PyList_GET_SIZE(values) != positions)
        return 0;
    for (Py_ssize_t t = 0; t < positions; t++) {
        PyObject *row = PyList_GET_ITEM(values, t);
        if (!PyList_CheckExact(row) || PyList_GET_SIZE(row) < width)
            return 0;
    }
    return 1;
}

static PyObject *attention_nodes(PyObject *q, PyObject *keys, PyObject *values, PyObject *num_heads) {
    Py_ssize_t n_head = small_int(num_heads);
    if (!PyList_CheckExact(q) || !PyList_CheckExact(keys) || !PyList_CheckExact(values))
        return or_none(NULL);
    if (n_head < 1 || !is_unmodified())
        return or_none(NULL);
    Py_ssize_t head_dim = PyList_GET_SIZE(q) / n_head, positions = PyList_GET_SIZE(keys), width = n_head * head_dim;
    if (head_dim < 1 || positions < 1)
        return or_none(NULL);
    Node **scratch = PyMem_New(Node *, 2 * positions);
    PyObject *out = scratch ? PyList_New(width) : PyErr_NoMemory();
    if (out && !are_rows(keys, values, positions, width))
        Py_CLEAR(out);
    for (Py_ssize_t start = 0; out && start < width; start += head_dim)
        if (attention_head(out, q, PySequence_Fast_ITEMS(keys), PySequence_Fast_ITEMS(values), positions, start, head_dim,
                           scratch) < 0)
            Py_CLEAR(out);
    PyMem_Free(scratch);
    return or_none(out);
}

#endif
