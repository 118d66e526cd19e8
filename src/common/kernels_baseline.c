/* An engine's kernels for every machine: SSE2 on x86-64 and NEON on aarch64 by gcc and clang, else plain C. */
#include "engine.h"

#include ENGINE_HEADER(kernels.h)

KERNELS(baseline);
