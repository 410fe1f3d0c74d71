/* A gradient block to integers, by one warp. The bits are the reference's, though it works in
 * double and this does not:
 *
 *  - Scaling by a power of two is exact in float unless the result is subnormal, hence far below
 *    one half and rounded to 0 whatever its bits; or infinite, hence beyond every limit.
 *  - A float of 2^23 and more is an integer already, so rintf rounds just once, to even.
 *  - What is below 2^31 becomes an int, and the limit is compared as one. */
#ifndef MUSTER_KERNELS_CUDA_QUANTISE_CUH
#define MUSTER_KERNELS_CUDA_QUANTISE_CUH

#include "kernels/cuda/parts.cuh"
#include "kernels/quantum.h"

/* 2^e, -126 <= e <= 127. */
__device__ inline float mu_power_of_two(int e)
{
    return __uint_as_float(unsigned(e + 127) << 23);
}

/* x 2^e as a product with two floats, since e may be beyond the exponents that one float has.
 * |e| > 252 decides nothing: a float is at least 2^-149, if it is not 0, and below 2^128. */
struct mu_scale {
    float a, b;
    __device__ explicit mu_scale(int e)
    {
        e = e < -252 ? -252 : e > 252 ? 252 : e;
        a = mu_power_of_two(e / 2);
        b = mu_power_of_two(e - e / 2);
    }
};

/* In every lane: whether the block fits, and the biased exponent of its largest magnitude. */
struct mu_quantised {
    bool fits;
    int largest;
};

/* sum (+)= gradient / 2^exponent, rounded, if all of it is within the limit; else overwrite leaves
 * zeros, and adding nothing. Lane l has packs l, l + 32, ...; all lanes call it. The sum is loaded
 * before it is known to be wanted: it nearly always is. */
template <int W>
__device__ inline mu_quantised mu_quantise_add_block(int32_t *sum, const float *gradient, int count,
                                                     int exponent, int32_t limit, bool overwrite)
{
    constexpr int PACKS = MU_BLOCK / (int(MU_WARP) * W);
    mu_pack<float, W> g[PACKS] = {};
    mu_pack<int32_t, W> to[PACKS] = {}, add[PACKS];
    int lane = int(threadIdx.x % MU_WARP), largest = 0;
    mu_scale s(-exponent);
    bool fits = true;

    for (int p = 0; p < PACKS; p++) {
        int j = (p * int(MU_WARP) + lane) * W;

        if (j < count)
            g[p] = mu_load<W>(gradient + j);
        if (j < count && !overwrite)
            to[p] = mu_load<W>(sum + j);
    }
    for (int p = 0; p < PACKS; p++)
        for (int k = 0; k < W; k++) {
            int biased = int(__float_as_uint(g[p].at[k]) >> 23 & 0xff);
            float rounded = rintf(g[p].at[k] * s.a * s.b);
            bool inside = fabsf(rounded) < 2147483648.0f; /* not for NaN either */

            add[p].at[k] = inside ? int32_t(rounded) : 0;
            fits = fits && inside && add[p].at[k] <= limit && -add[p].at[k] <= limit;
            largest = biased > largest ? biased : largest;
        }
    fits = __all_sync(MU_ALL_LANES, fits);
    for (int lanes = int(MU_WARP) / 2; lanes > 0; lanes /= 2) {
        int other = __shfl_xor_sync(MU_ALL_LANES, largest, lanes);

        largest = other > largest ? other : largest;
    }
    for (int p = 0; (fits || overwrite) && p < PACKS; p++) {
        int j = (p * int(MU_WARP) + lane) * W;

        for (int k = 0; fits && k < W; k++)
            to[p].at[k] = int32_t(uint32_t(to[p].at[k]) + uint32_t(add[p].at[k]));
        if (j < count)
            mu_store(sum + j, to[p]);
    }
    return {fits, largest};
}

#endif
