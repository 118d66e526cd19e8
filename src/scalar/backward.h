/* The backward pass: a tape of the graph in topological order, then the chain rule along the tape in reverse.
 *
 * The order is the reference's depth-first postorder (children in order, each node once), because the order in which
 * contributions are added to a gradient decides its last bits. The walk keeps a stack of its own: no graph is too deep.
 *
 * A DOT node is walked as the nodes it stands for: its children are w[0], x[0], w[1], x[1], ... While none of them opens a
 * part of the graph not seen yet, its products stand next to one another on the reference's tape, and one entry for the run
 * of them is enough. Where one does, the run so far goes onto the tape before that part, as the products would have.
 */
#ifndef MICROGPT_BACKWARD_H
#define MICROGPT_BACKWARD_H

#include "dot.h"

typedef struct {
    Node *node;
    uint32_t first, end; /* DOT: the run of products; products of one node are at most 2**32 - 1 */
} Entry;

typedef struct {
    Entry *entries;
    size_t size, capacity;
} Stack;

#define KEPT_CAPACITY (256 * 1024) /* entries kept allocated from one backward pass to the next */

static Stack spare_tape, spare_stack;

static inline int push(Stack *stack, Node *node, uint32_t first, uint32_t end)
{
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

static void keep_for_later(Stack *spare, Stack stack)
{
    if (spare->entries || stack.capacity > KEPT_CAPACITY)
        PyMem_RawFree(stack.entries);
    else
        *spare = (Stack){stack.entries, 0, stack.capacity};
}

/* ---- Gradients ---------------------------------------------------------------------------------------------------------- */

/* child.grad += local * grad by Python's operators: only ints beyond 2**53 come here. Takes over the references it is given. */
static int accumulate_objects(Node *child, PyObject *local, PyObject *grad)
{
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

/* child.grad += local * node.grad, an int where all three are ints. */
static inline int accumulate(Node *child, const Node *node, int local_slot)
{
    unsigned flags = node->f.flags;
    double product = node->f.slot[local_slot].number * node->f.slot[GRAD].number;
    if ((flags | child->f.flags) & IS_OBJECT(GRAD))
        return accumulate_objects(child, slot_get(node, local_slot), slot_get(node, GRAD));
    if (flags & IS_INT(GRAD) && flags & IS_INT(local_slot)) {
        double sum = child->f.slot[GRAD].number + (product + 0.0); /* an int has no -0.0 */
        if (child->f.flags & IS_INT(GRAD) && (fabs(product) >= LARGEST_INT || fabs(sum) >= LARGEST_INT))
            return accumulate_objects(child, slot_get(node, local_slot), slot_get(node, GRAD));
        child->f.slot[GRAD].number = sum;
    } else {
        child->f.slot[GRAD].number += product;
        child->f.flags &= ~IS_INT(GRAD);
    }
    return 0;
}

static inline int accumulate_float(Node *child, double local, double grad)
{
    if (child->f.flags & KIND(GRAD)) {
        if (child->f.flags & IS_OBJECT(GRAD))
            return accumulate_objects(child, PyFloat_FromDouble(local), PyFloat_FromDouble(grad));
        child->f.flags &= ~IS_INT(GRAD);
    }
    child->f.slot[GRAD].number += local * grad;
    return 0;
}

/* One product where the gradient is an int and the data may be: the reference's types, by Python's arithmetic. */
static int accumulate_product(const Operands *w, const Operands *x, uint32_t k, const Node *dot)
{
    PyObject *x_data = x->is_int[k] ? PyLong_FromLongLong((long long)x->data[k]) : PyFloat_FromDouble(x->data[k]);
    if (accumulate_objects(w->nodes[k], x_data, slot_get(dot, LOCAL0)) < 0)
        return -1;
    return accumulate_objects(x->nodes[k], PyFloat_FromDouble(w->data[k]), slot_get(dot, LOCAL0));
}

/* The products first ... end - 1 of a DOT node, the last one first. */
static int propagate_dot(Node *dot, uint32_t first, uint32_t end)
{
    const Operands *w = dot->f.operands[0], *x = dot->f.operands[1];
    if (!(dot->f.flags & PROPAGATED)) { /* once in a pass: in a cyclic graph later runs may find another gradient */
        if (dot->f.flags & IS_OBJECT(GRAD))
            slot_set(dot, LOCAL0, dot->f.slot[GRAD].object);
        else {
            dot->f.slot[LOCAL0].number = 0.0 + dot->f.slot[GRAD].number; /* product[k].grad = 0 + 1 * grad */
            dot->f.flags |= dot->f.flags & IS_INT(GRAD) ? sum_locals & IS_INT(LOCAL0) : 0;
        }
        dot->f.flags |= PROPAGATED;
    }
    double grad = dot->f.slot[LOCAL0].number;
    if (dot->f.flags & IS_OBJECT(LOCAL0)) {
        grad = PyFloat_AsDouble(dot->f.slot[LOCAL0].object); /* as float * int converts the int */
        if (grad == -1.0 && PyErr_Occurred())
            return -1;
    }
    int in_objects = x->has_ints && dot->f.flags & KIND(LOCAL0);
    for (uint32_t k = end; k-- > first;) {
        if (in_objects ? accumulate_product(w, x, k, dot) < 0
                       : accumulate_float(w->nodes[k], x->data[k], grad) < 0 ||
                             accumulate_float(x->nodes[k], w->data[k], grad) < 0)
            return -1;
    }
    return 0;
}

/* ---- The walk ------------------------------------------------------------------------------------------------------------- */

typedef struct {
    Stack tape, stack;
    uint64_t number;
} Walk;

static uint64_t num_walks;

enum { FAILED = -1, DONE = 0, ODD = 1 }; /* ODD: the graph holds something only Python can follow */

#define ODD_FLAGS (ANY_OBJECT | WIDE)

static inline int is_new(const Node *node) { return (node->f.flags & EDGES) && !(node->f.flags & VISITED); }

static inline int enter(Walk *walk, Node *node)
{
    if (node->f.flags & PROPAGATED && dot_expand(node) < 0)
        return FAILED;
    if (push(&walk->stack, node, 0, 0) < 0)
        return FAILED;
    node->f.flags |= VISITED;
    return DONE;
}

/* Whether nothing new can be reached through these operands, without looking at each. */
static inline int is_done(const Operands *operands, const Walk *walk)
{
    return operands->walk == walk->number || (operands->all_leaves && operands->change == num_changes);
}

/* Puts every node with children that can be reached from `root` on the tape, children before parents. Leaves pass nothing
 * on, so they are left out. In a stack entry `end` counts the operands seen; in one of a DOT, `first` is where its run begins. */
static int build_tape(Walk *walk, Node *root)
{
    if (root->f.flags & ODD_FLAGS)
        return ODD;
    if (is_new(root) && enter(walk, root) < 0)
        return FAILED;
    while (walk->stack.size) {
        Entry *top = &walk->stack.entries[walk->stack.size - 1];
        Node *node = top->node, *child = NULL;
        unsigned odd = 0;
        uint32_t seen = top->end, all, first = top->first, end = 0;
        if (node->f.flags & DOT) {
            Operands *const *operands = node->f.operands;
            all = 2 * operands[0]->size;
            if (is_done(operands[0], walk) && is_done(operands[1], walk))
                seen = all;
            for (; seen < all; seen++) {
                child = operands[seen & 1]->nodes[seen >> 1];
                odd |= child->f.flags;
                if (is_new(child))
                    break;
            }
            end = seen >> 1;
            if (seen == all)
                operands[0]->walk = operands[1]->walk = walk->number;
        } else {
            all = node->f.flags & TWO_CHILDREN ? 2 : 1;
            for (; seen < all; seen++) {
                child = node->f.child[seen];
                odd |= child->f.flags;
                if (is_new(child))
                    break;
            }
        }
        if (odd & ODD_FLAGS)
            return ODD;
        top->end = seen;
        if (seen < all) {
            top->first = end;
            if (end > first && push(&walk->tape, node, first, end) < 0)
                return FAILED;
            if (enter(walk, child) < 0)
                return FAILED;
        } else {
            if (push(&walk->tape, node, first, end) < 0)
                return FAILED;
            walk->stack.size--;
        }
    }
    return DONE;
}

static void unmark(Stack *stack)
{
    for (size_t i = 0; i < stack->size; i++)
        stack->entries[i].node->f.flags &= ~VISITED;
}

/* The chain rule along the tape, from its end. No code of the user's runs in here, so the tape needs no references. */
static int propagate(Walk *walk)
{
    int status = 0;
    for (size_t i = walk->tape.size; i-- > 0 && status == 0;) {
        Entry entry = walk->tape.entries[i];
        Node *node = entry.node;
        if (node->f.flags & DOT)
            status = propagate_dot(node, entry.first, entry.end);
        else {
            status = accumulate(node->f.child[0], node, LOCAL0);
            if (node->f.flags & TWO_CHILDREN && status == 0)
                status = accumulate(node->f.child[1], node, LOCAL1);
        }
        node->f.flags &= ~VISITED;
    }
    return status;
}

/* root.backward() on a graph of floats and ints. DONE, FAILED with an exception, or ODD with nothing changed. */
static int node_backward(Node *root)
{
    Walk walk = {spare_tape, spare_stack, ++num_walks};
    spare_tape = spare_stack = (Stack){0};
    int status = build_tape(&walk, root);
    if (status == DONE) {
        slot_set(root, GRAD, root_grad);
        status = propagate(&walk) < 0 ? FAILED : DONE;
    }
    if (status != DONE) {
        unmark(&walk.tape);
        unmark(&walk.stack);
    }
    keep_for_later(&spare_tape, (Stack){walk.tape.entries, 0, walk.tape.capacity});
    keep_for_later(&spare_stack, (Stack){walk.stack.entries, 0, walk.stack.capacity});
    return status;
}

#endif
