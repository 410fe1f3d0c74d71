/* core/time_limit: a run that asks before each step is through with its checkpoint in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/core/time_limit.h"

static const uint64_t s_ns = 1000000000, ms_ns = 1000000;

static void no_limit_never_stops(void **state)
{
    struct mu_time_limit t = mu_time_limit_init(5 * s_ns, 0, UINT64_C(1) << 40);

    (void)state;
    for (uint64_t now = 5 * s_ns; now < 1000000 * s_ns; now += 1000 * s_ns)
        assert_false(mu_time_limit_ask(&t, now, false));
}

/* 100 s from second 1,000; steps of 4 s; a save of 6 s: needs 2 x 4 + 9 + 2 = 19 s. */
static void it_stops_when_two_steps_and_a_save_just_fit(void **state)
{
    struct mu_time_limit t = mu_time_limit_init(1000 * s_ns, 100, 0);
    uint64_t now = 1000 * s_ns;

    (void)state;
    mu_time_limit_saved(&t, 6 * s_ns);
    for (; now <= 1080 * s_ns; now += 4 * s_ns)
        assert_false(mu_time_limit_ask(&t, now, false)); /* 20 s are left at the last */
    assert_int_equal(mu_time_limit_need_ns(&t), 19 * s_ns);
    assert_true(mu_time_limit_ask(&t, now, false));
}

static void a_limit_that_has_passed_stops(void **state)
{
    struct mu_time_limit t = mu_time_limit_init(0, 1, 0);

    (void)state;
    assert_true(mu_time_limit_ask(&t, 50 * s_ns, false));
}

static void a_save_is_estimated_until_it_is_measured(void **state)
{
    struct mu_time_limit t = mu_time_limit_init(0, 100, 250000000); /* at 100 MB/s: 2.5 s */

    (void)state;
    assert_int_equal(t.save_ns, 2500 * ms_ns);
    mu_time_limit_saved(&t, 300 * ms_ns);
    assert_int_equal(t.save_ns, 300 * ms_ns);
    mu_time_limit_saved(&t, 900 * ms_ns);
    mu_time_limit_saved(&t, 200 * ms_ns);
    assert_int_equal(t.save_ns, 900 * ms_ns); /* the longest */
}

/* 20 s, and so 30 and 2 are needed. */
static void a_save_is_known_of_an_earlier_start(void **state)
{
    struct mu_time_limit t = mu_time_limit_init(0, 100, 0);

    (void)state;
    mu_time_limit_expect(&t, 20 * s_ns);
    assert_false(mu_time_limit_ask(&t, 67 * s_ns, false));
    assert_int_equal(mu_time_limit_need_ns(&t), 32 * s_ns);
    assert_true(mu_time_limit_ask(&t, 69 * s_ns, false));
    mu_time_limit_saved(&t, 10 * s_ns);
    assert_int_equal(t.save_ns, 20 * s_ns);
}

/* Steps of 1 s, a save of 30 s after every tenth: it is no part of a step, and counts twice only
 * where one comes in between. */
static void saves_are_counted_where_they_are_due(void **state)
{
    struct mu_time_limit t = mu_time_limit_init(0, 1000, 0);
    uint64_t now = 1;

    (void)state;
    for (int k = 1; k <= 20; k++) {
        assert_false(mu_time_limit_ask(&t, now, k % 10 == 0));
        now += s_ns;
        if (k % 10 == 0) {
            mu_time_limit_saved(&t, 30 * s_ns);
            now += 30 * s_ns;
        }
    }
    assert_false(mu_time_limit_ask(&t, now, false));
    assert_int_equal(t.longest_ns, s_ns);
    assert_int_equal(mu_time_limit_need_ns(&t), 2 * s_ns + 45 * s_ns + 2 * s_ns);
    now += s_ns;
    assert_false(mu_time_limit_ask(&t, now, true));
    assert_int_equal(mu_time_limit_need_ns(&t), 2 * s_ns + 75 * s_ns + 2 * s_ns);
}

static void one_long_step_fades(void **state)
{
    struct mu_time_limit t = mu_time_limit_init(0, 1000000, 0);
    uint64_t now = 1;

    (void)state;
    mu_time_limit_ask(&t, now, false);
    mu_time_limit_ask(&t, now += 600 * s_ns, false);
    for (int i = 0; i < 100; i++)
        mu_time_limit_ask(&t, now += s_ns, false);
    assert_in_range(t.longest_ns, 540 * s_ns, 545 * s_ns); /* (1 - 1/1024)^100 = .907 */
    for (int i = 0; i < 10000; i++)
        mu_time_limit_ask(&t, now += s_ns, false);
    assert_in_range(t.longest_ns, s_ns, s_ns + s_ns / 10);
}

/* Steps, evaluations and saves of random but bounded lengths, the longest of each seen before the
 * end comes near: the last save and two seconds for leaving end within the limit. */
static void random_runs_end_in_time(void **state)
{
    uint64_t n = 0;

    (void)state;
    for (int i = 0; i < 500; i++) {
        uint64_t step = 1 + mu_rng_draw(7, MU_RNG_SYNTHETIC, 1, n++).w[0] % 3000,
                 save = 1 + mu_rng_draw(7, MU_RNG_SYNTHETIC, 1, n++).w[0] % 20000,
                 limit_s = 120 + mu_rng_draw(7, MU_RNG_SYNTHETIC, 1, n++).w[0] % 3600;
        uint64_t now = 77, end = now + limit_s * s_ns;
        struct mu_time_limit t = mu_time_limit_init(now, limit_s, 0);
        bool stop = false, long_ones = true;

        for (int k = 1; !stop; k++) {
            uint64_t ms = mu_rng_draw(7, MU_RNG_SYNTHETIC, 1, n++).w[0] % step + 1;

            stop = mu_time_limit_ask(&t, now, k % 50 == 1);
            now += (long_ones ? step : ms) * ms_ns;
            if (k % 50 == 1 && !stop) {
                mu_time_limit_saved(&t, save * ms_ns);
                now += save * ms_ns;
            }
            long_ones = k % 40 == 0;
        }
        now += save * ms_ns + 2 * s_ns;
        assert_true(now <= end);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_limit_never_stops),
        cmocka_unit_test(it_stops_when_two_steps_and_a_save_just_fit),
        cmocka_unit_test(a_limit_that_has_passed_stops),
        cmocka_unit_test(a_save_is_estimated_until_it_is_measured),
        cmocka_unit_test(a_save_is_known_of_an_earlier_start),
        cmocka_unit_test(saves_are_counted_where_they_are_due),
        cmocka_unit_test(one_long_step_fades),
        cmocka_unit_test(random_runs_end_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
