/* What kernels/cuda/ does element by element, emulated, against the reference: GELU's gradient,
 * SwiGLU, rotary positions, conversions, additions, AdamW. */
#include "tests/support/cuda_compare.h"

/* run_update and run_sums take V x C numbers: below a pack, not a multiple of it, several blocks */
static const struct kernel_shape shapes[] = {
    {1, 1, 1, 1, 1, 1},   {1, 1, 1, 3, 1, 3},     {1, 1, 1, 4, 2, 4},
    {1, 1, 1, 37, 5, 63}, {1, 1, 1, 300, 7, 256}, {1, 1, 1, 1021, 9, 1023},
};

static void update(void **state)
{
    (void)state;
    compare_all(run_update, shapes, sizeof shapes / sizeof *shapes);
}

static void sums(void **state)
{
    (void)state;
    compare_all(run_sums, shapes, sizeof shapes / sizeof *shapes);
}

static void run_gelu(struct kernel_run *r)
{
    int64_t n = r->shape.v * r->shape.out;
    void *before = random_act(r, n, 6), *d = random_act(r, n, 1);
    void *out = output(r, "gelu_backward", n, true, false);

    memcpy(out, d, r->outputs[r->count - 1].bytes);
    r->device->ops->gelu_backward(r->device, out, before, n);
    r->device->ops->to_act(r->device, output(r, "to_act", n, true, false), random_f32(r, n, 1), n);
}

static void gelu_and_conversion(void **state)
{
    (void)state;
    compare_all(run_gelu, shapes, sizeof shapes / sizeof *shapes);
}

/* Gates of whole packs of either type, of one type's alone, of none; more than a block has threads;
 * several rows. */
static void gated(void **state)
{
    static const struct kernel_shape rows[] = {
        {1, 1, 1, 1, 1, 1},    {2, 3, 1, 1, 1, 7},    {1, 5, 1, 1, 1, 8},   {3, 2, 1, 1, 1, 12},
        {1, 2, 1, 1, 1, 2056}, {1, 3, 1, 1, 1, 2052}, {1, 2, 1, 1, 1, 259}, {1, 1, 1, 1, 1, 4096},
    };

    (void)state;
    compare_all(run_swiglu, rows, sizeof rows / sizeof *rows);
}

/* Far from 0 a gate is open or closed, and none overflows. What is at the ends of either half. */
static void gates_at_the_ends(void **state)
{
    enum { F = 8 };
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    const float gates[F] = {200, -200, 1e30f, -1e30f, 0, -88, -104, 20};
    const float slopes[F] = {1, 0, 1, 0, 0.5f, 0, 0, 1};
    float both[2 * F], dout[F], out[F], d[2 * F];

    (void)state;
    for (int i = 0; i < F; i++) {
        both[i] = gates[i];
        both[F + i] = dout[i] = 2;
    }
    memset(out, 0xff, sizeof out);
    memset(d, 0xff, sizeof d);
    cuda.ops->swiglu(&cuda, out, both, 1, F);
    cuda.ops->swiglu_backward(&cuda, d, dout, both, 1, F);
    for (int i = 0; i < F; i++) {
        double right = gates[i] > 0 ? 2 * (double)gates[i] : 0;

        assert_true(fabs((double)out[i] - right) <= 1e-7 * right + 1e-30);
        assert_true(fabs((double)d[F + i] - right) <= 1e-7 * right + 1e-30);
        assert_true(fabs((double)d[i] - 4 * (double)slopes[i]) < 1e-6);
    }
}

/* Halves of whole packs of either type, of one type's alone, of none, of one element; fewer pairs
 * than a warp has lanes, and more than a block has threads; several sequences. */
static void rotated(void **state)
{
    static const struct kernel_shape heads[] = {
        {1, 1, 1, 2, 1, 1},  {2, 3, 1, 6, 1, 1},  {1, 3, 2, 8, 1, 1},   {3, 2, 3, 16, 1, 1},
        {1, 2, 5, 20, 1, 1}, {2, 2, 4, 64, 1, 1}, {1, 3, 40, 24, 1, 1}, {1, 2, 36, 128, 1, 1},
    };

    (void)state;
    compare_all(run_rotate, heads, sizeof heads / sizeof *heads);
}

/* No row, no column, no head: nothing is touched. */
static void nothing_at_all(void **state)
{
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    float one[4] = {1, 2, 3, 4};
    const float before[4] = {1, 2, 3, 4};

    (void)state;
    launched(mu_cuda_swiglu(NULL, false, one, one + 2, 0, 2));
    launched(mu_cuda_swiglu(NULL, true, one, one + 2, 3, 0));
    launched(mu_cuda_swiglu_backward(NULL, false, one, one, one, 0, 2));
    launched(mu_cuda_swiglu_backward(NULL, true, one, one, one, 3, 0));
    cuda.ops->rotate(&cuda, (struct mu_attention){0, 2, 1, 2}, one, one, false);
    cuda.ops->rotate(&cuda, (struct mu_attention){1, 2, 0, 2}, one, one, true);
    assert_memory_equal(one, before, sizeof one);
}

