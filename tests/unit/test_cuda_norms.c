/* Embedding, LayerNorm and RMSNorm of kernels/cuda/, emulated, against the reference. */
#include "tests/support/cuda_compare.h"

/* One token; widths below, at and above a warp's and a block's, with and without a multiple of the
 * pack; tokens of one row further apart than a block has threads; more rows than slabs of the
 * weight gradient, the last slab short. */
static void awkward_shapes(void **state)
{
    static const struct kernel_shape shapes[] = {
        {1, 1, 1, 1, 2, 1},    {2, 3, 1, 3, 5, 1},   {3, 5, 1, 4, 3, 1},
        {2, 70, 3, 11, 5, 1},  {2, 9, 4, 32, 11, 1}, {3, 4, 5, 52, 70, 1},
        {1, 3, 2, 515, 30, 1}, {2, 2, 4, 400, 3, 1}, {5, 103, 1, 8, 29, 1},
    };

    (void)state;
    compare_all(run_norms, shapes, sizeof shapes / sizeof *shapes);
    compare_all(run_rmsnorm, shapes, sizeof shapes / sizeof *shapes);
}

/* Rows that do not fit into shared memory: in LayerNorm's backward pass from 6,113 columns, in
 * others from 12,225. */
static void wide_rows(void **state)
{
    static const struct kernel_shape shapes[] = {{1, 2, 1, 6112, 2, 1},
                                                 {1, 2, 1, 6113, 2, 1},
                                                 {1, 2, 1, 12225, 2, 1},
                                                 {1, 2, 1, 12292, 2, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        compare_part(run_norms, MU_PRECISION_FP32, shapes[i], i % 2);
        compare_part(run_rmsnorm, MU_PRECISION_FP32, shapes[i], i % 2);
    }
}

/* Every token of the same row: the longest sum in order; 0 + x first, so the bits of the loop. */
static void one_row_takes_all(void **state)
{
    enum { B = 30, T = 10, N = B * T, C = 6 };
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    float rows[2 * C] = {0}, position[T * C], dout[N * C], right[2 * C] = {0};
    int32_t row_of[N];
    uint64_t random = seed;

    (void)state;
    for (int i = 0; i < N * C; i++)
        dout[i] = ldexpf(next_random(&random), i % 20);
    for (int i = 0; i < N; i++) {
        row_of[i] = 1;
        for (int j = 0; j < C; j++)
            right[C + j] += dout[i * C + j];
    }
    memset(position, 0xff, sizeof position);
    cuda.ops->embed_backward(&cuda, rows, position, dout, row_of, N, T, C, true);
    assert_memory_equal(rows, right, sizeof rows);
    for (int p = 0; p < T * C; p++) {
        float sum = 0;

        for (int b = 0; b < B; b++)
            sum += dout[b * T * C + p];
        assert_true(position[p] == sum);
    }
}

/* Rows whose tokens are found by several warps, in several goes: the bits of the loop. */
static void rows_are_summed_in_order(void **state)
{
    enum { N = 601, C = 512, R = 7 };
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    float *rows = calloc(R * C, 4), *right = calloc(R * C, 4),
          *dout = malloc(sizeof(float) * N * C);
    float *position = malloc(sizeof(float) * N * C);
    int32_t row_of[N];
    uint64_t random = seed;

    (void)state;
    assert_true(rows && right && dout && position);
    for (int i = 0; i < N; i++) {
        row_of[i] = i % 5 == 0 ? i % R : i % 2; /* two have hundreds, the others some */
        for (int j = 0; j < C; j++) {
            dout[i * C + j] = ldexpf(next_random(&random), i % 20);
            right[row_of[i] * C + j] += dout[i * C + j];
        }
    }
    cuda.ops->embed_backward(&cuda, rows, position, dout, row_of, N, N, C, true);
    assert_memory_equal(rows, right, sizeof(float) * R * C);
    free(rows);
    free(right);
    free(dout);
    free(position);
}

/* A row of equal numbers has no spread: xhat is 0, whatever rstd = 1 / sqrt(1e-5); out is the
 * bias. Powers of two, so that the mean is exact. */
static void constant_row(void **state)
{
    enum { C = 64 };
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    float x[C], weight[C], bias[C], out[C], mean, rstd;

    (void)state;
    for (int i = 0; i < C; i++) {
        x[i] = 0.25f;
        weight[i] = 3;
        bias[i] = (float)i;
    }
    cuda.ops->layernorm(&cuda, out, &mean, &rstd, NULL, x, NULL, weight, bias, 1, C);
    assert_memory_equal(out, bias, sizeof out);
    assert_true(mean == 0.25f);
    assert_true(fabs((double)rstd * sqrt(1e-5) - 1) < 1e-6);
}

/* A row of 1 and -1 has the root mean square 1, up to eps; what is 0 in x stays 0 and has no
 * gradient of the weight. */
static void rmsnorm_by_hand(void **state)
{
    enum { C = 8 };
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    float x[2 * C] = {0}, weight[C], out[2 * C], rstd[2], dx[2 * C] = {0}, dw[C], dout[2 * C];

    (void)state;
    for (int i = 0; i < C; i++) {
        x[i] = i % 2 ? -1 : 1;
        weight[i] = (float)i;
        dout[i] = dout[C + i] = 1;
    }
    memset(out, 0xff, sizeof out);
    memset(rstd, 0xff, sizeof rstd);
    memset(dw, 0xff, sizeof dw);
    cuda.ops->rmsnorm(&cuda, out, rstd, NULL, x, NULL, weight, 2, C);
    cuda.ops->rmsnorm_backward(&cuda, dx, dw, dout, x, weight, rstd, 2, C, true);
    assert_true(fabs((double)rstd[0] - 1 / sqrt(1 + 1e-5)) < 1e-7);
    assert_true(fabs((double)rstd[1] * sqrt(1e-5) - 1) < 1e-6);
    for (int i = 0; i < C; i++) { /* the mean of weight * xhat is -1/2 */
        double xhat = (double)(x[i] * rstd[0]);

        assert_true(fabs((double)out[i] - xhat * i) < 1e-6 && out[C + i] == 0);
        assert_true(fabs((double)dw[i] - xhat) < 1e-6);
        assert_true(fabs((double)dx[i] - (i + xhat / 2)) < 1e-4); /* eps takes 1e-5 of 7 */
        assert_true(fabs((double)dx[C + i] - i / sqrt(1e-5)) < 1e-6 * 7 / sqrt(1e-5));
    }
}

/* No tokens: nothing is read, and what overwrites becomes 0. */
static void nothing_at_all(void **state)
{
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    float position[8], dweight[4], dbias[4], weight[4] = {0}, none = 0;
    int32_t row = 0;

    (void)state;
    memset(position, 0xff, sizeof position);
    memset(dweight, 0xff, sizeof dweight);
    memset(dbias, 0xff, sizeof dbias);
    cuda.ops->embed(&cuda, &none, &none, position, &row, 0, 2, 4);
    cuda.ops->embed_backward(&cuda, &none, position, &none, &row, 0, 2, 4, true);
    cuda.ops->layernorm(&cuda, &none, &none, &none, NULL, &none, NULL, weight, weight, 0, 4);
    cuda.ops->layernorm_backward(&cuda, &none, dweight, dbias, &none, &none, weight, &none, &none,
                                 0, 4, true);
    for (int i = 0; i < 4; i++)
        assert_true(dweight[i] == 0);
    memset(dweight, 0xff, sizeof dweight);
    cuda.ops->embed(&cuda, &none, &none, NULL, &row, 0, 2, 4);
    cuda.ops->embed_backward(&cuda, &none, NULL, &none, &row, 0, 2, 4, true);
    cuda.ops->rmsnorm(&cuda, &none, &none, NULL, &none, NULL, weight, 0, 4);
    cuda.ops->rmsnorm_backward(&cuda, &none, dweight, &none, &none, weight, &none, 0, 4, true);
    for (int i = 0; i < 8; i++)
        assert_true(position[i] == 0 && dweight[i / 2] == 0 && dbias[i / 2] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(awkward_shapes),    cmocka_unit_test(wide_rows),
        cmocka_unit_test(one_row_takes_all), cmocka_unit_test(rows_are_summed_in_order),
        cmocka_unit_test(constant_row),      cmocka_unit_test(rmsnorm_by_hand),
        cmocka_unit_test(nothing_at_all),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}
