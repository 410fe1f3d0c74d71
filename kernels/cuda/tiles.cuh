/* Tiles in shared memory, and products of them by warps: bf16 on tensor cores, float by fused
 * multiply-adds. Both leave their sums in the same lanes (instructions.cuh), so that what is done
 * with sums is written once. */
#ifndef MUSTER_KERNELS_CUDA_TILES_CUH
#define MUSTER_KERNELS_CUDA_TILES_CUH

#include "kernels/cuda/instructions.cuh"
#include "kernels/cuda/parts.cuh"

/* Elements from one row of a tile to the next. 16 bytes beyond a multiple of 128, so that the eight
 * rows that are read at once lie in different banks. */
template <class T> __host__ __device__ constexpr int mu_tile_stride(int columns)
{
    return columns + 16 / int(sizeof(T));
}

/* ROWS x COLUMNS of `from`, whose rows are `stride` apart, on their way into a tile: zeros beyond
 * its `rows` and `columns`. They are there after mu_copy_wait and a barrier. packed: every row is
 * aligned to 16 bytes, and so many are its columns. */
template <int THREADS, int ROWS, int COLUMNS, class T>
__device__ void mu_tile_load(T *tile, const T *from, int64_t stride, int rows, int columns,
                             bool packed)
{
    constexpr int PACK = 16 / int(sizeof(T)), PACKS = COLUMNS / PACK, STEP = THREADS / PACKS;
    static_assert(THREADS % PACKS == 0 && ROWS % STEP == 0, "a thread stays in its columns");
    int first = int(threadIdx.x) / PACKS, column = int(threadIdx.x) % PACKS * PACK;
    T *to = tile + first * mu_tile_stride<T>(COLUMNS) + column;
    const T *at = from + first * stride + column;

    for (int row = first; row < first + ROWS; row += STEP) {
        int inside = row < rows ? columns - column : 0;

        if (packed)
            mu_copy_start(to, inside > 0 ? at : from, inside > 0);
        else
            for (int k = 0; k < PACK; k++)
                mu_from_f32(to[k], k < inside ? mu_to_f32(at[k]) : 0.0f);
        to += STEP * mu_tile_stride<T>(COLUMNS);
        at += STEP * stride;
    }
}

/* ---- sums of a warp: 16 M rows, 8 N columns ---- */
template <int M, int N> struct mu_sums {
    float at[M][N][4];
};

__device__ inline int mu_lane()
{
    return int(threadIdx.x % MU_WARP);
}

/* Where this lane's at[m][n][2 h] is; the next is in the same row, one column on. */
__device__ inline int mu_sum_row(int m, int h)
{
    return 16 * m + mu_lane() / 4 + 8 * h;
}

__device__ inline int mu_sum_column(int n)
{
    return 8 * n + 2 * (mu_lane() % 4);
}

template <int M, int N> __device__ inline void mu_sums_clear(mu_sums<M, N> &s)
{
    MU_EACH (m, M)
        MU_EACH (n, N)
            MU_EACH (i, 4)
                s.at[m][n][i] = 0;
}

__device__ inline void mu_store_two(__nv_bfloat16 *to, float first, float second)
{
    *reinterpret_cast<uint32_t *>(to) = mu_two_bf16(first, second);
}

__device__ inline void mu_store_two(float *to, float first, float second)
{
    mu_store(to, mu_pack<float, 2>{{first, second}});
}

/* Into a tile. */
template <int STRIDE, int M, int N, class T>
__device__ void mu_sums_keep(T *tile, const mu_sums<M, N> &s)
{
    MU_EACH (m, M)
        MU_EACH (n, N)
            MU_EACH (h, 2)
                mu_store_two(tile + mu_sum_row(m, h) * STRIDE + mu_sum_column(n), s.at[m][n][2 * h],
                             s.at[m][n][2 * h + 1]);
}

/* `factor` times the sums, into global memory; only what lies inside of `rows` and `columns`.
 * paired: rows are aligned to two elements, and even is the number of columns. */
template <int M, int N, class T>
__device__ void mu_sums_store(T *to, int64_t stride, int rows, int columns, bool paired,
                              const mu_sums<M, N> &s, float factor)
{
    MU_EACH (m, M)
        MU_EACH (n, N)
            MU_EACH (h, 2) {
                int row = mu_sum_row(m, h), column = mu_sum_column(n);
                float first = factor * s.at[m][n][2 * h], second = factor * s.at[m][n][2 * h + 1];
                T *at = to + row * stride + column;

                if (row >= rows || column >= columns)
                    continue;
                if (paired) {
                    mu_store_two(at, first, second);
                    continue;
                }
                mu_from_f32(at[0], first);
                if (column + 1 < columns)
                    mu_from_f32(at[1], second);
            }
}

/* ---- products ---- */
/* An operand in shared memory: `at` is its first element for this warp. BY_K: a row of the tile is
 * a k; else a row (of A) or column (of B), along k. */
template <class T, int STRIDE, bool BY_K> struct mu_operand {
    const T *at;
};

/* Rows m .. m+15 of A, at k .. k+15. */
template <int STRIDE, bool BY_K>
__device__ inline void mu_load_a(uint32_t (&a)[4], mu_operand<__nv_bfloat16, STRIDE, BY_K> from,
                                 int m, int k)
{
    int low = mu_lane() % 8, second = 8 * (mu_lane() / 8 % 2), third = 8 * (mu_lane() / 16);

    if (BY_K)
        mu_load_matrices_transposed(a, from.at + (k + low + third) * STRIDE + m + second);
    else
        mu_load_matrices(a, from.at + (m + low + second) * STRIDE + k + third);
}

