/* An engine's kernels for x86-64 with AVX-512. */
#if defined(__x86_64__) && defined(__GNUC__)
#include "engine.h"

#include <immintrin.h>
#define ISA_AVX512
#define TARGET "avx2,fma,avx512f,avx512dq,avx512vl"
#include "simd/target.h"

#include ENGINE_HEADER(kernels.h)

KERNELS(avx512);

#include "simd/target_end.h"
#endif
