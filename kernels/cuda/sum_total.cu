/* The total as floats and its squared norm, as worker/chunk_sum.c and wide_sum.c have them. */
#include "kernels/cuda/instructions.cuh"
#include "kernels/cuda/quantise.cuh"
#include "kernels/cuda/spans.cuh"

namespace
{
/* Chains of a block's squares, which are summed one after the other: a thread each, so that a warp
 * does several blocks at once. The distance of two blocks in shared memory is such that threads
 * that run side by side meet in no bank. */
constexpr int CHAINS = 8, TOGETHER = int(MU_WARP) / CHAINS, DISTANCE = MU_BLOCK + CHAINS;
using float4_pack = mu_pack<float, 4>;

/* total * quantum rounded once: what a double cannot hold leaves its mark in the last bit that
 * stays (round to odd: Boldo & Melquiond 2008). */
__device__ float round_once(int64_t total, double quantum)
{
    uint64_t n = total < 0 ? uint64_t(0) - uint64_t(total) : uint64_t(total);
    double magnitude;

    if (n >> 53)
        n = (n & ~uint64_t(0xfff)) | (n & 0xfff ? 0x1000 : 0);
    magnitude = double(n) * quantum;
    return float(total < 0 ? -magnitude : magnitude);
}

__device__ void store_out(float *to, const mu_pack<float, 1> &pack)
{
    *to = pack.at[0];
}

__device__ void store_out(float *to, const mu_pack<float, 4> &pack)
{
    mu_store_four(to, pack.at);
}

/* A block of the total by a warp, to out and to shared memory. */
template <int W>
__device__ void convert_block(float *out, float *staged, const int32_t *dense, const int64_t *slot,
                              int count, int exponent)
{
    bool plain = !slot && exponent >= -126; /* else floats may be subnormal, or round twice */
    float quantum = ldexpf(1.0f, exponent);

    for (int j = int(threadIdx.x % MU_WARP) * W; j < count; j += int(MU_WARP) * W) {
        mu_pack<int32_t, W> n = mu_load<W>(dense + j);
        mu_pack<float, W> x;

        for (int k = 0; k < W; k++) {
            if (plain)
                x.at[k] = float(n.at[k]) * quantum;
            else if (slot)
                x.at[k] = round_once(n.at[k] + slot[j + k], ldexp(1.0, exponent));
            else
                x.at[k] = float(n.at[k] * ldexp(1.0, exponent));
        }
        store_out(out + j, x);
        mu_store(staged + j, x);
    }
}

/* The place of the lane's own chain: mu_chunk_to_float tells the order. A float's square is exact
 * in double, so that the fused multiply-add rounds where an addition would. */
__device__ double sum_of_squares(const float *staged, int count)
{
    double sum = 0;

    for (int j = int(threadIdx.x) % CHAINS; j < count; j += CHAINS)
        sum = fma(double(staged[j]), double(staged[j]), sum);
    for (int lanes = CHAINS / 2; lanes > 0; lanes /= 2)
        sum += __shfl_xor_sync(MU_ALL_LANES, sum, lanes);
    return sum;
}

template <int W>
__device__ void convert_span(float *out, float *staged, const mu_cuda_total &total,
                             const mu_cuda_span &s, const int16_t *prediction)
{
    int own = int(threadIdx.x % MU_WARP) / CHAINS;

    for (uint32_t from = mu_span_warp() * TOGETHER; from < s.block_count;
         from += mu_span_warps() * TOGETHER) {
        int count = 0; /* of the block of the lane's own chain */

        for (int b = 0; b < TOGETHER && from + unsigned(b) < s.block_count; b++) {
            mu_place p = mu_place_of(s, from + unsigned(b));
            const int64_t *slot = nullptr;

            if (total.escaped[p.block])
                slot = total.slots + int64_t(total.slot_of[p.block]) * MU_BLOCK;
            convert_block<W>(out + p.at, staged + b * DISTANCE, total.dense + p.at, slot, p.count,
                             mu_quantum_exponent(prediction[p.block], s.log2_addends));
            count = b == own ? p.count : count;
        }
        __syncwarp();
        double squares = sum_of_squares(staged + own * DISTANCE, count);

        if (count > 0 && threadIdx.x % CHAINS == 0)
            total.squares[s.first_block + from + unsigned(own)] = squares;
        __syncwarp();
    }
}

__global__ void to_float(float *out, mu_cuda_total total, const mu_cuda_span *spans,
                         const int16_t *prediction)
{
    MU_SHARED(float4_pack, memory, MU_BLOCK_WARPS * TOGETHER * DISTANCE / 4);
    const mu_cuda_span s = spans[blockIdx.x];
    float *staged = memory[0].at + threadIdx.x / MU_WARP * unsigned(TOGETHER * DISTANCE);

    if (s.cols % 4 == 0)
        convert_span<4>(out, staged, total, s, prediction);
    else
        convert_span<1>(out, staged, total, s, prediction);
    if (mu_span_thread() < s.pad)
        out[s.offset + s.count + mu_span_thread()] = 0;
}

__global__ void clear_norm(mu_cuda_words *words)
{
    if (threadIdx.x < MU_CUDA_WIDE_WORDS)
        words->norm[threadIdx.x] = 0;
}

/* A sum of doubles >= 0 as long as they need the same three limbs; then it goes to shared memory.
 * Limb i counts units of 2^(32 i - 1088), and a digit is below 2^32: 2^32 of them fit. */
struct gathered {
    int limb;
    unsigned long long digit[3];

