/* A dot product as one node.
 *
 * `sum(wi * xi for wi, xi in zip(w, x))` makes 2n + 1 nodes in the reference:
 *
 *     product[k] = w[k] * x[k]
 *     partial[0] = product[0] + 0
 *     partial[k] = partial[k - 1] + product[k]            partial[n - 1] is the result
 *
 * A script's sum may start with a node instead of 0, such as a bias; partial[0] is then that node + product[0].
 *
 * Most nodes of a model are these. Here the result is a single node, flagged DOT, that holds w, x and the data they had. In a
 * backward pass its gradient reaches every partial sum unchanged, and so every product[k], for k from n - 1 down to 0; what
 * backward.h computes from that has the same bits. dot_expand makes the reference's nodes only where their absence would show:
 * when the result's children are read, or in a second backward pass, where the reference would use the gradients that the
 * first one left in them.
 */
#ifndef MICROGPT_DOT_H
#define MICROGPT_DOT_H

#include "lifetime.h"

enum { FLOATS, FLOATS_AND_INTS };

/* The nodes items[0], ..., items[size - 1] and their data. NULL without an exception if one of them is not a Value whose data
 * is `allowed` (the caller then takes the slow path); NULL with MemoryError. */
static Operands *operands_new(PyObject *const *items, Py_ssize_t size, int allowed) {
    if (size < 1 || size > INT32_MAX)
        return NULL;
    size_t bytes = sizeof(Operands) + (size_t)size * (2 * sizeof(double) + sizeof(Node *) + (allowed == FLOATS_AND_INTS));
    Operands *operands = PyMem_Malloc(bytes);
    if (!operands) {
        PyErr_NoMemory();
        return NULL;
    }
    Node **nodes = (Node **)(operands->data + 2 * size);
    *operands =
        (Operands){.references = 1, .size = (uint32_t)size, .change = num_changes, .writes = num_writes, .nodes = nodes};
    operands->grads = operands->data + size;
    operands->is_int = (uint8_t *)(nodes + size);
    unsigned refused = IS_OBJECT(DATA) | (allowed == FLOATS ? IS_INT(DATA) : 0), seen = 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        Node *node = (Node *)items[i];
        unsigned flags = node->f.flags;
        if (!is_exact(items[i]) || flags & refused) {
            operands->size = (uint32_t)i;
            operands_xdecref(operands); /* mutant: release-operands */
            return NULL;
        }
        nodes[i] = node_incref(node);
        operands->data[i] = node->f.slot[DATA].number;
        seen |= flags;
    }
    operands->all_leaves = !(seen & (EDGES | ANY_OBJECT));
    operands->has_ints = seen & IS_INT(DATA);
    for (Py_ssize_t i = 0; i < size && operands->has_ints; i++)
        operands->is_int[i] = nodes[i]->f.flags & IS_INT(DATA);
    return operands;
}

/* A cache of recent vectors, indexed by the address of their items; borrowed. A row of weights is multiplied for each token:
 * while its nodes have the same data, the previous token's vector is reused. */
static Operands *recent[2048];

/* Whether the nodes still have these data. */
static int operands_hold(const Operands *operands) {
    for (uint32_t k = 0; k < operands->size; k++) {
        const NodeFields *now = &operands->nodes[k]->f;
        if (now->flags & KIND(DATA) || memcmp(&now->slot[DATA].number, &operands->data[k], sizeof(double)) != 0)
            return 0;
    }
    return 1;
}

/* operands_new for floats. */
static Operands *operands_of_floats(PyObject *const *items, Py_ssize_t size) {
    Operands **place = &recent[(uint32_t)((uintptr_t)items >> 3) * 2654435761u >> 21], *found = *place;
    if (found && found->size == (size_t)size && found->change == num_changes &&
        memcmp(found->nodes, items, (size_t)size * sizeof(Node *)) == 0 &&
        (found->writes == num_writes || operands_hold(found))) { /* mutant: recent-data */
        found->writes = num_writes;
        return operands_xincref(found);
    }
    Operands *made = operands_new(items, size, FLOATS);
    if (made) {
        made->place = place;
        *place = made;
    }
    return made;
}

/* The dot product of two vectors of equal size. All data of w or all data of x are floats, so the result is a float. Steals
 * the references to w and x; if either is NULL, so is the result. start: the node that the sum starts with, whose data must be
 * a number, or NULL for the reference's 0; order: START_FIRST if it comes before the first product, else 0. */
