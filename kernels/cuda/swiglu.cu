/* SwiGLU and its gradient: a block a row, in packs of 16 bytes where gates and ups are whole packs
 * each. */
#include "kernels/cuda/kernels.h"

#include "kernels/cuda/parts.cuh"

namespace
{
/* 1 / (1 + exp(-x)), and that of -x: not 1 minus the other, which would lose it where x is large.
 * The exponential is of -|x|, so that nothing overflows, and the quick division, which divides by a
 * number from 1 to 2, is off by 2 units in the last place at most. */
struct logistic {
    float of_x, of_minus_x;

    __device__ explicit logistic(float x)
    {
        float e = expf(-fabsf(x)), larger = __fdividef(1, 1 + e), smaller = e * larger;

        of_x = x < 0 ? smaller : larger;
        of_minus_x = x < 0 ? larger : smaller;
    }
};

/* out (N, F) = silu(gate) * up, of both (N, 2F). */
template <class T, int W> __global__ void swiglu(T *out, const T *both, int64_t f)
{
    const T *gates = both + blockIdx.x * 2 * f, *ups = gates + f;

    for (int64_t j = threadIdx.x * W; j < f; j += blockDim.x * W) {
        mu_pack<T, W> gate = mu_load<W>(gates + j), up = mu_load<W>(ups + j), result;

        MU_EACH (k, W) {
            float x = mu_to_f32(gate.at[k]);

            mu_from_f32(result.at[k], x * logistic(x).of_x * mu_to_f32(up.at[k]));
        }
        mu_store(out + blockIdx.x * f + j, result);
    }
}

/* dboth (N, 2F) from dout (N, F). dboth may be both: a thread has read what it writes. silu'(x) = s
 * (1 + x (1 - s)), s the logistic of x. */
template <class T, int W>
__global__ void swiglu_backward(T *dboth, const T *dout, const T *both, int64_t f)
{
    int64_t at = blockIdx.x * 2 * f;

    for (int64_t j = threadIdx.x * W; j < f; j += blockDim.x * W) {
        mu_pack<T, W> gate = mu_load<W>(both + at + j), up = mu_load<W>(both + at + f + j);
        mu_pack<T, W> of_out = mu_load<W>(dout + blockIdx.x * f + j), dgate, dup;

        MU_EACH (k, W) {
            float x = mu_to_f32(gate.at[k]), d = mu_to_f32(of_out.at[k]);
            logistic l(x);

            mu_from_f32(dgate.at[k], d * mu_to_f32(up.at[k]) * (l.of_x * (1 + x * l.of_minus_x)));
            mu_from_f32(dup.at[k], d * (x * l.of_x));
        }
        mu_store(dboth + at + j, dgate);
        mu_store(dboth + at + f + j, dup);
    }
}

template <class T> constexpr int PACK = 16 / sizeof(T);

template <class T>
cudaError_t forward(cudaStream_t stream, void *out, const void *both, int64_t n, int64_t f)
{
    T *to = static_cast<T *>(out);
    const T *from = static_cast<const T *>(both);

    if (n == 0 || f == 0)
        return cudaSuccess;
    if (f % PACK<T> == 0)
        return MU_LAUNCH((swiglu<T, PACK<T>>), unsigned(n), mu_row_threads(f / PACK<T>), 0, stream,
                         to, from, f);
    return MU_LAUNCH((swiglu<T, 1>), unsigned(n), mu_row_threads(f), 0, stream, to, from, f);
}

template <class T>
cudaError_t backward(cudaStream_t stream, void *dboth, const void *dout, const void *both,
                     int64_t n, int64_t f)
{
    T *to = static_cast<T *>(dboth);
    const T *d = static_cast<const T *>(dout), *from = static_cast<const T *>(both);

    if (n == 0 || f == 0)
        return cudaSuccess;
    if (f % PACK<T> == 0)
        return MU_LAUNCH((swiglu_backward<T, PACK<T>>), unsigned(n), mu_row_threads(f / PACK<T>), 0,
                         stream, to, d, from, f);
    return MU_LAUNCH((swiglu_backward<T, 1>), unsigned(n), mu_row_threads(f), 0, stream, to, d,
                     from, f);
}
} // namespace

int mu_cuda_swiglu(struct CUstream_st *stream, bool act_is_bf16, void *out, const void *both,
                   int64_t n, int64_t f)
{
    return act_is_bf16 ? forward<__nv_bfloat16>(stream, out, both, n, f)
                       : forward<float>(stream, out, both, n, f);
}

int mu_cuda_swiglu_backward(struct CUstream_st *stream, bool act_is_bf16, void *dboth,
                            const void *dout, const void *both, int64_t n, int64_t f)
{
    return act_is_bf16 ? backward<__nv_bfloat16>(stream, dboth, dout, both, n, f)
                       : backward<float>(stream, dboth, dout, both, n, f);
}
