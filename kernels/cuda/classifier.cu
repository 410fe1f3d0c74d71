/* Softmax and cross entropy of rows of logits. A block a row, which is read twice: for its maximum
 * and the sum of exponentials, together; and for the gradient. The second time it should still be
 * in the L2 cache: that has room for a row of each multiprocessor when rows are 200 KB, and not for
 * two. So threads ask for several packs at once, which keeps memory busy with one block on each, as
 * the registers for it make sure. */
#include "kernels/cuda/linear_kernels.h"

#include "kernels/cuda/parts.cuh"

namespace
{
enum { W = 4, DEEP = 4 };
constexpr unsigned THREADS_MAX = 1024; /* rows are long; part of the bits */

/* A maximum, and the sum of e^(x - maximum). */
struct softmax_part {
    float largest, sum;
};

__device__ softmax_part join(softmax_part a, softmax_part b)
{
    float largest = a.largest > b.largest ? a.largest : b.largest;

    if (a.sum == 0) /* nothing in it: its maximum is -infinity */
        return b;
    if (b.sum == 0)
        return a;
    return {largest, a.sum * expf(a.largest - largest) + b.sum * expf(b.largest - largest)};
}

/* What a block reads in one go: DEEP rounds, in each of which a thread has a pack. */
__device__ int64_t stretch()
{
    return int64_t(blockDim.x) * W * DEEP;
}

/* Where this thread's pack of a round is. */
__device__ int64_t place_of(int64_t from, int round)
{
    return from + (int64_t(round) * blockDim.x + threadIdx.x) * W;
}

/* Those before v. */
__device__ void load_stretch(mu_pack<float, W> (&x)[DEEP], const float *row, int64_t from,
                             int64_t v)
{
    MU_EACH (round, DEEP)
        if (place_of(from, round) < v)
            x[round] = mu_load<W>(row + place_of(from, round));
}

/* Adds the first `count` of x. */
__device__ void join_pack(softmax_part &mine, const mu_pack<float, W> &x, int64_t count)
{
    float largest = mine.largest;

    for (int k = 0; k < W; k++)
        if (k < count && x.at[k] > largest)
            largest = x.at[k];
    if (largest > mine.largest) {
        mine.sum = mine.sum * expf(mine.largest - largest);
        mine.largest = largest;
    }
    for (int k = 0; k < W; k++)
        if (k < count)
            mine.sum += expf(x.at[k] - largest);
}

/* Of what this thread reads (Milakov & Gimelshein 2018: both in one pass). */
__device__ softmax_part read_row(const float *row, int64_t v)
{
    softmax_part mine = {-INFINITY, 0};

    for (int64_t from = 0; from < v; from += stretch()) {
        mu_pack<float, W> x[DEEP];

        load_stretch(x, row, from, v);
        MU_EACH (round, DEEP)
            if (place_of(from, round) < v)
                join_pack(mine, x[round], v - place_of(from, round));
    }
    return mine;
}

/* In every thread, in an order that only their number decides. */
__device__ softmax_part join_block(softmax_part mine, softmax_part *scratch)
{
    softmax_part all;

    for (int lanes = int(MU_WARP) / 2; lanes > 0; lanes /= 2) {
        softmax_part other = {__shfl_xor_sync(MU_ALL_LANES, mine.largest, lanes),
                              __shfl_xor_sync(MU_ALL_LANES, mine.sum, lanes)};

        mine = join(mine, other);
    }
    if (threadIdx.x % MU_WARP == 0)
        scratch[threadIdx.x / MU_WARP] = mine;
    __syncthreads();
    all = scratch[0];
    for (unsigned warp = 1; warp < blockDim.x / MU_WARP; warp++)
        all = join(all, scratch[warp]);
    return all;
}

/* In place: bf16 gradients take half of what logits did, so a stretch writes where it or one before
 * it has read; the barrier is for those who read in this one. */
template <class T>
__device__ void write_gradient(float *row, softmax_part all, int64_t target, float scale, int64_t v)
{
    T *out = reinterpret_cast<T *>(row);

    for (int64_t from = 0; from < v; from += stretch()) {
        mu_pack<float, W> x[DEEP];

        load_stretch(x, row, from, v);
        __syncthreads();
        MU_EACH (round, DEEP) {
            int64_t j = place_of(from, round);
            mu_pack<T, W> d;

            if (j >= v)
                continue;
            for (int k = 0; k < W; k++) {
                float p = j + k < v ? expf(x[round].at[k] - all.largest) / all.sum : 0;

                mu_from_f32(d.at[k], scale * (p - (j + k == target ? 1 : 0)));
            }
            mu_store(out + j, d);
        }
    }
}

template <class T>
__global__ void __launch_bounds__(THREADS_MAX)
    cross_entropy(float *losses, float *logits, const int32_t *target, bool gradient, float scale,
                  int64_t v, int64_t ld)
{
    MU_SHARED(softmax_part, scratch, THREADS_MAX / MU_WARP);
    float *row = logits + blockIdx.x * ld;
    int64_t right = target[blockIdx.x];
    softmax_part all = join_block(read_row(row, v), scratch);

    if (threadIdx.x == 0)
        losses[blockIdx.x] = logf(all.sum) - (row[right] - all.largest);
    __syncthreads();
    if (gradient)
        write_gradient<T>(row, all, right, scale, v);
}

template <class T>
cudaError_t launch(cudaStream_t stream, float *losses, float *logits, const int32_t *target,
                   bool gradient, float scale, int64_t rows, int64_t v, int64_t ld)
{
    int64_t warps = (v + MU_WARP * W - 1) / (MU_WARP * W), most = THREADS_MAX / MU_WARP;
    unsigned threads = unsigned(MU_WARP * (warps < most ? warps : most));

    return MU_LAUNCH(cross_entropy<T>, unsigned(rows), threads, 0, stream, losses, logits, target,
                     gradient, scale, v, ld);
}
} // namespace

int mu_cuda_cross_entropy(struct CUstream_st *stream, bool act_is_bf16, float *losses,
                          float *logits, const int32_t *target, bool gradient, float scale,
                          int64_t rows, int64_t v, int64_t ld)
{
    if (rows == 0)
        return cudaSuccess;
    if (act_is_bf16)
        return launch<__nv_bfloat16>(stream, losses, logits, target, gradient, scale, rows, v, ld);
    return launch<float>(stream, losses, logits, target, gradient, scale, rows, v, ld);
}
