/* The edges of a node as Python sees them: `_children` and `_local_grads`. */
#ifndef MICROGPT_EDGES_H
#define MICROGPT_EDGES_H

#include "dot.h"

/* A tuple of the objects that are not NULL. Steals the references to them: the caller makes the objects before the tuple,
 * because making one may run the garbage collector, which may run any code. */
static PyObject *pack(PyObject *first, PyObject *second) {
    Py_ssize_t n = second ? 2 : first ? 1 : 0;
    PyObject *tuple = PyTuple_New(n);
    if (tuple && n > 0)
        PyTuple_SET_ITEM(tuple, 0, Py_NewRef(first));
    if (tuple && n > 1)
        PyTuple_SET_ITEM(tuple, 1, Py_NewRef(second));
    Py_XDECREF(first);
    Py_XDECREF(second);
    return tuple;
}

/* `_children`, or `deleted`. */
static PyObject *edges_children(Node *node) {
    if (node->f.flags & DOT && dot_expand(node) < 0)
        return NULL;
    unsigned flags = node->f.flags;
    if (flags & (PYTHON_EDGES | MANY_CHILDREN))
        return Py_NewRef(node->f.python_edges[0]);
    /* mutant: two-children */
    if (flags & TWO_CHILDREN)
        return pack((PyObject *)node_incref(node->f.child[0]), (PyObject *)node_incref(node->f.child[1]));
    return pack(flags & ONE_CHILD ? (PyObject *)node_incref(node->f.child[0]) : NULL, NULL);
}

/* `_local_grads`, or `deleted`. */
static PyObject *edges_local_grads(Node *node) {
    if (node->f.flags & DOT && dot_expand(node) < 0)
        return NULL;
    unsigned flags = node->f.flags;
    if (flags & (PYTHON_EDGES | MANY_CHILDREN))
        return Py_NewRef(node->f.python_edges[1]);
    PyObject *first = flags & (ONE_CHILD | TWO_CHILDREN) ? slot_get(node, LOCAL0) : NULL;
    PyObject *second = flags & TWO_CHILDREN ? slot_get(node, LOCAL1) : NULL;
    if (PyErr_Occurred()) {
        Py_XDECREF(first);
        Py_XDECREF(second);
        return NULL;
    }
    return pack(first, second);
}

static PyObject *unless_deleted(PyObject *edges, const Node *node, const char *name) {
    if (edges != deleted)
        return edges;
    Py_DECREF(edges);
    return no_attribute(node, name);
}

static PyObject *node_children(Node *node) { return unless_deleted(edges_children(node), node, "_children"); }
static PyObject *node_local_grads(Node *node) { return unless_deleted(edges_local_grads(node), node, "_local_grads"); }

/* How a node can hold these edges: two tuples of equal size with at most two Values are stored in the node itself. More Values
 * with ordinary numbers stay in their tuples, as does everything else that the reference accepts, and Python computes with
 * those. */
static unsigned kind_of_edges(PyObject *children, PyObject *local_grads) {
    if (!PyTuple_CheckExact(children) || !PyTuple_CheckExact(local_grads))
        return PYTHON_EDGES;
    Py_ssize_t n = PyTuple_GET_SIZE(children);
    if (n != PyTuple_GET_SIZE(local_grads))
        return PYTHON_EDGES;
    for (Py_ssize_t i = 0; i < n; i++)
        if (!is_value(PyTuple_GET_ITEM(children, i)))
            return PYTHON_EDGES;
    double number;
    for (Py_ssize_t i = 0; n > 2 && i < n; i++)
        if (number_kind(PyTuple_GET_ITEM(local_grads, i), &number) < 0)
            return PYTHON_EDGES;
    return n > 2 ? MANY_CHILDREN : n == 2 ? TWO_CHILDREN : n == 1 ? ONE_CHILD : 0;
}

/* Replaces the edges of a node. */
static int node_set_edges(Node *node, PyObject *children, PyObject *local_grads) {
    unsigned edges = kind_of_edges(children, local_grads);
    if (edges == 0 && !(node->f.flags & EDGES))
        return 0;
    Node old = {.f = node->f}; /* released last, because that may run any code */
    unsigned moved = EDGES | START_FIRST | START_NODE | FLOWS | KIND(LOCAL0) | KIND(LOCAL1);
    old.f.flags &= moved;
    node->f.flags &= ~(moved | PROPAGATED);
    if (edges & (PYTHON_EDGES | MANY_CHILDREN)) {
        node->f.python_edges[0] = Py_NewRef(children);
        node->f.python_edges[1] = Py_NewRef(local_grads);
    } else
        for (int i = 0; i < (edges == TWO_CHILDREN ? 2 : edges == ONE_CHILD ? 1 : 0); i++) {
            node->f.child[i] = node_incref((Node *)PyTuple_GET_ITEM(children, i));
            slot_set(node, LOCAL0 + i, PyTuple_GET_ITEM(local_grads, i));
        }
    node->f.flags |= edges;
    num_changes++;
    free_dead(node_clear(&old, NULL));
    return 0;
}

#endif
