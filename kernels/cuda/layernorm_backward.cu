/* Gradients of LayerNorm and RMSNorm. Those of weight and bias are sums over all rows, in slabs
 * (slabs.cuh), each summed in order by one block. dx is made on the way, so that dout and x are
 * read from memory once. While a block is at one row, the next one is on its way into the cache:
 * else it would wait for memory twice a row, with nothing under way between. */
#include "kernels/cuda/kernels.h"

#include "kernels/cuda/instructions.cuh"
#include "kernels/cuda/slabs.cuh"

namespace
{
constexpr int64_t SLABS_MAX = 512; /* a few for each multiprocessor; part of the bits */

int64_t rows_of_slab(int64_t n)
{
    return (n + SLABS_MAX - 1) / SLABS_MAX;
}

int64_t slab_count(int64_t n)
{
    return n == 0 ? 0 : (n + rows_of_slab(n) - 1) / rows_of_slab(n);
}

enum norm { LAYER, RMS };

/* RMSNorm has no mean and no bias: its partial is (slabs, C). */
struct norm_grad {
    float *dx, *partial; /* (N, C); (2, slabs, C): of weight, of bias */
    const float *dout, *x, *weight, *mean, *rstd;
    int64_t n, c, slab_rows;
};

/* Adds one row to this thread's columns of dweight and dbias. What this thread has of the sums of g
 * = dout weight and of g xhat, xhat = (x - mean) rstd. */
template <norm NORM, int W>
__device__ void sum_row(const norm_grad &a, int64_t row, bool has_next, float *dweight,
                        float *dbias, float &sum_g, float &sum_gx)
{
    const float *dout = a.dout + row * a.c, *x = a.x + row * a.c, *dx = a.dx + row * a.c;
    float mean = NORM == RMS ? 0 : a.mean[row], rstd = a.rstd[row];

    for (int64_t j = threadIdx.x * W; j < a.c; j += blockDim.x * W) {
        mu_pack<float, W> d = mu_load<W>(dout + j), v = mu_load<W>(x + j);
        mu_pack<float, W> w = mu_load<W>(a.weight + j), dw = mu_load<W>(dweight + j);

        if (has_next) {
            mu_prefetch(dout + a.c + j);
            mu_prefetch(x + a.c + j);
            mu_prefetch(dx + a.c + j);
        }
        for (int k = 0; k < W; k++) {
            float xhat = (v.at[k] - mean) * rstd, g = d.at[k] * w.at[k];

            sum_g += g;
            sum_gx += g * xhat;
            dw.at[k] += d.at[k] * xhat;
        }
        mu_store(dweight + j, dw);
        if (NORM == LAYER) {
            mu_pack<float, W> db = mu_load<W>(dbias + j);

            for (int k = 0; k < W; k++)
                db.at[k] += d.at[k];
            mu_store(dbias + j, db);
        }
    }
}

/* The same row: dx += rstd (g - mean(g) - xhat mean(g xhat)); RMSNorm: without mean(g). */
template <norm NORM, int W>
__device__ void add_row(const norm_grad &a, int64_t row, float mean_g, float mean_gx)
{
    const float *dout = a.dout + row * a.c, *x = a.x + row * a.c;
    float mean = NORM == RMS ? 0 : a.mean[row], rstd = a.rstd[row];

    for (int64_t j = threadIdx.x * W; j < a.c; j += blockDim.x * W) {
        mu_pack<float, W> d = mu_load<W>(dout + j), v = mu_load<W>(x + j);
        mu_pack<float, W> w = mu_load<W>(a.weight + j), dx = mu_load<W>(a.dx + row * a.c + j);

        for (int k = 0; k < W; k++) {
            float xhat = (v.at[k] - mean) * rstd;

            dx.at[k] += rstd * (d.at[k] * w.at[k] - mean_g - xhat * mean_gx);
        }
        mu_store(a.dx + row * a.c + j, dx);
    }
}

/* A block a slab. Its sums (2, C) lie in shared memory, or at once in `partial` when that is too
 * small. */
template <norm NORM, int W> __global__ void norm_backward(norm_grad a, bool keep)
{
    MU_SHARED(float, scratch, MU_BLOCK_THREADS / MU_WARP);
    MU_SHARED_DYNAMIC(float, kept);
    float *out_weight = a.partial + blockIdx.x * a.c;
    float *out_bias = a.partial + (int64_t(gridDim.x) + blockIdx.x) * a.c;
    float *dweight = keep ? kept : out_weight, *dbias = keep ? kept + a.c : out_bias;
    int64_t first = blockIdx.x * a.slab_rows;
    int64_t end = first + a.slab_rows < a.n ? first + a.slab_rows : a.n;

    for (int64_t j = threadIdx.x * W; j < a.c; j += blockDim.x * W) {
        mu_store(dweight + j, mu_pack<float, W>{});
        if (NORM == LAYER)
            mu_store(dbias + j, mu_pack<float, W>{});
    }
    for (int64_t row = first; row < end; row++) {
        float sum_g = 0, sum_gx = 0;

        sum_row<NORM, W>(a, row, row + 1 < end, dweight, dbias, sum_g, sum_gx);
        sum_g = NORM == RMS ? 0 : mu_block_sum(sum_g, scratch) / float(a.c);
        sum_gx = mu_block_sum(sum_gx, scratch) / float(a.c);
        add_row<NORM, W>(a, row, sum_g, sum_gx);
    }
    for (int64_t j = threadIdx.x * W; keep && j < a.c; j += blockDim.x * W) {
        mu_store(out_weight + j, mu_load<W>(dweight + j));
        if (NORM == LAYER)
            mu_store(out_bias + j, mu_load<W>(dbias + j));
    }
}

template <norm NORM, int W> cudaError_t launch(cudaStream_t stream, const norm_grad &a)
{
    int64_t bytes = (NORM == RMS ? 1 : 2) * a.c * int64_t(sizeof(float));
    bool keep = bytes <= MU_SHARED_BYTES;

    return MU_LAUNCH((norm_backward<NORM, W>), unsigned(slab_count(a.n)), mu_row_threads(a.c / W),
                     keep ? size_t(bytes) : 0, stream, a, keep);
}

/* dbias NULL: RMSNorm. */
template <norm NORM>
cudaError_t backward(cudaStream_t stream, const norm_grad &a, float *dweight, float *dbias,
                     bool overwrite)
{
    cudaError_t error = cudaSuccess;

    if (a.n > 0)
        error = a.c % 4 == 0 ? launch<NORM, 4>(stream, a) : launch<NORM, 1>(stream, a);
    if (error != cudaSuccess)
        return error;
    return mu_launch_add_slabs(stream, dweight, dbias, a.partial, slab_count(a.n), a.c, overwrite);
}
} // namespace

int64_t mu_cuda_norm_backward_scratch(int64_t n, int64_t c)
{
    return 2 * slab_count(n) * c;
}

int mu_cuda_layernorm_backward(struct CUstream_st *stream, float *dx, float *dweight, float *dbias,
                               const float *dout, const float *x, const float *weight,
                               const float *mean, const float *rstd, float *scratch, int64_t n,
                               int64_t c, bool overwrite)
{
    norm_grad a = {dx, scratch, dout, x, weight, mean, rstd, n, c, rows_of_slab(n)};

    return backward<LAYER>(stream, a, dweight, dbias, overwrite);
}

int mu_cuda_rmsnorm_backward(struct CUstream_st *stream, float *dx, float *dweight,
                             const float *dout, const float *x, const float *weight,
                             const float *rstd, float *scratch, int64_t n, int64_t c,
                             bool overwrite)
{
    norm_grad a = {dx, scratch, dout, x, weight, nullptr, rstd, n, c, rows_of_slab(n)};

    return backward<RMS>(stream, a, dweight, nullptr, overwrite);
}
