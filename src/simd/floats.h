/* Vectors of floats: one set of names over AVX-512, AVX2, SSE2, NEON and plain C.
 *
 * An alternative to doubles.h, with the same conditions. `vf` is a vector of W floats; + - * / are the compiler's own
 * operators on it. `vm` is a mask: one truth value per lane. vfma may round once or twice; results are the same from run to
 * run on one instruction set.
 */
#ifndef MICROGPT_FLOATS_H
#define MICROGPT_FLOATS_H

#include "common.h"

#if defined(ISA_AVX512) /* --------------------------------------------------------------- 16 floats, mask registers */

#define W 16
#define REGISTERS 32
typedef __m512 vf;
typedef __mmask16 vm;

INLINE vf vload(const float *p) { return _mm512_loadu_ps(p); }
INLINE void vstore(float *p, vf a) { _mm512_storeu_ps(p, a); }
INLINE vf vset1(float x) { return _mm512_set1_ps(x); }
INLINE vf vmax(vf a, vf b) { return _mm512_max_ps(a, b); } /* a > b ? a : b */
INLINE vf vsqrt(vf a) { return _mm512_sqrt_ps(a); }
INLINE vf vfma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }   /* a * b + c */
INLINE vf vfnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a * b */
#define HAVE_NEAR 1
INLINE vf vinverse_near(vf a) { /* 14 bits of 1 / a, then 28 */
    vf r = _mm512_rcp14_ps(a);
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(a, r, _mm512_set1_ps(1.0f)), r, r);
}
INLINE vf vroot_guess(vf a) { return _mm512_rsqrt14_ps(a); } /* 14 bits of 1 / the root */
INLINE vf vroot_near(vf a, vf guess) {                       /* 28 bits of the root */
    vf root = a * guess;
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(root, root, a), guess * _mm512_set1_ps(0.5f), root);
}
INLINE vm vgt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
INLINE vm veq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
INLINE vf vselect(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); } /* m ? a : b */
INLINE unsigned vbits(vm m) { return m; }
INLINE vm lanes_below(size_t k) { return k >= 16 ? (vm)0xffff : (vm)((1u << k) - 1); } /* lanes 0 .. k - 1 */
INLINE vf vkeep(vm m, vf a) { return _mm512_maskz_mov_ps(m, a); }                      /* m ? a : 0 */
INLINE vf vload_first(const float *p, size_t k) { return _mm512_maskz_loadu_ps(lanes_below(k), p); }
INLINE void vstore_first(float *p, vf a, size_t k) { _mm512_mask_storeu_ps(p, lanes_below(k), a); }

INLINE vf vscale(vf a, vf k) { /* see below */
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_slli_epi32(_mm512_castps_si512(k), 23)));
}
INLINE vf vsplit(vf a, vf *exponent) {
    __m512i bits = _mm512_sub_epi32(_mm512_castps_si512(a), _mm512_set1_epi32(0x3f3504f3));
    *exponent = _mm512_cvtepi32_ps(_mm512_srai_epi32(bits, 23));
    return _mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_and_si512(bits, _mm512_set1_epi32(0x7fffff)), _mm512_set1_epi32(0x3f3504f3)));
}

#define HAVE_PAIRS 1              /* two numbers in neighbouring lanes, eight times */
INLINE vf vset2(const float *p) { /* p[0], p[1], p[0], p[1], ... */
    double both;
    memcpy(&both, p, sizeof both);
    return _mm512_castpd_ps(_mm512_set1_pd(both));
}
INLINE vf vpairs(vf a, vf b) { /* a[0], b[0], a[1], b[1], ..., a[7], b[7] */
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
}
INLINE vf vfirsts(vf a) { /* a[0], a[2], ..., a[14], and eight zeros */
    return _mm512_maskz_permutexvar_ps(0xff, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 0, 0, 0, 0, 0, 0, 0, 0), a);
}
INLINE vf vseconds(vf a) { /* a[1], a[3], ..., a[15], and eight zeros */
    return _mm512_maskz_permutexvar_ps(0xff, _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 0, 0, 0, 0, 0, 0, 0, 0), a);
}

