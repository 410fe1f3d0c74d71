/* What kernels share: packs of elements that are loaded at once, sums over a block, shapes of
 * launches. */
#ifndef MUSTER_KERNELS_CUDA_PARTS_CUH
#define MUSTER_KERNELS_CUDA_PARTS_CUH

#include <stdint.h>

#include "kernels/cuda/platform.cuh"

constexpr unsigned MU_WARP = 32, MU_ALL_LANES = 0xffffffffu; /* a mask */
constexpr unsigned MU_BLOCK_THREADS = 256;
/* Blocks of a kernel whose threads stride; bits do not depend on it. */
constexpr int64_t MU_GRID_MAX = 2048;
/* Dynamic shared memory, beside what kernels declare. */
constexpr int64_t MU_SHARED_BYTES = 48 * 1024 - 256;

/* ---- packs: W consecutive elements, moved by one instruction (up to 16 bytes) ---- */
template <class T, int W> struct alignas(sizeof(T) * W) mu_pack {
    T at[W];
};

template <int W, class T> __device__ inline mu_pack<T, W> mu_load(const T *p)
{
    MU_ALIGNED(p, sizeof(mu_pack<T, W>));
    return *reinterpret_cast<const mu_pack<T, W> *>(p);
}

template <class T, int W> __device__ inline void mu_store(T *p, const mu_pack<T, W> &pack)
{
    MU_ALIGNED(p, sizeof pack);
    *reinterpret_cast<mu_pack<T, W> *>(p) = pack;
}

/* ---- act: float or bf16 ---- */
__device__ inline float mu_to_f32(float x)
{
    return x;
}

__device__ inline float mu_to_f32(__nv_bfloat16 x)
{
    return __bfloat162float(x);
}

__device__ inline void mu_from_f32(float &to, float x)
{
    to = x;
}

__device__ inline void mu_from_f32(__nv_bfloat16 &to, float x)
{
    to = __float2bfloat16_rn(x);
}

/* ---- sums over threads: an order that only the number of threads decides ---- */
/* In every lane the same bits: a butterfly adds the same pairs on both sides. */
template <class T> __device__ inline T mu_warp_sum(T value)
{
    for (int lanes = int(MU_WARP) / 2; lanes > 0; lanes /= 2)
        value += __shfl_xor_sync(MU_ALL_LANES, value, lanes);
    return value;
}

/* In every thread. For whole warps in x; all threads of the block call it. scratch: a shared value
 * a warp, free again on return. */
template <class T> __device__ inline T mu_block_sum(T value, T *scratch)
{
    T sum = 0;

    value = mu_warp_sum(value);
    if (threadIdx.x % MU_WARP == 0)
        scratch[threadIdx.x / MU_WARP] = value;
    __syncthreads();
    for (unsigned warp = 0; warp < blockDim.x / MU_WARP; warp++)
        sum += scratch[warp];
    __syncthreads();
    return sum;
}

/* ---- where a thread is in a line of work ---- */
__device__ inline int64_t mu_thread()
{
    return int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ inline int64_t mu_thread_count()
{
    return int64_t(gridDim.x) * blockDim.x;
}

/* ---- launches (host) ---- */
/* Blocks for so many threads that stride on when there are more items. */
static inline unsigned mu_grid(int64_t items)
{
    int64_t blocks = (items + MU_BLOCK_THREADS - 1) / MU_BLOCK_THREADS;

    return unsigned(blocks < MU_GRID_MAX ? blocks : MU_GRID_MAX);
}

/* Threads of a block that works on a row of so many packs: whole warps. */
static inline unsigned mu_row_threads(int64_t packs)
{
    int64_t warps = (packs + MU_WARP - 1) / MU_WARP, most = MU_BLOCK_THREADS / MU_WARP;

    return unsigned(MU_WARP * (warps < most ? warps : most));
}

#endif