    __device__ void flush(unsigned long long *wide)
    {
        for (int k = 0; k < 3; k++)
            if (digit[k] != 0)
                atomicAdd(wide + limb + k, digit[k]);
        digit[0] = digit[1] = digit[2] = 0;
    }

    __device__ void add(unsigned long long *wide, double x)
    {
        unsigned long long bits;

        if (x == 0) /* wants no limb: rows that nobody touched are many */
            return;
        memcpy(&bits, &x, sizeof bits);
        int exponent = int(bits >> 52 & 0x7ff);
        unsigned long long mantissa = bits & 0xfffffffffffffull;

        if (exponent == 0x7ff) {
            atomicAdd(wide + MU_CUDA_WIDE_WORDS - 1, 1ull);
            return;
        }
        if (exponent > 0)
            mantissa |= 1ull << 52;
        else
            exponent = 1;
        int position = exponent - 1075 + 1088, shift = position % 32;

        if (position / 32 != limb) {
            flush(wide);
            limb = position / 32;
        }
        digit[0] += (mantissa << shift) & 0xffffffffu;
        digit[1] += (mantissa >> (32 - shift)) & 0xffffffffu;
        digit[2] += shift > 0 ? mantissa >> (64 - shift) : 0;
    }
};

/* words->norm += squares (n). Integers: atomics in any order give the same. */
__global__ void add_norm(mu_cuda_words *words, const double *squares, int64_t n)
{
    MU_SHARED(unsigned long long, wide, MU_CUDA_WIDE_WORDS);
    gathered mine = {0, {0, 0, 0}};

    if (threadIdx.x < MU_CUDA_WIDE_WORDS)
        wide[threadIdx.x] = 0;
    __syncthreads();
    for (int64_t i = mu_thread(); i < n; i += mu_thread_count())
        mine.add(wide, squares[i]);

    int common = __shfl_sync(MU_ALL_LANES, mine.limb, 0);

    for (int k = 0; k < 3; k++) {
        bool joins = mine.limb == common;
        unsigned long long sum = mu_warp_sum(joins ? mine.digit[k] : 0ull);

        mine.digit[k] = joins ? 0 : mine.digit[k];
        if (threadIdx.x % MU_WARP == 0)
            mine.digit[k] = sum;
    }
    mine.flush(wide);
    __syncthreads();
    if (threadIdx.x < MU_CUDA_WIDE_WORDS && wide[threadIdx.x] != 0)
        atomicAdd(words->norm + threadIdx.x, wide[threadIdx.x]);
}

__global__ void check_int32(uint32_t *sum, const int32_t *x, int64_t n)
{
    enum { W = 4 };
    MU_SHARED(uint32_t, scratch, MU_BLOCK_WARPS);
    int64_t lead = int64_t(-(reinterpret_cast<uintptr_t>(x) / sizeof *x) % W);
    uint32_t mine = 0;

    lead = lead < n ? lead : n; /* up to the first whole pack: a part begins anywhere */
    for (int64_t i = mu_thread(); i < lead; i += mu_thread_count())
        mine += uint32_t(x[i]);
    x += lead;
    n -= lead;
    for (int64_t i = mu_thread(); i < n / W; i += mu_thread_count()) {
        mu_pack<int32_t, W> pack = mu_load<W>(x + i * W);

        for (int k = 0; k < W; k++)
            mine += uint32_t(pack.at[k]);
    }
    for (int64_t i = n / W * W + mu_thread(); i < n; i += mu_thread_count())
        mine += uint32_t(x[i]);
    mine = mu_block_sum(mine, scratch);
    if (threadIdx.x == 0)
        atomicAdd(sum, mine);
}
} // namespace

int mu_cuda_check_int32(struct CUstream_st *stream, uint32_t *sum, const int32_t *x, int64_t n)
{
    if (n == 0)
        return cudaSuccess;
    return MU_LAUNCH(check_int32, mu_grid((n + 3) / 4), MU_BLOCK_THREADS, 0, stream, sum, x, n);
}

int mu_cuda_total_to_float(struct CUstream_st *stream, float *out,
                           const struct mu_cuda_total *total, const struct mu_cuda_spans *spans,
                           const int16_t *prediction)
{
    constexpr int64_t SQUARES = 16; /* a thread adds, at least */
    cudaError_t error = MU_LAUNCH(clear_norm, 1, MU_BLOCK_THREADS, 0, stream, total->words);

    if (error != cudaSuccess || spans->count == 0)
        return error;
    error = MU_LAUNCH(to_float, mu_span_grid(*spans, spans->most_blocks, MU_BLOCK_WARPS * TOGETHER),
                      MU_BLOCK_THREADS, 0, stream, out, *total, spans->span, prediction);
    if (error != cudaSuccess)
        return error;
    return MU_LAUNCH(add_norm, mu_grid((spans->block_count + SQUARES - 1) / SQUARES),
                     MU_BLOCK_THREADS, 0, stream, total->words, total->squares + spans->first_block,
                     spans->block_count);
}
