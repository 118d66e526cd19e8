/* Nodes are born and die here, and are asked for their edges.
 *
 * A graph may be a chain of millions of nodes, so giving it back must not recurse: a node whose last reference goes is put on
 * a list of the dead, and the loop in node_dealloc works that list off.
 */
#ifndef MICROGPT_GRAPH_H
#define MICROGPT_GRAPH_H

#include "node.h"
#include "slab.h"

/* ---- Birth ----------------------------------------------------------------------------------------------------------- */

/* A node with float data, int gradient 0 and no children; NULL with MemoryError. */
static inline Node *node_new(double data)
{
    Node *node = slab_alloc();
    if (!node)
        return (Node *)PyErr_NoMemory();
    PyObject_Init((PyObject *)node, value_type);
    node->f.slot[DATA].number = data;
    node->f.slot[GRAD].number = 0.0;
    node->f.flags = start_grad;
    return node;
}

/* A leaf holding any Python object. */
static Node *node_wrap(PyObject *data)
{
    Node *node = node_new(0.0);
    if (node)
        slot_set(node, DATA, data);
    return node;
}

static inline Node *take(Node *node)
{
    Py_INCREF((PyObject *)node);
    return node;
}

/* A node of float data computed from one or two children, with float local gradients. */
static inline Node *node_unary(double data, Node *child, double local)
{
    Node *node = node_new(data);
    if (node) {
        node->f.child[0] = take(child);
        node->f.slot[LOCAL0].number = local;
        node->f.flags |= ONE_CHILD;
    }
    return node;
}

static inline Node *node_binary(double data, Node *a, Node *b, double local_a, double local_b)
{
    Node *node = node_new(data);
    if (node) {
        node->f.child[0] = take(a);
        node->f.child[1] = take(b);
        node->f.slot[LOCAL0].number = local_a;
        node->f.slot[LOCAL1].number = local_b;
        node->f.flags |= TWO_CHILDREN;
    }
    return node;
}

/* PyObject_GetAttrString by a string that is there already: Python's cache of attributes would keep each new one. */
static PyObject *attribute(PyObject *object, const char *name)
{
    PyObject *interned = PyUnicode_InternFromString(name);
    PyObject *result = interned ? PyObject_GetAttr(object, interned) : NULL;
    Py_XDECREF(interned);
    return result;
}

/* Whether a subclass has its own idea of what an attribute or equality is: 1, 0, or -1 with an exception. Its instances
 * then are STRANGE: they hold objects only, so that every fast path leaves them to Python, which asks the subclass. */
static int is_strange(PyTypeObject *type)
{
    static const char *const names[] = {
        "data", "grad", "_children", "_local_grads", "__getattribute__", "__setattr__", "__eq__", "__hash__",
    };
    static PyTypeObject *known;
    static unsigned known_version; /* no two states of any types share one, but 0 is none */
    static int strange;
    if (type == known && type->tp_version_tag == known_version && known_version)
        return strange;
    strange = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        PyObject *ours = attribute((PyObject *)value_type, names[i]);
        PyObject *theirs = attribute((PyObject *)type, names[i]);
        strange |= ours != theirs;
        Py_XDECREF(ours);
        Py_XDECREF(theirs);
        if (!ours || !theirs)
            return -1;
    }
    known = type;
    known_version = type->tp_version_tag;
    return strange;
}

static inline int node_is_strange(const Node *node) { return (node->f.flags & STRANGE) != 0; }

/* tp_new: exact Values come from the slabs, instances of subclasses from wherever Python puts them. */
static PyObject *value_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    if (type == value_type)
        return (PyObject *)node_new(0.0);
    int strange = is_strange(type);
    Node *node = strange < 0 ? NULL : (Node *)type->tp_alloc(type, 0);
    if (node) {
        node->f.flags = start_grad;
        if (strange) {
            node->f.flags = STRANGE;
            slot_set(node, DATA, zero);
            slot_set(node, GRAD, zero);
        }
    }
    return (PyObject *)node;
}

/* ---- Death ----------------------------------------------------------------------------------------------------------- */

struct Operands {
    size_t references;
    uint32_t size;
    uint8_t all_leaves; /* they were, at `change` */
    uint8_t has_ints;
    uint64_t change;    /* num_changes when it was made */
    uint64_t walk;      /* the last backward pass that has seen all of it */
    Node **nodes;       /* counted references */
    uint8_t *is_int;    /* which of the data are ints, where has_ints */
    double data[];      /* of the nodes, when the vector was taken; nodes and is_int follow in the same allocation */
};

/* A dead node needs its type no more; the list of the dead is linked through that field. */
static inline Node *next_dead(const Node *node) { return (Node *)((const PyObject *)node)->ob_type; }
static inline void set_next_dead(Node *node, Node *next) { ((PyObject *)node)->ob_type = (PyTypeObject *)next; }

static inline Node *let_go(PyObject *object, Node *dead)
{
    assert(Py_REFCNT(object) > 0);
    if (Py_REFCNT(object) == 1 && is_exact(object)) {
        set_next_dead((Node *)object, dead);
        return (Node *)object;
    }
    Py_DECREF(object);
    return dead;
}

static Node *operands_let_go(Operands *operands, Node *dead)
{
    if (--operands->references == 0) {
        for (uint32_t i = operands->size; i-- > 0;)
            dead = let_go((PyObject *)operands->nodes[i], dead);
        PyMem_Free(operands);
    }
    return dead;
}

