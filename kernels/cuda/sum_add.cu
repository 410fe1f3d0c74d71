/* A shard's gradient into the rank's own sum. What does not fit int32 is rare: the pass over the
 * gradient marks it (misfit), the marked blocks that have no slot yet are numbered, in order of
 * block, and a second pass, which looks at the marks alone, adds them. */
#include "kernels/cuda/numbering.cuh"
#include "kernels/cuda/quantise.cuh"
#include "kernels/cuda/spans.cuh"

namespace
{
/* The i-th block of the work, and where its gradient is. */
struct piece {
    mu_place place;
    const float *gradient;
};

struct dense_blocks {
    const mu_cuda_span *spans;
    const float *gradient;
    __device__ mu_cuda_span span() const
    {
        return spans[blockIdx.x];
    }
    __device__ static uint32_t count(const mu_cuda_span &s)
    {
        return s.dense ? s.block_count : 0;
    }
    __device__ piece at(const mu_cuda_span &s, uint32_t i) const
    {
        mu_place place = mu_place_of(s, i);

        return {place, gradient + place.at};
    }
};

struct listed_rows {
    mu_cuda_span tensor;
    const uint32_t *row;
    const float *value;
    uint32_t blocks;
    __device__ const mu_cuda_span &span() const
    {
        return tensor;
    }
    __device__ uint32_t count(const mu_cuda_span &) const
    {
        return blocks;
    }
    __device__ piece at(const mu_cuda_span &s, uint32_t i) const
    {
        uint32_t listed = i / s.blocks_per_row, within = i - listed * s.blocks_per_row;
        int64_t in_tensor = row[listed], col = int64_t(within) * MU_BLOCK;
        mu_place place = {s.first_block + in_tensor * s.blocks_per_row + within,
                          s.row_at + in_tensor * s.cols + col, mu_count_from(s.cols, col)};

        return {place, value + int64_t(listed) * s.cols + col};
    }
};

__global__ void begin(mu_cuda_sum sum)
{
    for (int64_t i = mu_thread(); i < sum.blocks; i += mu_thread_count())
        sum.largest[i] = sum.escaped[i] = sum.misfit[i] = 0;
    if (mu_thread() < MU_CUDA_FLAGS)
        sum.flags[mu_thread()] = 0;
    if (mu_thread() == 0)
        *sum.slots_used = 0;
}

/* Elements of a span whose sum has no dense addend. */
template <int W> __device__ void clear_span(const mu_cuda_sum &sum, const mu_cuda_span &s)
{
    for (int64_t i = mu_span_thread(); i < s.count / W; i += mu_span_threads())
        mu_store(sum.dense + s.offset + i * W, mu_pack<int32_t, W>{});
}

__device__ void clear(const mu_cuda_sum &sum, const mu_cuda_span &s, bool with_elements)
{
    if (with_elements && s.cols % 4 == 0)
        clear_span<4>(sum, s);
    else if (with_elements)
        clear_span<1>(sum, s);
    if (mu_span_thread() < s.pad)
        sum.dense[s.offset + s.count + mu_span_thread()] = 0;
}

/* What the first lane makes known of a block. A value that is too large for int64 is one of 2^(63 -
 * L) quanta and more, a power of two: the exponent tells. */
__device__ void tell(const mu_cuda_sum &sum, int64_t block, mu_quantised done, int exponent,
                     int log2_addends)
{
    int beyond = 127 + 63 - log2_addends + exponent; /* biased */

    if (done.largest > sum.largest[block])
        sum.largest[block] = uint8_t(done.largest);
    if (done.largest == MU_CUDA_LARGEST_NONFINITE)
        sum.flags[MU_CUDA_FLAG_NONFINITE] = 1;
    else if (!done.fits && done.largest >= beyond)
        sum.flags[MU_CUDA_FLAG_BEYOND] = 1;
    else if (!done.fits)
        sum.misfit[block] = 1;
}

/* A warp a block. */
template <int W, class WORK>
__device__ void quantise_span(const mu_cuda_sum &sum, const WORK &work, const mu_cuda_span &s,
                              const int16_t *prediction, bool overwrite)
{
    for (uint32_t i = mu_span_warp(); i < work.count(s); i += mu_span_warps()) {
        piece p = work.at(s, i);
        int exponent = mu_quantum_exponent(prediction[p.place.block], s.log2_addends);
        mu_quantised done = mu_quantise_add_block<W>(sum.dense + p.place.at, p.gradient,
                                                     p.place.count, exponent, s.limit, overwrite);

        if (threadIdx.x % MU_WARP == 0)
            tell(sum, p.place.block, done, exponent, s.log2_addends);
    }
}

template <class WORK>
__global__ void quantise(mu_cuda_sum sum, WORK work, const int16_t *prediction, bool overwrite)
{
    const mu_cuda_span s = work.span();

    if (s.cols % 4 == 0)
        quantise_span<4>(sum, work, s, prediction, overwrite);
    else
        quantise_span<1>(sum, work, s, prediction, overwrite);
    if (overwrite)
        clear(sum, s, !s.dense);
}

/* The sum of no shard. */
__global__ void clear_all(mu_cuda_sum sum, const mu_cuda_span *spans)
{
    clear(sum, spans[blockIdx.x], true);
}

/* One block into its slot, by a warp; all of a slot that is new. */
__device__ void escape_block(const mu_cuda_sum &sum, const piece &p, bool is_new, int exponent)
{
    int64_t *slot = sum.slots + int64_t(sum.slot_of[p.place.block]) * MU_BLOCK;
    double per_quantum = ldexp(1.0, -exponent);

    for (int j = int(threadIdx.x % MU_WARP); j < MU_BLOCK; j += int(MU_WARP)) {
        int64_t add = j < p.place.count ? llrint(double(p.gradient[j]) * per_quantum) : 0;

        if (is_new || add != 0)
            slot[j] = add + (is_new ? 0 : slot[j]);
    }
}

/* Marked blocks into their slots; leaves no marks. A lane looks at a block, then the warp goes to
 * those that are marked. */
template <class WORK>
__global__ void escape(mu_cuda_sum sum, WORK work, const int16_t *prediction,
                       const uint32_t *used_before)
{
    const mu_cuda_span s = work.span();
    uint32_t count = work.count(s);

    for (uint32_t from = mu_span_warp() * MU_WARP; from < count;
         from += mu_span_warps() * MU_WARP) {
        uint32_t i = from + threadIdx.x % MU_WARP;
        int64_t block = i < count ? work.at(s, i).place.block : 0;
        bool marked = i < count && sum.misfit[block];
        unsigned left = __ballot_sync(MU_ALL_LANES, marked && sum.escaped[block]);

        if (marked)
            sum.misfit[block] = 0;
        for (; left != 0; left &= left - 1) {
            piece p = work.at(s, from + uint32_t(__ffs(int(left))) - 1);

            escape_block(sum, p, sum.slot_of[p.place.block] >= *used_before,
                         mu_quantum_exponent(prediction[p.place.block], s.log2_addends));
        }
    }
}

/* most: blocks of the largest span of the work. */
template <class WORK>
cudaError_t add(cudaStream_t stream, const mu_cuda_sum &sum, const WORK &work, int64_t spans,
                int64_t most, const int16_t *prediction, bool overwrite)
{
    mu_cuda_spans shape = {};
    mu_numbering numbering = {sum.misfit,   sum.escaped, sum.slot_of,    sum.blocks,
                              sum.capacity, sum.scratch, sum.slots_used, nullptr};
    cudaError_t error;

    numbering.full = sum.flags + MU_CUDA_FLAG_FULL;
    shape.count = spans;
    error = MU_LAUNCH((quantise<WORK>), mu_span_grid(shape, most, MU_BLOCK_WARPS), MU_BLOCK_THREADS,
                      0, stream, sum, work, prediction, overwrite);
    if (error == cudaSuccess)
        error = mu_number(stream, numbering);
    if (error == cudaSuccess)
        error =
            MU_LAUNCH((escape<WORK>), mu_span_grid(shape, most, MU_BLOCK_THREADS), MU_BLOCK_THREADS,
                      0, stream, sum, work, prediction, mu_numbered_before(numbering));
    return error;
}
} // namespace

