/* The backward pass: puts the graph on a tape in topological order, then applies the chain rule along the tape in reverse.
 *
 * The order is the reference's depth-first postorder (children in order, each node once), because the order in which
 * contributions are added to a gradient decides its last bits. The traversal keeps a stack of its own, so no graph is too deep.
 *
 * A DOT node is traversed like the nodes it stands for: its children are w[0], x[0], w[1], x[1], ... (or the reverse, where a
 * script's class visits the last child first). As long as none of them leads to an unvisited part of the graph, the products
 * are adjacent on the reference's tape, and one tape entry is enough for the whole run of them. Where a child does lead to
 * such a part, the run so far is put on the tape before that part.
 */
#ifndef MICROGPT_BACKWARD_H
#define MICROGPT_BACKWARD_H

#include "dot.h"
#include "methods.h"

typedef struct {
    Node *node;
    uint32_t first, end; /* DOT: products first, ..., end - 1 */
} Entry;

typedef struct {
    Entry *entries;
    size_t size, capacity;
} Stack;

#define KEPT_CAPACITY (256 * 1024) /* entries that stay allocated from one backward pass to the next */

static Stack spare_tape, spare_stack;

/* The order in which a script's class traverses the graph: depth-first, with the first or the last child of a node first; or
 * each node after all nodes that have it as a child, taking the last or the first of those that are ready. */
enum { FIRST_CHILD, LAST_CHILD, READY_LAST, READY_FIRST };
static int order_of_pass;

static inline int push(Stack *stack, Node *node, uint32_t first, uint32_t end) {
    if (stack->size == stack->capacity) {
        size_t capacity = stack->capacity ? 2 * stack->capacity : 1024;
        Entry *entries = PyMem_RawRealloc(stack->entries, capacity * sizeof(Entry));
        if (!entries) {
            PyErr_NoMemory();
            return -1;
        }
        stack->entries = entries;
        stack->capacity = capacity;
    }
    stack->entries[stack->size++] = (Entry){node, first, end};
    return 0;
}

/* Frees a stack, or keeps its memory for the next backward pass. */
static void recycle(Stack *spare, Stack stack) {
    if (spare->entries || stack.capacity > KEPT_CAPACITY)
        PyMem_RawFree(stack.entries);
    else
        *spare = (Stack){stack.entries, 0, stack.capacity};
}

/* ---- Gradients --------------------------------------------------------------------------------------------------- */

/* child.grad += local * grad by Python's operators, for ints beyond 2**53. Steals the references to local and grad. */
static int accumulate_objects(Node *child, PyObject *local, PyObject *grad) {
    settle(child);
    PyObject *old = slot_get(child, GRAD);
    PyObject *product = old && local && grad ? PyNumber_Multiply(local, grad) : NULL;
    PyObject *sum = product ? PyNumber_Add(old, product) : NULL;
    if (sum)
        slot_set(child, GRAD, sum);
    Py_XDECREF(old);
    Py_XDECREF(local);
    Py_XDECREF(grad);
    Py_XDECREF(product);
    Py_XDECREF(sum);
    return sum ? 0 : -1;
}

/* child.grad += local * node.grad; the result is an int if all three are ints. */
static inline int accumulate(Node *child, const Node *node, int local_slot) {
    unsigned flags = node->f.flags;
    double product = node->f.slot[local_slot].number * node->f.slot[GRAD].number;
    if ((flags | child->f.flags) & (IS_OBJECT(GRAD) | LENT)) {
        settle(child);
        if ((flags | child->f.flags) & IS_OBJECT(GRAD))
            return accumulate_objects(child, slot_get(node, local_slot), slot_get(node, GRAD));
    }
    /* mutant: int-gradient */
    if (flags & IS_INT(GRAD) && flags & IS_INT(local_slot)) {
        double sum = child->f.slot[GRAD].number + (product + 0.0); /* an int has no -0.0 */
        /* mutant: large-gradient */
        if (child->f.flags & IS_INT(GRAD) && (fabs(product) >= LARGEST_INT || fabs(sum) >= LARGEST_INT))
            return accumulate_objects(child, slot_get(node, local_slot), slot_get(node, GRAD));
        child->f.slot[GRAD].number = sum;
    } else {
        child->f.slot[GRAD].number += product;
        child->f.flags &= ~IS_INT(GRAD);
    }
    return 0;
}

