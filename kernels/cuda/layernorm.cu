/* LayerNorm and RMSNorm, with the addition to the residual stream before them. A block a row: the
 * row is read once, kept in shared memory (when wider than that: read again, from the cache), and
 * each thread touches only its own columns of it. */
#include "kernels/cuda/kernels.h"

#include "kernels/cuda/parts.cuh"

namespace
{
enum norm { LAYER, RMS };

/* Of one row: x and, with a branch, x_out (C) f32; out (C) act. RMSNorm has no bias. */
template <class T> struct norm_row {
    T *out;
    float *x_out;
    const float *x, *branch, *weight, *bias;
};

/* x (+ branch) into x_out and `kept`, either of which may be NULL. The sum of what this thread
 * read; RMSNorm: of its squares. */
template <norm NORM, int W, class T>
__device__ float read_row(const norm_row<T> &r, float *kept, int64_t c)
{
    float sum = 0;

    for (int64_t j = threadIdx.x * W; j < c; j += blockDim.x * W) {
        mu_pack<float, W> v = mu_load<W>(r.x + j);

        if (r.branch) {
            mu_pack<float, W> b = mu_load<W>(r.branch + j);

            for (int k = 0; k < W; k++)
                v.at[k] += b.at[k];
            mu_store(r.x_out + j, v);
        }
        if (kept)
            mu_store(kept + j, v);
        for (int k = 0; k < W; k++)
            sum += NORM == RMS ? v.at[k] * v.at[k] : v.at[k];
    }
    return sum;
}

/* Of what this thread has of the row: the sum of squared differences from the centre. */
template <int W> __device__ float spread_of(const float *row, float centre, int64_t c)
{
    float squares = 0;

    for (int64_t j = threadIdx.x * W; j < c; j += blockDim.x * W) {
        mu_pack<float, W> v = mu_load<W>(row + j);

        for (int k = 0; k < W; k++)
            squares += (v.at[k] - centre) * (v.at[k] - centre);
    }
    return squares;
}

/* all.out (N, C) act, mean, rstd (N); RMSNorm: mean NULL. LayerNorm's are two passes over the row,
 * as the reference: the variance of differences from the mean. */
template <norm NORM, class T, int W>
__global__ void normalise(norm_row<T> all, float *mean, float *rstd, int64_t c, bool keep)
{
    MU_SHARED(float, scratch, MU_BLOCK_THREADS / MU_WARP);
    MU_SHARED_DYNAMIC(float, shared_row);
    int64_t at = blockIdx.x * c;
    norm_row<T> r = {all.out + at, all.branch ? all.x_out + at : nullptr,
                     all.x + at,   all.branch ? all.branch + at : nullptr,
                     all.weight,   all.bias};
    float sum = mu_block_sum(read_row<NORM, W>(r, keep ? shared_row : nullptr, c), scratch);
    const float *row = keep ? shared_row : r.branch ? r.x_out : r.x;
    float centre = 0, scale;

    if (NORM == LAYER) {
        centre = sum / float(c);
        sum = mu_block_sum(spread_of<W>(row, centre, c), scratch);
    }
    scale = 1 / sqrtf(sum / float(c) + 1e-5f);
    if (threadIdx.x == 0) {
        if (NORM == LAYER)
            mean[blockIdx.x] = centre;
        rstd[blockIdx.x] = scale;
    }
    for (int64_t j = threadIdx.x * W; j < c; j += blockDim.x * W) {
        mu_pack<float, W> v = mu_load<W>(row + j), w = mu_load<W>(r.weight + j), b = {};
        mu_pack<T, W> out;

        if (NORM == LAYER)
            b = mu_load<W>(r.bias + j);
        for (int k = 0; k < W; k++)
            mu_from_f32(out.at[k], NORM == RMS ? v.at[k] * scale * w.at[k]
                                               : (v.at[k] - centre) * scale * w.at[k] + b.at[k]);
        mu_store(r.out + j, out);
    }
}

template <norm NORM, class T, int W>
cudaError_t launch(cudaStream_t stream, norm_row<T> all, float *mean, float *rstd, int64_t n,
                   int64_t c)
{
    int64_t bytes = c * int64_t(sizeof(float));
    bool keep = bytes <= MU_SHARED_BYTES;

    return MU_LAUNCH((normalise<NORM, T, W>), unsigned(n), mu_row_threads(c / W),
                     keep ? size_t(bytes) : 0, stream, all, mean, rstd, c, keep);
}

template <norm NORM, class T>
cudaError_t launch_any(cudaStream_t stream, norm_row<T> all, float *mean, float *rstd, int64_t n,
                       int64_t c)
{
    if (n == 0)
        return cudaSuccess;
    if (c % 4 == 0)
        return launch<NORM, T, 4>(stream, all, mean, rstd, n, c);
    return launch<NORM, T, 1>(stream, all, mean, rstd, n, c);
}
} // namespace

int mu_cuda_layernorm(struct CUstream_st *stream, bool act_is_bf16, void *out, float *mean,
                      float *rstd, float *x_out, const float *x, const float *branch,
                      const float *weight, const float *bias, int64_t n, int64_t c)
{
    if (act_is_bf16)
        return launch_any<LAYER, __nv_bfloat16>(
            stream, {static_cast<__nv_bfloat16 *>(out), x_out, x, branch, weight, bias}, mean, rstd,
            n, c);
    return launch_any<LAYER, float>(
        stream, {static_cast<float *>(out), x_out, x, branch, weight, bias}, mean, rstd, n, c);
}

int mu_cuda_rmsnorm(struct CUstream_st *stream, bool act_is_bf16, void *out, float *rstd,
                    float *x_out, const float *x, const float *branch, const float *weight,
                    int64_t n, int64_t c)
{
    if (act_is_bf16)
        return launch_any<RMS, __nv_bfloat16>(
            stream, {static_cast<__nv_bfloat16 *>(out), x_out, x, branch, weight, nullptr}, nullptr,
            rstd, n, c);
    return launch_any<RMS, float>(stream,
                                  {static_cast<float *>(out), x_out, x, branch, weight, nullptr},
                                  nullptr, rstd, n, c);
}
