/* Gradients to integers; contract in kernels/device.h, arithmetic in worker/exact_sum.h. The bits
 * are the reference's, though it works in double and this does not:
 *
 *  - Scaling by a power of two is exact in float unless the result is subnormal, hence far below
 *    one half and rounded to 0 whatever its bits; or infinite, hence beyond every limit.
 *  - A float of 2^23 and more is an integer already, so rintf rounds just once, to even.
 *  - What is below 2^31 becomes an int, and the limit is compared as one. */
#include "kernels/cuda/kernels.h"

#include "kernels/cuda/parts.cuh"
#include "kernels/quantum.h"

namespace
{
/* 2^e, -126 <= e <= 127. */
__device__ float power_of_two(int e)
{
    return __uint_as_float(unsigned(e + 127) << 23);
}

/* x 2^e as a product with two floats, since e may be beyond the exponents that one float has.
 * |e| > 252 decides nothing: a float is at least 2^-149, if it is not 0, and below 2^128. */
struct scale {
    float a, b;
    __device__ explicit scale(int e)
    {
        e = e < -252 ? -252 : e > 252 ? 252 : e;
        a = power_of_two(e / 2);
        b = power_of_two(e - e / 2);
    }
};

/* A warp a block of up to MU_BLOCK elements; lane l has packs l, l + 32, ... */
template <int W> __global__ void quantise_add(mu_quantise q)
{
    constexpr int PACKS = MU_BLOCK / (int(MU_WARP) * W);
    int64_t blocks_per_row = (q.cols + MU_BLOCK - 1) / MU_BLOCK;
    int64_t block = mu_thread() / MU_WARP, row = block / blocks_per_row;
    int64_t col = block % blocks_per_row * MU_BLOCK, at = row * q.cols + col;
    int64_t left = q.cols - col, count = left < MU_BLOCK ? left : int64_t(MU_BLOCK);
    int lane = int(threadIdx.x % MU_WARP), largest = 0;
    bool fits = true;
    mu_pack<int32_t, W> add[PACKS];

    if (row >= q.rows) /* the whole warp */
        return;
    scale s(-mu_quantum_exponent(q.prediction[block], q.log2_addends));
    for (int p = 0; p < PACKS; p++) {
        int64_t j = (p * int(MU_WARP) + lane) * W;

        if (j >= count)
            continue;
        mu_pack<float, W> g = mu_load<W>(q.gradient + at + j);
        for (int k = 0; k < W; k++) {
            int exponent = int(__float_as_uint(g.at[k]) >> 23 & 0xff);
            float rounded = rintf(g.at[k] * s.a * s.b);
            bool inside = fabsf(rounded) < 2147483648.0f; /* not for NaN either */

            add[p].at[k] = inside ? int32_t(rounded) : 0;
            fits = fits && inside && add[p].at[k] <= q.limit && -add[p].at[k] <= q.limit;
            largest = exponent > largest ? exponent : largest;
        }
    }
    fits = __all_sync(MU_ALL_LANES, fits);
    for (int lanes = int(MU_WARP) / 2; lanes > 0; lanes /= 2) {
        int other = __shfl_xor_sync(MU_ALL_LANES, largest, lanes);

        largest = other > largest ? other : largest;
    }
    if (lane == 0) {
        q.largest[block] = uint8_t(largest > q.largest[block] ? largest : q.largest[block]);
        q.misfit[block] = !fits;
    }
    for (int p = 0; (fits || q.overwrite) && p < PACKS; p++) {
        int64_t j = (p * int(MU_WARP) + lane) * W;
        mu_pack<int32_t, W> sum = {};

        if (j >= count)
            continue;
        if (!q.overwrite)
            sum = mu_load<W>(q.sum + at + j);
        for (int k = 0; fits && k < W; k++)
            sum.at[k] = int32_t(uint32_t(sum.at[k]) + uint32_t(add[p].at[k]));
        mu_store(q.sum + at + j, sum);
    }
}
} // namespace

int mu_cuda_quantise_add(struct CUstream_st *stream, const struct mu_quantise *q)
{
    int64_t blocks = q->rows * ((q->cols + MU_BLOCK - 1) / MU_BLOCK);
    int64_t per_launch_block = MU_BLOCK_THREADS / MU_WARP;
    unsigned grid = unsigned((blocks + per_launch_block - 1) / per_launch_block);

    if (blocks == 0)
        return cudaSuccess;
    if (q->cols % 4 == 0)
        return MU_LAUNCH(quantise_add<4>, grid, MU_BLOCK_THREADS, 0, stream, *q);
    return MU_LAUNCH(quantise_add<1>, grid, MU_BLOCK_THREADS, 0, stream, *q);
}
