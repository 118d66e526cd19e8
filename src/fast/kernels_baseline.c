/* The kernels for every machine: SSE2 on x86-64, NEON on aarch64, else plain C. */
#include "kernels.h"

KERNELS(baseline);
