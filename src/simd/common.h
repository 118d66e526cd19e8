/* What vectors of doubles and of floats share. */
#ifndef MICROGPT_SIMD_COMMON_H
#define MICROGPT_SIMD_COMMON_H

#include "common/rounding.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline, unused))
#define NOINLINE __attribute__((noinline))
#define UNROLL_FOR(...) _Pragma("GCC unroll 16") for (__VA_ARGS__)
#define prefetch(address) __builtin_prefetch(address)
#else
#define INLINE static inline
#define NOINLINE __declspec(noinline)
#define UNROLL_FOR(...) for (__VA_ARGS__)
#define prefetch(address) ((void)0)
#endif

#endif
