/* Gradients of whole vectors during a backward pass.
 *
 * A matrix times a vector is a DOT node for each row, which the tape has close to one another, and the next token has the same
 * rows. While the gradients of a row and of the vector lie next to one another, in `grads`, a DOT passes its gradient on in a
 * few vector instructions. So the nodes of a vector may lend it their gradients for a time: a row of leaves until the end of the
 * pass, one other vector until the tape has a DOT with another. A gradient still receives the same numbers in the same order,
 * and whatever else reads or changes one settles it first, that is, gives it back.
 */
#ifndef MICROGPT_LENT_H
#define MICROGPT_LENT_H

#include "dot.h"

static Operands *lent_rows;   /* linked; some of them may be settled */
static Operands *lent_vector; /* or NULL */

/* Moves the gradients of the nodes, which are not in `grads`, there. 0, with nothing changed, if one is an object or lent, or is
 * there twice. */
static int lend(Operands *of) {
    uint32_t k = 0;
    for (; k < of->size && !(of->nodes[k]->f.flags & (LENT | IS_OBJECT(GRAD))); k++) { /* mutant: lend */
        NodeFields *node = &of->nodes[k]->f;
        of->grads[k] = node->slot[GRAD].number;
        node->flags |= LENT;
        if (!(node->flags & EDGES))
            node->operands[0] = of; /* the field of a child, of which a leaf has none */
    }
    of->lends = k == of->size;
    while (!of->lends && k-- > 0)
        of->nodes[k]->f.flags &= ~LENT;
    return of->lends;
}

/* Moves them back, if they are lent. They are floats now, as each has received a float. */
static void settle_vector(Operands *of) {
    for (uint32_t k = 0; k < of->size && of->lends; k++) {
        NodeFields *node = &of->nodes[k]->f;
        node->slot[GRAD].number = of->grads[k];
        node->flags &= ~(LENT | IS_INT(GRAD));
    }
    of->lends = 0;
}

static void settle_lent_vector(void) {
    if (lent_vector)
        settle_vector(lent_vector);
    lent_vector = NULL;
}

static void settle_all(void) {
    settle_lent_vector();
    for (Operands *next; lent_rows; lent_rows = next) {
        settle_vector(lent_rows);
        next = lent_rows->next;
        lent_rows->is_row = 0;
    }
}

/* Before a gradient is read or changed in any other way: settles the vector that it is lent to. */
static inline void settle(const Node *node) {
    if (node->f.flags & LENT) /* mutant: settle */
        settle_vector(node->f.flags & EDGES ? lent_vector : node->f.operands[0]);
}

/* Lends a row of leaves, if it has not been settled in this pass. Returns whether it is lent. */
static int lend_row(Operands *of) {
    if (of == lent_vector)
        settle_lent_vector();
    if (of->is_row)
        return of->lends;
    if (!of->all_leaves || of->change != num_changes || !lend(of)) /* mutant: row-of-leaves */
        return 0;
    of->is_row = 1;
    of->next = lent_rows;
    lent_rows = of;
    return 1;
}

/* Lends a vector in place of lent_vector, if it is not lent as a row. Returns whether it is lent. */
static int lend_vector(Operands *of) {
    if (of->lends) /* mutant: lent-as-row */
        return 1;
    settle_lent_vector();
    if (lend(of))
        lent_vector = of;
    return of->lends;
}

#endif