#define HAVE_TRANSPOSE 1
INLINE void vtranspose(vf *r) { /* r[i][j] <-> r[j][i]: pairs, quarters, then 128-bit parts of four and of sixteen */
    vf a[16];
    UNROLL_FOR (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL_FOR (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_shuffle_ps(a[i], a[i + 2], 0x44);
        r[i + 1] = _mm512_shuffle_ps(a[i], a[i + 2], 0xee);
        r[i + 2] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        r[i + 3] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    UNROLL_FOR (int i = 0; i < 16; i += 8)
        UNROLL_FOR (int k = 0; k < 4; k++) {
            a[i + k] = _mm512_shuffle_f32x4(r[i + k], r[i + 4 + k], 0x88);
            a[i + 4 + k] = _mm512_shuffle_f32x4(r[i + k], r[i + 4 + k], 0xdd);
        }
    UNROLL_FOR (int k = 0; k < 8; k++) {
        r[k] = _mm512_shuffle_f32x4(a[k], a[k + 8], 0x88);
        r[k + 8] = _mm512_shuffle_f32x4(a[k], a[k + 8], 0xdd);
    }
}

#elif defined(ISA_AVX2) /* -------------------------------------------------------------------------------- 8 floats */

#define W 8
#define REGISTERS 16
typedef __m256 vf;
typedef __m256 vm;

INLINE vf vload(const float *p) { return _mm256_loadu_ps(p); }
INLINE void vstore(float *p, vf a) { _mm256_storeu_ps(p, a); }
INLINE vf vset1(float x) { return _mm256_set1_ps(x); }
INLINE vf vmax(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf vsqrt(vf a) { return _mm256_sqrt_ps(a); }
INLINE vf vfma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vf vfnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
INLINE vm vgt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
INLINE vm veq(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
INLINE vf vselect(vm m, vf a, vf b) { return _mm256_blendv_ps(b, a, m); }
INLINE unsigned vbits(vm m) { return (unsigned)_mm256_movemask_ps(m); }
INLINE vm lanes_below(size_t k) {
    static const int32_t ramp[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
    return _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)(ramp + 8 - (k < 8 ? k : 8))));
}
INLINE vf vkeep(vm m, vf a) { return _mm256_and_ps(m, a); }
INLINE vf vload_first(const float *p, size_t k) { return _mm256_maskload_ps(p, _mm256_castps_si256(lanes_below(k))); }
INLINE void vstore_first(float *p, vf a, size_t k) { _mm256_maskstore_ps(p, _mm256_castps_si256(lanes_below(k)), a); }

INLINE vf vscale(vf a, vf k) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_castps_si256(k), 23)));
}
INLINE vf vsplit(vf a, vf *exponent) {
    __m256i bits = _mm256_sub_epi32(_mm256_castps_si256(a), _mm256_set1_epi32(0x3f3504f3));
    *exponent = _mm256_cvtepi32_ps(_mm256_srai_epi32(bits, 23));
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_and_si256(bits, _mm256_set1_epi32(0x7fffff)), _mm256_set1_epi32(0x3f3504f3)));
}

