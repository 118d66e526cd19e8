/* How nodes are created and deallocated.
 *
 * A graph may be a chain of millions of nodes, so its deallocation must not recurse: a node that loses its last reference is
 * put on a list of dead nodes, and a loop frees those one by one.
 */
#ifndef MICROGPT_LIFETIME_H
#define MICROGPT_LIFETIME_H

#include "extras.h"
#include "overrides.h"

/* ---- Creation ---------------------------------------------------------------------------------------------------- */

static inline Node *node_incref(Node *node) {
    Py_INCREF((PyObject *)node);
    return node;
}

static inline void node_xdecref(Node *node) { Py_XDECREF((PyObject *)node); }

/* PyObject_Init for a Value, without a call where that only counts references. */
static inline void node_init(Node *node) {
#if defined(Py_REF_DEBUG) || defined(Py_GIL_DISABLED)
    PyObject_Init((PyObject *)node, value_type);
#else
    Py_INCREF((PyObject *)value_type);
    Py_SET_TYPE((PyObject *)node, value_type);
    ((PyObject *)node)->ob_refcnt = 1;
#endif
}

/* A leaf with float data and gradient 0; NULL with MemoryError. */
static inline Node *node_new(double data) {
    Node *node = slab_alloc();
    if (!node)
        return (Node *)PyErr_NoMemory();
    node_init(node);
    node->f.slot[DATA].number = data;
    node->f.slot[GRAD].number = 0.0;
    node->f.flags = start_grad;
    node->f.operation = 0;
    return node;
}

static Node *node_new_int(int data) {
    Node *node = node_new(data);
    if (node)
        node->f.flags |= int_data;
    return node;
}

/* A node with float data, one child and a float local gradient. */
static inline Node *node_unary(double data, Node *child, double local) {
    Node *node = node_new(data);
    if (node) {
        node->f.child[0] = node_incref(child);
        node->f.slot[LOCAL0].number = local;
        node->f.flags |= ONE_CHILD;
    }
    return node;
}

/* The same with two children. */
static inline Node *node_binary(double data, Node *a, Node *b, double local_a, double local_b) {
    Node *node = node_new(data);
    if (node) {
        node->f.child[0] = node_incref(a);
        node->f.child[1] = node_incref(b);
        node->f.slot[LOCAL0].number = local_a;
        node->f.slot[LOCAL1].number = local_b;
        node->f.flags |= TWO_CHILDREN;
    }
    return node;
}

/* A sum, whose local gradients are of the kind that Value gives them. */
static inline Node *node_sum(double data, Node *a, Node *b) {
    Node *node = node_binary(data, a, b, 1.0, 1.0);
    if (node) {
        node->f.flags |= sum_locals;
        node->f.operation = ADD;
    }
    return node;
}

/* ---- Deallocation ------------------------------------------------------------------------------------------------ */

/* A dead node no longer needs its type; the list of dead nodes is linked through that field. */
static inline Node *next_dead(const Node *node) { return (Node *)((const PyObject *)node)->ob_type; }
static inline void set_next_dead(Node *node, Node *next) { ((PyObject *)node)->ob_type = (PyTypeObject *)next; }

/* Drops a reference. If it is the last one to a Value, the Value is put on the list `dead`. Returns the list. */
static inline Node *release(PyObject *object, Node *dead) {
    assert(Py_REFCNT(object) > 0);
    if (Py_REFCNT(object) == 1 && is_exact(object)) { /* mutant: last-reference */
        set_next_dead((Node *)object, dead);
        return (Node *)object;
    }
    Py_DECREF(object);
    return dead;
}

static Node *operands_release(Operands *operands, Node *dead) {
    if (--operands->references == 0) {
        for (uint32_t i = operands->size; i-- > 0;)
            dead = release((PyObject *)operands->nodes[i], dead);
        if (operands->place && *operands->place == operands)
            *operands->place = NULL;
        PyMem_Free(operands);
    }
    return dead;
}

/* Drops all references that a node holds. */
static inline Node *node_clear(Node *node, Node *dead) {
    unsigned flags = node->f.flags;
    node->f.flags = 0;
    if (flags & EXTRAS)
        forget_extras(node);
    if (flags & TWO_CHILDREN) {
        dead = release((PyObject *)node->f.child[1], dead);
        dead = release((PyObject *)node->f.child[0], dead);
    } else if (flags & ONE_CHILD) {
        dead = release((PyObject *)node->f.child[0], dead);
    } else if (flags & DOT) {
        dead = operands_release(node->f.operands[1], dead);
        dead = operands_release(node->f.operands[0], dead);
        if (flags & START_NODE)
            dead = operands_release(node->f.slot[LOCAL1].start, dead);
    } else if (flags & (PYTHON_EDGES | MANY_CHILDREN)) {
        Py_DECREF(node->f.python_edges[0]);
        Py_DECREF(node->f.python_edges[1]);
    }
    if (flags & ANY_OBJECT)
        for (int i = 0; i < NUM_SLOTS; i++)
            if (flags & IS_OBJECT(i))
                /* mutant: release-data */
                dead = release(node->f.slot[i].object, dead); /* it may be a Value whose data is another Value, and so on */
    return dead;
}

static void free_dead(Node *dead) {
    while (dead) {
        Node *node = dead;
        dead = node_clear(node, next_dead(node));
        slab_free(node);
        Py_DECREF((PyObject *)value_type); /* mutant: release-type */
    }
}

static inline Operands *operands_xincref(Operands *operands) {
    if (operands)
        operands->references++;
    return operands;
}

static inline void operands_xdecref(Operands *operands) {
    if (operands)
        free_dead(operands_release(operands, NULL));
}

static void node_free(PyObject *self) {
    Node *node = (Node *)self;
    if (is_exact(self)) {
        set_next_dead(node, NULL);
        free_dead(node);
    } else {
        PyTypeObject *type = Py_TYPE(self);
        Node *dead = node_clear(node, NULL);
        type->tp_free(self);
        Py_DECREF((PyObject *)type);
        free_dead(dead);
    }
}

/* Other Python objects may stand between two nodes: a list of children, an instance of a subclass. Deallocating one of those
 * calls node_dealloc. To limit the nesting of these calls too, nodes that die at MAX_NESTING wait for the outermost call. */
#define MAX_NESTING 50
static int nesting;
static PyObject *deferred; /* nodes that wait, linked through a field that the dead do not need */
#ifdef Py_GIL_DISABLED
#define NEXT_DEFERRED(object) (&(object)->ob_tid)
#else
#define NEXT_DEFERRED(object) (&(object)->ob_refcnt)
#endif

/* tp_dealloc */
static void node_dealloc(PyObject *self) {
    assert(Py_REFCNT(self) == 0 && !(((Node *)self)->f.flags & VISITED));
    if (nesting == MAX_NESTING) { /* mutant: nesting-limit */
        memcpy(NEXT_DEFERRED(self), &deferred, sizeof deferred);
        deferred = self;
        return;
    }
    for (nesting++; self;) {
        node_free(self);
        self = nesting == 1 ? deferred : NULL; /* mutant: deferred-nodes */
        if (self)
            memcpy(&deferred, NEXT_DEFERRED(self), sizeof deferred);
    }
    nesting--;
}

#endif