static inline int accumulate_float(Node *child, double local, double grad) {
    if (child->f.flags & (KIND(GRAD) | LENT)) {
        settle(child);
        if (child->f.flags & IS_OBJECT(GRAD))
            return accumulate_objects(child, PyFloat_FromDouble(local), PyFloat_FromDouble(grad));
        child->f.flags &= ~IS_INT(GRAD);
    }
    child->f.slot[GRAD].number += local * grad;
    return 0;
}

/* child.grad += local * node.grad for the children of a node that has many */
static int accumulate_many(Node *node) {
    PyObject *children = node->f.python_edges[0], *locals = node->f.python_edges[1];
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(children); i++) {
        Node *child = (Node *)PyTuple_GET_ITEM(children, i);
        PyObject *local = PyTuple_GET_ITEM(locals, i);
        int status;
        if (PyFloat_CheckExact(local) && !(node->f.flags & KIND(GRAD)))
            status = accumulate_float(child, PyFloat_AS_DOUBLE(local), node->f.slot[GRAD].number);
        else
            status = accumulate_objects(child, Py_NewRef(local), slot_get(node, GRAD));
        if (status < 0)
            return -1;
    }
    return 0;
}

/* One product of a DOT whose gradient is an int, and whose data may be: with the reference's types, by Python's operators. */
static PyObject *operand_data(const Operands *of, uint32_t k) {
    return of->has_ints && of->is_int[k] ? PyLong_FromLongLong((long long)of->data[k]) : PyFloat_FromDouble(of->data[k]);
}

static int accumulate_product(const Operands *w, const Operands *x, uint32_t k, const Node *dot) {
    if (accumulate_objects(w->nodes[k], operand_data(x, k), slot_get(dot, LOCAL0)) < 0)
        return -1;
    return accumulate_objects(x->nodes[k], operand_data(w, k), slot_get(dot, LOCAL0));
}

/* start.grad += 1 * partial[0].grad for the node that a DOT's sum starts with */
static int accumulate_start(Node *dot) {
    int at = dot->f.operands[0]->size == 1 ? GRAD : LOCAL0; /* where partial[0] is the node itself, it is not 0 + 1 * grad */
    if (dot->f.flags & (KIND(at) | IS_OBJECT(GRAD)))
        return accumulate_objects(dot_start(dot), sum_locals & IS_INT(LOCAL0) ? Py_NewRef(one) : PyFloat_FromDouble(1.0),
                                  slot_get(dot, at));
    return accumulate_float(dot_start(dot), 1.0, dot->f.slot[at].number);
}

/* Reads a DOT's gradient into slot LOCAL0: once, since in a cyclic graph it may change between two runs. */
static inline void read_dot_gradient(Node *dot) {
    /* mutant: read-dot-gradient */
    if (!(dot->f.flags & PROPAGATED)) {
        if (dot->f.flags & IS_OBJECT(GRAD))
            slot_set(dot, LOCAL0, dot->f.slot[GRAD].object);
        else {
            /* mutant: dot-gradient */
            dot->f.slot[LOCAL0].number = 0.0 + dot->f.slot[GRAD].number; /* product[k].grad = 0 + 1 * grad */
            dot->f.flags |= dot->f.flags & IS_INT(GRAD) ? sum_locals & IS_INT(LOCAL0) : 0;
        }
        dot->f.flags |= PROPAGATED;
    }
}

/* All products of a DOT node at once, if its vectors are two whose gradients can be lent; else 0, with nothing changed. */
static inline int propagate_vectors(Node *dot, uint32_t first, uint32_t end) {
    Operands *w = dot->f.operands[0], *x = dot->f.operands[1];
    if (first > 0 || end != w->size || w == x || dot->f.flags & START_NODE) /* mutant: whole-run */
        return 0;
    read_dot_gradient(dot);
    if (dot->f.flags & KIND(LOCAL0) || !lend_row(w) || !lend_vector(x)) /* mutant: float-gradient */
        return 0;
    double grad = dot->f.slot[LOCAL0].number, *restrict w_grads = w->grads, *restrict x_grads = x->grads;
    const double *restrict w_data = w->data, *restrict x_data = x->data;
    for (uint32_t k = 0; k < end; k++) {
        w_grads[k] += x_data[k] * grad;
        x_grads[k] += w_data[k] * grad;
    }
    return 1;
}

