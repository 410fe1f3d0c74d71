/* One number at a time, in packs of 16 bytes of the wider type; what is left over at the end (less
 * than a pack) goes to the first threads one by one, and so does all where a pointer is that of a
 * row, or of a piece of a message, and between two packs. */
#include "kernels/cuda/kernels.h"

#include "kernels/cuda/parts.cuh"

namespace
{
enum { W = 4 };

/* How GELU's tanh form rises: x times a logistic, as in kernels/reference/reference_body.h. */
__device__ float gelu_slope(float x)
{
    const float root = 0.797884583f; /* sqrt(2 / pi) */
    float gate = 1 / (1 + expf(-2 * root * (x + 0.044715f * x * x * x)));

    return gate + x * gate * (1 - gate) * 2 * root * (1 + 3 * 0.044715f * x * x);
}

struct times_gelu_slope {
    template <class T> __device__ static void apply(T &d, const T &before)
    {
        mu_from_f32(d, mu_to_f32(d) * gelu_slope(mu_to_f32(before)));
    }
};

struct convert {
    template <class T> __device__ static void apply(T &to, const float &from)
    {
        mu_from_f32(to, from);
    }
};

struct plus {
    __device__ static void apply(float &to, const float &from)
    {
        to += from;
    }
};

/* How many packs there are to be moved whole. */
template <class T, class F> __device__ int64_t packs(const T *a, const F *b, int64_t n)
{
    bool aligned = reinterpret_cast<uintptr_t>(a) % sizeof(mu_pack<T, W>) == 0 &&
                   reinterpret_cast<uintptr_t>(b) % sizeof(mu_pack<F, W>) == 0;

    return aligned ? n / W : 0;
}

/* to[i] = OP(to[i], from[i]); READ: OP looks at to. */
template <class OP, bool READ, class T, class F>
__global__ void elements(T *to, const F *from, int64_t n)
{
    const int64_t whole = packs(to, from, n);

    for (int64_t i = mu_thread(); i < whole; i += mu_thread_count()) {
        mu_pack<F, W> b = mu_load<W>(from + i * W);
        mu_pack<T, W> a;

        if (READ)
            a = mu_load<W>(to + i * W);
        for (int k = 0; k < W; k++)
            OP::apply(a.at[k], b.at[k]);
        mu_store(to + i * W, a);
    }
    for (int64_t i = whole * W + mu_thread(); i < n; i += mu_thread_count())
        OP::apply(to[i], from[i]);
}

template <class OP, bool READ, class T, class F>
cudaError_t launch(cudaStream_t stream, T *to, const F *from, int64_t n)
{
    if (n == 0)
        return cudaSuccess;
    return MU_LAUNCH((elements<OP, READ, T, F>), mu_grid((n + W - 1) / W), MU_BLOCK_THREADS, 0,
                     stream, to, from, n);
}

/* a += b, wrapping; *sum += the elements of b. Integers: atomics in any order give the same. */
__global__ void add_int32(int32_t *a, const int32_t *b, uint32_t *sum, int64_t n)
{
    MU_SHARED(uint32_t, scratch, MU_BLOCK_THREADS / MU_WARP);
    const int64_t whole = packs(a, b, n);
    uint32_t mine = 0;

    for (int64_t i = mu_thread(); i < whole; i += mu_thread_count()) {
        mu_pack<int32_t, W> to = mu_load<W>(a + i * W), from = mu_load<W>(b + i * W);

        for (int k = 0; k < W; k++) {
            to.at[k] = int32_t(uint32_t(to.at[k]) + uint32_t(from.at[k]));
            mine += uint32_t(from.at[k]);
        }
        mu_store(a + i * W, to);
    }
    for (int64_t i = whole * W + mu_thread(); i < n; i += mu_thread_count()) {
        a[i] = int32_t(uint32_t(a[i]) + uint32_t(b[i]));
        mine += uint32_t(b[i]);
    }
    mine = mu_block_sum(mine, scratch);
    if (threadIdx.x == 0)
        atomicAdd(sum, mine);
}
} // namespace

int mu_cuda_gelu_backward(struct CUstream_st *stream, bool act_is_bf16, void *d, const void *before,
                          int64_t n)
{
    if (act_is_bf16)
        return launch<times_gelu_slope, true>(stream, static_cast<__nv_bfloat16 *>(d),
                                              static_cast<const __nv_bfloat16 *>(before), n);
    return launch<times_gelu_slope, true>(stream, static_cast<float *>(d),
                                          static_cast<const float *>(before), n);
}

int mu_cuda_to_act(struct CUstream_st *stream, bool act_is_bf16, void *out, const float *x,
                   int64_t n)
{
    if (act_is_bf16)
        return launch<convert, false>(stream, static_cast<__nv_bfloat16 *>(out), x, n);
    return launch<convert, false>(stream, static_cast<float *>(out), x, n);
}

int mu_cuda_add(struct CUstream_st *stream, float *to, const float *from, int64_t n, bool overwrite)
{
    if (overwrite)
        return launch<convert, false>(stream, to, from, n);
    return launch<plus, true>(stream, to, from, n);
}

int mu_cuda_add_int32(struct CUstream_st *stream, int32_t *a, const int32_t *b, uint32_t *sum,
                      int64_t n)
{
    if (n == 0)
        return cudaSuccess;
    return MU_LAUNCH(add_int32, mu_grid((n + W - 1) / W), MU_BLOCK_THREADS, 0, stream, a, b, sum,
                     n);
}
