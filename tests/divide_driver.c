/* src/exact/divide.h against the divider, for tests/test_exact_adam.py: quotients of random doubles, many of them next to the
 * middle of two doubles, and divisors whose fraction is all zeros or ones but for a few bits. Prints what differs. */
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#include <stdio.h>
#define ISA_AVX512
#define TARGET "avx2,fma,avx512f,avx512dq,avx512vl"
#include "simd/target.h"

#include "exact/divide.h"

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
    case 3: fraction <<= 52 - random_bits() % 52; break;
    }
    uint64_t exponent = 1023 - (uint64_t)range + random_bits() % (2 * (uint64_t)range);
    return double_of(exponent << 52 | (fraction & 0xfffffffffffffu));
}

/* Something whose quotient by b is close to the middle of two doubles. */
static double near_middle(double b) {
    double q = random_double(100), product = q * b;
    double half = ldexp(b, ilogb(q) - 53);
    uint64_t bits;
    double a = product + (fma(q, b, -product) + half);
    memcpy(&bits, &a, 8);
    return double_of(bits + random_bits() % 5 - 2);
}

static void compare(const char *name, double a, double b, double q) {
    if (q != a / b)
        printf("%s: %a / %a is %a, not %a\n", name, a, b, a / b, q);
}

int main(void) {
    for (int n = 0; n < 500000; n++) {
        double a[W], b[W], inverse[W], by_divisor[W], by_inverse[W];
        for (int i = 0; i < W; i++) {
            b[i] = random_double(50);
            inverse[i] = 1 / b[i];
            a[i] = random_bits() % 2 ? near_middle(b[i]) : random_double(300);
            if (random_bits() % 2)
                a[i] = -a[i];
        }
        vstore(by_divisor, quotient(vload(a), vload(b)));
        vstore(by_inverse, quotient_by(vload(a), vload(b), vload(inverse)));
        unsigned ones = vbits(vones(vload(b)));
        for (int i = 0; i < W; i++) {
            compare("quotient_by", a[i], b[i], by_inverse[i]);
            if (!(ones >> i & 1))
                compare("quotient", a[i], b[i], by_divisor[i]);
            int exponent;
            if ((frexp(b[i], &exponent) == 1 - 0x1p-53) != (ones >> i & 1))
                printf("vones is wrong for %a\n", b[i]);
        }
    }
    return 0;
}
#else
int main(void) { return 0; }
#endif
