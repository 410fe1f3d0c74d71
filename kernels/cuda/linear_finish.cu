/* Bias and GELU after a product. */
#include "kernels/cuda/linear_kernels.h"

#include "kernels/cuda/parts.cuh"

namespace
{
enum { W = 4 };

/* A block takes whole rows, and strides on. */
template <class T, int P> __global__ void add_bias(T *y, const float *b, int64_t rows, int64_t cols)
{
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x)
        for (int64_t j = threadIdx.x * P; j < cols; j += blockDim.x * P) {
            mu_pack<T, P> v = mu_load<P>(y + row * cols + j);
            mu_pack<float, P> add = mu_load<P>(b + j);

            for (int k = 0; k < P; k++)
                mu_from_f32(v.at[k], mu_to_f32(v.at[k]) + add.at[k]);
            mu_store(y + row * cols + j, v);
        }
}

template <class T>
cudaError_t launch_bias(cudaStream_t stream, T *y, const float *b, int64_t rows, int64_t cols)
{
    unsigned grid = unsigned(rows < MU_GRID_MAX ? rows : MU_GRID_MAX);

    if (rows == 0)
        return cudaSuccess;
    if (cols % W == 0)
        return MU_LAUNCH((add_bias<T, W>), grid, mu_row_threads(cols / W), 0, stream, y, b, rows,
                         cols);
    return MU_LAUNCH((add_bias<T, 1>), grid, mu_row_threads(cols), 0, stream, y, b, rows, cols);
}

/* x times a logistic, as in kernels/reference/reference_body.h. */
__device__ float gelu_of(float x)
{
    const float root = 0.797884583f; /* sqrt(2 / pi) */

    return x / (1 + expf(-2 * root * (x + 0.044715f * x * x * x)));
}

/* Packs; what is left over at the end (less than one) goes to the first threads one by one. */
template <class T, class F> __global__ void gelu(T *y, const F *before, int64_t n)
{
    for (int64_t i = mu_thread(); i < n / W; i += mu_thread_count()) {
        mu_pack<F, W> from = mu_load<W>(before + i * W);
        mu_pack<T, W> to;

        for (int k = 0; k < W; k++)
            mu_from_f32(to.at[k], gelu_of(mu_to_f32(from.at[k])));
        mu_store(y + i * W, to);
    }
    for (int64_t i = n / W * W + mu_thread(); i < n; i += mu_thread_count())
        mu_from_f32(y[i], gelu_of(mu_to_f32(before[i])));
}

template <class T, class F>
cudaError_t launch_gelu(cudaStream_t stream, T *y, const F *before, int64_t n)
{
    if (n == 0)
        return cudaSuccess;
    return MU_LAUNCH((gelu<T, F>), mu_grid((n + W - 1) / W), MU_BLOCK_THREADS, 0, stream, y, before,
                     n);
}
} // namespace

int mu_cuda_add_bias(struct CUstream_st *stream, bool y_is_bf16, void *y, const float *b,
                     int64_t rows, int64_t cols)
{
    if (y_is_bf16)
        return launch_bias(stream, static_cast<__nv_bfloat16 *>(y), b, rows, cols);
    return launch_bias(stream, static_cast<float *>(y), b, rows, cols);
}

int mu_cuda_gelu(struct CUstream_st *stream, bool y_is_bf16, bool before_is_bf16, void *y,
                 const void *before, int64_t n)
{
    const __nv_bfloat16 *half = static_cast<const __nv_bfloat16 *>(before);

    if (y_is_bf16)
        return launch_gelu(stream, static_cast<__nv_bfloat16 *>(y), half, n);
    if (before_is_bf16)
        return launch_gelu(stream, static_cast<float *>(y), half, n);
    return launch_gelu(stream, static_cast<float *>(y), static_cast<const float *>(before), n);
}
