/* Which kernels this build has. */
#include "engine.h"
#include "simd/isa.h"

#include <stddef.h>

const Kernels *kernels_at(int i) {
#ifdef MANY_ISAS
    static const Kernels *const all[] = {&kernels_avx512, &kernels_avx2, &kernels_baseline, NULL};
#else
    static const Kernels *const all[] = {&kernels_baseline, NULL};
#endif
    return all[i];
}