/* More work than the largest grid has threads (2048 x 256 packs of 4): threads stride. The answer
 * is by hand: a[i] = i + (2^31 - i), wrapping. */
static void more_than_a_grid(void **state)
{
    enum { N = 2048 * 256 * 4 + 4097 };
    int32_t *a = malloc(N * sizeof *a), *b = malloc(N * sizeof *b);
    uint32_t sum = 5, right = 5;

    (void)state;
    assert_true(a && b);
    for (int i = 0; i < N; i++) {
        a[i] = i;
        b[i] = (int32_t)(0x80000000u - (uint32_t)i);
        right += (uint32_t)b[i];
    }
    launched(mu_cuda_add_int32(NULL, a, b, &sum, N));
    assert_int_equal(sum, right);
    for (int i = 0; i < N; i++)
        assert_int_equal(a[i], INT32_MIN);
    free(a);
    free(b);
}

/* Pieces of messages and rows begin anywhere between two packs; what lies around them stays. */
static void between_two_packs(void **state)
{
    enum { N = 41, ROOM = N + 8, EDGE = 7 };

    (void)state;
    for (int at = 0; at < 16; at++) {
        _Alignas(64) int32_t a[ROOM], b[ROOM];
        _Alignas(64) float x[ROOM], y[ROOM];
        const int to = at / 4, from = at % 4;
        uint32_t sum = 0;

        for (int i = 0; i < ROOM; i++) {
            a[i] = b[i] = EDGE + i;
            x[i] = y[i] = (float)(EDGE + i);
        }
        launched(mu_cuda_add_int32(NULL, a + to, b + from, &sum, N));
        launched(mu_cuda_add(NULL, x + to, y + from, N, false));
        for (int i = 0; i < ROOM; i++) {
            bool inside = i >= to && i < to + N;
            int right = EDGE + i + (inside ? EDGE + i - to + from : 0);

            assert_int_equal(a[i], right);
            assert_true(x[i] == (float)right);
        }
        assert_int_equal(sum, N * (EDGE + from) + N * (N - 1) / 2);
    }
}

/* The check sum is the reference's, and counts on from what was there. */
static void update_check_sum(void **state)
{
    enum { N = 1003 };
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    float w[N], m[N], v[N], g[N], out[3][N];
    uint32_t check = 12345, right = 12345;
    uint64_t random = seed;
    struct mu_adamw a = {.count = N,
                         .weight = w,
                         .m = m,
                         .v = v,
                         .gradient = g,
                         .weight_out = out[0],
                         .m_out = out[1],
                         .v_out = out[2],
                         .gradient_scale = 1,
                         .lr = 0.1f,
                         .beta1 = 0.9f,
                         .beta2 = 0.99f,
                         .eps = 1e-8f,
                         .bias1 = 0.1f,
                         .bias2 = 0.01f,
                         .check = &check};

    (void)state;
    for (int i = 0; i < N; i++) {
        w[i] = next_random(&random);
        m[i] = next_random(&random);
        v[i] = fabsf(next_random(&random));
        g[i] = next_random(&random);
    }
    cuda.ops->adamw(&cuda, &a);
    for (int i = 0; i < 3 * N; i++) {
        uint32_t bits;

        memcpy(&bits, &out[0][0] + i, sizeof bits);
        right += bits;
    }
    assert_int_equal(check, right);
}

/* Far from 0 GELU is the identity or nothing, and its slope 1 or 0; at 0 it is 1/2. */
static void gelu_at_the_ends(void **state)
{
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    float before[] = {0, 20, -20, 1e4f, -1e4f}, d[] = {2, 2, 2, 2, 2};
    const float right[] = {1, 2, 0, 2, 0};

    (void)state;
    cuda.ops->gelu_backward(&cuda, d, before, 5);
    for (int i = 0; i < 5; i++)
        assert_true(fabsf(d[i] - right[i]) < 1e-6f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(update),
        cmocka_unit_test(sums),
        cmocka_unit_test(gelu_and_conversion),
        cmocka_unit_test(more_than_a_grid),
        cmocka_unit_test(between_two_packs),
        cmocka_unit_test(update_check_sum),
        cmocka_unit_test(gelu_at_the_ends),
        cmocka_unit_test(gated),
        cmocka_unit_test(gates_at_the_ends),
        cmocka_unit_test(rotated),
        cmocka_unit_test(nothing_at_all),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}
