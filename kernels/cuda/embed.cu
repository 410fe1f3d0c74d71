/* Rows of tables, and their gradients without atomics: sums of floats in the order of the tokens,
 * so the bits are those of the reference. */
#include "kernels/cuda/kernels.h"

#include "kernels/cuda/parts.cuh"

namespace
{
/* out (N, C) = table[token] + position[n % T], or without; a block a token. */
template <int W>
__global__ void embed(float *out, const float *table, const float *position, const int32_t *token,
                      int64_t t, int64_t c)
{
    int64_t i = blockIdx.x;
    const float *row = table + token[i] * c, *place = position ? position + i % t * c : nullptr;

    for (int64_t j = threadIdx.x * W; j < c; j += blockDim.x * W) {
        mu_pack<float, W> sum = mu_load<W>(row + j);

        if (place) {
            mu_pack<float, W> p = mu_load<W>(place + j);

            for (int k = 0; k < W; k++)
                sum.at[k] += p.at[k];
        }
        mu_store(out + i * c + j, sum);
    }
}

/* rows (R, C) += dout (N, C). A block a token, and as many columns as it has threads times W. The
 * block of a row's first token adds all tokens of that row; the others end. That is N comparisons a
 * block, from the cache: small beside the sums up to some 64k tokens, and a row that very many
 * tokens share takes as long as its sum in order does. */
template <int W>
__global__ void embed_backward_rows(float *rows, const float *dout, const int32_t *row_of,
                                    int64_t n, int64_t c)
{
    MU_SHARED(unsigned, matches, MU_BLOCK_THREADS / MU_WARP);
    int64_t i = blockIdx.x, j = (int64_t(blockIdx.y) * blockDim.x + threadIdx.x) * W;
    int32_t row = row_of[i];
    mu_pack<float, W> sum = {};

    for (int64_t first = 0; first < i; first += blockDim.x) {
        int64_t other = first + threadIdx.x;

        if (__syncthreads_or(other < i && row_of[other] == row))
            return;
    }
    if (j < c)
        sum = mu_load<W>(rows + row * c + j);
    for (int64_t first = i; first < n; first += blockDim.x) {
        int64_t other = first + threadIdx.x;
        unsigned match = __ballot_sync(MU_ALL_LANES, other < n && row_of[other] == row);

        if (threadIdx.x % MU_WARP == 0)
            matches[threadIdx.x / MU_WARP] = match;
        __syncthreads();
        for (unsigned warp = 0; j < c && warp < blockDim.x / MU_WARP; warp++)
            for (unsigned left = matches[warp]; left; left &= left - 1) {
                int64_t token = first + warp * MU_WARP + unsigned(__ffs(int(left))) - 1;
                mu_pack<float, W> d = mu_load<W>(dout + token * c + j);

                for (int k = 0; k < W; k++)
                    sum.at[k] += d.at[k];
            }
        __syncthreads();
    }
    if (j < c)
        mu_store(rows + row * c + j, sum);
}

/* dposition (T, C) (+)= dout (B, T, C) over B in order; a block a position. */
template <int W>
__global__ void embed_backward_position(float *dposition, const float *dout, int64_t n, int64_t t,
                                        int64_t c, bool overwrite)
{
    int64_t place = blockIdx.x;

    for (int64_t j = threadIdx.x * W; j < c; j += blockDim.x * W) {
        mu_pack<float, W> sum = {};

        if (!overwrite)
            sum = mu_load<W>(dposition + place * c + j);
        for (int64_t i = place; i < n; i += t) {
            mu_pack<float, W> d = mu_load<W>(dout + i * c + j);

            for (int k = 0; k < W; k++)
                sum.at[k] += d.at[k];
        }
        mu_store(dposition + place * c + j, sum);
    }
}

template <int W>
cudaError_t backward(cudaStream_t stream, float *rows, float *dposition, const float *dout,
                     const int32_t *row_of, int64_t n, int64_t t, int64_t c, bool overwrite)
{
    unsigned threads = mu_row_threads(c / W);
    int64_t columns = int64_t(threads) * W;
    cudaError_t error = cudaSuccess;

    if (n > 0)
        error = MU_LAUNCH(embed_backward_rows<W>,
                          dim3(unsigned(n), unsigned((c + columns - 1) / columns)), threads, 0,
                          stream, rows, dout, row_of, n, c);
    if (error != cudaSuccess || !dposition)
        return error;
    return MU_LAUNCH(embed_backward_position<W>, unsigned(t), threads, 0, stream, dposition, dout,
                     n, t, c, overwrite);
}
} // namespace

int mu_cuda_embed(struct CUstream_st *stream, float *out, const float *table, const float *position,
                  const int32_t *token, int64_t n, int64_t t, int64_t c)
{
    if (n == 0)
        return cudaSuccess;
    if (c % 4 == 0)
        return MU_LAUNCH(embed<4>, unsigned(n), mu_row_threads(c / 4), 0, stream, out, table,
                         position, token, t, c);
    return MU_LAUNCH(embed<1>, unsigned(n), mu_row_threads(c), 0, stream, out, table, position,
                     token, t, c);
}

int mu_cuda_embed_backward(struct CUstream_st *stream, float *rows, float *dposition,
                           const float *dout, const int32_t *row_of, int64_t n, int64_t t,
                           int64_t c, bool overwrite_position)
{
    if (c % 4 == 0)
        return backward<4>(stream, rows, dposition, dout, row_of, n, t, c, overwrite_position);
    return backward<1>(stream, rows, dposition, dout, row_of, n, t, c, overwrite_position);
}
