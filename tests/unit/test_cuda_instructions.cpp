/* The emulation's twins of instructions that have no name in CUDA's C++: layouts of matrices as PTX
 * tells them, against plain loops; copies in the background; turns between blocks; wide shared
 * memory. */
#include <cmath>
#include <vector>

#include "kernels/bf16.h"
#include "tests/support/cuda_launch.h"

#include "kernels/cuda/tiles.cuh"

namespace
{
/* Integers of 7 bits, which bf16 has room for, scattered: no element can be taken for another. */
float element(int row, int column)
{
    return float(unsigned(row * 16 + column) * 2654435761u >> 25) - 64;
}

uint32_t two(float first, float second)
{
    return mu_bf16_from_f32(first) | uint32_t(mu_bf16_from_f32(second)) << 16;
}

/* PTX ISA, "Matrix Fragments for mma.m16n8k16": groupID = lane >> 2, threadID_in_group = lane % 4;
 * written out here register by register. */
__global__ void multiply(float *d)
{
    int group = int(threadIdx.x) >> 2, in_group = int(threadIdx.x) % 4, pair = 2 * in_group;
    uint32_t a[4] = {two(element(group, pair), element(group, pair + 1)),
                     two(element(group + 8, pair), element(group + 8, pair + 1)),
                     two(element(group, pair + 8), element(group, pair + 9)),
                     two(element(group + 8, pair + 8), element(group + 8, pair + 9))};
    uint32_t b0 = two(element(pair + 1, group), element(pair + 2, group));
    uint32_t b1 = two(element(pair + 9, group), element(pair + 10, group));
    float sums[4] = {1, 2, 3, 4};

    mu_multiply_add(sums, a, b0, b1);
    d[group * 8 + pair] = sums[0];
    d[group * 8 + pair + 1] = sums[1];
    d[(group + 8) * 8 + pair] = sums[2];
    d[(group + 8) * 8 + pair + 1] = sums[3];
}

void multiplies_like_loops(void **)
{
    in_every_order([] {
        float d[16 * 8] = {};

        assert_int_equal(MU_LAUNCH(multiply, 1, 32, 0, nullptr, d), cudaSuccess);
        for (int m = 0; m < 16; m++)
            for (int n = 0; n < 8; n++) {
                float sum = float(1 + n % 2 + m / 8 * 2); /* integers: exact */

                for (int k = 0; k < 16; k++)
                    sum += element(m, k) * element(k + 1, n);
                assert_true(d[m * 8 + n] == sum);
            }
    });
}

/* Four matrices of 8 x 8, one below the other, rows 24 elements apart: elements are their own
 * numbers. */
__global__ void load(uint32_t *plain, uint32_t *transposed)
{
    MU_SHARED_DYNAMIC(uint16_t, tile);
    uint32_t r[4];

    for (int column = 0; column < 8; column++)
        tile[threadIdx.x * 24 + unsigned(column)] = uint16_t(threadIdx.x * 8 + unsigned(column));
    __syncwarp();
    mu_load_matrices(r, tile + threadIdx.x * 24);
    for (unsigned i = 0; i < 4; i++)
        plain[threadIdx.x * 4 + i] = r[i];
    mu_load_matrices_transposed(r, tile + threadIdx.x * 24);
    for (unsigned i = 0; i < 4; i++)
        transposed[threadIdx.x * 4 + i] = r[i];
}

void loads_matrices_by_rows_and_by_columns(void **)
{
    in_every_order([] {
        uint32_t plain[128], transposed[128];

        assert_int_equal(MU_LAUNCH(load, 1, 32, 32 * 48, nullptr, plain, transposed), cudaSuccess);
        for (uint32_t lane = 0; lane < 32; lane++)
            for (uint32_t i = 0; i < 4; i++) {
                uint32_t row = lane / 4, column = lane % 4 * 2, first = i * 64;

                assert_int_equal(plain[lane * 4 + i],
                                 (first + row * 8 + column) | (first + row * 8 + column + 1) << 16);
                assert_int_equal(transposed[lane * 4 + i],
                                 (first + column * 8 + row) | (first + column * 8 + 8 + row) << 16);
            }
    });
}

__global__ void store_four(float *to)
{
    const float four[4] = {1, 2, 3, 4};

    mu_store_four(to + 4 * threadIdx.x, four);
}

void stores_four(void **)
{
    alignas(16) float to[12] = {};

    assert_int_equal(MU_LAUNCH(store_four, 1, 2, 0, nullptr, to + 4), cudaSuccess);
    for (int i = 0; i < 12; i++)
        assert_true(to[i] == float(i < 4 ? 0 : i % 4 + 1));
    faulty(MU_LAUNCH(store_four, 1, 2, 0, nullptr, to + 1), {"st.v4", "aligned to 16"});
}

template <bool STORE> __global__ void pack_unaligned(uint16_t *at)
{
    if (STORE)
        mu_store(at, mu_pack<uint16_t, 4>{});
    else
        at[0] = mu_load<4>(at).at[0];
}

void packs_are_aligned(void **)
{
    alignas(16) uint16_t at[16] = {};

    for (int i = 0; i <= 8; i++) {
        const char *const words[] = {"a load or store", "not aligned to its size"};
        cudaError_t load = MU_LAUNCH(pack_unaligned<false>, 1, 1, 0, nullptr, at + i);

        if (i % 4 == 0)
            assert_int_equal(load, cudaSuccess);
        else
            faulty(load, {words[0], words[1]});
        if (i % 4 != 0)
            faulty(MU_LAUNCH(pack_unaligned<true>, 1, 1, 0, nullptr, at + i), {words[0], words[1]});
    }
}

__global__ void load_unaligned(int by)
{
    MU_SHARED_DYNAMIC(uint16_t, tile);
    uint32_t r[4];

    mu_load_matrices(r, tile + threadIdx.x * 8 + by);
}

__global__ void multiply_half_a_warp(float *d)
{
    uint32_t a[4] = {};
    float sums[4] = {};

    if (threadIdx.x < 16)
        mu_multiply_add(sums, a, 0, 0);
    d[threadIdx.x] = sums[0];
}

void misuse_is_found(void **)
{
    float d[32];

    faulty(MU_LAUNCH(load_unaligned, 1, 32, 1024, nullptr, 4), {"ldmatrix", "aligned to 16"});
    faulty(MU_LAUNCH(multiply_half_a_warp, 1, 32, 0, nullptr, d), {"mma", "returned"});
}

/* ---- products of tiles: both element types, all ways that operands may lie ---- */
constexpr int M = 32, N = 16, K = 48;

template <class T> void fill(std::vector<T> &tile, int rows, int columns, int stride, bool by_k)
{
    tile.assign(size_t((by_k ? columns : rows) * stride), T{});
    for (int row = 0; row < rows; row++)
        for (int k = 0; k < columns; k++)
            mu_from_f32(tile[size_t(by_k ? k * stride + row : row * stride + k)], element(row, k));
}

template <class T, bool A_BY_K, bool B_BY_K>
__global__ void tile_product(float *d, const T *a, const T *b, int a_count, int b_count)
{
    constexpr int A_STRIDE = mu_tile_stride<T>(A_BY_K ? M : K);
    constexpr int B_STRIDE = mu_tile_stride<T>(B_BY_K ? N : K);
    MU_SHARED_DYNAMIC(T, tile_a);
    T *tile_b = tile_a + a_count;
    mu_sums<M / 16, N / 8> sums;

    for (int i = int(threadIdx.x); i < a_count; i += 32)
        tile_a[i] = a[i];
    for (int i = int(threadIdx.x); i < b_count; i += 32)
        tile_b[i] = b[i];
    __syncwarp();
    mu_sums_clear(sums);
    mu_product<K>(sums, mu_operand<T, A_STRIDE, A_BY_K>{tile_a},
                  mu_operand<T, B_STRIDE, B_BY_K>{tile_b});
    mu_sums_store(d, N, M, N, true, sums, 1);
}

template <class T, bool A_BY_K, bool B_BY_K> void check_product()
{
    std::vector<T> a, b;
    std::vector<float> d(M * N);

    fill(a, M, K, mu_tile_stride<T>(A_BY_K ? M : K), A_BY_K);
    fill(b, N, K, mu_tile_stride<T>(B_BY_K ? N : K), B_BY_K);
    assert_int_equal(MU_LAUNCH((tile_product<T, A_BY_K, B_BY_K>), 1, 32,
                               (a.size() + b.size()) * sizeof(T), nullptr, d.data(), a.data(),
                               b.data(), int(a.size()), int(b.size())),
                     cudaSuccess);
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            float sum = 0; /* of integers: exact */

            for (int k = 0; k < K; k++)
                sum += element(m, k) * element(n, k);
            assert_true(d[size_t(m * N + n)] == sum);
        }
}

