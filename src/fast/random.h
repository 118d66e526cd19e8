/* Philox4x32-10: four random 32-bit numbers from a counter and a key (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as
 * easy as 1, 2, 3, 2011). There is no state: the numbers of a counter are the same wherever and whenever they are asked for. */
#ifndef MICROGPT_FAST_RANDOM_H
#define MICROGPT_FAST_RANDOM_H

#include <stdint.h>

/* Of `n` counters at once; counter, out: [word][n]. The counters are used up. */
static inline void philox(uint32_t *out, uint32_t *counter, const uint32_t key[2], const int n) {
    uint32_t *c0 = counter, *c1 = counter + n, *c2 = counter + 2 * n, *c3 = counter + 3 * n, k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < n; i++) {
            uint64_t a = (uint64_t)0xd2511f53u * c0[i], b = (uint64_t)0xcd9e8d57u * c2[i];
            c0[i] = (uint32_t)(b >> 32) ^ c1[i] ^ k0;
            c2[i] = (uint32_t)(a >> 32) ^ c3[i] ^ k1;
            c1[i] = (uint32_t)b;
            c3[i] = (uint32_t)a;
        }
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    for (int i = 0; i < 4 * n; i++)
        out[i] = counter[i];
}

#endif
