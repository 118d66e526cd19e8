/* Large pages, on Linux. */
#define _DEFAULT_SOURCE
#include "arena.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

/* A processor looks up the address of every page that it reads. In a model of millions of parameters, each product and each
 * update visits thousands of pages of 4 KB, more than it remembers; so large blocks ask for pages of 2 MB. */
void SYMBOL(ask_for_large_pages)(void *block, size_t bytes) {
#if defined(MADV_HUGEPAGE)
    const size_t page = (size_t)1 << 21;
    if (bytes < 4 * page)
        return;
    char *first = (char *)block + (page - (uintptr_t)block % page) % page;
    madvise(first, (size_t)((char *)block + bytes - first) / page * page, MADV_HUGEPAGE); /* no matter if it is refused */
#else
    (void)block, (void)bytes;
#endif
}
