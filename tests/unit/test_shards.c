/* How "auto" cuts a batch: the rule worked out by hand for batches that people use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/core/shards.h"

static void test_auto_shards(void **state)
{
    (void)state;
    assert_int_equal(mu_shards_auto(&mu_shards_cpu, 32, 128),
                     8); /* 4 x 128 = 512 tokens a shard, just enough */
    assert_int_equal(mu_shards_auto(&mu_shards_cpu, 32, 127), 4);    /* 508 would be too few */
    assert_int_equal(mu_shards_auto(&mu_shards_cpu, 64, 1024), 64);  /* a sequence a shard */
    assert_int_equal(mu_shards_auto(&mu_shards_cpu, 512, 1024), 64); /* never more */
    assert_int_equal(mu_shards_auto(&mu_shards_cpu, 48, 1024), 16);  /* 32 does not divide 48 */
    assert_int_equal(mu_shards_auto(&mu_shards_cpu, 7, 1024), 1);
    assert_int_equal(mu_shards_auto(&mu_shards_cpu, 1, 8), 1);
    assert_int_equal(mu_shards_auto(&mu_shards_cpu, 16, 8), 1); /* 128 tokens in all */
}

static void test_auto_micro(void **state)
{
    (void)state;
    assert_int_equal(mu_shards_auto_micro(&mu_shards_cpu, 4, 128), 4);
    assert_int_equal(mu_shards_auto_micro(&mu_shards_cpu, 16, 128),
                     16); /* 2048 tokens, just fits */
    assert_int_equal(mu_shards_auto_micro(&mu_shards_cpu, 32, 128), 16);
    assert_int_equal(mu_shards_auto_micro(&mu_shards_cpu, 15, 300),
                     5); /* 6 sequences fit, 5 divides 15 */
    assert_int_equal(mu_shards_auto_micro(&mu_shards_cpu, 7, 1024), 1);
    assert_int_equal(mu_shards_auto_micro(&mu_shards_cpu, 4, 65536), 1);
}

static void test_auto_on_a_gpu(void **state)
{
    (void)state;
    assert_int_equal(mu_shards_auto(&mu_shards_gpu, 512, 1024), 32); /* 16 x 1024 tokens a shard */
    assert_int_equal(mu_shards_auto(&mu_shards_gpu, 512, 1023), 16);
    assert_int_equal(mu_shards_auto(&mu_shards_gpu, 15, 1024), 1);
    assert_int_equal(mu_shards_auto_micro(&mu_shards_gpu, 16, 1024), 8); /* 8192 tokens */
    assert_int_equal(mu_shards_auto_micro(&mu_shards_gpu, 16, 1025), 4);
    assert_int_equal(mu_shards_auto_micro(&mu_shards_gpu, 4, 16384), 1);
}

static void test_ranges(void **state)
{
    const uint64_t from[] = {0, 2, 5, 8}; /* 8 shards over 3 workers: 2, 3, 3 */

    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(mu_shards_of_worker(8, i, 3).from, from[i]);
        assert_int_equal(mu_shards_of_worker(8, i, 3).to, from[i + 1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auto_shards),
        cmocka_unit_test(test_auto_micro),
        cmocka_unit_test(test_auto_on_a_gpu),
        cmocka_unit_test(test_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
