/* The kernels for every machine: SSE2 on x86-64 and NEON on aarch64 by gcc and clang, else plain C. */
#include "kernels.h"

KERNELS(baseline);
