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

/* Rows that are on their way from memory at once. */
constexpr int DEEP = 8;

/* Of as many tokens as the block has threads, one a thread, those that are `wanted`: how many, and
 * in order which (list: a place a thread). All threads of the block call it; it may be called again
 * at once, since nobody writes the list before all have met. */
__device__ unsigned list_tokens(unsigned *list, unsigned *matches, bool wanted)
{
    unsigned lane = threadIdx.x % MU_WARP, warp = threadIdx.x / MU_WARP, before = 0, count = 0;
    unsigned match = __ballot_sync(MU_ALL_LANES, wanted);

    if (lane == 0)
        matches[warp] = match;
    __syncthreads();
    for (unsigned w = 0; w < blockDim.x / MU_WARP; w++) {
        before += w < warp ? unsigned(__popc(matches[w])) : 0;
        count += unsigned(__popc(matches[w]));
    }
    if (wanted)
        list[before + unsigned(__popc(match & ((1u << lane) - 1)))] = threadIdx.x;
    __syncthreads();
    return count;
}

/* sum += rows list[0], list[1], ... of dout, in this order. */
template <int W>
__device__ void add_rows(mu_pack<float, W> &sum, const float *dout, int64_t c, const unsigned *list,
                         unsigned count)
{
    for (unsigned from = 0; from < count; from += DEEP) {
        mu_pack<float, W> d[DEEP];

        MU_EACH (i, DEEP)
            if (from + unsigned(i) < count)
                d[i] = mu_load<W>(dout + list[from + unsigned(i)] * c);
        MU_EACH (i, DEEP)
            for (int k = 0; from + unsigned(i) < count && k < W; k++)
                sum.at[k] += d[i].at[k];
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
    MU_SHARED(unsigned, list, MU_BLOCK_THREADS);
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
        unsigned count = list_tokens(list, matches, other < n && row_of[other] == row);

        if (j < c)
            add_rows<W>(sum, dout + first * c + j, c, list, count);
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