/* Columns n .. n+15 of B, at k .. k+15: b[0], b[1] of the first 8, b[2], b[3] of the others. */
template <int STRIDE, bool BY_K>
__device__ inline void mu_load_b(uint32_t (&b)[4], mu_operand<__nv_bfloat16, STRIDE, BY_K> from,
                                 int n, int k)
{
    int low = mu_lane() % 8, second = 8 * (mu_lane() / 8 % 2), third = 8 * (mu_lane() / 16);

    if (BY_K)
        mu_load_matrices_transposed(b, from.at + (k + low + second) * STRIDE + n + third);
    else
        mu_load_matrices(b, from.at + (n + low + third) * STRIDE + k + second);
}

/* s += A B over K. */
template <int K, int M, int N, int A_STRIDE, bool A_BY_K, int B_STRIDE, bool B_BY_K>
__device__ void mu_product(mu_sums<M, N> &s, mu_operand<__nv_bfloat16, A_STRIDE, A_BY_K> from_a,
                           mu_operand<__nv_bfloat16, B_STRIDE, B_BY_K> from_b)
{
    static_assert(K % 16 == 0 && N % 2 == 0, "matrices come in fours");
    MU_EACH (step, K / 16) {
        uint32_t a[M][4], b[4];

        MU_EACH (m, M)
            mu_load_a(a[m], from_a, 16 * m, 16 * step);
        MU_EACH (pair, N / 2) {
            mu_load_b(b, from_b, 16 * pair, 16 * step);
            MU_EACH (m, M) {
                mu_multiply_add(s.at[m][2 * pair], a[m], b[0], b[1]);
                mu_multiply_add(s.at[m][2 * pair + 1], a[m], b[2], b[3]);
            }
        }
    }
}

/* A from sums, rounded to bf16: its k are the columns of `p`. */
template <int M, int N, int P, int STRIDE>
__device__ void mu_product(mu_sums<M, N> &s, const mu_sums<M, P> &p,
                           mu_operand<__nv_bfloat16, STRIDE, true> from_b)
{
    static_assert(P % 2 == 0 && N % 2 == 0, "matrices come in fours");
    MU_EACH (step, P / 2) {
        uint32_t a[M][4], b[4];

        MU_EACH (m, M)
            MU_EACH (i, 4)
                a[m][i] = mu_two_bf16(p.at[m][2 * step + i / 2][i % 2 * 2],
                                      p.at[m][2 * step + i / 2][i % 2 * 2 + 1]);
        MU_EACH (pair, N / 2) {
            mu_load_b(b, from_b, 16 * pair, 16 * step);
            MU_EACH (m, M) {
                mu_multiply_add(s.at[m][2 * pair], a[m], b[0], b[1]);
                mu_multiply_add(s.at[m][2 * pair + 1], a[m], b[2], b[3]);
            }
        }
    }
}

/* ---- the same in float ---- */
template <int STRIDE, bool BY_K>
__device__ inline float mu_operand_at(mu_operand<float, STRIDE, BY_K> o, int line, int k)
{
    return BY_K ? o.at[k * STRIDE + line] : o.at[line * STRIDE + k];
}

/* s += a b for one k; a: this lane's rows, in the order of sums. */
template <int M, int N, int STRIDE, bool BY_K>
__device__ inline void mu_multiply_add_one(mu_sums<M, N> &s, const float (&a)[M][2],
                                           mu_operand<float, STRIDE, BY_K> from_b, int k)
{
    MU_EACH (n, N) {
        float b[2] = {mu_operand_at(from_b, mu_sum_column(n), k),
                      mu_operand_at(from_b, mu_sum_column(n) + 1, k)};

        MU_EACH (m, M)
            MU_EACH (i, 4)
                s.at[m][n][i] = fmaf(a[m][i / 2], b[i % 2], s.at[m][n][i]);
    }
}

template <int K, int M, int N, int A_STRIDE, bool A_BY_K, int B_STRIDE, bool B_BY_K>
__device__ void mu_product(mu_sums<M, N> &s, mu_operand<float, A_STRIDE, A_BY_K> from_a,
                           mu_operand<float, B_STRIDE, B_BY_K> from_b)
{
    for (int k = 0; k < K; k++) {
        float a[M][2];

        MU_EACH (m, M)
            MU_EACH (h, 2)
                a[m][h] = mu_operand_at(from_a, mu_sum_row(m, h), k);
        mu_multiply_add_one(s, a, from_b, k);
    }
}

/* A row of `p` is in four lanes, which hand it round. */
template <int M, int N, int P, int STRIDE>
__device__ void mu_product(mu_sums<M, N> &s, const mu_sums<M, P> &p,
                           mu_operand<float, STRIDE, true> from_b)
{
    MU_EACH (k, 8 * P) {
        int holder = mu_lane() / 4 * 4 + k % 8 / 2;
        float a[M][2];

        MU_EACH (m, M)
            MU_EACH (h, 2)
                a[m][h] = __shfl_sync(MU_ALL_LANES, p.at[m][k / 8][2 * h + k % 2], holder);
        mu_multiply_add_one(s, a, from_b, k);
    }
}

#endif
