/* What this processor can run, and what compiled this. */
#include "isa.h"

#include <string.h>

#ifdef MANY_ISAS
#include <cpuid.h>

/* The registers that the operating system keeps for a program, a bit each. */
static unsigned kept_registers(void) {
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* Not with __builtin_cpu_supports: it is a function of the compiler's own library, and where that library also has exp and log, as
 * zig's does, the linker then takes these in place of the C library's, which Python uses. */
static int x86_supported(const char *name) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || ~c & (bit_OSXSAVE | bit_AVX | bit_FMA))
        return 0;
    unsigned kept = kept_registers();
    if ((kept & 0x6) != 0x6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2))
        return 0;
    if (!strcmp(name, "avx2"))
        return 1;
#ifdef __APPLE__
    kept |= 0xe0; /* macOS keeps the registers of AVX-512 from their first use on */
#endif
    return !strcmp(name, "avx512") && (kept & 0xe0) == 0xe0 && !(~b & (bit_AVX512F | bit_AVX512DQ | bit_AVX512VL));
}
#endif

int isa_supported(const char *name) {
#ifdef MANY_ISAS
    if (x86_supported(name))
        return 1;
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
