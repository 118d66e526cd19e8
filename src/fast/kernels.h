/* All kernels for the instruction set that the including file has switched on, as one table. Included once for each. */
#include "pass.h"
#include "sample.h"
#include "update.h"

#define KERNELS(name)                                                                                                          \
    const Kernels fast_kernels_##name = {#name, columns, heads, task_gradients, sum, sum_of_squares, update,                     \
                                           LANES, prepare, write_documents}
