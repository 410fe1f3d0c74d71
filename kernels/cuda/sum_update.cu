/* From half k to half k + 1: predictions, as worker/prediction.c has them, and AdamW. */
#include "kernels/cuda/adamw.cuh"
#include "kernels/cuda/spans.cuh"

namespace
{
__device__ int larger(int a, int b)
{
    return a > b ? a : b;
}

/* What a block's largest element alone says of its prediction: what is learned forgets an eighth of
 * a bit a step, what a step is redone with does not. */
struct learned {
    __device__ static int from(int prediction, int largest)
    {
        int kept = larger(prediction - 1, MU_CUDA_PREDICTION_NONE);

        return largest == MU_CUDA_LARGEST_NONFINITE ? kept : larger(8 * (largest - 126), kept);
    }
};

struct raised {
    __device__ static int from(int prediction, int largest)
    {
        return largest == MU_CUDA_LARGEST_NONFINITE ? prediction
                                                    : larger(8 * (largest - 126), prediction);
    }
};

__global__ void begin(int32_t *tensor_max, int64_t tensors, uint32_t *check, int64_t chunks,
                      uint32_t check_begin)
{
    for (int64_t i = mu_thread(); i < tensors; i += mu_thread_count())
        tensor_max[i] = MU_CUDA_PREDICTION_NONE;
    for (int64_t i = mu_thread(); check && i < chunks; i += mu_thread_count())
        check[i] = check_begin;
}

template <class RULE>
__global__ void tensor_maxima(int32_t *tensor_max, const mu_cuda_span *spans,
                              const int16_t *prediction, const uint8_t *largest)
{
    const mu_cuda_span s = spans[blockIdx.x];
    int top = MU_CUDA_PREDICTION_NONE;

    for (uint32_t i = mu_span_thread(); i < s.block_count; i += mu_span_threads())
        top = larger(top, RULE::from(prediction[s.first_block + i], largest[s.first_block + i]));
    for (int lanes = int(MU_WARP) / 2; lanes > 0; lanes /= 2)
        top = larger(top, __shfl_xor_sync(MU_ALL_LANES, top, lanes));
    if (threadIdx.x % MU_WARP == 0 && top > MU_CUDA_PREDICTION_NONE)
        atomicMax(tensor_max + s.tensor, int32_t(top));
}

template <class RULE>
__global__ void predict(int16_t *out, const mu_cuda_span *spans, const int16_t *prediction,
                        const uint8_t *largest, const int32_t *tensor_max, uint32_t *check)
{
    MU_SHARED(uint32_t, scratch, MU_BLOCK_WARPS);
    const mu_cuda_span s = spans[blockIdx.x];
    int floor = tensor_max[s.tensor] - MU_CUDA_PREDICTION_FLOOR;
    uint32_t bits = 0;

    for (uint32_t i = mu_span_thread(); i < s.block_count; i += mu_span_threads()) {
        int64_t block = s.first_block + i;
        int next = larger(RULE::from(prediction[block], largest[block]), floor);

        out[block] = int16_t(next);
        bits += uint16_t(next);
    }
    if (!check)
        return;
    bits = mu_block_sum(bits, scratch);
    if (threadIdx.x == 0)
        atomicAdd(check + s.chunk, bits);
}

template <class RULE>
cudaError_t run(cudaStream_t stream, const mu_cuda_spans &all, int16_t *out,
                const int16_t *prediction, const uint8_t *largest, int32_t *tensor_max,
                int64_t tensors, uint32_t *check, int64_t chunks, uint32_t check_begin)
{
    dim3 grid = mu_span_grid(all, all.most_blocks, MU_BLOCK_THREADS);
    cudaError_t error =
        MU_LAUNCH(begin, mu_grid(tensors > chunks ? tensors : chunks), MU_BLOCK_THREADS, 0, stream,
                  tensor_max, tensors, check, chunks, check_begin);

    if (error == cudaSuccess)
        error = MU_LAUNCH((tensor_maxima<RULE>), grid, MU_BLOCK_THREADS, 0, stream, tensor_max,
                          all.span, prediction, largest);
    if (error == cudaSuccess)
        error = MU_LAUNCH((predict<RULE>), grid, MU_BLOCK_THREADS, 0, stream, out, all.span,
                          prediction, largest, tensor_max, check);
    return error;
}

/* A span begins and ends anywhere: in packs from the first whole one to the last. */
__global__ void update(mu_adamw a, const mu_cuda_span *spans, uint32_t *check)
{
    enum { W = 4 };
    MU_SHARED(uint32_t, scratch, MU_BLOCK_WARPS);
    const mu_cuda_span s = spans[blockIdx.x];
    int64_t from = s.offset, to = from + s.count, thread = mu_span_thread();
    int64_t first = (from + W - 1) / W * W, last = to / W * W;
    float decay = s.decay ? a.decay : 0.0f;
    uint32_t bits = 0;

    first = first < to ? first : to;
    last = last > first ? last : first;
    if (from + thread < first)
        bits += mu_adamw_update<1>(a, from + thread, decay);
    for (int64_t i = first + thread * W; i < last; i += int64_t(mu_span_threads()) * W)
        bits += mu_adamw_update<W>(a, i, decay);
    if (last + thread < to)
        bits += mu_adamw_update<1>(a, last + thread, decay);
    if (!check)
        return;
    bits = mu_block_sum(bits, scratch);
    if (threadIdx.x == 0)
        atomicAdd(check + s.chunk, bits);
}
} // namespace

int mu_cuda_predict(struct CUstream_st *stream, const struct mu_cuda_spans *all, int16_t *out,
                    const int16_t *prediction, const uint8_t *largest, int32_t *tensor_max,
                    int64_t tensors, uint32_t *check, int64_t chunks, uint32_t check_begin)
{
    return run<learned>(stream, *all, out, prediction, largest, tensor_max, tensors, check, chunks,
                        check_begin);
}

int mu_cuda_predict_raise(struct CUstream_st *stream, const struct mu_cuda_spans *all, int16_t *out,
                          const int16_t *prediction, const uint8_t *largest, int32_t *tensor_max,
                          int64_t tensors)
{
    return run<raised>(stream, *all, out, prediction, largest, tensor_max, tensors, nullptr, 0, 0);
}

int mu_cuda_update(struct CUstream_st *stream, const struct mu_adamw *a,
                   const struct mu_cuda_spans *spans, uint32_t *check)
{
    if (spans->count == 0)
        return cudaSuccess;
    return MU_LAUNCH(update, mu_span_grid(*spans, spans->most_elements, 4 * MU_BLOCK_THREADS),
                     MU_BLOCK_THREADS, 0, stream, *a, spans->span, check);
}
