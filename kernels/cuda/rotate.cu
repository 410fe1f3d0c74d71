/* Rotary positions: a block a token, whose queries and keys lie side by side, 2H heads of D. A
 * thread takes a pack of a head's first half and the pack of the second half that it is turned
 * with; `turn` is the same for all heads and comes from the cache. */
#include "kernels/cuda/kernels.h"

#include "kernels/cuda/parts.cuh"

namespace
{
/* Cosine and sine of W angles, in packs of 16 bytes; of one alone, 8. */
template <int W> __device__ void load_angles(float (&angle)[2 * W], const float *from)
{
    constexpr int PACK = W == 1 ? 2 : 4;

    MU_EACH (p, 2 * W / PACK) {
        mu_pack<float, PACK> some = mu_load<PACK>(from + p * PACK);

        MU_EACH (k, PACK)
            angle[p * PACK + k] = some.at[k];
    }
}

template <class T, int W>
__global__ void rotate(T *qkv, const float *turn, unsigned t, int heads, int half, bool backward)
{
    T *token = qkv + blockIdx.x * int64_t(3) * heads * 2 * half;
    const float *by = turn + int64_t(blockIdx.x % t) * 2 * half;
    const unsigned packs = unsigned(half) / W, all = 2 * unsigned(heads) * packs;

    for (unsigned p = threadIdx.x; p < all; p += blockDim.x) {
        const int i = int(p % packs) * W;
        T *first = token + p / packs * (2 * int64_t(half)) + i, *second = first + half;
        mu_pack<T, W> x = mu_load<W>(first), y = mu_load<W>(second);
        float angle[2 * W];

        load_angles<W>(angle, by + 2 * i);
        MU_EACH (k, W) {
            float cosine = angle[2 * k], sine = backward ? -angle[2 * k + 1] : angle[2 * k + 1];
            float a = mu_to_f32(x.at[k]), b = mu_to_f32(y.at[k]);

            mu_from_f32(x.at[k], a * cosine - b * sine);
            mu_from_f32(y.at[k], b * cosine + a * sine);
        }
        mu_store(first, x);
        mu_store(second, y);
    }
}

template <class T, int W>
cudaError_t launch(cudaStream_t stream, struct mu_attention s, void *qkv, const float *turn,
                   bool backward)
{
    int64_t half = s.head_size / 2;

    return MU_LAUNCH((rotate<T, W>), unsigned(s.batch * s.context),
                     mu_row_threads(2 * s.heads * (half / W)), 0, stream, static_cast<T *>(qkv),
                     turn, unsigned(s.context), int(s.heads), int(half), backward);
}

template <class T>
cudaError_t launch_any(cudaStream_t stream, struct mu_attention s, void *qkv, const float *turn,
                       bool backward)
{
    constexpr int PACK = 16 / sizeof(T);

    if (s.batch * s.context * s.heads * s.head_size == 0)
        return cudaSuccess;
    if (s.head_size % (2 * PACK) == 0)
        return launch<T, PACK>(stream, s, qkv, turn, backward);
    return launch<T, 1>(stream, s, qkv, turn, backward);
}
} // namespace

int mu_cuda_rotate(struct CUstream_st *stream, bool act_is_bf16, struct mu_attention s, void *qkv,
                   const float *turn, bool backward)
{
    return act_is_bf16 ? launch_any<__nv_bfloat16>(stream, s, qkv, turn, backward)
                       : launch_any<float>(stream, s, qkv, turn, backward);
}
