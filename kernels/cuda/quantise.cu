/* Gradients to integers; contract in kernels/device.h, arithmetic in worker/exact_sum.h. */
#include "kernels/cuda/kernels.h"

#include "kernels/cuda/quantise.cuh"

namespace
{
/* A warp a block of up to MU_BLOCK elements. */
template <int W> __global__ void quantise_add(mu_quantise q)
{
    int64_t blocks_per_row = (q.cols + MU_BLOCK - 1) / MU_BLOCK;
    int64_t block = mu_thread() / MU_WARP, row = block / blocks_per_row;
    int64_t col = block % blocks_per_row * MU_BLOCK, at = row * q.cols + col;
    int64_t left = q.cols - col;

    if (row >= q.rows) /* the whole warp */
        return;
    mu_quantised done = mu_quantise_add_block<W>(
        q.sum + at, q.gradient + at, left < MU_BLOCK ? int(left) : int(MU_BLOCK),
        mu_quantum_exponent(q.prediction[block], q.log2_addends), q.limit, q.overwrite);
    if (threadIdx.x % MU_WARP == 0) {
        q.largest[block] =
            uint8_t(done.largest > q.largest[block] ? done.largest : q.largest[block]);
        q.misfit[block] = !done.fits;
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