/* Takes a node's references away; those that were the last ones put their nodes in front of `dead`. */
static inline Node *node_clear(Node *node, Node *dead)
{
    unsigned flags = node->f.flags;
    node->f.flags = 0;
    if (flags & TWO_CHILDREN) {
        dead = let_go((PyObject *)node->f.child[1], dead);
        dead = let_go((PyObject *)node->f.child[0], dead);
    } else if (flags & ONE_CHILD) {
        dead = let_go((PyObject *)node->f.child[0], dead);
    } else if (flags & DOT) {
        dead = operands_let_go(node->f.operands[1], dead);
        dead = operands_let_go(node->f.operands[0], dead);
    } else if (flags & WIDE) {
        Py_DECREF(node->f.wide[0]);
        Py_DECREF(node->f.wide[1]);
    }
    if (flags & ANY_OBJECT)
        for (int i = 0; i < NUM_SLOTS; i++)
            if (flags & IS_OBJECT(i))
                dead = let_go(node->f.slot[i].object, dead); /* it may be a Value, and its data another one */
    return dead;
}

static void node_free_all(Node *dead)
{
    while (dead) {
        Node *node = dead;
        dead = node_clear(node, next_dead(node));
        slab_free(node);
        Py_DECREF((PyObject *)value_type);
    }
}

static void node_free(PyObject *self)
{
    Node *node = (Node *)self;
    if (is_exact(self)) {
        set_next_dead(node, NULL);
        node_free_all(node);
    } else {
        PyTypeObject *type = Py_TYPE(self);
        Node *dead = node_clear(node, NULL);
        type->tp_free(self);
        Py_DECREF((PyObject *)type);
        node_free_all(dead);
    }
}

/* Between two nodes there may be objects of Python's, a list of children or an instance of a subclass, and their
 * deallocation is what calls this one. So that they do not pile up either, nodes that die too deep down wait for the first
 * one to be done. */
#define MAX_NESTING 50
static int nesting;
static PyObject *waiting; /* linked through the reference count, which is 0 */

static void node_dealloc(PyObject *self)
{
    assert(Py_REFCNT(self) == 0 && !(((Node *)self)->f.flags & VISITED));
    if (nesting == MAX_NESTING) {
        memcpy(&self->ob_refcnt, &waiting, sizeof waiting);
        waiting = self;
        return;
    }
    for (nesting++; self;) {
        node_free(self);
        self = nesting == 1 ? waiting : NULL;
        if (self)
            memcpy(&waiting, &self->ob_refcnt, sizeof waiting);
    }
    nesting--;
}

/* tp_free of exact Values. Python gives subclasses another one, and so refuses to assign one's __class__ to the other. */
static void value_free(void *node) { slab_free((Node *)node); }

/* ---- Edges as Python sees them --------------------------------------------------------------------------------------- */

static int dot_expand(Node *node); /* dot.h */

/* A tuple of as many objects as are not NULL; takes over the references to them. They are counted before there is a
 * tuple, because making one may run the garbage collector, and that any code. */
static PyObject *pack(PyObject *first, PyObject *second)
{
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

static PyObject *node_children(Node *node)
{
    unsigned flags = node->f.flags;
    if (flags & DOT)
        return dot_expand(node) < 0 ? NULL : node_children(node);
    if (flags & WIDE)
        return Py_NewRef(node->f.wide[0]);
    if (flags & TWO_CHILDREN)
        return pack((PyObject *)take(node->f.child[0]), (PyObject *)take(node->f.child[1]));
    return pack(flags & ONE_CHILD ? (PyObject *)take(node->f.child[0]) : NULL, NULL);
}

static PyObject *node_local_grads(Node *node)
{
    unsigned flags = node->f.flags;
    if (flags & DOT)
        return dot_expand(node) < 0 ? NULL : node_local_grads(node);
    if (flags & WIDE)
        return Py_NewRef(node->f.wide[1]);
    PyObject *first = flags & (ONE_CHILD | TWO_CHILDREN) ? slot_get(node, LOCAL0) : NULL;
    PyObject *second = flags & TWO_CHILDREN ? slot_get(node, LOCAL1) : NULL;
    if (PyErr_Occurred()) {
        Py_XDECREF(first);
        Py_XDECREF(second);
        return NULL;
    }
    return pack(first, second);
}

/* Gives a node other edges. Two tuples of up to two Values and as many numbers go into the node itself; everything else the
 * reference would accept is kept as the objects they are. */
static int node_set_edges(Node *node, PyObject *children, PyObject *local_grads)
{
    unsigned edges = WIDE;
    if (PyTuple_CheckExact(children) && PyTuple_CheckExact(local_grads)) {
        Py_ssize_t n = PyTuple_GET_SIZE(children);
        if (n <= 2 && n == PyTuple_GET_SIZE(local_grads)) {
            edges = n == 2 ? TWO_CHILDREN : n == 1 ? ONE_CHILD : 0;
            for (Py_ssize_t i = 0; i < n; i++)
                if (!is_value(PyTuple_GET_ITEM(children, i)))
                    edges = WIDE;
        }
    }
    if (edges == 0 && !(node->f.flags & EDGES))
        return 0;
    Node old = {.f = node->f}; /* let go of last, since that may run any code */
    unsigned moved = EDGES | KIND(LOCAL0) | KIND(LOCAL1);
    old.f.flags &= moved;
    node->f.flags &= ~(moved | PROPAGATED);
    if (edges == WIDE) {
        node->f.wide[0] = Py_NewRef(children);
        node->f.wide[1] = Py_NewRef(local_grads);
    } else
        for (int i = 0; i < (edges == TWO_CHILDREN ? 2 : edges == ONE_CHILD ? 1 : 0); i++) {
            node->f.child[i] = take((Node *)PyTuple_GET_ITEM(children, i));
            slot_set(node, LOCAL0 + i, PyTuple_GET_ITEM(local_grads, i));
        }
    node->f.flags |= edges;
    num_changes++;
    node_free_all(node_clear(&old, NULL));
    return 0;
}

#endif
