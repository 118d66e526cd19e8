/* Vectors of doubles: one set of names over AVX-512, AVX2, SSE2, NEON and plain C.
 *
 * The file that includes this one, or floats.h in its place, may define ISA_AVX512 or ISA_AVX2 if it has enabled that
 * instruction set. `vd` is a vector of W doubles; + - * / are the compiler's own operators on it. Every operation rounds as
 * the scalar one does, so a lane holds what a scalar program would hold. `vm` is a mask: one truth value per lane.
 */
#ifndef MICROGPT_DOUBLES_H
#define MICROGPT_DOUBLES_H

#include "common.h"

#if defined(ISA_AVX512) /* ---------------------------------------------------------------- 8 doubles, mask registers */

#define W 8
#define HAVE_FMA 1
typedef __m512d vd;
typedef __mmask8 vm;

INLINE vd vload(const double *p) { return _mm512_loadu_pd(p); }
INLINE void vstore(double *p, vd a) { _mm512_storeu_pd(p, a); }
INLINE vd vset1(double x) { return _mm512_set1_pd(x); }
INLINE vd vmax(vd a, vd b) { return _mm512_max_pd(a, b); } /* a > b ? a : b */
INLINE vd vabs(vd a) { return _mm512_abs_pd(a); }
INLINE vd vsqrt(vd a) { return _mm512_sqrt_pd(a); }
INLINE vd vfma(vd a, vd b, vd c) { return _mm512_fmadd_pd(a, b, c); }   /* a * b + c, rounded once */
INLINE vd vfms(vd a, vd b, vd c) { return _mm512_fmsub_pd(a, b, c); }   /* a * b - c, rounded once */
INLINE vd vfnma(vd a, vd b, vd c) { return _mm512_fnmadd_pd(a, b, c); } /* c - a * b, rounded once */
INLINE vm vgt(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ); }
INLINE vm vlt(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
INLINE vm vnlt(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_NLT_UQ); } /* not a < b: true for NaN */
INLINE vm vneq(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_NEQ_UQ); } /* true for NaN */
INLINE vm vand(vm a, vm b) { return a & b; }
INLINE vm vor(vm a, vm b) { return a | b; }
INLINE vm vnot(vm a) { return (vm)~a; }
INLINE vm vneq_in(vm m, vd a, vd b) { return _mm512_mask_cmp_pd_mask(m, a, b, _CMP_NEQ_UQ); } /* m and vneq */
INLINE vm vdenormal(vd a) { return _mm512_fpclass_pd_mask(a, 0x26); }                         /* or 0 */
#define HAVE_ROOT_ESTIMATE 1
INLINE vd vroot_estimate(vd a) { return _mm512_rsqrt14_pd(a); } /* a**-0.5, relative error below 2**-14, for normal a > 0 */
INLINE vd vselect(vm m, vd a, vd b) { return _mm512_mask_blend_pd(m, b, a); } /* m ? a : b */
INLINE unsigned vbits(vm m) { return m; }
INLINE vm lanes_from(size_t k) { return (vm)(0xffu << k); } /* lanes k, k + 1, ... */

INLINE vd vbits_and_or(vd a, vd b, vd c) { /* (a & b) | c */
    return _mm512_castsi512_pd(
        _mm512_ternarylogic_epi64(_mm512_castpd_si512(a), _mm512_castpd_si512(b), _mm512_castpd_si512(c), 0xea));
}
INLINE vd vbits_or(vd a, vd b) { return _mm512_or_pd(a, b); }
INLINE vd vbits_subtract(vd a, uint64_t b) {
    return _mm512_castsi512_pd(_mm512_sub_epi64(_mm512_castpd_si512(a), _mm512_set1_epi64((int64_t)b)));
}
INLINE vd vtable16(const double *table, vd k) {
    __m512d low = _mm512_loadu_pd(table), high = _mm512_loadu_pd(table + 8);
    return _mm512_permutex2var_pd(low, _mm512_castpd_si512(k), high);
}
INLINE vd vscale16(vd a, vd k) {
    __m512i bits = _mm512_andnot_si512(_mm512_set1_epi64(15), _mm512_castpd_si512(k));
    return _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(a), _mm512_slli_epi64(bits, 48)));
}

