/* The order of samples: numbers that may never change (a resumed run must see what an undisturbed
 * one sees), and the arithmetic of windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/data/sampler.h"

/* From a second implementation in Python with unbounded integers. */
static void test_known_positions(void **state)
{
    static const struct {
        uint64_t seed, epoch, n, index, position;
    } known[] = {
        {1u, 0u, 10u, 0u, 8u},
        {1u, 0u, 10u, 9u, 1u},
        {1u, 1u, 10u, 0u, 0u},
        {7u, 3u, 1000003u, 123456u, 940113u},
        {9223372036854775813u, 1099511627776u, 5000000000u, 4999999999u, 3286470973u},
        {1u, 0u, 18446744073709551615u, 18446744073709551614u, 5017891003708662387u},
        {42u, 0u, 1u, 0u, 0u},
        {42u, 5u, 2u, 1u, 0u},
        {42u, 5u, 3u, 2u, 2u},
    };
    (void)state;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(
            mu_sampler_permute(known[i].seed, known[i].epoch, known[i].n, known[i].index),
            known[i].position);
}

static void test_windows(void **state)
{
    (void)state;
    /* a window needs its context and the token after it: 9 tokens hold [0,4] and [4,8], 8 only
     * one */
    assert_int_equal(mu_sampler_windows(9, 4), 2);
    assert_int_equal(mu_sampler_windows(8, 4), 1);
    assert_int_equal(mu_sampler_windows(5, 4), 1);
    assert_int_equal(mu_sampler_windows(4, 4), 0);
    assert_int_equal(mu_sampler_windows(1, 4), 0);
    assert_int_equal(mu_sampler_windows(0, 4), 0);
    assert_int_equal(mu_sampler_windows(6000000000001u, 1), 6000000000000u);
}

static void test_starts(void **state)
{
    const uint64_t tokens = 1000;
    struct mu_sampler s = {.seed = 3, .windows = mu_sampler_windows(tokens, 7), .context = 7};
    (void)state;

    assert_int_equal(s.windows, 142);
    for (uint64_t sample = 0; sample < 5 * s.windows; sample++) {
        uint64_t start = mu_sampler_start(&s, sample);

        assert_int_equal(start % 7, 0);
        assert_true(start + 7 < tokens); /* the last target is inside */
        assert_int_equal(start, 7 * mu_sampler_permute(3, sample / 142, 142, sample % 142));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_positions),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_starts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
