/* exp and log of eight doubles, without branches: GCC's vector extension, which gcc and clang turn
 * into whatever vectors the target of the surrounding function has. Only additions, products,
 * quotients and bit operations of single lanes, and no contraction: the same bits on every target.
 * Relative error below 1e-15 (tests/unit/test_fit_batch_math.c).
 *
 * Through pointers, because the calling convention of a wide vector depends on the target. */
#ifndef MUSTER_FIT_BATCH_MATH_H
#define MUSTER_FIT_BATCH_MATH_H

#include <stdint.h>

enum { MU_LANES = 8 };
typedef double mu_lanes __attribute__((vector_size(MU_LANES * sizeof(double))));
typedef int64_t mu_lanes_int __attribute__((vector_size(MU_LANES * sizeof(double))));
typedef uint64_t mu_lanes_bits __attribute__((vector_size(MU_LANES * sizeof(double))));

/* Functions for an instruction set: whoever calls one has asked __builtin_cpu_supports. */
#ifdef __x86_64__
#define MU_TARGET_AVX2   __attribute__((target("avx2")))
#define MU_TARGET_AVX512 __attribute__((target("avx512f,avx512dq")))
#else
#define MU_TARGET_AVX2
#define MU_TARGET_AVX512
#endif

#define MU_LANES_INLINE static inline __attribute__((always_inline))

/* mask: all ones or all zeros in each lane, as comparisons give it. */
MU_LANES_INLINE void mu_lanes_select(const mu_lanes_int *mask, const mu_lanes *yes,
                                     const mu_lanes *no, mu_lanes *out)
{
    *out = (mu_lanes)((*mask & (mu_lanes_int)*yes) | (~*mask & (mu_lanes_int)*no));
}

MU_LANES_INLINE void mu_lanes_clamp(const mu_lanes *x, double low, double high, mu_lanes *out)
{
    const mu_lanes lows = low - (mu_lanes){0}, highs = high - (mu_lanes){0};
    mu_lanes_int mask = (mu_lanes_int)(*x < lows);

    mu_lanes_select(&mask, &lows, x, out);
    mask = (mu_lanes_int)(*out > highs);
    mu_lanes_select(&mask, &highs, out, out);
}

/* x is taken to the range -708 .. 708. */
MU_LANES_INLINE void mu_lanes_exp(const mu_lanes *x, mu_lanes *out)
{
    const double to_integer = 0x1.8p52; /* the sum's low bits are the integer nearest to x / ln 2 */
    mu_lanes a, t, k, r, z, even, odd;

    mu_lanes_clamp(x, -708, 708, &a);
    t = a * 0x1.71547652b82fep0 + to_integer;
    k = t - to_integer;
    r = (a - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33; /* |r| <= ln 2 / 2 */
    z = r * r;
    /* exp r = 1 + r + z (1/2! + r/3! + z/4! + ... + r^11/13!) */
    even = 1 / 479001600. * z + 1 / 3628800.;
    even = even * z + 1 / 40320.;
    even = even * z + 1 / 720.;
    even = even * z + 1 / 24.;
    even = even * z + 0.5;
    odd = 1 / 6227020800. * z + 1 / 39916800.;
    odd = odd * z + 1 / 362880.;
    odd = odd * z + 1 / 5040.;
    odd = odd * z + 1 / 120.;
    odd = odd * z + 1 / 6.;
    *out = (mu_lanes)((((mu_lanes_int)t) + 1023) << 52) * (1 + (r + z * (even + r * odd)));
}

/* x normal, > 0. */
MU_LANES_INLINE void mu_lanes_log(const mu_lanes *x, mu_lanes *out)
{
    const int64_t root_half = 0x3fe6a09e667f3bcd, two_52 = 0x4330000000000000;
    const mu_lanes_int bits = (mu_lanes_int)*x,
                       shifted = bits - root_half; /* its exponent field: that of m in [.7, 1.4) */
    const mu_lanes_int exponent =
        (mu_lanes_int)((mu_lanes_bits)(shifted + ((int64_t)1024 << 52)) >> 52);
    const mu_lanes m = (mu_lanes)(bits - (shifted & (int64_t)0xfff0000000000000)),
                   e = (mu_lanes)(exponent | two_52) - (0x1p52 + 1024);
    const mu_lanes s = (m - 1) / (m + 1), z = s * s; /* |s| <= .1716; log m = 2 atanh s */
    mu_lanes sum;

    sum = 1 / 21. * z + 1 / 19.;
    sum = sum * z + 1 / 17.;
    sum = sum * z + 1 / 15.;
    sum = sum * z + 1 / 13.;
    sum = sum * z + 1 / 11.;
    sum = sum * z + 1 / 9.;
    sum = sum * z + 1 / 7.;
    sum = sum * z + 1 / 5.;
    sum = sum * z + 1 / 3.;
    *out = e * 0x1.62e42fee00000p-1 + (2 * s * (z * sum) + e * 0x1.a39ef35793c76p-33 + 2 * s);
}

/* The same order of additions on every target. */
MU_LANES_INLINE double mu_lanes_sum(const mu_lanes *x)
{
    const mu_lanes a = *x;

    return ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]));
}

#endif
