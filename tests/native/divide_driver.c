/* Quotients of src/exact/adam.h against the divider's, for tests/engines/test_exact_adam.py: of random doubles, many of them as close to the
 * middle of two doubles as can be, and by divisors whose fraction is all zeros or ones but for a few bits. Prints what differs. */
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#include <stdio.h>
#define ISA_AVX512
#define TARGET "avx2,fma,avx512f,avx512dq,avx512vl"
#include "simd/target.h"

#include "exact/adam.h"

static uint64_t state = 1;
static uint64_t random_bits(void) { /* splitmix64 */
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* From 2**-range to 2**range. */
static double random_double(int range) {
    uint64_t fraction = random_bits(), few = ((uint64_t)1 << random_bits() % 52) - 1;
    switch (random_bits() % 5) {
    case 0: fraction &= few; break;
    case 1: fraction |= ~few; break;
    case 2: fraction = ~(random_bits() % 4); break;
    case 3: fraction <<= 51 - random_bits() % 51; break;
    }
    uint64_t exponent = 1023 - (uint64_t)range + random_bits() % (2 * (uint64_t)range);
    return double_of(exponent << 52 | (fraction & 0xfffffffffffffu));
}

/* Something whose quotient by b is as close to the middle of two doubles as can be. b = B * 2**k, B an odd integer: then it is A * 2**k
 * where 2**54 * A = M * B + r, r small, and M an odd integer of 54 bits. 0 if there is none. */
static double near_middle(double b) {
    int exponent;
    uint64_t divisor = (uint64_t)ldexp(frexp(b, &exponent), 53), inverse = divisor;
    if (divisor % 2 == 0)
        return 0;
    for (int i = 0; i < 5; i++) /* of the divisor, modulo 2**64 (Newton) */
        inverse *= 2 - divisor * inverse;
    int r = (int)(random_bits() % 16) * 2 - 15;
    uint64_t middle = (0 - (uint64_t)(int64_t)r * inverse) & (((uint64_t)1 << 54) - 1);
    uint64_t a = (uint64_t)(((__int128)middle * divisor + r) >> 54);
    return middle >> 53 && a >> 52 == 1 ? ldexp((double)a, exponent - 53) : 0;
}

int main(void) {
    for (int n = 0; n < 500000; n++) {
        double a[W], b, q[W];
        b = random_double(50);
        for (int i = 0; i < W; i++) {
            a[i] = random_bits() % 2 ? near_middle(b) : 0;
            if (a[i] == 0)
                a[i] = random_double(300);
            if (random_bits() % 2)
                a[i] = -a[i];
        }
        vstore(q, quotient(vload(a), vset1(b), vset1(1 / b)));
        for (int i = 0; i < W; i++)
            if (q[i] != a[i] / b)
                printf("%a / %a is %a, not %a\n", a[i], b, a[i] / b, q[i]);
    }
    return 0;
}
#else
int main(void) { return 0; }
#endif
