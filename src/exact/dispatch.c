/* Which kernels this build has, and which of them this processor can run. */
#include "engine.h"

#include <stdio.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define MANY_ISAS
#endif

const Kernels *kernels_at(int i) {
#ifdef MANY_ISAS
    static const Kernels *const all[] = {&kernels_avx512, &kernels_avx2, &kernels_baseline, NULL};
#else
    static const Kernels *const all[] = {&kernels_baseline, NULL};
#endif
    return all[i];
}

int kernels_supported(const Kernels *k) {
#ifdef MANY_ISAS
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (k == &kernels_avx2)
        return avx2;
    if (k == &kernels_avx512)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return k == &kernels_baseline;
}

const char *compiler_name(void) {
#define TEXT(x) #x
#define NUMBER(x) TEXT(x)
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "gcc " __VERSION__;
#elif defined(_MSC_VER)
    return "msvc " NUMBER(_MSC_VER);
#else
    return "unknown";
#endif
}