#define HAVE_TRANSPOSE 1
INLINE void vtranspose(vd *r) { /* r[i][j] <-> r[j][i]: swap halves of pairs, of quarters, of halves */
    vd a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm512_unpacklo_pd(r[i], r[i + 1]);
        a[i + 1] = _mm512_unpackhi_pd(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) {
            b[i + k] = _mm512_shuffle_f64x2(a[i + k], a[i + 2 + k], 0x88);
            b[i + 2 + k] = _mm512_shuffle_f64x2(a[i + k], a[i + 2 + k], 0xdd);
        }
    for (int k = 0; k < 4; k++) {
        r[k] = _mm512_shuffle_f64x2(b[k], b[k + 4], 0x88);
        r[k + 4] = _mm512_shuffle_f64x2(b[k], b[k + 4], 0xdd);
    }
}

#elif defined(ISA_AVX2) /* ------------------------------------------------------------------------------- 4 doubles */

#define W 4
#define HAVE_FMA 1
typedef __m256d vd;
typedef __m256d vm;

INLINE vd vload(const double *p) { return _mm256_loadu_pd(p); }
INLINE void vstore(double *p, vd a) { _mm256_storeu_pd(p, a); }
INLINE vd vset1(double x) { return _mm256_set1_pd(x); }
INLINE vd vmax(vd a, vd b) { return _mm256_max_pd(a, b); }
INLINE vd vabs(vd a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a); }
INLINE vd vsqrt(vd a) { return _mm256_sqrt_pd(a); }
INLINE vd vfma(vd a, vd b, vd c) { return _mm256_fmadd_pd(a, b, c); }
INLINE vd vfms(vd a, vd b, vd c) { return _mm256_fmsub_pd(a, b, c); }
INLINE vd vfnma(vd a, vd b, vd c) { return _mm256_fnmadd_pd(a, b, c); }
INLINE vm vgt(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_GT_OQ); }
INLINE vm vlt(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
INLINE vm vnlt(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_NLT_UQ); }
INLINE vm vneq(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_NEQ_UQ); }
INLINE vm vand(vm a, vm b) { return _mm256_and_pd(a, b); }
INLINE vm vor(vm a, vm b) { return _mm256_or_pd(a, b); }
INLINE vm vnot(vm a) { return _mm256_xor_pd(a, _mm256_castsi256_pd(_mm256_set1_epi64x(-1))); }
INLINE vd vselect(vm m, vd a, vd b) { return _mm256_blendv_pd(b, a, m); }
INLINE unsigned vbits(vm m) { return (unsigned)_mm256_movemask_pd(m); }
INLINE vm lanes_from(size_t k) {
    static const int64_t ramp[8] = {0, 0, 0, 0, -1, -1, -1, -1};
    return _mm256_castsi256_pd(_mm256_loadu_si256((const __m256i *)(ramp + 4 - k)));
}

INLINE vd vbits_and_or(vd a, vd b, vd c) { return _mm256_or_pd(_mm256_and_pd(a, b), c); }
INLINE vd vbits_or(vd a, vd b) { return _mm256_or_pd(a, b); }
INLINE vd vbits_subtract(vd a, uint64_t b) {
    return _mm256_castsi256_pd(_mm256_sub_epi64(_mm256_castpd_si256(a), _mm256_set1_epi64x((int64_t)b)));
}
INLINE vd vtable16(const double *table, vd k) {
    __m256i index = _mm256_and_si256(_mm256_castpd_si256(k), _mm256_set1_epi64x(15));
    return _mm256_i64gather_pd(table, index, 8);
}
INLINE vd vscale16(vd a, vd k) {
    __m256i bits = _mm256_andnot_si256(_mm256_set1_epi64x(15), _mm256_castpd_si256(k));
    return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(a), _mm256_slli_epi64(bits, 48)));
}

#define HAVE_TRANSPOSE 1
INLINE void vtranspose(vd *r) {
    vd a = _mm256_unpacklo_pd(r[0], r[1]), b = _mm256_unpackhi_pd(r[0], r[1]);
    vd c = _mm256_unpacklo_pd(r[2], r[3]), d = _mm256_unpackhi_pd(r[2], r[3]);
    r[0] = _mm256_permute2f128_pd(a, c, 0x20);
    r[1] = _mm256_permute2f128_pd(b, d, 0x20);
    r[2] = _mm256_permute2f128_pd(a, c, 0x31);
    r[3] = _mm256_permute2f128_pd(b, d, 0x31);
}

