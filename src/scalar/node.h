/* What a Value is in memory, and how its numbers are read and written.
 *
 * A node holds four numbers (data, gradient, two local gradients) and pointers to two children in the object itself, so that an
 * operation takes one allocation and a backward pass follows plain pointers. Nearly all numbers are floats. But in the
 * reference ints stay ints (`Value(2) * 3` is 6, not 6.0), and data may be any object that Python can add and multiply. So
 * each of the four slots holds one of
 *
 *     a float            as a double
 *     an int             as a double, which is exact because only ints of at most 2**53 in absolute value are stored so
 *     any other object   as a counted reference
 *
 * and two bits of `flags` say which. Arithmetic is done on doubles where that gives what Python would give, and by Python's own
 * operators everywhere else, so results, exceptions and their messages are Python's.
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
    struct Operands *start; /* a vector of one, in slot LOCAL1 of a DOT with START_NODE */
} Slot;

typedef struct Node Node;

/* One of the two vectors of a dot product that is a single node, see dot.h. */
typedef struct Operands {
    size_t references;
    uint32_t size;
    uint8_t all_leaves; /* every node was an ordinary leaf at `change` */
    uint8_t has_ints;
    uint8_t lends, is_row;   /* its nodes' gradients are in `grads`; it is one of lent_rows, see lent.h */
    uint64_t change;         /* num_changes when the vector was made */
    uint64_t writes;         /* num_writes when the nodes had these data */
    uint64_t pass;           /* number of the last backward pass that visited all its nodes */
    struct Operands **place; /* among the recent ones, see dot.h, if it has not been replaced there; or NULL */
    struct Operands *next;   /* of lent_rows */
    double *grads;           /* of the nodes, while they are lent */
    Node **nodes;            /* counted references */
    uint8_t *is_int;         /* which data are ints; only if has_ints */
    double data[];           /* of the nodes, when the vector was made; grads, nodes and is_int follow in the same allocation */
} Operands;

typedef struct {
    uint32_t flags;
    uint16_t index;     /* position in its slab, see slab.h */
    uint16_t operation; /* the operator that made it, see overrides.h */
    Slot slot[NUM_SLOTS];
    union {
        Node *child[2];            /* counted references; flags say how many */
        PyObject *python_edges[2]; /* PYTHON_EDGES, MANY_CHILDREN: `_children` and `_local_grads` as the user gave them */
        Operands *operands[2];     /* DOT: the two vectors */
    };
} NodeFields;

struct Node {
    PyObject ob_base; /* what PyObject_HEAD stands for */
    NodeFields f;
};

#define IS_INT(i) (1u << (i))     /* slot i is an int */
#define IS_OBJECT(i) (16u << (i)) /* slot i is an object */
#define ANY_OBJECT 0xF0u
#define KIND(i) (IS_INT(i) | IS_OBJECT(i))
/* At most one of these five; a leaf has none. */
#define ONE_CHILD 0x100u
#define TWO_CHILDREN 0x200u
#define PYTHON_EDGES 0x400u
#define DOT 0x800u
#define MANY_CHILDREN 0x8000u /* two tuples of equal size, of Values and of floats or small ints */
#define EDGES (ONE_CHILD | TWO_CHILDREN | MANY_CHILDREN | PYTHON_EDGES | DOT)
#define VISITED 0x1000u      /* on the tape or stack of the backward pass in progress */
#define PROPAGATED 0x2000u   /* a DOT that a backward pass has been through; its gradient in that pass is in slot LOCAL0 */
#define CUSTOM 0x4000u       /* of a subclass that overrides attributes (overrides.h): all its numbers are stored as objects */
#define EXTRAS 0x10000u      /* it has attributes in the dict `extras` (extras.h) */
#define START_FIRST 0x20000u /* a DOT whose sum is start + product[0] + ..., not product[0] + start + ... */
#define START_NODE 0x40000u  /* a DOT whose sum starts with the node in `start`, not with a new 0 */
#define FLOWS 0x80000u       /* a formula (methods.h), not local gradients, gives its children's gradients */
#define LENT 0x100000u       /* its gradient is in `grads` of a vector (lent.h); if it is a leaf, of operands[0] */

#define LARGEST_INT 9007199254740992.0 /* 2**53: a smaller sum or product of ints is exact; beyond, a double may be rounded */

/* How often an existing node was given edges, or an object as a number. While this does not change, a vector of ordinary leaves
 * remains one. */
static uint64_t num_changes;

/* How often data of existing nodes were changed, by as many calls. While this does not change, a vector's data are its nodes'. */
static uint64_t num_writes;

/* The kinds of the numbers that Value itself puts into nodes: a new gradient's 0, the local gradients 1 of a sum, data that
 * are ints. They are ints, as in the reference; a script's class may have floats instead, see script.h. */
static unsigned start_grad = IS_INT(GRAD), sum_locals = IS_INT(LOCAL0) | IS_INT(LOCAL1), int_data = IS_INT(DATA);
static PyObject *root_grad; /* the gradient that backward() starts with */

/* Set when the module is loaded, see type.h. */
static PyTypeObject *value_type;
static PyObject *zero, *one, *minus_one, *minus_half;
static PyObject *deleted; /* marks an attribute that the user has deleted */

static inline int is_exact(PyObject *o) { return Py_TYPE(o) == value_type; }

/* Whether o is a Value or an instance of a subclass. Floats and ints are ruled out first because they are the most frequent. */
static inline int is_value(PyObject *o) {
    return is_exact(o) || (!PyFloat_CheckExact(o) && !PyLong_CheckExact(o) && PyType_IsSubtype(Py_TYPE(o), value_type));
}

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

/* Reads a Python number as a double. Returns its kind: 0 for a float, 1 for an int, -1 for anything else; *d is then not set.
 */
static inline int number_kind(PyObject *value, double *d) {
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

static PyObject *no_attribute(const Node *node, const char *name) {
    PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '%s'", Py_TYPE((PyObject *)node)->tp_name, name);
    return NULL;
}

static PyObject *slot_get(const Node *node, int i) {
    if (node->f.flags & IS_OBJECT(i) && node->f.slot[i].object == deleted)
        return no_attribute(node, i == DATA ? "data" : "grad");
    if (node->f.flags & IS_OBJECT(i))
        return Py_NewRef(node->f.slot[i].object);
    if (node->f.flags & IS_INT(i))
        return PyLong_FromLongLong((long long)node->f.slot[i].number);
    return PyFloat_FromDouble(node->f.slot[i].number);
}

static int slot_set(Node *node, int i, PyObject *value) {
    PyObject *old = node->f.flags & IS_OBJECT(i) ? node->f.slot[i].object : NULL;
    double d;
    int kind = node->f.flags & CUSTOM ? -1 : number_kind(value, &d);
    node->f.flags &= ~KIND(i);
    num_writes += i == DATA; /* mutant: count-writes */
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
