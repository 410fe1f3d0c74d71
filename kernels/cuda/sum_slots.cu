/* Slots of escaped blocks: their numbers, a rank's own and the total's, and the way from one to the
 * other. */
#include "kernels/cuda/numbering.cuh"
#include "kernels/cuda/parts.cuh"
#include "kernels/cuda/sums.h"

namespace
{
/* Each thread has so many consecutive blocks, each thread block a tile of them. */
constexpr int EACH = 32;
constexpr int64_t TILE = int64_t(EACH) * MU_BLOCK_THREADS;

int64_t tiles_of(int64_t blocks)
{
    return (blocks + TILE - 1) / TILE;
}

/* Bit j: whether block first + j gets a number. */
__device__ unsigned wanted(const mu_numbering &n, int64_t first)
{
    unsigned bits = 0;

    if (first + EACH <= n.blocks) {
        for (int p = 0; p < EACH / 16; p++) {
            mu_pack<uint8_t, 16> marked = mu_load<16>(n.marked + first + 16 * p), taken = {};

            if (n.taken)
                taken = mu_load<16>(n.taken + first + 16 * p);
            for (int k = 0; k < 16; k++)
                bits |= unsigned(marked.at[k] && !taken.at[k]) << (16 * p + k);
        }
        return bits;
    }
    for (int j = 0; first + j < n.blocks; j++)
        bits |= unsigned(n.marked[first + j] && !(n.taken && n.taken[first + j])) << j;
    return bits;
}

/* scratch[t]: numbers that tile t wants; scratch[tiles]: numbers given before. */
__global__ void count_tiles(mu_numbering n)
{
    MU_SHARED(uint32_t, scratch, MU_BLOCK_THREADS / MU_WARP);
    unsigned mine = unsigned(__popc(wanted(n, mu_thread() * EACH)));
    uint32_t sum = mu_block_sum(uint32_t(mine), scratch);

    if (threadIdx.x == 0)
        n.scratch[blockIdx.x] = sum;
    if (mu_thread() == 0)
        n.scratch[gridDim.x] = n.taken ? *n.total : 0;
}

/* The sum over the threads before this one. scratch: a shared value a warp. */
__device__ uint32_t sum_before(uint32_t value, uint32_t *scratch)
{
    unsigned lane = threadIdx.x % MU_WARP, warp = threadIdx.x / MU_WARP;
    uint32_t through = value, before = 0;

    for (unsigned lanes = 1; lanes < MU_WARP; lanes *= 2) {
        uint32_t other = __shfl_up_sync(MU_ALL_LANES, through, lanes);

        through += lane >= lanes ? other : 0;
    }
    if (lane == MU_WARP - 1)
        scratch[warp] = through;
    __syncthreads();
    for (unsigned w = 0; w < warp; w++)
        before += scratch[w];
    __syncthreads();
    return before + through - value;
}

/* After count_tiles: each tile adds up those before it, which are few. */
__global__ void give_numbers(mu_numbering n)
{
    MU_SHARED(uint32_t, scratch, MU_BLOCK_THREADS / MU_WARP);
    int64_t first = mu_thread() * EACH;
    unsigned bits = wanted(n, first), count = unsigned(__popc(bits));
    uint32_t next = 0;

    for (unsigned t = threadIdx.x; t < blockIdx.x; t += blockDim.x)
        next += n.scratch[t];
    next = mu_block_sum(next, scratch) + n.scratch[gridDim.x] + sum_before(count, scratch);
    for (; bits != 0; bits &= bits - 1, next++) {
        int64_t block = first + __ffs(int(bits)) - 1;

        if (n.taken && next >= n.most) {
            *n.full = 1;
            continue;
        }
        n.number[block] = next;
        if (n.taken)
            n.taken[block] = 1;
    }
    if (blockIdx.x == gridDim.x - 1 && threadIdx.x == blockDim.x - 1)
        *n.total = n.taken && next > n.most ? n.most : next;
}

__global__ void gather_flags(mu_cuda_words *words, const uint8_t *flags)
{
    uint32_t bits = 0;

    for (int i = 0; i < MU_CUDA_FLAGS; i++)
        bits |= uint32_t(flags[i] != 0) << i;
    words->flags = bits;
}

/* A slot of the total, by a warp: this rank's (or none, NULL). */
__device__ void put_slot(int64_t *to, const int64_t *mine)
{
    for (int j = int(threadIdx.x % MU_WARP) * 2; j < MU_BLOCK; j += int(MU_WARP) * 2) {
        mu_pack<int64_t, 2> values = {};

        if (mine)
            values = mu_load<2>(mine + j);
        mu_store(to + j, values);
    }
}

/* A lane looks at a block, then the warp goes to those that escaped. What is left of `slots` after
 * them becomes zero. */
__global__ void scatter(mu_cuda_total total, mu_cuda_sum sum, uint32_t slots)
{
    int64_t warp = mu_thread() / MU_WARP, warps = mu_thread_count() / MU_WARP;

    for (int64_t from = warp * MU_WARP; from < total.blocks; from += warps * MU_WARP) {
        int64_t block = from + threadIdx.x % MU_WARP;
        unsigned left = __ballot_sync(MU_ALL_LANES, block < total.blocks && total.escaped[block]);

        for (; left != 0; left &= left - 1) {
            int64_t b = from + __ffs(int(left)) - 1;

            if (total.slot_of[b] < slots)
                put_slot(total.slots + int64_t(total.slot_of[b]) * MU_BLOCK,
                         sum.escaped[b] ? sum.slots + int64_t(sum.slot_of[b]) * MU_BLOCK : nullptr);
        }
    }
    for (int64_t slot = total.words->escapes + warp; slot < slots; slot += warps)
        put_slot(total.slots + slot * MU_BLOCK, nullptr);
}
} // namespace

cudaError_t mu_number(cudaStream_t stream, const mu_numbering &n)
{
    unsigned tiles = unsigned(tiles_of(n.blocks));
    cudaError_t error = MU_LAUNCH(count_tiles, tiles, MU_BLOCK_THREADS, 0, stream, n);

    if (error != cudaSuccess)
        return error;
    return MU_LAUNCH(give_numbers, tiles, MU_BLOCK_THREADS, 0, stream, n);
}

const uint32_t *mu_numbered_before(const mu_numbering &n)
{
    return n.scratch + tiles_of(n.blocks);
}

int64_t mu_cuda_sum_scratch(int64_t blocks)
{
    return tiles_of(blocks) + 1;
}

int mu_cuda_sum_number(struct CUstream_st *stream, const struct mu_cuda_total *total)
{
    mu_numbering n = {total->escaped,         nullptr, total->slot_of,
                      total->blocks,          0,       total->scratch,
                      &total->words->escapes, nullptr};
    cudaError_t error = mu_number(stream, n);

    if (error != cudaSuccess)
        return error;
    return MU_LAUNCH(gather_flags, 1, 1, 0, stream, total->words, total->flags);
}

int mu_cuda_sum_scatter(struct CUstream_st *stream, const struct mu_cuda_total *total,
                        const struct mu_cuda_sum *sum, uint32_t slots)
{
    return MU_LAUNCH(scatter, mu_grid(total->blocks), MU_BLOCK_THREADS, 0, stream, *total, *sum,
                     slots);
}
