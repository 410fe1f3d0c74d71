/* AdamW's arithmetic, shared by one span and by many. Formula: kernels/device.h. */
#ifndef MUSTER_KERNELS_CUDA_ADAMW_CUH
#define MUSTER_KERNELS_CUDA_ADAMW_CUH

#include "kernels/cuda/parts.cuh"
#include "kernels/device.h"

/* Elements i .. i + W - 1, with `decay` in place of a.decay. Returns the sum of the bits that it
 * stored, mod 2^32. */
template <int W>
__device__ inline uint32_t mu_adamw_update(const mu_adamw &a, int64_t i, float decay)
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
        step = m.at[k] / a.bias1 / (root + a.eps) + decay * w.at[k];
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

#endif