int mu_cuda_sum_load(void)
{
    const void *const kernels[] = {
        reinterpret_cast<const void *>(&quantise<listed_rows>),
        reinterpret_cast<const void *>(&escape<listed_rows>),
        reinterpret_cast<const void *>(&quantise<dense_blocks>),
        reinterpret_cast<const void *>(&escape<dense_blocks>),
    };
    cudaError_t error = cudaSuccess;
    cudaFuncAttributes unused;

    for (const void *kernel : kernels)
        if (error == cudaSuccess)
            error = cudaFuncGetAttributes(&unused, kernel);
    return error;
}

int mu_cuda_sum_begin(struct CUstream_st *stream, const struct mu_cuda_sum *sum)
{
    return MU_LAUNCH(begin, mu_grid(sum->blocks), MU_BLOCK_THREADS, 0, stream, *sum);
}

int mu_cuda_sum_add_part(struct CUstream_st *stream, const struct mu_cuda_sum *sum,
                         const struct mu_cuda_spans *part, const int16_t *prediction,
                         const float *gradient, bool first)
{
    if (part->count == 0)
        return cudaSuccess;
    if (!gradient)
        return MU_LAUNCH(clear_all, mu_span_grid(*part, part->most_elements, 4 * MU_BLOCK_THREADS),
                         MU_BLOCK_THREADS, 0, stream, *sum, part->span);
    return add(stream, *sum, dense_blocks{part->span, gradient}, part->count, part->most_blocks,
               prediction, first);
}

int mu_cuda_sum_add(struct CUstream_st *stream, const struct mu_cuda_sum *sum,
                    const struct mu_cuda_spans *all, const int16_t *prediction,
                    const float *gradient, bool first)
{
    int error = first ? mu_cuda_sum_begin(stream, sum) : int(cudaSuccess);

    return error ? error : mu_cuda_sum_add_part(stream, sum, all, prediction, gradient, first);
}

int mu_cuda_sum_add_rows(struct CUstream_st *stream, const struct mu_cuda_sum *sum,
                         const struct mu_cuda_span *tensor, const int16_t *prediction,
                         const uint32_t *row, const float *value, int64_t rows)
{
    uint32_t blocks = uint32_t(rows * tensor->blocks_per_row);

    if (rows == 0)
        return cudaSuccess;
    return add(stream, *sum, listed_rows{*tensor, row, value, blocks}, 1, int64_t(blocks),
               prediction, false);
}
