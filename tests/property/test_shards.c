/* Dealing: whatever the number of items and workers, the ranges are a partition into parts that
 * differ by one at most; and "auto" keeps its promises on any batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/core/shards.h"
#include "tests/support/seed.h"

static uint64_t below(uint64_t n, uint64_t draw)
{
    const struct mu_rng_words x = mu_rng_draw(seed, MU_RNG_SYNTHETIC, 0, draw);

    return mu_rng_below(n, x.w[0], x.w[1]);
}

static void check_partition(uint64_t total, uint64_t workers)
{
    uint64_t next = 0;

    for (uint64_t i = 0; i < workers; i++) {
        const struct mu_range r = mu_shards_of_worker(total, i, workers);

        assert_true(r.from == next);
        assert_true(r.to - r.from == total / workers ||
                    r.to - r.from == (total + workers - 1) / workers);
        next = r.to;
    }
    assert_true(next == total);
}

static void test_every_deal_is_a_partition(void **state)
{
    (void)state;
    for (uint64_t total = 0; total <= 70; total++)
        for (uint64_t workers = 1; workers <= 70; workers++)
            check_partition(total, workers);
    for (uint64_t k = 0; k < 200; k++)
        check_partition(below(UINT64_MAX, 2 * k), 1 + below(1000, 2 * k + 1));
}

static void test_auto_divides_and_keeps_its_bounds(void **state)
{
    (void)state;
    for (uint64_t k = 0; k < 20000; k++) {
        const uint64_t sequences = 1 + below(1u << 12, 2 * k), context = 1 + below(5000, 2 * k + 1);
        const struct mu_shards_rule *rule = k % 2 ? &mu_shards_gpu : &mu_shards_cpu;
        const uint64_t least = k % 2 ? 16384 : 512, most = k % 2 ? 8192 : 2048;
        const uint64_t shards = mu_shards_auto(rule, sequences, context);
        const uint64_t of_shard = sequences / shards;
        const uint64_t micro = mu_shards_auto_micro(rule, of_shard, context);

        assert_true((shards & (shards - 1)) == 0 && shards <= 64 && sequences % shards == 0);
        assert_true(shards == 1 || of_shard * context >= least);
        /* the next larger one breaks a rule */
        assert_true(shards == 64 || sequences % (2 * shards) != 0 ||
                    of_shard / 2 * context < least);
        assert_true(of_shard % micro == 0 && (micro == 1 || micro * context <= most));
        for (uint64_t more = micro + 1; more <= of_shard && more * context <= most; more++)
            assert_true(of_shard % more != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_deal_is_a_partition),
        cmocka_unit_test(test_auto_divides_and_keeps_its_bounds),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}
