/* A part of a graph as bytes, for pickle and copy.
 *
 * The part of a node is the node and all nodes below it that can be reached only through the part: every reference to them
 * comes from within, so no one else can tell one of them from its copy. The Values beyond the part that it refers to, its
 * outside, are left to pickle, which tracks the objects it has seen. A part may be of any depth and size, and nothing here
 * recurses. Dot products are expanded on the way: the nodes that they stand for may have to be written in several parts.
 *
 * The bytes are the number of nodes, and the nodes, children before parents. A node is
 *
 *     1 byte         how many children; which of its four numbers are ints; which numbers are omitted, having the usual values
 *     numbers        for each child, how many places before the node it is; the outside has the first places
 *     8 bytes each   its numbers, as little-endian doubles
 *
 * where a number is written as a variable-length integer, seven bits per byte. Bytes may come from an untrusted source, so
 * reading checks everything.
 */
#ifndef MICROGPT_FLAT_H
#define MICROGPT_FLAT_H

#include "dot.h"

#include <string.h>

#define CHILDREN 0x03u /* of the first byte */
#define INTS(flags) ((flags & 0x0fu) << 2)
#define USUAL_GRAD 0x40u   /* the gradient is the int 0 */
#define USUAL_LOCALS 0x80u /* both local gradients are the int 1 */
#define LEAST_NODE_BYTES 9

/* Whether a node can be in a part: it is a Value of ints and floats, with edges as operators make them. */
static inline int is_flat(const Node *node) {
    return !more_attributes && is_exact((PyObject *)node) &&
           !(node->f.flags & (ANY_OBJECT | PYTHON_EDGES | MANY_CHILDREN | FLOWS));
}

/* ---- The part of a node ------------------------------------------------------------------------------------------ */

typedef struct {
    uint32_t seen; /* references to it from within the part */
    uint8_t met, inside;
    size_t place;
} Meeting;

/* Nodes are found by their addresses: a table of pages, each with a slot for every CELL bytes, in which only one node can
 * begin. A graph lies in memory mostly in its own order, so successive look-ups are near one another. */
enum { PAGE = 4096, CELL = sizeof(Node) >= 64 ? 64 : 32 };

typedef struct {
    uintptr_t number;
    Meeting *places; /* NULL: no page here */
} Page;

typedef struct {
    Page *pages; /* a hash table */
    size_t num_pages, capacity;
    Page last;
    Node **found;  /* every node that was met, in that order */
    Node **inside; /* the part, parents before children */
    size_t used, room, size;
} Part;

static Page *page_of(const Part *part, uintptr_t number) {
    size_t at = (size_t)((uint64_t)number * 0x9E3779B97F4A7C15u >> 32);
    while (part->pages[at &= part->capacity - 1].places && part->pages[at].number != number)
        at++;
    return &part->pages[at];
}

/* The place of a node that was met. */
static inline Meeting *place_of(Part *part, const Node *node) {
    uintptr_t address = (uintptr_t)node, number = address / PAGE;
    if (part->last.number != number)
        part->last = *page_of(part, number);
    return &part->last.places[address % PAGE / CELL];
}

static int more_pages(Part *part) {
    Part old = *part;
    part->capacity = old.capacity ? 2 * old.capacity : 8;
    part->pages = PyMem_RawCalloc(part->capacity, sizeof(Page));
    if (!part->pages) {
        *part = old;
        return -1;
    }
    for (size_t i = 0; i < old.capacity; i++)
        if (old.pages[i].places)
            *page_of(part, old.pages[i].number) = old.pages[i];
    PyMem_RawFree(old.pages);
    return 0;
}

static int more_nodes(Part *part) {
    size_t room = part->room ? 2 * part->room : 16;
    Node **found = PyMem_RawRealloc(part->found, room * sizeof(Node *));
    part->found = found ? found : part->found;
    Node **inside = PyMem_RawRealloc(part->inside, room * sizeof(Node *));
    part->inside = inside ? inside : part->inside;
    part->room = found && inside ? room : part->room;
    return found && inside ? 0 : -1;
}

static void part_free(Part *part) {
    for (size_t i = 0; i < part->capacity; i++)
        PyMem_RawFree(part->pages[i].places);
    PyMem_RawFree(part->pages);
    PyMem_RawFree(part->found);
    PyMem_RawFree(part->inside);
}

/* The place of a node; NULL with MemoryError. */
static Meeting *part_meet(Part *part, Node *node) {
    uintptr_t number = (uintptr_t)node / PAGE;
    Page *page = &part->last;
    if (page->number != number || !page->places) {
        page = 2 * part->num_pages < part->capacity || more_pages(part) == 0 ? page_of(part, number) : NULL;
        if (page && !page->places) {
            *page = (Page){number, PyMem_RawCalloc(PAGE / CELL, sizeof(Meeting))};
            part->num_pages += page->places != NULL;
        }
        if (!page || !page->places) {
            PyErr_NoMemory();
            return NULL;
        }
        part->last = *page;
    }
    Meeting *place = place_of(part, node);
    if (!place->met) {
        if (part->used == part->room && more_nodes(part) < 0) {
            PyErr_NoMemory();
            return NULL;
        }
        place->met = 1;
        part->found[part->used++] = node;
    }
    return place;
}

