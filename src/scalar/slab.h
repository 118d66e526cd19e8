/* The memory of nodes: slabs of 256 KiB in which nodes follow one another. A graph then lies in memory in the order in which it
 * was made, and a backward pass reads it almost sequentially.
 *
 * An empty slab is filled again from its beginning. A slab that is a quarter free supplies new nodes again, so a single node
 * that stays alive does not occupy a whole slab. Empty slabs beyond MAX_EMPTY are returned to the system; so that they really
 * are, slabs come from Python's arena allocator (mmap or the like) and not from malloc. The GIL guards all of this.
 */
#ifndef MICROGPT_SLAB_H
#define MICROGPT_SLAB_H

#include "node.h"

#if defined(__SANITIZE_ADDRESS__) /* AddressSanitizer sees only slabs; these tell it which of their nodes are alive */
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)0)
#endif

#define SLAB_BYTES (256 * 1024)
#define MAX_EMPTY 64

typedef struct Slab {
    struct Slab *next, *previous; /* in the list of empty slabs (next only) or of partly free ones */
    Node *free;                   /* freed nodes, linked through their first child */
    uint32_t used;                /* nodes[used] and those after it have not been used since the slab was empty */
    uint32_t live;
    Node nodes[];
} Slab;

#define SLAB_NODES ((SLAB_BYTES - sizeof(Slab)) / sizeof(Node))
#define PARTLY_FREE (SLAB_NODES - SLAB_NODES / 4) /* a slab with this many live nodes supplies new ones again */

static struct {
    PyObjectArenaAllocator system;
    Slab *current; /* supplies new nodes; NULL at first */
    Slab *empty, *partial;
    size_t num_empty;
} slabs;

static inline Slab *slab_of(Node *node) { return (Slab *)((char *)(node - node->f.index) - offsetof(Slab, nodes)); }

/* Makes another slab the current one. Returns -1, without an exception, if there is no memory. */
static int slab_next(void) {
    Slab *slab = slabs.empty;
    if (slab) {
        slabs.empty = slab->next;
        slabs.num_empty--;
    } else if ((slab = slabs.partial)) {
        slabs.partial = slab->next;
        if (slab->next)
            slab->next->previous = NULL;
    } else {
        if (!slabs.system.alloc)
            PyObject_GetArenaAllocator(&slabs.system);
        slab = slabs.system.alloc(slabs.system.ctx, SLAB_BYTES);
        if (!slab)
            return -1;
        slab->free = NULL;
        slab->used = slab->live = 0;
        ASAN_POISON_MEMORY_REGION(slab->nodes, SLAB_BYTES - sizeof(Slab));
    }
    slabs.current = slab;
    return 0;
}

/* Memory for a node; NULL, without an exception, if there is none. */
static inline Node *slab_alloc(void) {
    for (;;) {
        Slab *slab = slabs.current;
        if (slab) {
            Node *node = slab->free;
            if (node) {
                ASAN_UNPOISON_MEMORY_REGION(node, sizeof(Node));
                slab->free = node->f.child[0];
                slab->live++;
                return node;
            }
            if (slab->used < SLAB_NODES) {
                node = &slab->nodes[slab->used];
                ASAN_UNPOISON_MEMORY_REGION(node, sizeof(Node));
                node->f.index = (uint16_t)slab->used++;
                slab->live++;
                return node;
            }
        }
        if (slab_next() < 0)
            return NULL;
    }
}

static void slab_emptied(Slab *slab) {
    slab->free = NULL;
    slab->used = 0;
    if (slab == slabs.current)
        return;
    if (slab->previous) /* it is in the list of partly free slabs: each slab has PARTLY_FREE live nodes before it has none */
        slab->previous->next = slab->next;
    else
        slabs.partial = slab->next;
    if (slab->next)
        slab->next->previous = slab->previous;
    if (slabs.num_empty >= MAX_EMPTY) {
        ASAN_UNPOISON_MEMORY_REGION(slab, SLAB_BYTES);
        slabs.system.free(slabs.system.ctx, slab, SLAB_BYTES); /* mutant: return-slab */
        return;
    }
    slab->next = slabs.empty;
    slabs.empty = slab;
    slabs.num_empty++;
}

static inline void slab_free(Node *node) {
    Slab *slab = slab_of(node);
    assert(node->f.index < slab->used && slab->live > 0);
    node->f.child[0] = slab->free;
    slab->free = node;
    ASAN_POISON_MEMORY_REGION(node, sizeof(Node));
    slab->live--;
    if (slab->live == 0)
        slab_emptied(slab);
    else if (slab->live == PARTLY_FREE && slab != slabs.current) { /* mutant: reuse-slab */
        slab->previous = NULL;
        slab->next = slabs.partial;
        if (slab->next)
            slab->next->previous = slab;
        slabs.partial = slab;
    }
}

#endif
