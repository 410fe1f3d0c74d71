/* The fast device against the plain one, operation by operation, on awkward shapes. */
#include "tests/support/kernel_run.h"

static const struct kernel_shape shapes[] = {
    {1, 1, 1, 8, 2, 1},       {3, 1, 1, 8, 5, 7},      {1, 130, 2, 8, 257, 33},
    {2, 65, 5, 20, 100, 300}, {3, 17, 3, 16, 17, 48},  {1, 200, 1, 64, 70, 512},
    {5, 7, 4, 32, 1000, 65},  {2, 128, 2, 48, 64, 96},
};

/* Where the act of one device may round the other way than the other's, a whole step of bf16 (2^-8)
 * times what is added up of them is lawful. */
static void compare(enum mu_precision precision, double tolerance, bool add)
{
    struct mu_device *cpu = open_device(MU_DEVICE_CPU, precision, mu_device_best_isa(), 2);
    struct mu_device *plain = open_device(MU_DEVICE_REFERENCE, precision, MU_ISA_GENERIC, 1);
    int failed = 0;

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct kernel_run *a = kernel_run(cpu, shapes[i], add);
        struct kernel_run *b = kernel_run(plain, shapes[i], add);

        assert_int_equal(a->count, b->count);
        for (int o = 0; o < a->count; o++) {
            double distance = kernel_distance(&a->outputs[o], &b->outputs[o]);
            bool exact = a->outputs[o].integer || !strncmp(a->outputs[o].name, "add", 3);
            bool same = !memcmp(a->outputs[o].data, b->outputs[o].data, a->outputs[o].bytes);

            if (exact ? !same : !(distance <= tolerance)) {
                print_message("shape %zu, %s: off by %g\n", i, a->outputs[o].name, distance);
                failed++;
            }
        }
        kernel_run_free(a);
        kernel_run_free(b);
    }
    mu_device_close(cpu);
    mu_device_close(plain);
    assert_int_equal(failed, 0);
}

static void fp32_agrees(void **state)
{
    (void)state;
    compare(MU_PRECISION_FP32, 5e-6, false);
    compare(MU_PRECISION_FP32, 5e-6, true);
}

static void bf16_agrees(void **state)
{
    (void)state;
    if (mu_device_best_isa() < MU_ISA_AVX512) {
        print_message("skipped: this CPU has no bf16\n");
        skip();
    }
    compare(MU_PRECISION_BF16, 0.012, false);
    compare(MU_PRECISION_BF16, 0.012, true);
}

/* A span may begin anywhere: pieces from odd places on give the bits of the whole, and nothing
 * before or behind them is touched. */
static void adamw_in_pieces(void **state)
{
    enum { N = 1000 };
    const int64_t cuts[] = {0, 1, 17, 64, 131, 700, N};

    (void)state;
    for (int precision = 0; precision < 2; precision++) {
        struct mu_device *d =
            open_device(MU_DEVICE_CPU, MU_PRECISION_FP32, mu_device_best_isa(), 1);
        struct kernel_run *r = calloc(1, sizeof *r);
        struct mu_adamw whole = {.count = N,
                                 .gradient_scale = 1,
                                 .lr = 0.1f,
                                 .beta1 = 0.9f,
                                 .beta2 = 0.5f,
                                 .eps = 1e-8f,
                                 .bias1 = 0.1f,
                                 .bias2 = 0.5f},
                        piece;
        float *out[2];
        uint32_t check[2] = {5, 5};

        assert_non_null(r);
        r->device = d;
        whole.weight = random_f32(r, N, 1);
        whole.m = random_f32(r, N, 1);
        whole.gradient = random_f32(r, N, 1);
        whole.v = whole.gradient; /* negative ones give NaN: bits all the same */
        for (int i = 0; i < 2; i++) {
            out[i] = output(r, "all", 4 * 1024, false, false);
            whole.weight_out = out[i];
            whole.m_out = out[i] + 1024;
            whole.v_out = out[i] + 2 * 1024;
            whole.weight_bf16 = precision ? (uint16_t *)(void *)(out[i] + 3 * 1024) : NULL;
            whole.check = &check[i];
            if (i == 0)
                d->ops->adamw(d, &whole);
        }
        for (size_t c = 0; c + 1 < sizeof cuts / sizeof *cuts; c++) {
            int64_t at = cuts[c];

            piece = whole;
            piece.count = cuts[c + 1] - at;
            piece.weight += at;
            piece.m += at;
            piece.v += at;
            piece.gradient += at;
            piece.weight_out += at;
            piece.m_out += at;
            piece.v_out += at;
            piece.weight_bf16 = precision ? piece.weight_bf16 + at : NULL;
            d->ops->adamw(d, &piece);
        }
        assert_memory_equal(out[0], out[1], 4 * 1024 * sizeof(float));
        assert_true(check[0] == check[1] && check[0] != 5);
        kernel_run_free(r);
        mu_device_close(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fp32_agrees),
        cmocka_unit_test(bf16_agrees),
        cmocka_unit_test(adamw_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
