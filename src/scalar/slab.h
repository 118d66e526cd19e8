/* Where nodes live: slabs of 256 KiB in which nodes follow one another, so that a graph lies in memory in the order it was
 * made and a backward pass walks it almost sequentially.
 *
 * A slab whose nodes are all gone starts again from its beginning; one that is a quarter free is used again for new nodes, so
 * a single node that lives on does not keep a whole slab to itself. Empty slabs beyond MAX_EMPTY go back to the system, which
 * is why they come from Python's arena allocator (mmap or the like) and not from malloc. All of this is guarded by the GIL.
 */
#ifndef MICROGPT_SLAB_H
#define MICROGPT_SLAB_H

#include "node.h"

#if defined(__SANITIZE_ADDRESS__) /* AddressSanitizer sees slabs only; it is told which of their nodes are alive */
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)0)
#endif

#define SLAB_BYTES (256 * 1024)
#define MAX_EMPTY 64

typedef struct Slab {
    struct Slab *next, *previous; /* in the list of empty slabs (next only) or of partly free ones */
    Node *free;                   /* nodes that were freed, linked through their first child */
    uint32_t used;                /* nodes handed out so far from the untouched part */
    uint32_t live;
    Node nodes[];
} Slab;

#define SLAB_NODES ((SLAB_BYTES - sizeof(Slab)) / sizeof(Node))
#define PARTLY_FREE (SLAB_NODES - SLAB_NODES / 4) /* live nodes at which a slab is worth using again */

static struct {
    PyObjectArenaAllocator system;
    Slab *current; /* new nodes come from here; NULL at first */
    Slab *empty, *partial;
    size_t num_empty;
} slabs;

static inline Slab *slab_of(Node *node)
{
    return (Slab *)((char *)(node - node->f.index) - offsetof(Slab, nodes));
}

static int slab_next(void)
{
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

/* Memory for a node, or NULL without an exception set. */
static inline Node *slab_alloc(void)
{
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

static void slab_emptied(Slab *slab)
{
    slab->free = NULL;
    slab->used = 0;
    if (slab == slabs.current)
        return;
    if (slab->previous) /* it was in the list of partly free slabs: every slab passes PARTLY_FREE on its way to empty */
        slab->previous->next = slab->next;
    else
        slabs.partial = slab->next;
    if (slab->next)
        slab->next->previous = slab->previous;
    if (slabs.num_empty >= MAX_EMPTY) {
        ASAN_UNPOISON_MEMORY_REGION(slab, SLAB_BYTES);
        slabs.system.free(slabs.system.ctx, slab, SLAB_BYTES);
        return;
    }
    slab->next = slabs.empty;
    slabs.empty = slab;
    slabs.num_empty++;
}

static inline void slab_free(Node *node)
{
    Slab *slab = slab_of(node);
    assert(node->f.index < slab->used && slab->live > 0);
    node->f.child[0] = slab->free;
    slab->free = node;
    ASAN_POISON_MEMORY_REGION(node, sizeof(Node));
    slab->live--;
    if (slab->live == 0)
        slab_emptied(slab);
    else if (slab->live == PARTLY_FREE && slab != slabs.current) {
        slab->previous = NULL;
        slab->next = slabs.partial;
        if (slab->next)
            slab->next->previous = slab;
        slabs.partial = slab;
    }
}

#endif