#elif defined(__GNUC__) && defined(__SSE2__) /* ---------------------------------------------------------- 2 doubles */

#include <emmintrin.h>
#define W 2
typedef __m128d vd;
typedef __m128d vm;

INLINE vd vload(const double *p) { return _mm_loadu_pd(p); }
INLINE void vstore(double *p, vd a) { _mm_storeu_pd(p, a); }
INLINE vd vset1(double x) { return _mm_set1_pd(x); }
INLINE vd vmax(vd a, vd b) { return _mm_max_pd(a, b); }
INLINE vd vabs(vd a) { return _mm_andnot_pd(_mm_set1_pd(-0.0), a); }
INLINE vd vsqrt(vd a) { return _mm_sqrt_pd(a); }
INLINE vm vgt(vd a, vd b) { return _mm_cmpgt_pd(a, b); }
INLINE vm vlt(vd a, vd b) { return _mm_cmplt_pd(a, b); }
INLINE vm vnlt(vd a, vd b) { return _mm_cmpnlt_pd(a, b); }
INLINE vm vneq(vd a, vd b) { return _mm_cmpneq_pd(a, b); }
INLINE vm vand(vm a, vm b) { return _mm_and_pd(a, b); }
INLINE vm vor(vm a, vm b) { return _mm_or_pd(a, b); }
INLINE vm vnot(vm a) { return _mm_xor_pd(a, _mm_castsi128_pd(_mm_set1_epi32(-1))); }
INLINE vd vselect(vm m, vd a, vd b) { return _mm_or_pd(_mm_and_pd(m, a), _mm_andnot_pd(m, b)); }
INLINE unsigned vbits(vm m) { return (unsigned)_mm_movemask_pd(m); }
INLINE vm lanes_from(size_t k) {
    static const int64_t ramp[4] = {0, 0, -1, -1};
    return _mm_castsi128_pd(_mm_loadu_si128((const __m128i *)(ramp + 2 - k)));
}

INLINE vd vbits_and_or(vd a, vd b, vd c) { return _mm_or_pd(_mm_and_pd(a, b), c); }
INLINE vd vbits_or(vd a, vd b) { return _mm_or_pd(a, b); }
INLINE vd vbits_subtract(vd a, uint64_t b) {
    return _mm_castsi128_pd(_mm_sub_epi64(_mm_castpd_si128(a), _mm_set1_epi64x((int64_t)b)));
}
INLINE vd vtable16(const double *table, vd k) {
    int64_t lanes[2];
    _mm_storeu_si128((__m128i *)lanes, _mm_castpd_si128(k));
    return _mm_set_pd(table[lanes[1] & 15], table[lanes[0] & 15]);
}
INLINE vd vscale16(vd a, vd k) {
    __m128i bits = _mm_andnot_si128(_mm_set1_epi64x(15), _mm_castpd_si128(k));
    return _mm_castsi128_pd(_mm_add_epi64(_mm_castpd_si128(a), _mm_slli_epi64(bits, 48)));
}

#elif defined(__GNUC__) && defined(__aarch64__) /* -------------------------------------------- 2 doubles, fma built in */

#include <arm_neon.h>
#define W 2
#define HAVE_FMA 1
typedef float64x2_t vd;
typedef uint64x2_t vm;

