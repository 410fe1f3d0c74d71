/* Causal attention, backward: FlashAttention-2 (Dao 2023), algorithm 2, with sums in a fixed order.
 *
 * A block takes a tile of keys of one head and goes through the tiles of queries from the diagonal
 * to the last; dK and dV stay in registers. dQ of a tile of queries has a term from each tile of
 * keys: blocks add theirs one after the other, by falling number of the key tile. So a block begins
 * on the diagonal with the first term of a sum, and when all go at one pace nobody waits: a block
 * comes to a tile of queries after the one before it in turn has left it. Blocks take numbers when
 * they begin (mu_turn_take), and wait only for lower ones: whatever order the GPU begins them in,
 * nobody waits for who has not begun.
 *
 * With s = scale q.k: p = exp(s - lse), dp = dout.v, ds = p (dp - inner), inner = dout.out;
 * dq = scale sum_k ds k, dk = scale sum_q ds q, dv = sum_q p dout. */
#include "kernels/cuda/kernels.h"

#include <math.h>

#include "kernels/cuda/tiles.cuh"

namespace
{
/* Queries x keys a tile: half as many queries, so that a block comes to a tile of queries two steps
 * after the one before it in turn, which has handed it on by then. Warps share scores and dQ as
 * DOWN x ACROSS, dK and dV as KEYS_DOWN x KEYS_ACROSS; so that sums fit in 255 registers and tiles
 * in 163 KiB (sm_80). */
template <class T, int D> struct shape {
    static constexpr bool BF16 = sizeof(T) == 2;
    static constexpr int HEAD = D; /* columns of a tile, head_size of them not 0 */
    static constexpr int KEYS = (BF16 ? 128 : 64) / (D > 128 ? 2 : 1), QUERIES = KEYS / 2;
    static constexpr int DOWN = QUERIES > 16 ? 2 : 1, ACROSS = 4;
    static constexpr int WARPS = DOWN * ACROSS, THREADS = WARPS * int(MU_WARP);
    static constexpr int KEYS_DOWN = KEYS >= 128 ? 4 : 2, KEYS_ACROSS = WARPS / KEYS_DOWN;

    static constexpr int STRIDE = mu_tile_stride<T>(D), P_STRIDE = mu_tile_stride<T>(KEYS);
    /* keys, values; two tiles of queries, one of dout; p, ds */
    static constexpr int ELEMENTS = (2 * KEYS + 3 * QUERIES) * STRIDE + 2 * QUERIES * P_STRIDE;
    static constexpr int BYTES = ELEMENTS * int(sizeof(T));
    static_assert(BYTES + 1024 <= 164 * 1024, "beyond what sm_80 has");

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

/* And before the next launch: no block has begun, no turn has been taken. */
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

/* ---- the rest ---- */
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
    int64_t row = int64_t(head) * c.context;
    const T *q = c.qkv + at;
    T *dq = c.dqkv + at;

    return {q,
            q + width,
            q + 2 * width,
            c.dout + width * token + column,
            dq,
            dq + width,
            dq + 2 * width,
            c.lse + row,
            c.inner + row,
            3 * width,
            width};
}

/* Shared memory; the warp's part of each product. */
template <class T, int D> struct tiles {
    using s = shape<T, D>;
    T *k, *v, *q, *next_q, *dout, *p, *ds;
    int row, key, column;    /* of scores; and of dQ */
    int sum_key, sum_column; /* of dK and dV */

    __device__ explicit tiles(T *shared)
    {
        int warp = int(threadIdx.x / MU_WARP);

        k = shared;
        v = k + s::KEYS * s::STRIDE;
        q = v + s::KEYS * s::STRIDE;
        next_q = q + s::QUERIES * s::STRIDE;
        dout = next_q + s::QUERIES * s::STRIDE;
        p = dout + s::QUERIES * s::STRIDE;
        ds = p + s::QUERIES * s::P_STRIDE;
        row = warp / s::ACROSS * (s::QUERIES / s::DOWN);
        key = warp % s::ACROSS * (s::KEYS / s::ACROSS);
        column = warp % s::ACROSS * (D / s::ACROSS);
        sum_key = warp / s::KEYS_ACROSS * (s::KEYS / s::KEYS_DOWN);
        sum_column = warp % s::KEYS_ACROSS * (D / s::KEYS_ACROSS);
    }
};

/* lse in powers of two, and inner, of rows m, h. Beyond the context: p will be 0. */
template <int M> struct row_terms {
    float top[M][2], inner[M][2];
};

template <int M, class T>
__device__ void read_terms(row_terms<M> &terms, const rows_of<T> &r, int first_query, int context)
{
    constexpr float LOG2E = 1.4426950408889634f;

    MU_EACH (m, M)
        MU_EACH (h, 2) {
            int query = first_query + mu_sum_row(m, h);
            bool inside = query < context;

            terms.top[m][h] = inside ? r.lse[query] * LOG2E : INFINITY;
            terms.inner[m][h] = inside ? r.inner[query] : 0;
        }
}

/* Scores become p, and dp ds; 0 where the key is in the future. */
template <int M, int N>
__device__ void differentiate(mu_sums<M, N> &scores, mu_sums<M, N> &dp, const row_terms<M> &terms,
                              int first_query, int first_key, float scale)
{
    MU_EACH (m, M)
        MU_EACH (h, 2) {
            int last = first_query + mu_sum_row(m, h) - first_key - mu_sum_column(0);

            MU_EACH (n, N)
                MU_EACH (i, 2) {
                    float &s = scores.at[m][n][2 * h + i], &d = dp.at[m][n][2 * h + i];

                    s = 8 * n + i > last ? 0 : mu_exp2(fmaf(s, scale, -terms.top[m][h]));
                    d = s * (d - terms.inner[m][h]);
                }
        }
}

/* This warp's part of p and ds. */
template <class T, int D>
__device__ void recompute(const tiles<T, D> &t, const call<T> &c, const rows_of<T> &r,
                          int first_query, int first_key)
{
    using s = shape<T, D>;
    using operand = mu_operand<T, s::STRIDE, false>;
    typename s::scores scores, dp;
    row_terms<s::QUERIES / s::DOWN / 16> terms;

    read_terms(terms, r, first_query + t.row, c.context);
    mu_sums_clear(scores);
    mu_product<D>(scores, operand{t.q + t.row * s::STRIDE}, operand{t.k + t.key * s::STRIDE});
    mu_sums_clear(dp);
    mu_product<D>(dp, operand{t.dout + t.row * s::STRIDE}, operand{t.v + t.key * s::STRIDE});
    differentiate(scores, dp, terms, first_query + t.row, first_key + t.key, c.scale);
    mu_sums_keep<s::P_STRIDE>(t.p + t.row * s::P_STRIDE + t.key, scores);
    mu_sums_keep<s::P_STRIDE>(t.ds + t.row * s::P_STRIDE + t.key, dp);
}

/* This lane's part of a tile's sums of dQ, which lie as lanes hold them. */
template <int M, int N> __device__ float *lane_sums(float *tile, int m, int n)
{
    int warp = int(threadIdx.x / MU_WARP);

    return tile + (((warp * M + m) * N + n) * int(MU_WARP) + mu_lane()) * 4;
}

template <int M, int N> __device__ void read_sums(mu_sums<M, N> &dq, float *tile, bool is_first)
{
    MU_EACH (m, M)
        MU_EACH (n, N) {
            mu_pack<float, 4> four = {};

            if (!is_first)
                four = mu_load<4>(lane_sums<M, N>(tile, m, n));
            MU_EACH (i, 4)
                dq.at[m][n][i] = four.at[i];
        }
}

template <int M, int N> __device__ void write_sums(const mu_sums<M, N> &dq, float *tile)
{
    MU_EACH (m, M)
        MU_EACH (n, N) {
            mu_pack<float, 4> four;

            MU_EACH (i, 4)
                four.at[i] = dq.at[m][n][i];
            mu_store(lane_sums<M, N>(tile, m, n), four);
        }
}

/* ROWS rows from row `first` on their way into a tile. */
template <int ROWS, class S, class T>
__device__ void load(T *tile, const T *from, int64_t stride, int first, const call<T> &c)
{
    mu_tile_load<S::THREADS, ROWS, S::HEAD>(tile, from + first * stride, stride, c.context - first,
                                            c.head_size, c.packed);
}

template <class T, int D>
__device__ void write_keys(const typename shape<T, D>::key_sums &dk,
                           const typename shape<T, D>::key_sums &dv, const tiles<T, D> &t,
                           const call<T> &c, const rows_of<T> &r, int first_key)
{
    int first = first_key + t.sum_key, columns = c.head_size - t.sum_column;
    int64_t at = first * r.qkv_stride + t.sum_column;

    mu_sums_store(r.dk + at, r.qkv_stride, c.context - first, columns, c.paired, dk, c.root);
    mu_sums_store(r.dv + at, r.qkv_stride, c.context - first, columns, c.paired, dv, 1);
}

/* Blocks: the tiles of keys of a head, last first, then the next head's. */
template <class T, int D>
__global__ void __launch_bounds__(shape<T, D>::THREADS) backward(call<T> c)
{
    using s = shape<T, D>;
    using by_k = mu_operand<T, s::STRIDE, true>;
    using p_by_k = mu_operand<T, s::P_STRIDE, true>;
    MU_SHARED(int, number, 1);
    MU_SHARED_DYNAMIC(T, shared);
    tiles<T, D> t(shared);
    int query_tiles = (c.context + s::QUERIES - 1) / s::QUERIES;
    int key_tiles = (c.context + s::KEYS - 1) / s::KEYS;

    if (threadIdx.x == 0)
        number[0] = mu_turn_take(c.begun);
    __syncthreads();
    int head = number[0] / key_tiles, key_tile = key_tiles - 1 - number[0] % key_tiles;
    int first_key = key_tile * s::KEYS, first_tile = first_key / s::QUERIES;
    rows_of<T> r = rows_of_head(c, head);
    int *turn = c.turn + int64_t(head) * query_tiles;
    float *dq_sums = c.dq + int64_t(head) * query_tiles * (s::QUERIES * D);
    typename s::key_sums dk, dv;

    load<s::KEYS, s>(t.k, r.k, r.qkv_stride, first_key, c);
    load<s::KEYS, s>(t.v, r.v, r.qkv_stride, first_key, c);
    load<s::QUERIES, s>(t.q, r.q, r.qkv_stride, first_key, c);
    load<s::QUERIES, s>(t.dout, r.dout, r.out_stride, first_key, c);
    mu_sums_clear(dk);
    mu_sums_clear(dv);
    for (int tile = first_tile, place = 0; tile < query_tiles; tile++) {
        int first = tile * s::QUERIES, seen;
        bool another = tile + 1 < query_tiles;
        float *sums = dq_sums + int64_t(tile) * (s::QUERIES * D);
        typename s::query_sums dq;

        mu_copy_wait();
        __syncthreads(); /* queries and dout are here; all of the step before is done */
        seen = mu_turn_look(turn + tile);
        if (another)
            load<s::QUERIES, s>(t.next_q, r.q, r.qkv_stride, first + s::QUERIES, c);
        recompute(t, c, r, first, first_key);
        __syncthreads(); /* p and ds are there */
        mu_product<s::QUERIES>(dv, p_by_k{t.p + t.sum_key}, by_k{t.dout + t.sum_column});
        if (threadIdx.x == 0 && tile > first_tile)
            mu_turn_set(turn + tile - 1, place + 1);
        /* key tiles that come before this one in the sum of dQ */
        place = min(first + s::QUERIES - 1, c.context - 1) / s::KEYS - key_tile;
        if (threadIdx.x == 0 && seen != place)
            mu_turn_wait(turn + tile, place);
        __syncthreads(); /* dout has been used; it is this block's turn at dQ */
        if (another)
            load<s::QUERIES, s>(t.dout, r.dout, r.out_stride, first + s::QUERIES, c);
        read_sums(dq, sums, place == 0); /* arrive while dK is summed up */
        mu_product<s::QUERIES>(dk, p_by_k{t.ds + t.sum_key}, by_k{t.q + t.sum_column});
        mu_product<s::KEYS>(dq, mu_operand<T, s::P_STRIDE, false>{t.ds + t.row * s::P_STRIDE},
                            by_k{t.k + t.column});
        if (key_tile > 0)
            write_sums(dq, sums);
        else
            mu_sums_store(r.dq + (first + t.row) * r.qkv_stride + t.column, r.qkv_stride,
                          c.context - first - t.row, c.head_size - t.column, c.paired, dq, c.root);
        T *used = t.q;
        t.q = t.next_q;
        t.next_q = used;
    }
    __syncthreads();
    if (threadIdx.x == 0)
        mu_turn_set(turn + query_tiles - 1, key_tiles - key_tile);
    write_keys<T, D>(dk, dv, t, c, r, first_key);
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
    if (s.head_size <= 256)
        return launch<T, 256>(stream, s, c, o, scratch);
    return cudaErrorInvalidConfiguration;
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
