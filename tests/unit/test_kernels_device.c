/* Opening devices, what is refused and why, memory, and the poll hook. */
#include "tests/support/kernel_run.h"

#include "orchestrator/base/clock.h"

static void refuses_with_a_reason(void **state)
{
    struct mu_device_options options = {
        .kind = MU_DEVICE_CPU, .precision = MU_PRECISION_FP32, .isa = MU_ISA_GENERIC};
    struct mu_device *d = (void *)&options;

    (void)state;
    assert_int_equal(mu_device_open(&options, &d), MU_CONFIG); /* no threads */
    assert_null(d);
    options.threads = 1;
    options.isa = (enum mu_isa)(MU_ISA_AMX + 1); /* more than any CPU has */
    assert_int_equal(mu_device_open(&options, &d), MU_CONFIG);
    assert_null(d);
    mu_device_close(d);
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(mu_isa_name(MU_ISA_AVX512_BF16), "avx512_bf16");
    assert_string_equal(mu_isa_name(MU_ISA_GENERIC), "generic");
    assert_true(mu_device_best_isa() >= MU_ISA_GENERIC);
    assert_memory_equal(mu_device_library_version(), "oneDNN ", 7);
}

static void memory_is_aligned_and_zero(void **state)
{
    struct mu_device *d = open_device(MU_DEVICE_REFERENCE, MU_PRECISION_FP32, MU_ISA_GENERIC, 1);
    const size_t sizes[] = {0, 1, 63, 64, 100000, (size_t)9 << 20};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *p = mu_device_alloc(d, sizes[i]);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t k = 0; k < sizes[i]; k++)
            if (p[k])
                fail_msg("byte %zu of %zu is not zero", k, sizes[i]);
        mu_device_free(d, p);
    }
    assert_null(mu_device_alloc(d, SIZE_MAX - 100));
    mu_device_free(d, NULL);
    mu_device_close(d);
}

struct polls {
    uint64_t last_ns, longest_ns;
    int count;
};

static enum mu_status poll(void *context)
{
    struct polls *p = context;
    uint64_t now = mu_clock_ns();

    p->longest_ns = now - p->last_ns > p->longest_ns ? now - p->last_ns : p->longest_ns;
    p->last_ns = now;
    p->count++;
    return p->count == 2 ? MU_REVOKED : p->count > 2 ? MU_PEER_LOST : MU_OK;
}

/* A product of some 100 ms on any CPU that tests run on: polled many times, on every device; what
 * the hook says does not end it, and the first failure is kept. */
static void polls_while_it_computes(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct polls polls = {0};
        struct mu_device_options options = {.kind = i ? MU_DEVICE_CPU : MU_DEVICE_REFERENCE,
                                            .precision = MU_PRECISION_FP32,
                                            .isa = MU_ISA_GENERIC,
                                            .threads = i ? i : 1,
                                            .poll = poll,
                                            .poll_context = &polls};
        struct mu_linear s = {i ? 2048 : 100, 1024, 1024};
        struct mu_device *d;
        float *memory, *x;
        uint64_t start;

        assert_int_equal(mu_device_open(&options, &d), MU_OK);
        memory = mu_device_alloc(d, (size_t)(2 * s.rows * s.in + s.in * s.out) * sizeof *memory);
        assert_non_null(memory);
        x = memory + s.in * s.out;
        assert_int_equal(mu_device_status(d), MU_OK);
        start = polls.last_ns = mu_clock_ns();
        d->ops->linear(d, s, x + s.rows * s.in, false, NULL, x, memory, NULL, MU_EPILOGUE_NONE);
        assert_int_equal(mu_device_status(d), MU_REVOKED);
        /* A third of the most there could be at 5 ms, since the machine may be busy. */
        assert_true(polls.count >= (int)((mu_clock_ns() - start) / 15000000));
        assert_true(polls.count > 3);
        mu_device_free(d, memory);
        mu_device_close(d);
    }
}

static void measures_a_peak(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_device *d = open_device(i ? MU_DEVICE_CPU : MU_DEVICE_REFERENCE,
                                          MU_PRECISION_FP32, MU_ISA_GENERIC, 1);
        double rate = mu_device_measure_peak(d, 0.02);

        assert_true(rate > 1e7 && rate < 1e14);
        mu_device_close(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_with_a_reason),
        cmocka_unit_test(names),
        cmocka_unit_test(memory_is_aligned_and_zero),
        cmocka_unit_test(polls_while_it_computes),
        cmocka_unit_test(measures_a_peak),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