static inline uint32_t num_children(const Node *node) {
    return node->f.flags & TWO_CHILDREN ? 2 : node->f.flags & ONE_CHILD ? 1 : 0;
}

/* Finds the part of a node: 1, or 0 where the node is its own descendant, or -1 with an exception. */
static int part_find(Part *part, Node *root) {
    Meeting *place = part_meet(part, root);
    if (!place)
        return -1;
    place->inside = 1;
    part->inside[part->size++] = root;
    for (size_t i = 0; i < part->size; i++) {
        Node *node = part->inside[i];
        if (node->f.flags & DOT && dot_expand(node) < 0)
            return -1;
        for (uint32_t k = 0; k < num_children(node); k++) {
            Node *child = node->f.child[k];
            if (child == root)
                return 0;
            if (!(place = part_meet(part, child)))
                return -1;
            if (++place->seen == (size_t)Py_REFCNT((PyObject *)child) && is_flat(child)) { /* mutant: part-of-a-node */
                place->inside = 1;
                part->inside[part->size++] = child;
            }
        }
    }
    return 1;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static uint8_t *write_number(uint8_t *to, size_t number) {
    for (; number >= 0x80; number >>= 7)
        *to++ = (uint8_t)(number | 0x80);
    *to++ = (uint8_t)number;
    return to;
}

static uint8_t *write_double(uint8_t *to, double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    for (int i = 0; i < 8; i++)
        *to++ = (uint8_t)(bits >> 8 * i);
    return to;
}

#define MOST_NODE_BYTES (1 + 2 * 10 + 4 * 8)

static uint8_t *write_node(uint8_t *to, Part *part, const Node *node, size_t place) {
    unsigned flags = node->f.flags, n = num_children(node),
             ints = flags & 0x0fu &
                    (n == 2   ? ~0u
                     : n == 1 ? ~IS_INT(LOCAL1)
                              : 3u);
    const Slot *slot = node->f.slot;
    unsigned head = n | INTS(ints);
    if (flags & IS_INT(GRAD) && slot[GRAD].number == 0.0)
        head |= USUAL_GRAD;
    if (n == 2 && flags & IS_INT(LOCAL0) && flags & IS_INT(LOCAL1) && slot[LOCAL0].number == 1.0 && slot[LOCAL1].number == 1.0)
        head |= USUAL_LOCALS;
    *to++ = (uint8_t)head;
    for (unsigned k = 0; k < n; k++)
        to = write_number(to, place - place_of(part, node->f.child[k])->place);
    to = write_double(to, slot[DATA].number);
    if (!(head & USUAL_GRAD))
        to = write_double(to, slot[GRAD].number);
    for (unsigned k = 0; k < n && !(head & USUAL_LOCALS); k++)
        to = write_double(to, slot[LOCAL0 + k].number);
    return to;
}

static PyObject *part_write(Part *part) {
    size_t outside = 0;
    for (size_t i = 0; i < part->used; i++) {
        Meeting *place = place_of(part, part->found[i]);
        if (!place->inside)
            place->place = outside++;
    }
    for (size_t i = 0; i < part->size; i++)
        place_of(part, part->inside[i])->place = outside + part->size - 1 - i;
    if (part->size > (PY_SSIZE_T_MAX - 10) / MOST_NODE_BYTES)
        return PyErr_NoMemory();
    uint8_t *bytes = PyMem_RawMalloc(10 + part->size * MOST_NODE_BYTES), *to = bytes;
    if (!bytes)
        return PyErr_NoMemory();
    to = write_number(to, part->size);
    for (size_t i = part->size; i-- > 0;)
        to = write_node(to, part, part->inside[i], outside + part->size - 1 - i);
    PyObject *written = PyBytes_FromStringAndSize((char *)bytes, to - bytes), *tuple = PyTuple_New((Py_ssize_t)outside);
    PyMem_RawFree(bytes);
    for (size_t i = 0, k = 0; tuple && i < part->used; i++)
        if (!place_of(part, part->found[i])->inside)
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)k++, (PyObject *)node_incref(part->found[i]));
    PyObject *result = written && tuple ? PyTuple_Pack(2, tuple, written) : NULL;
    Py_XDECREF(written);
    Py_XDECREF(tuple);
    return result;
}

