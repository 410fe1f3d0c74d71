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

            if (exact ? memcmp(a->outputs[o].data, b->outputs[o].data, a->outputs[o].bytes) != 0 &&
                            strncmp(a->outputs[o].name, "adamw", 5) != 0
                      : !(distance <= tolerance)) {
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fp32_agrees),
        cmocka_unit_test(bf16_agrees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