/* Products end - 1, ..., first of a DOT node in the order of the traversal. product[k] = w[k] * x[k], so d product[k] / d w[k] = x[k].
 * The start of the sum gets its gradient before product[0] passes its own to its children; if the last child is visited first,
 * before all products: it is then number `size` in the traversal. backwards: last_first, as a constant, so that the loops are
 * compiled for each. */
static inline int propagate_dot(Node *dot, uint32_t first, uint32_t end, const int backwards) {
    const Operands *w = dot->f.operands[0], *x = dot->f.operands[1];
    read_dot_gradient(dot);
    double grad = dot->f.slot[LOCAL0].number;
    if (dot->f.flags & IS_OBJECT(LOCAL0)) {
        grad = PyFloat_AsDouble(dot->f.slot[LOCAL0].object); /* as float * int converts the int */
        if (grad == -1.0 && PyErr_Occurred())
            return -1;
    }
    uint32_t start = !(dot->f.flags & START_NODE) ? UINT32_MAX : backwards ? w->size : 0;
    int in_objects = (w->has_ints || x->has_ints) && dot->f.flags & KIND(LOCAL0); /* mutant: dot-in-objects */
    for (uint32_t i = end; i-- > first;) {                                        /* mutant: dot-terms */
        if (i == start && accumulate_start(dot) < 0)
            return -1;
        if (backwards && i == w->size)
            continue;
        uint32_t k = backwards ? w->size - 1 - i : i;
        /* mutant: dot-product-gradients */
        if (in_objects
                ? accumulate_product(w, x, k, dot) < 0
                : accumulate_float(w->nodes[k], x->data[k], grad) < 0 || accumulate_float(x->nodes[k], w->data[k], grad) < 0)
            return -1;
    }
    return 0;
}

/* ---- Traversal --------------------------------------------------------------------------------------------------- */

typedef struct {
    Stack tape, stack;
    uint64_t number;
} Pass;

static uint64_t num_passes;

enum { FAILED = -1, DONE = 0, UNSUPPORTED = 1 }; /* UNSUPPORTED: the graph contains objects that only Python can compute with */

#define UNSUPPORTED_FLAGS (ANY_OBJECT | PYTHON_EDGES)

/* A leaf has nothing to propagate, so it is never visited. */
static inline int is_unvisited(const Node *node) { return (node->f.flags & EDGES) && !(node->f.flags & VISITED); }

/* Starts the visit of a node. */
static inline int enter(Pass *pass, Node *node) {
    if (node->f.flags & PROPAGATED && dot_expand(node) < 0) /* mutant: expand-dot */
        return FAILED;
    if (push(&pass->stack, node, 0, 0) < 0)
        return FAILED;
    node->f.flags |= VISITED;
    return DONE;
}

/* Whether it is known, without looking at each, that these operands lead to no unvisited node. */
static inline int is_exhausted(const Operands *operands, const Pass *pass) {
    return operands->pass == pass->number || (operands->all_leaves && operands->change == num_changes); /* mutant: all-leaves */
}

/* Puts every node with children that can be reached from `root` on the tape, children before parents. In an entry of the stack,
 * `end` is the number of children looked at; if the node is a DOT, `first` is the product at which the current run begins. */