template <class T> void check_products()
{
    check_product<T, false, false>();
    check_product<T, false, true>();
    check_product<T, true, false>();
    check_product<T, true, true>();
}

void tiles_multiply_however_they_lie(void **)
{
    check_products<__nv_bfloat16>();
    check_products<float>();
}

/* ---- copies in the background ---- */
template <bool WAIT> __global__ void copy(const int *from, int *to)
{
    MU_SHARED_DYNAMIC(int, kept);

    mu_copy_start(kept + 4 * threadIdx.x, from, threadIdx.x % 2);
    if (WAIT)
        mu_copy_wait();
    for (unsigned i = 0; i < 4; i++)
        to[4 * threadIdx.x + i] = kept[4 * threadIdx.x + i];
}

void copies_arrive_when_waited_for(void **)
{
    alignas(16) int from[4] = {1, 2, 3, 4}, orders_with_early = 0;
    alignas(16) int to[8];

    in_every_order([&] {
        assert_int_equal(MU_LAUNCH(copy<true>, 1, 2, 32, nullptr, from, to), cudaSuccess);
        for (int i = 0; i < 8; i++)
            assert_int_equal(to[i], i < 4 ? 0 : from[i - 4]);
        assert_int_equal(MU_LAUNCH(copy<false>, 1, 2, 32, nullptr, from, to), cudaSuccess);
        orders_with_early += to[7] == -1; /* what shared memory is filled with */
    });
    assert_int_equal(orders_with_early, 3);
    faulty(MU_LAUNCH(copy<true>, 1, 2, 32, nullptr, from + 1, to), {"cp.async", "aligned to 16"});
}

