/* Choosing the next token from its probabilities, as Python's random.choices does. */
#ifndef MICROGPT_SAMPLING_H
#define MICROGPT_SAMPLING_H

#include <math.h>
#include <stddef.h>

/* Every x but the k largest becomes -inf; of equal numbers the earlier ones stay. work: n. */
static inline int keep_top(double *x, size_t n, size_t k, double *work) {
    for (size_t i = 0; i < n; i++)
        work[i] = -INFINITY;
    for (; k > 0; k--) {
        size_t best = n;
        for (size_t i = 0; i < n; i++)
            if (x[i] > -INFINITY && (best == n || x[i] > x[best]))
                best = i;
        if (best == n)
            break;
        work[best] = x[best];
        x[best] = -INFINITY;
    }
    for (size_t i = 0; i < n; i++)
        x[i] = work[i];
    return 0;
}

/* Running sums; returns the last. */
static inline double accumulate(double *sums, const double *weights, size_t n) {
    sums[0] = weights[0];
    for (size_t i = 1; i < n; i++)
        sums[i] = sums[i - 1] + weights[i];
    return sums[n - 1];
}

/* The first of n ascending sums that is above x, or else the last: bisect.bisect(sums, x, 0, n - 1). */
static inline size_t bisect(const double *sums, size_t n, double x) {
    size_t low = 0, high = n - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (x < sums[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

#endif
