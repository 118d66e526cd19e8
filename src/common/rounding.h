/* Results must be the same to the last bit, so every operation rounds as it is written. A fused multiply-add would round once,
 * not twice, and a compiler that knows pow would make pow(x, 2.0) x*x. gcc and clang are told so by options, see setup.py;
 * this header is for compilers without such options. */
#ifndef MICROGPT_ROUNDING_H
#define MICROGPT_ROUNDING_H

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#pragma function(exp, log, pow)
#endif

#endif
