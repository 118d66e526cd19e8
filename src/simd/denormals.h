/* Floats below 1.2e-38, which many processors are slow with, become 0 between these two, on the calling thread. */
#ifndef MICROGPT_DENORMALS_H
#define MICROGPT_DENORMALS_H

#include <stdint.h>

#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>
static inline uint64_t flush_denormals(void) {
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    return before;
}
static inline void restore_denormals(uint64_t before) { _mm_setcsr((unsigned)before); }
#elif defined(__GNUC__) && defined(__aarch64__)
static inline uint64_t flush_denormals(void) {
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | (1u << 24)));
    return before;
}
static inline void restore_denormals(uint64_t before) { __asm__ volatile("msr fpcr, %0" : : "r"(before)); }
#else
static inline uint64_t flush_denormals(void) { return 0; }
static inline void restore_denormals(uint64_t before) { (void)before; }
#endif

#endif
