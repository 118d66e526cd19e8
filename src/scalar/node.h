/* The node of the scalar graph: what a Python `Value` is in memory, and how its numbers are read and written.
 *
 * Four numbers (data, gradient, two local gradients) and two children are stored in the object itself, so that an operation
 * is one allocation and a backward pass follows plain pointers. A number is nearly always a float. But the reference keeps
 * ints ints (`Value(2) * 3` is 6, not 6.0) and takes whatever else Python can add and multiply, so each of the four slots is
 * one of
 *
 *     a float            number
 *     an int             number, exact because it is at most 2**53 in size
 *     any other object   a counted reference
 *
 * and two bits of `flags` tell which. Arithmetic is done on doubles where that gives what Python would give, and by Python's
 * own operators everywhere else, so results, exceptions and their texts are Python's.
 */
#ifndef MICROGPT_NODE_H
#define MICROGPT_NODE_H

#include "common/rounding.h"

#include <Python.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum { DATA, GRAD, LOCAL0, LOCAL1, NUM_SLOTS };

typedef union {
    double number;
    PyObject *object;
} Slot;

typedef struct Node Node;
typedef struct Operands Operands; /* of a fused dot product, see dot.h */

typedef struct {
    uint16_t flags;
    uint16_t index; /* place in its slab, see slab.h */
    Slot slot[NUM_SLOTS];
    union {
        Node *child[2];        /* counted references; how many is in flags */
        PyObject *wide[2];     /* WIDE: the `_children` and `_local_grads` the user gave, kept as they are */
        Operands *operands[2]; /* DOT: the two vectors */
    };
} NodeFields;

struct Node {
    PyObject_HEAD
    NodeFields f;
};

#define IS_INT(i) (1u << (i))     /* slot i is an int */
#define IS_OBJECT(i) (16u << (i)) /* slot i is an object */
#define ANY_OBJECT 0xF0u
#define KIND(i) (IS_INT(i) | IS_OBJECT(i))
#define ONE_CHILD 0x100u
#define TWO_CHILDREN 0x200u
#define WIDE 0x400u
#define DOT 0x800u
#define EDGES (ONE_CHILD | TWO_CHILDREN | WIDE | DOT) /* none of them: a leaf */
#define VISITED 0x1000u   /* on the tape of the backward pass that is running */
#define PROPAGATED 0x2000u /* a DOT that a backward pass has been through; its gradient then is in slot LOCAL0 */
#define STRANGE 0x4000u /* of a subclass with a `data`, `__eq__` or the like of its own: all its numbers are objects */

/* Counts the times a node that exists was given edges or an object for a number: a vector that was all ordinary leaves when it
 * was taken still is while this stands still. */
static uint64_t num_changes;

#define LARGEST_INT 9007199254740992.0 /* 2**53: below it a sum or product of ints is exact, beyond it no longer shows it */

/* Set when the module is loaded. */
/* The numbers Value itself puts into nodes are ints, as in the reference: a gradient's 0 and 1, and the local gradients of a sum.
 * A script's class may have floats there, see script.h. */
static unsigned start_grad = IS_INT(GRAD), sum_locals = IS_INT(LOCAL0) | IS_INT(LOCAL1);
static PyObject *root_grad; /* what backward() starts with */

static PyTypeObject *value_type;
static PyObject *zero, *one, *minus_one, *minus_half;

static inline int is_exact(PyObject *o) { return Py_TYPE(o) == value_type; }
static inline int is_value(PyObject *o) /* or of a subclass; numbers are told apart first because they are most of what is asked */
{
    return is_exact(o) || (!PyFloat_CheckExact(o) && !PyLong_CheckExact(o) && PyType_IsSubtype(Py_TYPE(o), value_type));
}

/* ---- Numbers --------------------------------------------------------------------------------------------------------- */

/* Reads a Python number as a double. Returns its kind: 0 for a float, 1 for an int, -1 for anything else (d is not set). */
static inline int number_kind(PyObject *value, double *d)
{
    if (PyFloat_CheckExact(value)) {
        *d = PyFloat_AS_DOUBLE(value);
        return 0;
    }
    if (PyLong_CheckExact(value)) {
        int overflow;
        long long n = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (!overflow && n >= -(1LL << 53) && n <= 1LL << 53) {
            *d = (double)n;
            return 1;
        }
    }
    return -1;
}

static PyObject *slot_get(const Node *node, int i)
{
    if (node->f.flags & IS_OBJECT(i))
        return Py_NewRef(node->f.slot[i].object);
    if (node->f.flags & IS_INT(i))
        return PyLong_FromLongLong((long long)node->f.slot[i].number);
    return PyFloat_FromDouble(node->f.slot[i].number);
}

static int slot_set(Node *node, int i, PyObject *value)
{
    PyObject *old = node->f.flags & IS_OBJECT(i) ? node->f.slot[i].object : NULL;
    double d;
    int kind = node->f.flags & STRANGE ? -1 : number_kind(value, &d);
    node->f.flags &= ~KIND(i);
    if (kind < 0) {
        node->f.slot[i].object = Py_NewRef(value);
        node->f.flags |= IS_OBJECT(i);
        num_changes++;
    } else {
        node->f.slot[i].number = d;
        node->f.flags |= kind ? IS_INT(i) : 0;
    }
    Py_XDECREF(old);
    return 0;
}

#endif