INLINE vd vload(const double *p) { return vld1q_f64(p); }
INLINE void vstore(double *p, vd a) { vst1q_f64(p, a); }
INLINE vd vset1(double x) { return vdupq_n_f64(x); }
INLINE vd vmax(vd a, vd b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }
INLINE vd vabs(vd a) { return vabsq_f64(a); }
INLINE vd vsqrt(vd a) { return vsqrtq_f64(a); }
INLINE vd vfma(vd a, vd b, vd c) { return vfmaq_f64(c, a, b); }
INLINE vd vfms(vd a, vd b, vd c) { return vfmaq_f64(vnegq_f64(c), a, b); }
INLINE vd vfnma(vd a, vd b, vd c) { return vfmsq_f64(c, a, b); }
INLINE vm vgt(vd a, vd b) { return vcgtq_f64(a, b); }
INLINE vm vlt(vd a, vd b) { return vcltq_f64(a, b); }
INLINE vm vand(vm a, vm b) { return vandq_u64(a, b); }
INLINE vm vor(vm a, vm b) { return vorrq_u64(a, b); }
INLINE vm vnot(vm a) { return veorq_u64(a, vdupq_n_u64(~(uint64_t)0)); }
INLINE vm vnlt(vd a, vd b) { return vnot(vcltq_f64(a, b)); }
INLINE vm vneq(vd a, vd b) { return vnot(vceqq_f64(a, b)); }
INLINE vd vselect(vm m, vd a, vd b) { return vbslq_f64(m, a, b); }
INLINE unsigned vbits(vm m) { return (unsigned)((vgetq_lane_u64(m, 0) & 1) | (vgetq_lane_u64(m, 1) & 2)); }
INLINE vm lanes_from(size_t k) {
    static const uint64_t ramp[4] = {0, 0, ~(uint64_t)0, ~(uint64_t)0};
    return vld1q_u64(ramp + 2 - k);
}

INLINE vd vbits_or(vd a, vd b) { return vreinterpretq_f64_u64(vorrq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b))); }
INLINE vd vbits_and_or(vd a, vd b, vd c) {
    return vbits_or(vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b))), c);
}
INLINE vd vbits_subtract(vd a, uint64_t b) {
    return vreinterpretq_f64_u64(vsubq_u64(vreinterpretq_u64_f64(a), vdupq_n_u64(b)));
}
INLINE vd vtable16(const double *table, vd k) {
    uint64x2_t bits = vreinterpretq_u64_f64(k);
    double lanes[2] = {table[vgetq_lane_u64(bits, 0) & 15], table[vgetq_lane_u64(bits, 1) & 15]};
    return vld1q_f64(lanes);
}
INLINE vd vscale16(vd a, vd k) {
    uint64x2_t bits = vandq_u64(vreinterpretq_u64_f64(k), vdupq_n_u64(~(uint64_t)15));
    return vreinterpretq_f64_u64(vaddq_u64(vreinterpretq_u64_f64(a), vshlq_n_u64(bits, 48)));
}

#else /* ------------------------------------------------------------------------------------------ plain C: 1 double */

#define W 1
typedef double vd;
typedef int vm;

INLINE uint64_t as_bits(double x) {
    uint64_t bits;
    memcpy(&bits, &x, 8);
    return bits;
}
INLINE double from_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, 8);
    return x;
}
INLINE vd vload(const double *p) { return *p; }
INLINE void vstore(double *p, vd a) { *p = a; }
INLINE vd vset1(double x) { return x; }
INLINE vd vmax(vd a, vd b) { return a > b ? a : b; }
INLINE vd vabs(vd a) { return fabs(a); }
INLINE vd vsqrt(vd a) { return sqrt(a); }
INLINE vm vgt(vd a, vd b) { return a > b; }
INLINE vm vlt(vd a, vd b) { return a < b; }
INLINE vm vnlt(vd a, vd b) { return !(a < b); }
INLINE vm vneq(vd a, vd b) { return !(a == b); }
INLINE vm vand(vm a, vm b) { return a & b; }
INLINE vm vor(vm a, vm b) { return a | b; }
INLINE vm vnot(vm a) { return !a; }
INLINE vd vselect(vm m, vd a, vd b) { return m ? a : b; }
INLINE unsigned vbits(vm m) { return (unsigned)m; }
INLINE vm lanes_from(size_t k) { return k == 0; }
INLINE vd vbits_or(vd a, vd b) { return from_bits(as_bits(a) | as_bits(b)); }
INLINE vd vbits_and_or(vd a, vd b, vd c) { return from_bits((as_bits(a) & as_bits(b)) | as_bits(c)); }
INLINE vd vbits_subtract(vd a, uint64_t b) { return from_bits(as_bits(a) - b); }
INLINE vd vtable16(const double *table, vd k) { return table[as_bits(k) & 15]; }
INLINE vd vscale16(vd a, vd k) { return from_bits(as_bits(a) + ((as_bits(k) & ~(uint64_t)15) << 48)); }

