/* All kernels for the instruction set that the including file has switched on, as one table. Included once for each. */
#include "pass.h"
#include "update.h"
#include "write.h"

#define KERNELS(name)                                                                                                          \
    const Kernels fast_kernels_##name = {#name,          columns, heads, task_gradients,     sum,                              \
                                         sum_of_squares, update,  LANES, prepare_beginnings, write_documents}