static Node *dot_new(Operands *w, Operands *x, Node *start, unsigned order) {
    /* mutant: dot-sum */
    double sum = start ? start->f.slot[DATA].number : 0.0; /* the reference's int 0: 0 + -0.0 is 0.0 */
    for (uint32_t k = 0; w && x && k < w->size; k++)
        sum += w->data[k] * x->data[k];
    Operands *first = start && w && x ? operands_new((PyObject *const *)&start, 1, FLOATS_AND_INTS) : NULL;
    Node *node = w && x && (first || !start) ? node_new(sum) : NULL;
    if (!node) {
        operands_xdecref(first);
        operands_xdecref(w);
        operands_xdecref(x);
        return NULL;
    }
    node->f.operands[0] = w;
    node->f.operands[1] = x;
    node->f.flags |= DOT | order;
    node->f.operation = ADD;
    if (start) {
        node->f.flags |= START_NODE;
        node->f.slot[LOCAL1].start = first;
    }
    return node;
}

/* ---- Expansion --------------------------------------------------------------------------------------------------- */

/* Gives an inner node the gradient that a backward pass would have left in it. */
static int set_passed_gradient(Node *inner, const Node *dot) {
    if (dot->f.flags & PROPAGATED) { /* mutant: passed-gradient */
        PyObject *grad = slot_get(dot, LOCAL0);
        if (!grad)
            return -1;
        slot_set(inner, GRAD, grad);
        Py_DECREF(grad);
    }
    return 0;
}

/* The nodes of term k: partial + product, or for the first term product + partial. NULL with an exception. */
static Node *expanded_term(const Node *dot, uint32_t k, Node *partial, Node **product) {
    const Operands *w = dot->f.operands[0], *x = dot->f.operands[1];
    *product = node_binary(w->data[k] * x->data[k], w->nodes[k], x->nodes[k], x->data[k], w->data[k]);
    if (!*product || set_passed_gradient(*product, dot) < 0)
        return NULL;
    (*product)->f.flags |=
        (x->has_ints && x->is_int[k] ? IS_INT(LOCAL0) : 0) | (w->has_ints && w->is_int[k] ? IS_INT(LOCAL1) : 0);
    (*product)->f.operation = MUL;
    const Operands *start = k == 0 && dot->f.flags & START_NODE ? dot->f.slot[LOCAL1].start : NULL;
    double sum = (start ? start->data[0] : partial->f.slot[DATA].number) + (*product)->f.slot[DATA].number;
    int reflected = k == 0 && !(dot->f.flags & START_FIRST);
    return reflected ? node_sum(sum, *product, partial) : node_sum(sum, partial, *product);
}

static inline Node *dot_start(const Node *dot) {
    return dot->f.flags & START_NODE ? dot->f.slot[LOCAL1].start->nodes[0] : NULL;
}

/* Turns a DOT node into the node that the reference has, with all the nodes below it. -1 with an exception. */
static int dot_expand(Node *dot) {
    Operands *first = dot->f.flags & START_NODE ? dot->f.slot[LOCAL1].start : NULL;
    Node *start = dot_start(dot), *partial = start ? node_incref(start) : node_new_int(0);
    for (uint32_t k = 0, n = dot->f.operands[0]->size; partial && k < n; k++) {
        Node *product = NULL, *next = NULL;
        if ((start && k == 0) || set_passed_gradient(partial, dot) == 0)
            next = expanded_term(dot, k, partial, &product);
        node_xdecref(product);
        node_xdecref(partial);
        partial = next;
    }
    if (!partial)
        return -1;
    Operands *w = dot->f.operands[0], *x = dot->f.operands[1];
    PyObject *passed = dot->f.flags & IS_OBJECT(LOCAL0) ? dot->f.slot[LOCAL0].object : NULL;
    for (int i = 0; i < 2; i++) { /* the last partial sum is the result, so the dot node gets its edges */
        dot->f.child[i] = node_incref(partial->f.child[i]);
        dot->f.slot[LOCAL0 + i] = partial->f.slot[LOCAL0 + i];
    }
    dot->f.flags &= ~(EDGES | PROPAGATED | KIND(LOCAL0) | KIND(LOCAL1) | START_FIRST | START_NODE);
    dot->f.flags |= TWO_CHILDREN | sum_locals;
    Py_XDECREF(passed);
    node_xdecref(partial);
    operands_xdecref(first);
    free_dead(operands_release(x, operands_release(w, NULL)));
    return 0;
}

#endif
