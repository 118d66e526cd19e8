/* What this processor can run, and what compiled this. */
#include "isa.h"

#include <string.h>

int isa_supported(const char *name) {
#ifdef MANY_ISAS
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (!strcmp(name, "avx2"))
        return avx2;
    if (!strcmp(name, "avx512"))
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return !strcmp(name, "baseline");
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