#define HAVE_TRANSPOSE 1
INLINE void vtranspose(vf *r) {
    vf a[8], b[8];
    UNROLL_FOR (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL_FOR (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
        b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    UNROLL_FOR (int k = 0; k < 4; k++) {
        r[k] = _mm256_permute2f128_ps(b[k], b[k + 4], 0x20);
        r[k + 4] = _mm256_permute2f128_ps(b[k], b[k + 4], 0x31);
    }
}

#elif defined(__GNUC__) && defined(__SSE2__) /* ----------------------------------------------------------- 4 floats */

#include <emmintrin.h>
#define W 4
#define REGISTERS 16
typedef __m128 vf;
typedef __m128 vm;

INLINE vf vload(const float *p) { return _mm_loadu_ps(p); }
INLINE void vstore(float *p, vf a) { _mm_storeu_ps(p, a); }
INLINE vf vset1(float x) { return _mm_set1_ps(x); }
INLINE vf vmax(vf a, vf b) { return _mm_max_ps(a, b); }
INLINE vf vsqrt(vf a) { return _mm_sqrt_ps(a); }
INLINE vf vfma(vf a, vf b, vf c) { return a * b + c; }
INLINE vf vfnma(vf a, vf b, vf c) { return c - a * b; }
INLINE vm vgt(vf a, vf b) { return _mm_cmpgt_ps(a, b); }
INLINE vm veq(vf a, vf b) { return _mm_cmpeq_ps(a, b); }
INLINE vf vselect(vm m, vf a, vf b) { return _mm_or_ps(_mm_and_ps(m, a), _mm_andnot_ps(m, b)); }
INLINE unsigned vbits(vm m) { return (unsigned)_mm_movemask_ps(m); }
INLINE vm lanes_below(size_t k) {
    static const int32_t ramp[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
    return _mm_castsi128_ps(_mm_loadu_si128((const __m128i *)(ramp + 4 - (k < 4 ? k : 4))));
}
INLINE vf vkeep(vm m, vf a) { return _mm_and_ps(m, a); }

INLINE vf vscale(vf a, vf k) {
    return _mm_castsi128_ps(_mm_add_epi32(_mm_castps_si128(a), _mm_slli_epi32(_mm_castps_si128(k), 23)));
}
INLINE vf vsplit(vf a, vf *exponent) {
    __m128i bits = _mm_sub_epi32(_mm_castps_si128(a), _mm_set1_epi32(0x3f3504f3));
    *exponent = _mm_cvtepi32_ps(_mm_srai_epi32(bits, 23));
    return _mm_castsi128_ps(_mm_add_epi32(_mm_and_si128(bits, _mm_set1_epi32(0x7fffff)), _mm_set1_epi32(0x3f3504f3)));
}

#define HAVE_TRANSPOSE 1
INLINE void vtranspose(vf *r) { _MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]); }

#elif defined(__GNUC__) && defined(__aarch64__) /* -------------------------------------------- 4 floats, fma built in */

#include <arm_neon.h>
#define W 4
#define REGISTERS 32
typedef float32x4_t vf;
typedef uint32x4_t vm;

INLINE vf vload(const float *p) { return vld1q_f32(p); }
INLINE void vstore(float *p, vf a) { vst1q_f32(p, a); }
INLINE vf vset1(float x) { return vdupq_n_f32(x); }
INLINE vf vmax(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
INLINE vf vsqrt(vf a) { return vsqrtq_f32(a); }
INLINE vf vfma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
INLINE vf vfnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
INLINE vm vgt(vf a, vf b) { return vcgtq_f32(a, b); }
INLINE vm veq(vf a, vf b) { return vceqq_f32(a, b); }
INLINE vf vselect(vm m, vf a, vf b) { return vbslq_f32(m, a, b); }
INLINE unsigned vbits(vm m) {
    static const uint32_t weight[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(m, vld1q_u32(weight)));
}
INLINE vm lanes_below(size_t k) {
    static const uint32_t ramp[8] = {~0u, ~0u, ~0u, ~0u, 0, 0, 0, 0};
    return vld1q_u32(ramp + 4 - (k < 4 ? k : 4));
}
INLINE vf vkeep(vm m, vf a) { return vreinterpretq_f32_u32(vandq_u32(m, vreinterpretq_u32_f32(a))); }

INLINE vf vscale(vf a, vf k) {
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(a), vshlq_n_u32(vreinterpretq_u32_f32(k), 23)));
}
INLINE vf vsplit(vf a, vf *exponent) {
    uint32x4_t bits = vsubq_u32(vreinterpretq_u32_f32(a), vdupq_n_u32(0x3f3504f3));
    *exponent = vcvtq_f32_s32(vshrq_n_s32(vreinterpretq_s32_u32(bits), 23));
    return vreinterpretq_f32_u32(vaddq_u32(vandq_u32(bits, vdupq_n_u32(0x7fffff)), vdupq_n_u32(0x3f3504f3)));
}

#else /* ------------------------------------------------------------------------------------------- plain C: 1 float */

#define W 1
#define REGISTERS 16
typedef float vf;
typedef int vm;

INLINE uint32_t as_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}
INLINE float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
INLINE vf vload(const float *p) { return *p; }
INLINE void vstore(float *p, vf a) { *p = a; }
INLINE vf vset1(float x) { return x; }
INLINE vf vmax(vf a, vf b) { return a > b ? a : b; }
INLINE vf vsqrt(vf a) { return sqrtf(a); }
INLINE vf vfma(vf a, vf b, vf c) { return a * b + c; }
INLINE vf vfnma(vf a, vf b, vf c) { return c - a * b; }
INLINE vm vgt(vf a, vf b) { return a > b; }
INLINE vm veq(vf a, vf b) { return a == b; }
INLINE vf vselect(vm m, vf a, vf b) { return m ? a : b; }
INLINE unsigned vbits(vm m) { return (unsigned)m; }
INLINE vm lanes_below(size_t k) { return k > 0; }
INLINE vf vkeep(vm m, vf a) { return m ? a : 0.0f; }
INLINE vf vscale(vf a, vf k) { return from_bits(as_bits(a) + (as_bits(k) << 23)); }
INLINE vf vsplit(vf a, vf *exponent) {
    uint32_t bits = as_bits(a) - 0x3f3504f3u;
    *exponent = (float)((int32_t)bits >> 23);
    return from_bits((bits & 0x7fffffu) + 0x3f3504f3u);
}

