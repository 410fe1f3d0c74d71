/* AdamW over one span: every array is read and written once; the bf16 copy and the check sum are
 * made on the way. Formula: kernels/device.h. */
#include "kernels/cuda/kernels.h"

#include "kernels/cuda/parts.cuh"

namespace
{
/* Elements i .. i + W - 1. Returns the sum of the bits that it stored, mod 2^32. */
template <int W> __device__ uint32_t update(const mu_adamw &a, int64_t i)
{
    mu_pack<float, W> w = mu_load<W>(a.weight + i), g = mu_load<W>(a.gradient + i);
    mu_pack<float, W> m = mu_load<W>(a.m + i), v = mu_load<W>(a.v + i);
    mu_pack<__nv_bfloat16, W> half;
    uint32_t check = 0;

    for (int k = 0; k < W; k++) {
        float d = g.at[k] * a.gradient_scale, root, step;

        m.at[k] = a.beta1 * m.at[k] + (1 - a.beta1) * d;
        v.at[k] = a.beta2 * v.at[k] + (1 - a.beta2) * d * d;
        root = sqrtf(v.at[k] / a.bias2);
        step = m.at[k] / a.bias1 / (root + a.eps) + a.decay * w.at[k];
        w.at[k] -= a.lr * step;
        half.at[k] = __float2bfloat16_rn(w.at[k]);
        check += __float_as_uint(w.at[k]) + __float_as_uint(m.at[k]) + __float_as_uint(v.at[k]);
    }
    mu_store(a.weight_out + i, w);
    mu_store(a.m_out + i, m);
    mu_store(a.v_out + i, v);
    if (a.weight_bf16)
        mu_store(reinterpret_cast<__nv_bfloat16 *>(a.weight_bf16) + i, half);
    return check;
}

__global__ void adamw(mu_adamw a)
{
    enum { W = 4 };
    MU_SHARED(uint32_t, scratch, MU_BLOCK_THREADS / MU_WARP);
    uint32_t check = 0;

    for (int64_t i = mu_thread(); i < a.count / W; i += mu_thread_count())
        check += update<W>(a, i * W);
    for (int64_t i = a.count / W * W + mu_thread(); i < a.count; i += mu_thread_count())
        check += update<1>(a, i);
    if (!a.check)
        return;
    check = mu_block_sum(check, scratch);
    if (threadIdx.x == 0)
        atomicAdd(a.check, check);
}
} // namespace

int mu_cuda_adamw(struct CUstream_st *stream, const struct mu_adamw *a)
{
    if (a->count == 0)
        return cudaSuccess;
    return MU_LAUNCH(adamw, mu_grid((a->count + 3) / 4), MU_BLOCK_THREADS, 0, stream, *a);
}
