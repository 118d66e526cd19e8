/* An engine's kernels for x86-64 with AVX2 and FMA. */
#if defined(__x86_64__) && defined(__GNUC__)
#include "engine.h"

#include <immintrin.h>
#define ISA_AVX2
#define TARGET "avx2,fma"
#include "simd/target.h"

#include ENGINE_HEADER(kernels.h)

KERNELS(avx2);

#include "simd/target_end.h"
#endif