static inline int build_tape(Pass *pass, Node *root, const int backwards) {
    if (root->f.flags & UNSUPPORTED_FLAGS) /* mutant: build-tape */
        return UNSUPPORTED;
    if (is_unvisited(root) && enter(pass, root) < 0)
        return FAILED;
    while (pass->stack.size) { /* mutant: traversal */
        Entry *top = &pass->stack.entries[pass->stack.size - 1];
        Node *node = top->node, *child, *next = NULL; /* next: the first child that has not been visited */
        unsigned flags = 0;                           /* of all children looked at */
        uint32_t seen = top->end, all, first = top->first, end = 0;
        if (node->f.flags & DOT) {
            Operands *const *operands = node->f.operands;
            Node *start = dot_start(node);
            all = 2 * operands[0]->size;
            if (start) {
                flags |= start->f.flags;
                if (!backwards && is_unvisited(start))
                    next = start;
            }
            if (!next && is_exhausted(operands[0], pass) && is_exhausted(operands[1], pass))
                seen = all;
            for (; seen < all && !next; seen += !next) {
                uint32_t at = backwards ? all - 1 - seen : seen;
                child = operands[at & 1]->nodes[at >> 1]; /* mutant: dot-child */
                flags |= child->f.flags;
                if (is_unvisited(child))
                    next = child;
            }
            end = seen >> 1;
            if (seen == all)
                operands[0]->pass = operands[1]->pass = pass->number;
            if (backwards && start && !next) {
                if (is_unvisited(start))
                    next = start;
                else
                    end++;
            }
        } else if (node->f.flags & MANY_CHILDREN) {
            PyObject *children = node->f.python_edges[0];
            all = (uint32_t)PyTuple_GET_SIZE(children);
            for (; seen < all; seen++) {
                child = (Node *)PyTuple_GET_ITEM(children, backwards ? all - 1 - seen : seen);
                flags |= child->f.flags;
                if (is_unvisited(child)) {
                    next = child;
                    break;
                }
            }
        } else {
            all = node->f.flags & TWO_CHILDREN ? 2 : 1;
            for (; seen < all; seen++) {
                child = node->f.child[backwards ? all - 1 - seen : seen]; /* mutant: next-child */
                flags |= child->f.flags;
                if (is_unvisited(child)) {
                    next = child;
                    break;
                }
            }
        }
        if (flags & UNSUPPORTED_FLAGS)
            return UNSUPPORTED;
        top->end = seen;
        if (next) {
            top->first = end;                                           /* mutant: next-run */
            if (end > first && push(&pass->tape, node, first, end) < 0) /* mutant: split-run */
                return FAILED;
            if (enter(pass, next) < 0) /* mutant: enter-child */
                return FAILED;
        } else {
            if (push(&pass->tape, node, first, end) < 0)
                return FAILED;
            pass->stack.size--;
        }
    }
    return DONE;
}

static void clear_visited(Stack *stack) {
    for (size_t i = 0; i < stack->size; i++)
        stack->entries[i].node->f.flags &= ~VISITED;
}

/* The chain rule along the tape, from its end. No user code runs here, so the tape holds no references. */
static inline int propagate(Pass *pass, const int backwards) {
    int status = 0;
    for (size_t i = pass->tape.size; i-- > 0 && status == 0;) {
        Entry entry = pass->tape.entries[i]; /* mutant: tape-order */
        Node *node = entry.node;
        node->f.flags &= ~VISITED;
        settle(node);
        if (node->f.flags & DOT && propagate_vectors(node, entry.first, entry.end))
            continue;
        if (node->f.flags & DOT)
            status = propagate_dot(node, entry.first, entry.end, backwards);
        else if (node->f.flags & MANY_CHILDREN)
            status = accumulate_many(node);
        else if (node->f.flags & FLOWS)
            status = node_flow(node);
        else {
            status = accumulate(node->f.child[0], node, LOCAL0);
            if (node->f.flags & TWO_CHILDREN && status == 0) /* mutant: second-child */
                status = accumulate(node->f.child[1], node, LOCAL1);
        }
    }
    settle_all();
    return status;
}

/* ---- By in-degrees ------------------------------------------------------------------------------------------------ */

/* Node -> how many edges to it have not been followed yet. */
typedef struct {
    Node **nodes;
    uint32_t *counts;
    size_t mask;
} Degrees;

static uint32_t *degree_of(const Degrees *of, Node *node) {
    size_t at = ((uintptr_t)node >> 4) * 0x9E3779B1u & of->mask;
    while (of->nodes[at] && of->nodes[at] != node)
        at = (at + 1) & of->mask;
    of->nodes[at] = node;
    return &of->counts[at];
}

static uint32_t number_of_children(const Node *node) {
    if (node->f.flags & MANY_CHILDREN)
        return (uint32_t)PyTuple_GET_SIZE(node->f.python_edges[0]);
    return node->f.flags & TWO_CHILDREN ? 2 : node->f.flags & ONE_CHILD ? 1 : 0;
}

static Node *child_at(const Node *node, uint32_t i) {
    return node->f.flags & MANY_CHILDREN ? (Node *)PyTuple_GET_ITEM(node->f.python_edges[0], i) : node->f.child[i];
}