/* (outside, bytes) of a node: a tuple of Values, and its part. None where the node is not flat, or is its own descendant. */
static PyObject *flat_pack(Node *root) {
    Part part = {0};
    int found = is_flat(root) ? part_find(&part, root) : 0;
    PyObject *result = found > 0 ? part_write(&part) : found == 0 ? Py_NewRef(Py_None) : NULL;
    part_free(&part);
    return result;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *at, *end;
    int damaged;
} Reader;

static size_t read_number(Reader *reader) {
    size_t number = 0;
    for (unsigned shift = 0; reader->at < reader->end && shift < 8 * sizeof(size_t); shift += 7) {
        number |= (size_t)(*reader->at & 0x7f) << shift;
        if (!(*reader->at++ & 0x80))
            return number;
    }
    reader->damaged = 1;
    return 0;
}

static double read_double(Reader *reader, int is_int) {
    uint64_t bits = 0;
    double number = 0.0;
    if (reader->end - reader->at < 8) {
        reader->damaged = 1;
        return number;
    }
    for (int i = 0; i < 8; i++)
        bits |= (uint64_t)*reader->at++ << 8 * i;
    memcpy(&number, &bits, sizeof number);
    if (is_int && !(fabs(number) <= LARGEST_INT && number == floor(number) && (number != 0.0 || !signbit(number))))
        reader->damaged = 1; /* mutant: damaged-int */
    return number;
}

/* The node at a place, of those before it in `nodes`. NULL where the bytes are damaged, or with an exception. */
static Node *read_node(Reader *reader, Node **nodes, size_t place) {
    unsigned head = reader->at < reader->end ? *reader->at++ : CHILDREN, n = head & CHILDREN, ints = head >> 2 & 0x0fu;
    Node read = {.f = {.flags = (uint16_t)ints}};
    if (n > 2 || (n < 2 && (head & USUAL_LOCALS || ints & IS_INT(LOCAL1))) || (n < 1 && ints & IS_INT(LOCAL0)))
        reader->damaged = 1;
    for (unsigned k = 0; k < n && !reader->damaged; k++) {
        size_t back = read_number(reader);
        if (back < 1 || back > place)
            reader->damaged = 1;
        else
            read.f.child[k] = nodes[place - back];
    }
    read.f.slot[DATA].number = read_double(reader, ints & IS_INT(DATA));
    if (head & USUAL_GRAD)
        read.f.flags |= IS_INT(GRAD);
    else
        read.f.slot[GRAD].number = read_double(reader, ints & IS_INT(GRAD));
    if (head & USUAL_LOCALS) {
        read.f.flags |= IS_INT(LOCAL0) | IS_INT(LOCAL1);
        read.f.slot[LOCAL0].number = read.f.slot[LOCAL1].number = 1.0;
    } else
        for (unsigned k = 0; k < n; k++)
            read.f.slot[LOCAL0 + k].number = read_double(reader, ints & IS_INT(LOCAL0 + k));
    Node *node = reader->damaged ? NULL : node_new(0.0);
    if (node) {
        memcpy(node->f.slot, read.f.slot, sizeof read.f.slot);
        node->f.flags = (uint16_t)(read.f.flags | (n == 2 ? TWO_CHILDREN : n == 1 ? ONE_CHILD : 0));
        for (unsigned k = 0; k < n; k++)
            node->f.child[k] = node_incref(read.f.child[k]);
    }
    return node;
}

/* The node of which flat_pack gave the outside (a tuple of Values here) and the bytes. */
static PyObject *flat_unpack(PyObject *outside, PyObject *bytes) {
    char *start;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(bytes, &start, &length) < 0)
        return NULL;
    Reader reader = {(const uint8_t *)start, (const uint8_t *)start + length, 0};
    size_t first = (size_t)PyTuple_GET_SIZE(outside), n = read_number(&reader), place = first;
    if (n < 1 || n > (size_t)length / LEAST_NODE_BYTES) /* so that its size cannot overflow, and memory is not wasted */
        reader.damaged = 1;
    Node **nodes = reader.damaged ? NULL : PyMem_RawMalloc((first + n) * sizeof(Node *));
    if (!nodes && !reader.damaged)
        return PyErr_NoMemory();
    for (size_t i = 0; i < first && nodes; i++) {
        nodes[i] = (Node *)PyTuple_GET_ITEM(outside, (Py_ssize_t)i);
        if (!is_value((PyObject *)nodes[i]))
            reader.damaged = 1;
    }
    for (; !reader.damaged && place < first + n; place++)
        if (!(nodes[place] = read_node(&reader, nodes, place)))
            break;
    if (reader.at != reader.end)
        reader.damaged = 1;
    Node *root = !reader.damaged && place == first + n ? node_incref(nodes[place - 1]) : NULL;
    while (place-- > first)
        node_xdecref(nodes[place]);
    PyMem_RawFree(nodes);
    if (!root && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "this pickle of a graph is damaged");
    return (PyObject *)root;
}

#endif
