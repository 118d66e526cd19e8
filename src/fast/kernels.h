/* All kernels for the instruction set that the including file has switched on, as one table. Included once for each. */
#include "gradients.h"
#include "measure.h"
#include "pass.h"
#include "slide.h"
#include "update.h"

#define KERNELS(name)                                                                                                          \
    const Kernels fast_kernels_##name = {                                                                                      \
        .isa = #name,                                                                                                          \
        .columns = columns,                                                                                                    \
        .heads = heads,                                                                                                        \
        .measure = measure,                                                                                                    \
        .gradients = task_gradients,                                                                                           \
        .add = add,                                                                                                            \
        .sum = sum,                                                                                                            \
        .sum_of_squares = sum_of_squares,                                                                                      \
        .update = update,                                                                                                      \
        .lanes = LANES,                                                                                                        \
        .prepare = prepare_beginnings,                                                                                         \
        .write = write_documents,                                                                                              \
        .write_long = write_long,                                                                                              \
    }