/* Puts every node with children on the tape, in any order, with the nodes that DOT nodes stand for. */
static int collect(Pass *pass, Node *root) {
    if (root->f.flags & UNSUPPORTED_FLAGS)
        return UNSUPPORTED;
    if (is_unvisited(root) && push(&pass->tape, root, 0, 0) < 0)
        return FAILED;
    root->f.flags |= VISITED;
    for (size_t i = 0; i < pass->tape.size; i++) {
        Node *node = pass->tape.entries[i].node;
        if (node->f.flags & DOT && dot_expand(node) < 0)
            return FAILED;
        for (uint32_t k = 0; k < number_of_children(node); k++) {
            Node *child = child_at(node, k);
            if (child->f.flags & UNSUPPORTED_FLAGS)
                return UNSUPPORTED;
            if (is_unvisited(child)) {
                if (push(&pass->tape, child, 0, 0) < 0)
                    return FAILED;
                child->f.flags |= VISITED;
            }
        }
    }
    return DONE;
}

/* The chain rule at each node, once all that have it as a child are done. */
static int propagate_ready(Pass *pass, Node *root, const Degrees *degrees) {
    int first = order_of_pass == READY_FIRST, status = push(&pass->stack, root, 0, 0);
    for (size_t i = 0; i < pass->tape.size && status == 0; i++)
        for (uint32_t k = 0; k < number_of_children(pass->tape.entries[i].node); k++)
            ++*degree_of(degrees, child_at(pass->tape.entries[i].node, k));
    for (size_t next = 0; next < pass->stack.size && status == 0;) {
        Node *node = pass->stack.entries[first ? next++ : --pass->stack.size].node;
        if (node->f.flags & FLOWS)
            status = node_flow(node);
        else if (node->f.flags & MANY_CHILDREN)
            status = accumulate_many(node);
        else
            for (uint32_t k = 0; k < number_of_children(node) && status == 0; k++)
                status = accumulate(node->f.child[k], node, LOCAL0 + (int)k);
        for (uint32_t k = 0; k < number_of_children(node) && status == 0; k++)
            if (--*degree_of(degrees, child_at(node, k)) == 0)
                status = push(&pass->stack, child_at(node, k), 0, 0);
    }
    return status;
}

static int scheduled_backward(Pass *pass, Node *root) {
    Degrees degrees = {NULL, NULL, 1};
    int status = collect(pass, root);
    if (status == DONE) {
        size_t edges = 1;
        for (size_t i = 0; i < pass->tape.size; i++)
            edges += number_of_children(pass->tape.entries[i].node);
        while (degrees.mask < 2 * edges)
            degrees.mask *= 2;
        degrees.nodes = PyMem_RawCalloc(degrees.mask, sizeof *degrees.nodes);
        degrees.counts = PyMem_RawCalloc(degrees.mask, sizeof *degrees.counts);
        degrees.mask--;
        if (degrees.nodes && degrees.counts) {
            slot_set(root, GRAD, root_grad);
            status = propagate_ready(pass, root, &degrees) < 0 ? FAILED : DONE;
        } else {
            PyErr_NoMemory();
            status = FAILED;
        }
    }
    root->f.flags &= ~VISITED;
    clear_visited(&pass->tape);
    PyMem_RawFree(degrees.nodes);
    PyMem_RawFree(degrees.counts);
    recycle(&spare_tape, (Stack){pass->tape.entries, 0, pass->tape.capacity});
    recycle(&spare_stack, (Stack){pass->stack.entries, 0, pass->stack.capacity});
    return status;
}

/* root.backward() on a graph of floats and ints. DONE, FAILED with an exception, or UNSUPPORTED with nothing changed. */
static int node_backward(Node *root) {
    Pass pass = {spare_tape, spare_stack, ++num_passes};
    spare_tape = spare_stack = (Stack){0};
    int last_first = order_of_pass == LAST_CHILD;
    if (order_of_pass >= READY_LAST)
        return scheduled_backward(&pass, root);
    int status = last_first ? build_tape(&pass, root, 1) : build_tape(&pass, root, 0);
    if (status == DONE) {
        slot_set(root, GRAD, root_grad);
        status = (last_first ? propagate(&pass, 1) : propagate(&pass, 0)) < 0 ? FAILED : DONE;
    }
    if (status != DONE) { /* mutant: clear-marks */
        clear_visited(&pass.tape);
        clear_visited(&pass.stack);
    }
    recycle(&spare_tape, (Stack){pass.tape.entries, 0, pass.tape.capacity});
    recycle(&spare_stack, (Stack){pass.stack.entries, 0, pass.stack.capacity});
    return status;
}

#endif
