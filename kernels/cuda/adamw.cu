/* AdamW over one span: every array is read and written once; the bf16 copy and the check sum are
 * made on the way. */
#include "kernels/cuda/kernels.h"

#include "kernels/cuda/adamw.cuh"

namespace
{
__global__ void adamw(mu_adamw a)
{
    enum { W = 4 };
    MU_SHARED(uint32_t, scratch, MU_BLOCK_THREADS / MU_WARP);
    uint32_t check = 0;

    for (int64_t i = mu_thread(); i < a.count / W; i += mu_thread_count())
        check += mu_adamw_update<W>(a, i * W, a.decay);
    for (int64_t i = a.count / W * W + mu_thread(); i < a.count; i += mu_thread_count())
        check += mu_adamw_update<1>(a, i, a.decay);
    if (!a.check)
        return;
    check = mu_block_sum(check, scratch);
    if (threadIdx.x == 0)
        atomicAdd(a.check, check);
}
} // namespace

int mu_cuda_adamw(struct CUstream_st *stream, const struct mu_adamw *a)
{
    if (a->count == 0)
        return cudaSuccess;
    return MU_LAUNCH(adamw, mu_grid((a->count + 3) / 4), MU_BLOCK_THREADS, 0, stream, *a);
}
