/* Causal attention, backward: FlashAttention-2 (Dao 2023), algorithm 2, with sums in a fixed order.
 *
 * A block takes a tile of keys of one head and goes through the tiles of queries from the diagonal
 * to the last; dK and dV stay in registers. dQ of a tile of queries has a term from each tile of
 * keys: blocks add theirs one after the other, by falling number of the key tile. So a block begins
 * with the term that is first in its row, and when all go at one pace nobody waits: a block comes
 * to a tile of queries after the one before it has left it. Blocks take numbers when they begin
 * (mu_turn_take), and wait only for lower ones: whatever order the GPU begins them in, nobody waits
 * for who has not begun.
 *
 * With s = scale q.k: p = exp(s - lse), dp = dout.v, ds = p (dp - inner), inner = dout.out;
 * dq = scale sum_k ds k, dk = scale sum_q ds q, dv = sum_q p dout. */
#include "kernels/cuda/kernels.h"

#include <math.h>

#include "kernels/cuda/tiles.cuh"

namespace
{
/* Queries x keys a tile. Warps share scores as DOWN x ACROSS, dK and dV as KEYS_DOWN x
 * KEYS_ACROSS, dQ as scores. So that sums fit in 255 registers and tiles in 163 KiB (sm_80). */
template <class T, int D> struct shape {
    static constexpr bool BF16 = sizeof(T) == 2;
    static constexpr int KEYS = BF16 ? (D > 128 ? 64 : 128) : (D > 128 ? 32 : 64);
    static constexpr int QUERIES = BF16 ? (D > 128 ? 32 : 64) : (D > 128 ? 16 : 32);
    static constexpr int DOWN = QUERIES > 16 ? 2 : 1, ACROSS = 4;
    static constexpr int WARPS = DOWN * ACROSS, THREADS = WARPS * int(MU_WARP);
    static constexpr int KEYS_DOWN = KEYS >= 128 ? 4 : 2, KEYS_ACROSS = WARPS / KEYS_DOWN;

    static constexpr int STRIDE = mu_tile_stride<T>(D), P_STRIDE = mu_tile_stride<T>(KEYS);
    /* keys, values; two tiles of queries, one of dout; p, ds */
    static constexpr int ELEMENTS = (2 * KEYS + 3 * QUERIES) * STRIDE + 2 * QUERIES * P_STRIDE;
    static constexpr int BYTES = ELEMENTS * int(sizeof(T));
    static_assert(BYTES + 16 <= 163 * 1024, "beyond what sm_80 has");

    using scores = mu_sums<QUERIES / DOWN / 16, KEYS / ACROSS / 8>;
    using key_sums = mu_sums<KEYS / KEYS_DOWN / 16, D / KEYS_ACROSS / 8>;
    using query_sums = mu_sums<QUERIES / DOWN / 16, D / ACROSS / 8>;
};

template <class T> struct call {
    T *dqkv;
    const T *dout, *qkv;
    const float *lse, *inner; /* (B, H, T) */
    float *dq;                /* (B, H, tiles of queries), each as its lanes hold it */
    int *turn;                /* (B, H, tiles of queries): key tiles that have added to dq */
    int *begun;               /* blocks */
    int context, heads, head_size;
    float scale; /* of scores to powers of two: log2(e) / sqrt(head size) */
    float root;  /* 1 / sqrt(head size) */
    bool packed, paired;
};

/* ---- inner (B, H, T): eight lanes a row of dout and out, a row a token and head ---- */
template <int W, class T> __device__ float dot(const T *a, const T *b, int lane, int n)
{
    float sum = 0;

    for (int i = lane * W; i < n; i += 8 * W) {
        mu_pack<T, W> x = mu_load<W>(a + i), y = mu_load<W>(b + i);

        for (int k = 0; k < W; k++)
            sum = fmaf(mu_to_f32(x.at[k]), mu_to_f32(y.at[k]), sum);
    }
    for (int lanes = 4; lanes > 0; lanes /= 2)
        sum += __shfl_xor_sync(MU_ALL_LANES, sum, lanes);
    return sum;
}

/* And before the next launch: no block has begun, no turn is taken. */
template <class T>
__global__ void prepare(call<T> c, float *inner, const T *out, int64_t rows, int64_t turns)
{
    int64_t row = mu_thread() / 8, token = row / c.heads, sequence = token / c.context;
    int64_t at = row < rows ? row * c.head_size : 0;
    int lane = int(threadIdx.x % 8), n = row < rows ? c.head_size : 0;
    float sum = c.packed ? dot<16 / int(sizeof(T))>(c.dout + at, out + at, lane, n)
                         : dot<1>(c.dout + at, out + at, lane, n);

    if (mu_thread() == 0)
        *c.begun = 0;
    for (int64_t i = mu_thread(); i < turns; i += mu_thread_count())
        c.turn[i] = 0;
    if (row < rows && lane == 0)
        inner[(sequence * c.heads + row % c.heads) * c.context + token % c.context] = sum;
}

/* ---- the rest: a block's place, then its steps ---- */
/* One head's rows, in tensors (B, T, 3, H, D) and (B, T, H, D). */
template <class T> struct rows_of {
    const T *q, *k, *v, *dout;
    T *dq, *dk, *dv;
    const float *lse, *inner;
    int64_t qkv_stride, out_stride;
};

template <class T> __device__ rows_of<T> rows_of_head(const call<T> &c, int head)
{
    int64_t width = int64_t(c.heads) * c.head_size, token = int64_t(head / c.heads) * c.context;
    int64_t column = int64_t(head % c.heads) * c.head_size, at = 3 * width * token + column;
    const T *q = c.qkv + at;
    T *dq = c.dqkv + at;

    return {q,
            q + width,
            q + 2 * width,
            c.dout + width * token + column,
            dq,
            dq + width,
            dq + 2 * width,
            c.lse + int64_t(head) * c.context,
            c.inner + int64_t(head) * c.context,
            3 * width,
            width};
}

/* Scores become p, and dp ds; zeros where the key is in the future, and beyond the context. */
template <int M, int N, class T>
__device__ void differentiate(mu_sums<M, N> &scores, mu_sums<M, N> &dp, const rows_of<T> &r,
                              int first_query, int first_key, int context, float scale)
{
    constexpr float LOG2E = 1.4426950408889634f;

    MU_UNROLL
    for (int m = 0; m < M; m++)
        MU_UNROLL
    for (int h = 0; h < 2; h++) {
        int query = first_query + mu_sum_row(m, 2 * h);
        bool inside = query < context;
        float top = inside ? r.lse[query] * LOG2E : INFINITY;
        float inner = inside ? r.inner[query] : 0;
        int last = query - first_key - mu_sum_column(0, 0);

        MU_UNROLL
        for (int n = 0; n < N; n++)
            MU_UNROLL
        for (int i = 0; i < 2; i++) {
            float &s = scores.at[m][n][2 * h + i], &d = dp.at[m][n][2 * h + i];

            s = 8 * n + i > last ? 0 : mu_exp2(fmaf(s, scale, -top));
            d = s * (d - inner);
        }
    }
}

/* Adds to a tile's sums of dQ, which lie as its lanes hold them. */
template <int M, int N>
__device__ void add_in_turn(mu_sums<M, N> &mine, float *sums, bool is_first, bool is_last)
{
    float *at = sums + (threadIdx.x / MU_WARP * (M * N) * MU_WARP + unsigned(mu_lane())) * 4;

    MU_UNROLL
    for (int m = 0; m < M; m++)
        MU_UNROLL
    for (int n = 0; n < N; n++) {
        float *four = at + (m * N + n) * int(MU_WARP) * 4;
        mu_pack<float, 4> sum = {};

        if (!is_first)
            sum = mu_load<4>(four);
        MU_UNROLL
        for (int i = 0; i < 4; i++)
            mine.at[m][n][i] = sum.at[i] = mine.at[m][n][i] + sum.at[i];
        if (!is_last)
            mu_store(four, sum);
    }
}

/* Blocks: the tiles of keys of a head, last first, then the next head's. */
template <class T, int D>
__global__ void __launch_bounds__(shape<T, D>::THREADS) backward(call<T> c)
{
    using s = shape<T, D>;
    using rows = mu_operand<T, s::STRIDE, false>; /* a row of the tile: a row or column */
    using by_k = mu_operand<T, s::STRIDE, true>;
    MU_SHARED(int, number, 1);
    MU_SHARED_DYNAMIC(T, k);
    T *v = k + s::KEYS * s::STRIDE, *q = v + s::KEYS * s::STRIDE, *next_q;
    T *dout = q + 2 * s::QUERIES * s::STRIDE, *p = dout + s::QUERIES * s::STRIDE;
    T *ds = p + s::QUERIES * s::P_STRIDE;
    int warp = int(threadIdx.x / MU_WARP);
    int row = warp / s::ACROSS * (s::QUERIES / s::DOWN); /* this warp's first, of a tile */
    int key = warp % s::ACROSS * (s::KEYS / s::ACROSS);
    int dq_column = warp % s::ACROSS * (D / s::ACROSS);
    int sum_key = warp / s::KEYS_ACROSS * (s::KEYS / s::KEYS_DOWN);
    int sum_column = warp % s::KEYS_ACROSS * (D / s::KEYS_ACROSS);
    int query_tiles = (c.context + s::QUERIES - 1) / s::QUERIES;
    int key_tiles = (c.context + s::KEYS - 1) / s::KEYS;

    if (threadIdx.x == 0)
        number[0] = mu_turn_take(c.begun);
    __syncthreads();
    int head = number[0] / key_tiles, key_tile = key_tiles - 1 - number[0] % key_tiles;
    int first_key = key_tile * s::KEYS, tile = first_key / s::QUERIES;
    rows_of<T> r = rows_of_head(c, head);
    int *turn = c.turn + int64_t(head) * query_tiles;
    typename s::key_sums dk, dv;
    auto load_q = [&](T *to, int at) {
        mu_tile_load<s::THREADS, s::QUERIES, D>(to, r.q + at * r.qkv_stride, r.qkv_stride,
                                                c.context - at, c.head_size, c.packed);
    };
    auto load_dout = [&](int at) {
        mu_tile_load<s::THREADS, s::QUERIES, D>(dout, r.dout + at * r.out_stride, r.out_stride,
                                                c.context - at, c.head_size, c.packed);
    };

    mu_tile_load<s::THREADS, s::KEYS, D>(k, r.k + first_key * r.qkv_stride, r.qkv_stride,
                                         c.context - first_key, c.head_size, c.packed);
    mu_tile_load<s::THREADS, s::KEYS, D>(v, r.v + first_key * r.qkv_stride, r.qkv_stride,
                                         c.context - first_key, c.head_size, c.packed);
    load_q(q, tile * s::QUERIES);
    load_dout(tile * s::QUERIES);
    next_q = q + s::QUERIES * s::STRIDE;
    mu_sums_clear(dk);
    mu_sums_clear(dv);
    for (int begun = 0, place = 0; tile < query_tiles; tile++, begun++) {
        int first = tile * s::QUERIES;
        /* key tiles that come before this one in the sum of dQ */
        int before = min(first + s::QUERIES - 1, c.context - 1) / s::KEYS - key_tile;
        typename s::query_sums dq;

        mu_copy_wait();
        __syncthreads(); /* queries and dout are here; all of the step before is done */
        if (begun > 0 && threadIdx.x == 0 && key_tile > 0)
            mu_turn_set(turn + tile - 1, place + 1);
        place = before;
        if (tile + 1 < query_tiles)
            load_q(next_q, first + s::QUERIES);
        {
            typename s::scores scores, dp;

            mu_sums_clear(scores);
            mu_product<D>(scores, rows{q + row * s::STRIDE}, rows{k + key * s::STRIDE});
            mu_sums_clear(dp);
            mu_product<D>(dp, rows{dout + row * s::STRIDE}, rows{v + key * s::STRIDE});
            differentiate(scores, dp, r, first + row, first_key + key, c.context, c.scale);
            mu_sums_keep<s::P_STRIDE>(p + row * s::P_STRIDE + key, scores);
            mu_sums_keep<s::P_STRIDE>(ds + row * s::P_STRIDE + key, dp);
        }
        __syncthreads(); /* p and ds are there */
        mu_product<s::QUERIES>(dv, mu_operand<T, s::P_STRIDE, true>{p + sum_key},
                               by_k{dout + sum_column});
        if (threadIdx.x == 0 && before > 0)
            mu_turn_wait(turn + tile, before);
        __syncthreads(); /* dout has been used; it is this block's turn at dQ */
        if (tile + 1 < query_tiles)
            load_dout(first + s::QUERIES);
        mu_sums_clear(dq);
        mu_product<s::KEYS>(dq, mu_operand<T, s::P_STRIDE, false>{ds + row * s::P_STRIDE},
                            by_k{k + dq_column});
        add_in_turn(dq, c.dq + (int64_t(head) * query_tiles + tile) * (s::QUERIES * D), before == 0,
                    key_tile == 0);
        if (key_tile == 0)
            mu_sums_store(r.dq + (first + row) * r.qkv_stride + dq_column, r.qkv_stride,
                          c.context - first - row, c.head_size - dq_column, c.paired, dq, c.root);
        mu_product<s::QUERIES>(dk, mu_operand<T, s::P_STRIDE, true>{ds + sum_key},
                               by_k{q + sum_column});
        T *used = q;
        q = next_q;
        next_q = used;
    }
    __syncthreads();
    if (threadIdx.x == 0 && key_tile > 0)
        mu_turn_set(turn + query_tiles - 1, key_tiles - key_tile);
    first_key += sum_key;
    mu_sums_store(r.dk + first_key * r.qkv_stride + sum_column, r.qkv_stride, c.context - first_key,
                  c.head_size - sum_column, c.paired, dk, c.root);
    mu_sums_store(r.dv + first_key * r.qkv_stride + sum_column, r.qkv_stride, c.context - first_key,
                  c.head_size - sum_column, c.paired, dv, 1);
}

/* ---- scratch: counters, inner, dQ; each begins at a multiple of 16 bytes ---- */
struct sizes {
    int64_t heads, query_tiles, turn_bytes, inner_bytes, dq_bytes;
};

template <class T, int D> sizes sizes_of(struct mu_attention s)
{
    int64_t heads = s.batch * s.heads, queries = shape<T, D>::QUERIES;
    int64_t tiles = (s.context + queries - 1) / queries;

    return {heads, tiles, (heads * tiles + 1 + 3) / 4 * 16, (heads * s.context + 3) / 4 * 16,
            heads * tiles * queries * D * int64_t(sizeof(float))};
}

template <class T, int D>
cudaError_t launch(cudaStream_t stream, struct mu_attention s, call<T> c, const T *out,
                   void *scratch)
{
    sizes size = sizes_of<T, D>(s);
    int64_t rows = size.heads * s.context;
    int64_t key_tiles = (s.context + shape<T, D>::KEYS - 1) / shape<T, D>::KEYS;
    unsigned char *at = static_cast<unsigned char *>(scratch);
    float *inner = reinterpret_cast<float *>(at + size.turn_bytes);
    cudaError_t error;

    c.begun = reinterpret_cast<int *>(at);
    c.turn = c.begun + 1;
    c.inner = inner;
    c.dq = reinterpret_cast<float *>(at + size.turn_bytes + size.inner_bytes);
    error =
        MU_LAUNCH((prepare<T>), unsigned((8 * rows + MU_BLOCK_THREADS - 1) / MU_BLOCK_THREADS),
                  MU_BLOCK_THREADS, 0, stream, c, inner, out, rows, size.heads * size.query_tiles);
    if (error != cudaSuccess)
        return error;
    return MU_LAUNCH_WIDE((backward<T, D>), unsigned(size.heads * key_tiles),
                          (shape<T, D>::THREADS), (shape<T, D>::BYTES), stream, c);
}

template <class T>
cudaError_t launch_any(cudaStream_t stream, struct mu_attention s, void *dqkv, const void *dout,
                       const void *out, const void *qkv, const float *lse, void *scratch)
{
    const T *o = static_cast<const T *>(out);
    call<T> c = {};

    c.dqkv = static_cast<T *>(dqkv);
    c.dout = static_cast<const T *>(dout);
    c.qkv = static_cast<const T *>(qkv);
    c.lse = lse;
    c.context = int(s.context);
    c.heads = int(s.heads);
    c.head_size = int(s.head_size);
    c.root = float(1 / sqrt(double(s.head_size)));
    c.scale = float(1.4426950408889634 / sqrt(double(s.head_size)));
    c.packed = s.head_size * int64_t(sizeof(T)) % 16 == 0;
    c.paired = s.head_size % 2 == 0;
    if (s.head_size <= 64)
        return launch<T, 64>(stream, s, c, o, scratch);
    if (s.head_size <= 128)
        return launch<T, 128>(stream, s, c, o, scratch);
    return launch<T, 256>(stream, s, c, o, scratch);
}

template <class T> int64_t scratch_bytes(struct mu_attention s)
{
    sizes size = s.head_size <= 64    ? sizes_of<T, 64>(s)
                 : s.head_size <= 128 ? sizes_of<T, 128>(s)
                                      : sizes_of<T, 256>(s);

    return size.turn_bytes + size.inner_bytes + size.dq_bytes;
}
} // namespace

int64_t mu_cuda_attention_backward_scratch(struct mu_attention s)
{
    int64_t bf16 = scratch_bytes<__nv_bfloat16>(s), f32 = scratch_bytes<float>(s);

    return bf16 > f32 ? bf16 : f32;
}

int mu_cuda_attention_backward(struct CUstream_st *stream, bool act_is_bf16, struct mu_attention s,
                               void *dqkv, const void *dout, const void *out, const void *qkv,
                               const float *lse, void *scratch)
{
    if (act_is_bf16)
        return launch_any<__nv_bfloat16>(stream, s, dqkv, dout, out, qkv, lse, scratch);
    return launch_any<float>(stream, s, dqkv, dout, out, qkv, lse, scratch);
}
