/* Sixteen floats at a time, in GCC's and clang's vector extensions: on every instruction set the
 * same lanes, so the same bits. And exp, which is ours because libm chooses variants by CPU. */
#ifndef MUSTER_KERNELS_CPU_VECTOR_H
#define MUSTER_KERNELS_CPU_VECTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/bf16.h"

enum { LANES = 16 };

typedef float vec __attribute__((vector_size(64)));
typedef int32_t vec_i32 __attribute__((vector_size(64)));
typedef uint32_t vec_u32 __attribute__((vector_size(64)));
typedef uint16_t vec_u16 __attribute__((vector_size(32)));

#define INLINE static inline __attribute__((always_inline))

INLINE vec splat(float x)
{
    return (vec){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

/* mask's lanes are all ones or all zeros, as comparisons give them. */
INLINE vec choose(vec_i32 mask, vec yes, vec no)
{
    return (vec)((mask & (vec_i32)yes) | (~mask & (vec_i32)no));
}

/* NaN in b is kept, in a dropped. */
INLINE vec larger(vec a, vec b)
{
    return choose(a > b, a, b);
}

/* n of the 16 elements at p, n >= 1; the others are `rest`. */
INLINE vec load_or(const float *p, int64_t n, float rest)
{
    vec v;

    if (n >= LANES) {
        memcpy(&v, p, sizeof v);
        return v;
    }
    v = splat(rest);
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
}

INLINE vec load(const float *p, int64_t n)
{
    return load_or(p, n, 0);
}

INLINE void store(float *p, vec v, int64_t n)
{
    if (n >= LANES)
        memcpy(p, &v, sizeof v);
    else
        memcpy(p, &v, (size_t)n * sizeof *p);
}

INLINE vec widen_bf16(vec_u16 half)
{
    return (vec)(__builtin_convertvector(half, vec_u32) << 16);
}

/* As mu_bf16_from_f32. */
INLINE vec_u16 narrow_bf16(vec x)
{
    vec_u32 u = (vec_u32)x;
    vec_u32 nan = (vec_u32)((vec_i32)(u & 0x7fffffffu) > 0x7f800000);
    vec_u32 rounded = (u + 0x7fffu + (u >> 16 & 1u)) >> 16;

    return __builtin_convertvector((nan & (u >> 16 | 0x40u)) | (~nan & rounded), vec_u16);
}

/* Act arrays; index i counts elements. */
INLINE vec load_act(const void *p, bool bf16, int64_t i, int64_t n)
{
    vec_u16 half;

    if (!bf16)
        return load((const float *)p + i, n);
    if (n >= LANES) {
        memcpy(&half, (const uint16_t *)p + i, sizeof half);
        return widen_bf16(half);
    }
    memset(&half, 0, sizeof half);
    memcpy(&half, (const uint16_t *)p + i, (size_t)n * sizeof(uint16_t));
    return widen_bf16(half);
}

INLINE void store_act(void *p, bool bf16, int64_t i, vec v, int64_t n)
{
    vec_u16 half;

    if (!bf16) {
        store((float *)p + i, v, n);
        return;
    }
    half = narrow_bf16(v);
    if (n >= LANES)
        memcpy((uint16_t *)p + i, &half, sizeof half);
    else
        memcpy((uint16_t *)p + i, &half, (size_t)n * sizeof(uint16_t));
}

/* A fixed tree: halves, quarters, ... */
INLINE float sum_lanes(vec v)
{
    float x[LANES];

    memcpy(x, &v, sizeof x);
    for (int width = LANES / 2; width >= 1; width /= 2)
        for (int i = 0; i < width; i++)
            x[i] += x[i + width];
    return x[0];
}

INLINE float largest_lane(vec v)
{
    float x[LANES];

    memcpy(x, &v, sizeof x);
    for (int width = LANES / 2; width >= 1; width /= 2)
        for (int i = 0; i < width; i++)
            x[i] = x[i] > x[i + width] ? x[i] : x[i + width];
    return x[0];
}

/* All ones in the first n lanes. */
INLINE vec_i32 first_lanes(int64_t n)
{
    const vec_i32 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    int32_t count = n < LANES ? (int32_t)n : LANES;

    return lane < count;
}

/* 2^k e^r, |r| <= ln2 / 2, where shifted = k + round_magic (adding which rounds to an integer). The
 * polynomial is the least-maximum fit of (e^r - 1 - r) / r^2: 4e-9 of e^r. -126 <= k <= 127. */
static const float round_magic = 0x1.8p23f;

INLINE vec exp_from(vec shifted, vec r)
{
    vec_i32 power = ((vec_i32)shifted - (vec_i32)splat(round_magic) + 127) << 23;
    vec p = r * 0x1.6a23cep-10f + 0x1.123a2p-7f;

    p = p * r + 0x1.5558f2p-5f;
    p = p * r + 0x1.555492p-3f;
    p = p * r + 0x1.fffffcp-2f;
    p = p * (r * r) + r + 1.0f;
    return p * (vec)power;
}

/* exp. 0 below -87.33, where the result would be subnormal; held at exp(88) above 88. NaN stays
 * NaN. Within 2 units in the last place (tests/unit/test_kernels_vector.c). */
INLINE vec exp_vec(vec x)
{
    const float lowest = -87.33f, highest = 88.0f;
    vec_i32 underflow = x < lowest;
    vec shifted, k;

    x = choose(underflow, splat(lowest), x);
    x = choose(x > highest, splat(highest), x);
    shifted = x * 0x1.715476p+0f + round_magic;
    k = shifted - round_magic;
    x = x - k * 0x1.62e4p-1f; /* 15 bits of ln 2: k times it is exact */
    x = x - k * 0x1.7f7d1cp-20f;
    return (vec)(~underflow & (vec_i32)exp_from(shifted, x));
}

/* 2^t, t held in [-126, 126]. NaN stays NaN. Cheaper than exp where the base can be folded into a
 * constant. */
INLINE vec exp2_vec(vec t)
{
    vec shifted;

    t = choose(t < -126.0f, splat(-126.0f), t);
    t = choose(t > 126.0f, splat(126.0f), t);
    shifted = t + round_magic;
    return exp_from(shifted, (t - (shifted - round_magic)) * 0x1.62e43p-1f);
}

/* Natural logarithm of normal x > 0; NaN stays NaN. With x = 2^e m, sqrt(1/2) <= m < sqrt(2): log m
 * = 2 atanh s = 2 (s + s^3 / 3 + ...), s = (m - 1) / (m + 1), |s| < 0.172. */
INLINE vec log_vec(vec x)
{
    vec_i32 bits = (vec_i32)x - 0x3f3504f3; /* of sqrt(1/2) */
    vec e = __builtin_convertvector(bits >> 23, vec);
    vec m = (vec)((bits & 0x7fffff) + 0x3f3504f3);
    vec s = (m - 1.0f) / (m + 1.0f), z = s * s;
    vec p = z * 0x1.c71c72p-4f + 0x1.24924ap-3f; /* 1/9, 1/7 */

    p = p * z + 0x1.99999ap-3f;
    p = p * z + 0x1.555556p-2f;
    p = e * 0x1.62e4p-1f + (e * 0x1.7f7d1cp-20f + (2.0f * s * z * p + 2.0f * s));
    return choose(x == x, p, x);
}

#endif
