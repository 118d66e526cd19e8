/* Which kernels this build of an engine has. */
#include "engine.h"
#include "simd/isa.h"

#include ENGINE_HEADER(engine.h)

const Kernels *SYMBOL(kernels_at)(int i) {
#ifdef MANY_ISAS
    static const Kernels *const all[] = {&SYMBOL(kernels_avx512), &SYMBOL(kernels_avx2), &SYMBOL(kernels_baseline), NULL};
#else
    static const Kernels *const all[] = {&SYMBOL(kernels_baseline), NULL};
#endif
    return all[i];
}
