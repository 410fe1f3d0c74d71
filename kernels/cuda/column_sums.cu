/* The gradient of a bias: sums over all rows, in slabs (slabs.cuh). */
#include "kernels/cuda/linear_kernels.h"

#include "kernels/cuda/slabs.cuh"

namespace
{
/* Both part of the bits. */
constexpr int64_t SLABS_MAX = 256, SLAB_ROWS_LEAST = 64;
constexpr unsigned WARPS = 8;

int64_t rows_of_slab(int64_t rows)
{
    int64_t most = (rows + SLABS_MAX - 1) / SLABS_MAX;

    return most > SLAB_ROWS_LEAST ? most : SLAB_ROWS_LEAST;
}

int64_t slab_count(int64_t rows)
{
    return (rows + rows_of_slab(rows) - 1) / rows_of_slab(rows);
}

/* partial (slabs, cols): a pack of columns a lane, a slab by blockIdx.y; warp w adds rows w, w +
 * WARPS, ... of the slab, then the warps' sums are added in order. */
template <class T, int W>
__global__ void column_sums(float *partial, const T *x, int64_t rows, int64_t cols,
                            int64_t slab_rows)
{
    MU_SHARED(float, of_warps, WARPS *MU_WARP *W);
    int64_t j = (int64_t(blockIdx.x) * MU_WARP + threadIdx.x) * W;
    int64_t first = blockIdx.y * slab_rows,
            end = first + slab_rows < rows ? first + slab_rows : rows;
    mu_pack<float, W> sum = {};

    for (int64_t row = first + threadIdx.y; j < cols && row < end; row += WARPS) {
        mu_pack<T, W> v = mu_load<W>(x + row * cols + j);

        for (int k = 0; k < W; k++)
            sum.at[k] += mu_to_f32(v.at[k]);
    }
    for (int k = 0; k < W; k++) /* lanes side by side: no two in one bank */
        of_warps[(threadIdx.y * W + unsigned(k)) * MU_WARP + threadIdx.x] = sum.at[k];
    __syncthreads();
    if (threadIdx.y > 0 || j >= cols)
        return;
    for (unsigned w = 1; w < WARPS; w++)
        for (int k = 0; k < W; k++)
            sum.at[k] += of_warps[(w * W + unsigned(k)) * MU_WARP + threadIdx.x];
    for (int k = 0; k < W; k++)
        partial[blockIdx.y * cols + j + k] = sum.at[k];
}

template <class T, int W>
cudaError_t launch(cudaStream_t stream, float *partial, const void *x, int64_t rows, int64_t cols)
{
    return MU_LAUNCH(
        (column_sums<T, W>),
        dim3(unsigned((cols + MU_WARP * W - 1) / (MU_WARP * W)), unsigned(slab_count(rows))),
        dim3(MU_WARP, WARPS), 0, stream, partial, static_cast<const T *>(x), rows, cols,
        rows_of_slab(rows));
}
} // namespace

int64_t mu_cuda_column_sums_scratch(int64_t rows, int64_t cols)
{
    return slab_count(rows) * cols;
}

int mu_cuda_column_sums(struct CUstream_st *stream, bool act_is_bf16, float *sums, const void *x,
                        float *scratch, int64_t rows, int64_t cols, bool overwrite)
{
    cudaError_t error = cudaSuccess;

    if (rows > 0 && act_is_bf16)
        error = cols % 8 == 0 ? launch<__nv_bfloat16, 8>(stream, scratch, x, rows, cols)
                              : launch<__nv_bfloat16, 1>(stream, scratch, x, rows, cols);
    else if (rows > 0)
        error = cols % 4 == 0 ? launch<float, 4>(stream, scratch, x, rows, cols)
                              : launch<float, 1>(stream, scratch, x, rows, cols);
    if (error != cudaSuccess)
        return error;
    return mu_launch_add_slabs(stream, sums, nullptr, scratch, slab_count(rows), cols, overwrite);
}
