/* Walking over spans: one launch for all of them, blockIdx.x is the span, and the thread blocks of
 * one x share its work. */
#ifndef MUSTER_KERNELS_CUDA_SPANS_CUH
#define MUSTER_KERNELS_CUDA_SPANS_CUH

#include "kernels/cuda/parts.cuh"
#include "kernels/cuda/sums.h"

constexpr unsigned MU_BLOCK_WARPS = MU_BLOCK_THREADS / MU_WARP;
/* Thread blocks that share a span, at most, when spans are many: a full one has work for more. */
constexpr int64_t MU_SPAN_SHARE = 32;

/* A block's number in the layout, where its elements begin, and how many there are. */
struct mu_place {
    int64_t block, at;
    int count;
};

__device__ inline int mu_count_from(int64_t cols, int64_t col)
{
    return cols - col < MU_BLOCK ? int(cols - col) : int(MU_BLOCK);
}

/* The span's i-th block. */
__device__ inline mu_place mu_place_of(const mu_cuda_span &s, uint32_t i)
{
    uint32_t row = (s.skip + i) / s.blocks_per_row;
    int64_t col = int64_t(s.skip + i - row * s.blocks_per_row) * MU_BLOCK;

    return {s.first_block + i, s.row_at + row * s.cols + col, mu_count_from(s.cols, col)};
}

/* Warps of a span, over all thread blocks that share it. */
__device__ inline uint32_t mu_span_warp()
{
    return blockIdx.y * MU_BLOCK_WARPS + threadIdx.x / MU_WARP;
}

__device__ inline uint32_t mu_span_warps()
{
    return gridDim.y * MU_BLOCK_WARPS;
}

/* Threads likewise. */
__device__ inline uint32_t mu_span_thread()
{
    return blockIdx.y * MU_BLOCK_THREADS + threadIdx.x;
}

__device__ inline uint32_t mu_span_threads()
{
    return gridDim.y * MU_BLOCK_THREADS;
}

/* most: items of the largest span; each: items that a thread block does at a time. */
static inline dim3 mu_span_grid(const mu_cuda_spans &spans, int64_t most, int64_t each)
{
    int64_t share = (most + each - 1) / each, limit = MU_GRID_MAX / spans.count;

    limit = limit > MU_SPAN_SHARE ? limit : MU_SPAN_SHARE;
    return dim3(unsigned(spans.count), unsigned(share < limit ? share : limit));
}

#endif
