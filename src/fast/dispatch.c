/* Which kernels this build has. */
#include "engine.h"
#include "simd/isa.h"

const Kernels *kernels_at(int i) {
#ifdef MANY_ISAS
    static const Kernels *const all[] = {&fast_kernels_avx512, &fast_kernels_avx2, &fast_kernels_baseline, NULL};
#else
    static const Kernels *const all[] = {&fast_kernels_baseline, NULL};
#endif
    return all[i];
}
