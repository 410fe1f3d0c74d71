/* Sums over all rows in two stages that the shape alone decides: slabs of consecutive rows, each
 * summed by one block; then the slabs. This is the second stage. */
#ifndef MUSTER_KERNELS_CUDA_SLABS_CUH
#define MUSTER_KERNELS_CUDA_SLABS_CUH

#include "kernels/cuda/parts.cuh"

constexpr unsigned MU_STRIPS = 8; /* of slabs; part of the bits */

/* first, second (C) (+)= partial (2, slabs, C): 32 columns a block, which of the two by blockIdx.y;
 * strip s adds slabs s, s + MU_STRIPS, ..., then the strips are added in order. */
static __global__ void mu_add_slabs(float *first, float *second, const float *partial,
                                    int64_t slabs, int64_t c, bool overwrite)
{
    MU_SHARED(float, strip, MU_STRIPS *MU_WARP);
    int64_t j = int64_t(blockIdx.x) * MU_WARP + threadIdx.x;
    float *to = blockIdx.y ? second : first, sum = 0;

    for (int64_t s = threadIdx.y; j < c && s < slabs; s += MU_STRIPS)
        sum += partial[(blockIdx.y * slabs + s) * c + j];
    strip[threadIdx.y * MU_WARP + threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || j >= c)
        return;
    for (unsigned s = 1; s < MU_STRIPS; s++)
        sum += strip[s * MU_WARP + threadIdx.x];
    to[j] = overwrite ? sum : to[j] + sum;
}

/* second NULL: partial is (slabs, C). */
static inline cudaError_t mu_launch_add_slabs(cudaStream_t stream, float *first, float *second,
                                              const float *partial, int64_t slabs, int64_t c,
                                              bool overwrite)
{
    return MU_LAUNCH(mu_add_slabs, dim3(unsigned((c + MU_WARP - 1) / MU_WARP), second ? 2 : 1),
                     dim3(MU_WARP, MU_STRIPS), 0, stream, first, second, partial, slabs, c,
                     overwrite);
}

#endif