/* ---- turns: whatever the order of blocks, the same sum in the same order ---- */
__global__ void in_turn(int *counter, int *turn, float *sum)
{
    MU_SHARED(int, number, 1);

    if (threadIdx.x == 0) {
        number[0] = mu_turn_take(counter);
        mu_turn_wait(turn, number[0]);
    }
    __syncthreads();
    if (threadIdx.x == 1)
        *sum = *sum / 2 + float(number[0]);
    __syncthreads();
    if (threadIdx.x == 0)
        mu_turn_set(turn, number[0] + 1);
}

__global__ void wait_for_ever(int *turn)
{
    mu_turn_wait(turn, 1);
}

void turns_have_one_order(void **)
{
    int never = 0;

    in_every_order([] {
        int counter = 0, turn = 0;
        float sum = 0;

        assert_int_equal(MU_LAUNCH(in_turn, 4, 2, 0, nullptr, &counter, &turn, &sum), cudaSuccess);
        assert_true(sum == 3 + 2 / 2.0f + 1 / 4.0f);
    });
    faulty(MU_LAUNCH(wait_for_ever, 1, 1, 0, nullptr, &never), {"has not run"});
}

/* ---- wide launches ---- */
__global__ void use_all(char *last, unsigned bytes)
{
    MU_SHARED_DYNAMIC(char, all);

    all[bytes - 1] = 7;
    *last = all[bytes - 1];
}

void wide_launches_may_take_227_kib(void **)
{
    const unsigned wide = 227 * 1024;
    char last = 0;

    assert_int_equal(MU_LAUNCH_WIDE(use_all, 1, 1, wide, nullptr, &last, wide), cudaSuccess);
    assert_int_equal(last, 7);
    assert_int_equal(MU_LAUNCH_WIDE(use_all, 1, 1, wide + 1, nullptr, &last, wide + 1),
                     cudaErrorInvalidConfiguration);
    assert_int_equal(MU_LAUNCH(use_all, 1, 1, 48 * 1024 + 1, nullptr, &last, 48 * 1024 + 1),
                     cudaErrorInvalidConfiguration);
    mu_emulate_clear();
}
} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multiplies_like_loops),
        cmocka_unit_test(stores_four),
        cmocka_unit_test(packs_are_aligned),
        cmocka_unit_test(loads_matrices_by_rows_and_by_columns),
        cmocka_unit_test(misuse_is_found),
        cmocka_unit_test(tiles_multiply_however_they_lie),
        cmocka_unit_test(copies_arrive_when_waited_for),
        cmocka_unit_test(turns_have_one_order),
        cmocka_unit_test(wide_launches_may_take_227_kib),
    };

    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