#define HAVE_TRANSPOSE 1
INLINE void vtranspose(vf *r) { (void)r; }

#endif

/* vscale(a, k): a * 2**i for k = 1.5 * 2**23 + i, an integer i kept in the low bits. vsplit(a, &e): m with a = m * 2**e and
 * sqrt(1/2) <= m < sqrt(2), for normal a > 0. */

/* 1 / a and the root of a within 2 units in the last place, where a and both of them are normal: with multiplications, where the
 * divider and the root take longer. The root in two steps: vroot_near(a, vroot_guess(a)). */
#ifndef HAVE_NEAR
INLINE vf vinverse_near(vf a) { return vset1(1.0f) / a; }
INLINE vf vroot_guess(vf a) { return vsqrt(a); }
INLINE vf vroot_near(vf a, vf guess) {
    (void)a;
    return guess;
}
#endif

#ifndef HAVE_TRANSPOSE
INLINE void vtranspose(vf *r) {
    float a[W * W], row[W];
    for (int i = 0; i < W; i++)
        vstore(a + i * W, r[i]);
    for (int i = 0; i < W; i++) {
        for (int j = 0; j < W; j++)
            row[j] = a[j * W + i];
        r[i] = vload(row);
    }
}
#endif

#if !defined(ISA_AVX512) && !defined(ISA_AVX2)
INLINE vf vload_first(const float *p, size_t k) {
    float lanes[W] = {0};
    memcpy(lanes, p, k * sizeof(float));
    return vload(lanes);
}
INLINE void vstore_first(float *p, vf a, size_t k) {
    float lanes[W];
    vstore(lanes, a);
    memcpy(p, lanes, k * sizeof(float));
}
#endif

/* The first k lanes, the others 0; all for k >= W. */
INLINE vf vload_some(const float *p, size_t k) { return k >= W ? vload(p) : vload_first(p, k); }
INLINE void vstore_some(float *p, vf a, size_t k) {
    if (k >= W)
        vstore(p, a);
    else
        vstore_first(p, a, k);
}

/* The lanes' sum, in pairs: in the same order on every machine with the same number of lanes. */
INLINE float vsum(vf a) {
    float lanes[W];
    vstore(lanes, a);
    for (int half = W / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
}

/* e**x within 2 units in the last place for x <= 88; below -87, where floats end, e**-87 (1.6e-38).
 * x = i * ln 2 + r, |r| <= ln(2) / 2; ln 2 in two parts so that r is exact; e**r by a polynomial (Cody & Waite, 1980). */
INLINE vf vexp(vf x) {
    const vf magic = vset1(12582912.0f); /* 1.5 * 2**23: adding it rounds to an integer */
    /* mutant: exp-underflow */
    x = vmax(vset1(-87.0f), x); /* NaN stays */
    vf k = vfma(x, vset1(1.44269504f), magic), i = k - magic;
    vf r = vfnma(i, vset1(0.693359375f), x);
    r = vfnma(i, vset1(-2.12194440e-4f), r);
    vf p = vset1(1.9875691500e-4f);
    p = vfma(p, r, vset1(1.3981999507e-3f)); /* mutant: exp-coefficient */
    p = vfma(p, r, vset1(8.3334519073e-3f));
    p = vfma(p, r, vset1(4.1665795894e-2f));
    p = vfma(p, r, vset1(1.6666665459e-1f));
    p = vfma(p, r, vset1(5.0000001201e-1f));
    p = vfma(p * r, r, r);
    return vscale(p + vset1(1.0f), k);
}

/* The natural logarithm of a normal x > 0, within 2 units in the last place: x = m * 2**e, ln m by a polynomial in m - 1. */
INLINE vf vlog(vf x) {
    vf e, r = vsplit(x, &e) - vset1(1.0f), z = r * r;
    vf p = vset1(7.0376836292e-2f);
    p = vfma(p, r, vset1(-1.1514610310e-1f));
    p = vfma(p, r, vset1(1.1676998740e-1f));
    p = vfma(p, r, vset1(-1.2420140846e-1f));
    p = vfma(p, r, vset1(1.4249322787e-1f));
    p = vfma(p, r, vset1(-1.6668057665e-1f));
    p = vfma(p, r, vset1(2.0000714765e-1f));
    p = vfma(p, r, vset1(-2.4999993993e-1f));
    p = vfma(p, r, vset1(3.3333331174e-1f));
    p = p * r * z;
    p = vfma(e, vset1(-2.12194440e-4f), p);
    p = vfnma(vset1(0.5f), z, p);
    return vfma(e, vset1(0.693359375f), r + p);
}

#endif