#endif

/* For k = 1.5 * 2**52 + i, an integer i in the low bits: vtable16(t, k) = t[i % 16], vscale16(a, k) = a * 2**(i // 16). */

INLINE uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, 8);
    return bits;
}
INLINE double double_of(uint64_t bits) {
    double x;
    memcpy(&x, &bits, 8);
    return x;
}

/* k/4 times the spacing of the doubles just below a, for 1 <= k < 2 and a > 1e-290: the power of two below a, by its exponent
 * bits, with k's fraction. Large when a is 0. */
INLINE vd vspacing(vd a, double k) {
    vd exponent = vbits_subtract(a, ((uint64_t)54 << 52) + 1);
    uint64_t fraction;
    memcpy(&fraction, &k, 8);
    return vbits_and_or(exponent, vset1(double_of(0x7ff0000000000000u)), vset1(double_of(fraction & 0xfffffffffffffu)));
}

/* size with the sign of a; size >= 0 */
INLINE vd vcopysign(double size, vd a) { return vbits_and_or(a, vset1(-0.0), vset1(size)); }

/* a * b = product + the returned error, exactly, if nothing over- or underflows. */
INLINE vd product_error(vd a, vd b, vd product) {
#ifdef HAVE_FMA
    return vfms(a, b, product);
#else /* Dekker: halves of 26 bits multiply without rounding */
    const vd split = vset1(134217729.0);
    vd ca = a * split, cb = b * split;
    vd a1 = ca - (ca - a), b1 = cb - (cb - b);
    vd a2 = a - a1, b2 = b - b1;
    return ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2;
#endif
}

/* The same for a * a. */
INLINE vd square_error(vd a, vd square) {
#ifdef HAVE_FMA
    return vfms(a, a, square);
#else
    vd ca = a * vset1(134217729.0), a1 = ca - (ca - a), a2 = a - a1, cross = a1 * a2;
    return ((a1 * a1 - square) + (cross + cross)) + a2 * a2;
#endif
}

#ifndef HAVE_ROOT_ESTIMATE
INLINE vm vneq_in(vm m, vd a, vd b) { return vand(m, vneq(a, b)); }
INLINE vm vdenormal(vd a) { return vlt(vabs(a), vset1(0x1p-1022)); } /* or 0 */
#endif

#ifndef HAVE_TRANSPOSE /* r[i][j] <-> r[j][i], W vectors */
INLINE void vtranspose(vd *r) {
    double a[W * W];
    for (int i = 0; i < W; i++)
        vstore(a + i * W, r[i]);
    for (int i = 0; i < W; i++) {
        double row[W];
        for (int j = 0; j < W; j++)
            row[j] = a[j * W + i];
        r[i] = vload(row);
    }
}
#endif

/* Load the first `count` lanes, all if there are fewer; 0 in the others. */
INLINE vd vload_some(const double *p, size_t count) {
#if defined(ISA_AVX512)
    return _mm512_maskz_loadu_pd((vm)~lanes_from(count < W ? count : W), p);
#else
    if (count >= W)
        return vload(p);
#if defined(ISA_AVX2)
    return _mm256_maskload_pd(p, _mm256_castpd_si256(vnot(lanes_from(count))));
#else
    double lanes[W] = {0};
    memcpy(lanes, p, count * sizeof(double));
    return vload(lanes);
#endif
#endif
}

/* Store the first `count` lanes, all if there are fewer. */
INLINE void vstore_some(double *p, vd a, size_t count) {
#if defined(ISA_AVX512)
    _mm512_mask_storeu_pd(p, (vm)~lanes_from(count < W ? count : W), a);
#else
    if (count >= W) {
        vstore(p, a);
        return;
    }
#if defined(ISA_AVX2)
    _mm256_maskstore_pd(p, _mm256_castpd_si256(vnot(lanes_from(count))), a);
#else
    double lanes[W];
    vstore(lanes, a);
    memcpy(p, lanes, count * sizeof(double));
#endif
#endif
}

#endif
