/* The same bits at any number of threads and at every call, whatever the shape. And the pool under
 * them: every task once. */
#include "tests/support/kernel_run.h"

#include <stdatomic.h>

#include "kernels/cpu/pool.h"
#include "orchestrator/base/clock.h"
#include "tests/support/seed.h"

static int64_t between(uint64_t *state, int64_t low, int64_t high)
{
    double u = 0.5 + 0.5 * (double)next_random(state);

    return low + (int64_t)(u * (double)(high - low + 1)) % (high - low + 1);
}

static struct kernel_shape random_shape(uint64_t *state)
{
    struct kernel_shape s = {
        .b = between(state, 1, 4),
        .t = between(state, 1, 150),
        .h = between(state, 1, 6),
        .d = 4 * between(state, 1, 16),
        .v = between(state, 2, 700),
        .out = between(state, 1, 500),
    };

    return s;
}

static void same_bits(struct mu_device *one, struct mu_device *many, struct kernel_shape shape,
                      bool add)
{
    struct kernel_run *a = kernel_run(one, shape, add), *b = kernel_run(many, shape, add);

    for (int o = 0; o < a->count; o++)
        if (memcmp(a->outputs[o].data, b->outputs[o].data, a->outputs[o].bytes))
            fail_msg("seed %llu: %s differs at %d threads, shape b %d t %d h %d d %d v %d out %d",
                     (unsigned long long)seed, a->outputs[o].name, many->options.threads,
                     (int)shape.b, (int)shape.t, (int)shape.h, (int)shape.d, (int)shape.v,
                     (int)shape.out);
    kernel_run_free(a);
    kernel_run_free(b);
}

static void check_precision(enum mu_precision precision)
{
    enum mu_isa isa = mu_device_best_isa();
    struct mu_device *device[3];
    uint64_t state = seed;

    for (int i = 0; i < 3; i++)
        device[i] = open_device(MU_DEVICE_CPU, precision, isa, 1 << i);
    for (int i = 0; i < 6; i++) {
        struct kernel_shape shape = random_shape(&state);

        if (i == 0) /* large enough for whole tiles in every direction */
            shape = (struct kernel_shape){2, 300, 6, 64, 900, 800};
        same_bits(device[0], device[0], shape, i % 2);
        same_bits(device[0], device[1], shape, i % 2);
        same_bits(device[0], device[2], shape, i % 2);
    }
    for (int i = 0; i < 3; i++)
        mu_device_close(device[i]);
}

static void fp32_same_bits(void **state)
{
    (void)state;
    check_precision(MU_PRECISION_FP32);
}

static void bf16_same_bits(void **state)
{
    (void)state;
    if (mu_device_best_isa() < MU_ISA_AVX512) {
        print_message("skipped: this CPU has no bf16\n");
        skip();
    }
    check_precision(MU_PRECISION_BF16);
}

static void nothing(void)
{
}

struct tally {
    _Atomic int runs[1000];
    _Atomic int wrong_worker;
    int threads;
};

static void count_task(void *job, int64_t task, int worker)
{
    struct tally *t = job;

    atomic_fetch_add(&t->runs[task], 1);
    if (worker < 0 || worker >= t->threads)
        atomic_store(&t->wrong_worker, 1);
}

static void every_task_once(void **unused)
{
    uint64_t state = seed;

    (void)unused;
    for (int threads = 1; threads <= 6; threads++) {
        struct mu_pool_options options = {.threads = threads, .enter = nothing};
        struct mu_pool *pool;

        assert_int_equal(mu_pool_open(&options, &pool), MU_OK);
        for (int round = 0; round < 2000; round++) {
            static struct tally tally;
            int64_t count = between(&state, 0, round % 50 ? 12 : 1000);

            memset(&tally, 0, sizeof tally);
            tally.threads = threads;
            mu_pool_run(pool, count_task, &tally, count);
            for (int64_t i = 0; i < 1000; i++)
                if (tally.runs[i] != (i < count))
                    fail_msg("seed %llu: task %d of %d ran %d times", (unsigned long long)seed,
                             (int)i, (int)count, tally.runs[i]);
            assert_false(tally.wrong_worker);
            if (round % 500 == 0)
                mu_clock_sleep_us(300); /* workers fall asleep */
        }
        mu_pool_close(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_once),
        cmocka_unit_test(fp32_same_bits),
        cmocka_unit_test(bf16_same_bits),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}
