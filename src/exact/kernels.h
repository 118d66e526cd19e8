/* All kernels for the instruction set that the including file has switched on, as one table. Included once for each. */
#include "adam.h"
#include "backward.h"
#include "clip.h"
#include "decode.h"
#include "forward.h"
#include "gradients.h"
#include "loss.h"
#include "selftest.h"

#define KERNELS(name)                                                                                                          \
    const Kernels exact_kernels_##name = {                                                                                     \
        #name, W,           forward,    loss_forward, backward,    bound,       gradients,         clip,                       \
        decay, adam_update, share_adam, decode,       softmax_row, libm_agrees, rounds_as_written,                             \
    }
