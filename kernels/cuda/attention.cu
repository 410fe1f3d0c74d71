/* Causal attention, forward: FlashAttention-2 (Dao 2023), algorithm 1. A block takes a tile of
 * queries of one head, each warp its own rows of it, and goes through the tiles of keys from the
 * first to the one on the diagonal; scores never leave registers. Key 0 is in the first tile and
 * every query may look at it: a row's maximum is finite from then on. */
#include "kernels/cuda/kernels.h"

#include <math.h>

#include "kernels/cuda/tiles.cuh"

namespace
{
/* WARPS x 16 M queries and KEYS keys a tile, so that sums fit in registers and tiles in 163 KiB
 * (sm_80) for BLOCKS blocks a multiprocessor. */
template <class T, int D> struct shape {
    static constexpr bool BF16 = sizeof(T) == 2;
    static constexpr int WARPS = BF16 && D > 128 ? 8 : 4, M = BF16 && D <= 128 ? 2 : 1;
    static constexpr int BLOCKS = BF16 && D <= 64 ? 3 : BF16 && D <= 128 ? 2 : 1;
    static constexpr int QUERIES = WARPS * 16 * M, KEYS = !BF16 && D > 128 ? 32 : 64;
    static constexpr int STRIDE = mu_tile_stride<T>(D), THREADS = WARPS * int(MU_WARP);
    static constexpr int BYTES = (QUERIES + 2 * KEYS) * STRIDE * int(sizeof(T));
    static_assert(BLOCKS * (BYTES + 1024) <= 164 * 1024, "beyond what sm_80 has");
};

template <class T> struct call {
    T *out;
    float *lse;
    const T *qkv;
    int context, heads, head_size;
    float scale; /* of scores to powers of two: log2(e) / sqrt(head size) */
    bool packed, paired;
};

/* Of rows m, h: at[m][h], as sums have them. In powers of two; sum is this lane's columns'. */
template <int M> struct softmax_rows {
    float top[M][2], sum[M][2];
};

template <int M, int N>
__device__ void mask_future(mu_sums<M, N> &scores, int first_query, int first_key)
{
    MU_EACH (m, M)
        MU_EACH (h, 2) {
            int last = first_query + mu_sum_row(m, h) - first_key - mu_sum_column(0);

            MU_EACH (n, N)
                MU_EACH (i, 2)
                    if (8 * n + i > last)
                        scores.at[m][n][2 * h + i] = -INFINITY;
        }
}

/* Scores become 2^(scale score - top of their row so far); what was summed up under an older top
 * is brought to the new one. */
template <int M, int N, int D8>
__device__ void exponentiate(mu_sums<M, N> &scores, mu_sums<M, D8> &out, softmax_rows<M> &rows,
                             float scale)
{
    MU_EACH (m, M)
        MU_EACH (h, 2) {
            float largest = -INFINITY, top, keep, sum = 0;

            MU_EACH (n, N)
                largest = fmaxf(largest, fmaxf(scores.at[m][n][2 * h], scores.at[m][n][2 * h + 1]));
            largest = fmaxf(largest, __shfl_xor_sync(MU_ALL_LANES, largest, 1));
            largest = fmaxf(largest, __shfl_xor_sync(MU_ALL_LANES, largest, 2));
            top = fmaxf(rows.top[m][h], largest * scale);
            keep = mu_exp2(rows.top[m][h] - top);
            MU_EACH (n, N)
                MU_EACH (i, 2) {
                    float &s = scores.at[m][n][2 * h + i];

                    s = mu_exp2(fmaf(s, scale, -top));
                    sum += s;
                }
            MU_EACH (d, D8) {
                out.at[m][d][2 * h] *= keep;
                out.at[m][d][2 * h + 1] *= keep;
            }
            rows.top[m][h] = top;
            rows.sum[m][h] = fmaf(rows.sum[m][h], keep, sum);
        }
}

/* Divides by the softmax's denominators, and writes their logarithms for `count` rows. */
template <int M, int D8>
__device__ void normalise(mu_sums<M, D8> &out, const softmax_rows<M> &rows, float *lse, int count)
{
    constexpr float LN2 = 0.693147180559945309f;

    MU_EACH (m, M)
        MU_EACH (h, 2) {
            float sum = rows.sum[m][h], inverse;
            int row = mu_sum_row(m, h);

            sum += __shfl_xor_sync(MU_ALL_LANES, sum, 1);
            sum += __shfl_xor_sync(MU_ALL_LANES, sum, 2);
            inverse = 1 / sum;
            MU_EACH (d, D8) {
                out.at[m][d][2 * h] *= inverse;
                out.at[m][d][2 * h + 1] *= inverse;
            }
            if (mu_lane() % 4 == 0 && row < count)
                lse[row] = fmaf(rows.top[m][h], LN2, logf(sum));
        }
}

/* A block for each tile of queries of each head, the longest (last) tile of a head first. */
template <class T, int D>
__global__ void __launch_bounds__(shape<T, D>::THREADS, shape<T, D>::BLOCKS) attention(call<T> c)
{
    using s = shape<T, D>;
    MU_SHARED_DYNAMIC(T, q);
    T *k = q + s::QUERIES * s::STRIDE, *v = k + s::KEYS * s::STRIDE;
    int query_tiles = (c.context + s::QUERIES - 1) / s::QUERIES, number = int(blockIdx.x);
    int head = number / query_tiles, tile = query_tiles - 1 - number % query_tiles;
    int first = tile * s::QUERIES;
    int warp_row = int(threadIdx.x / MU_WARP) * 16 * s::M;
    int keys = min(c.context, first + s::QUERIES);
    int64_t width = int64_t(c.heads) * c.head_size, token = int64_t(head / c.heads) * c.context;
    int64_t column = int64_t(head % c.heads) * c.head_size;
    const T *from = c.qkv + 3 * width * token + column;
    mu_sums<s::M, D / 8> out;
    softmax_rows<s::M> rows;
    auto load = [&](T *to, int part, int at) {
        mu_tile_load<s::THREADS, s::KEYS, D>(to, from + part * width + 3 * width * at, 3 * width,
                                             c.context - at, c.head_size, c.packed);
    };

    mu_tile_load<s::THREADS, s::QUERIES, D>(q, from + 3 * width * first, 3 * width,
                                            c.context - first, c.head_size, c.packed);
    load(k, 1, 0);
    mu_sums_clear(out);
    MU_EACH (i, 2 * s::M) {
        rows.top[i / 2][i % 2] = -INFINITY;
        rows.sum[i / 2][i % 2] = 0;
    }
    for (int key = 0; key < keys; key += s::KEYS) {
        bool visible = key < first + warp_row + 16 * s::M; /* to this warp's last query */
        mu_sums<s::M, s::KEYS / 8> scores;

        mu_copy_wait();
        __syncthreads(); /* these keys are here; the values before them have been used */
        load(v, 2, key);
        mu_sums_clear(scores);
        if (visible)
            mu_product<D>(scores, mu_operand<T, s::STRIDE, false>{q + warp_row * s::STRIDE},
                          mu_operand<T, s::STRIDE, false>{k});
        mu_copy_wait();
        __syncthreads(); /* the values are here; the keys have been used */
        if (key + s::KEYS < keys)
            load(k, 1, key + s::KEYS);
        if (key + s::KEYS - 1 > first + warp_row)
            mask_future(scores, first + warp_row, key);
        exponentiate(scores, out, rows, c.scale);
        mu_product(out, scores, mu_operand<T, s::STRIDE, true>{v});
    }
    first += warp_row;
    normalise(out, rows, c.lse + int64_t(head) * c.context + first, c.context - first);
    mu_sums_store(c.out + (token + first) * width + column, width, c.context - first, c.head_size,
                  c.paired, out, 1);
}

template <class T, int D> cudaError_t launch(cudaStream_t stream, struct mu_attention s, call<T> c)
{
    int64_t tiles = (s.context + shape<T, D>::QUERIES - 1) / shape<T, D>::QUERIES;

    return MU_LAUNCH_WIDE((attention<T, D>), unsigned(tiles * s.batch * s.heads),
                          (shape<T, D>::THREADS), (shape<T, D>::BYTES), stream, c);
}

template <class T>
cudaError_t launch_any(cudaStream_t stream, struct mu_attention s, void *out, float *lse,
                       const void *qkv)
{
    call<T> c = {static_cast<T *>(out),
                 lse,
                 static_cast<const T *>(qkv),
                 int(s.context),
                 int(s.heads),
                 int(s.head_size),
                 float(1.4426950408889634 / sqrt(double(s.head_size))),
                 s.head_size * int64_t(sizeof(T)) % 16 == 0,
                 s.head_size % 2 == 0};

    if (s.head_size <= 64)
        return launch<T, 64>(stream, s, c);
    if (s.head_size <= 128)
        return launch<T, 128>(stream, s, c);
    if (s.head_size <= 256)
        return launch<T, 256>(stream, s, c);
    return cudaErrorInvalidConfiguration;
}
} // namespace

int mu_cuda_attention(struct CUstream_st *stream, bool act_is_bf16, struct mu_attention s,
                      void *out, float *lse, const void *qkv)
{
    if (act_is_bf16)
        return launch_any<__nv_bfloat16>(stream, s, out, lse, qkv);
    return launch_any<float>(stream, s, out, lse, qkv);
}
