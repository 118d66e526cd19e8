/* Division to the bit without the divider, where it takes longer than a dozen multiplications, and roots wait for it: AVX-512.
 *
 * An inverse y of b, and a quotient q, are corrected by what they leave: y + y * (1 - b * y), q + y * (a - b * q), where product and
 * sum are rounded once. By Markstein's theorems (Computation of elementary functions on the IBM RISC System/6000 processor, IBM J.
 * Res. Dev. 34, 1990), where nothing over- or underflows on the way, this is the correctly rounded
 *
 *     inverse     if y was within a unit in the last place, unless all bits of b's fraction are ones;
 *     quotient    if q was, and y is the correctly rounded inverse.
 */
#ifndef MICROGPT_DIVIDE_H
#define MICROGPT_DIVIDE_H

#include "simd/doubles.h"

#ifdef HAVE_INVERSE

/* a / b, given 1 / b. The first quotient is within 1.5 units, the second within one. */
INLINE vd quotient_by(vd a, vd b, vd inverse) {
    vd q = a * inverse;
    q = vfma(vfnma(b, q, a), inverse, q);
    return vfma(vfnma(b, q, a), inverse, q);
}

/* a / b, unless all bits of b's fraction are ones. */
INLINE vd quotient(vd a, vd b) {
    vd y = vinverse14(b);
    UNROLL for (int i = 0; i < 3; i++) /* 28 bits, within a unit, rounded */
        y = vfma(vfnma(b, y, vset1(1.0)), y, y);
    return quotient_by(a, b, y);
}

#endif
#endif
