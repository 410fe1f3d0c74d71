/* Learning rates: values from arithmetic at the points where each shape is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "orchestrator/core/schedule.h"

static void check_rate(const struct mu_schedule *s, int64_t step, double expected)
{
    const double rate = mu_schedule_rate(s, step);

    if (!(fabs(rate - expected) <= 1e-14 * s->peak))
        fail_msg("step %lld: %.17g, expected %.17g", (long long)step, rate, expected);
}

static void test_warmup_is_linear_and_ends_at_the_peak(void **state)
{
    const struct mu_schedule s = {
        .kind = MU_SCHEDULE_CONSTANT, .steps = 100, .warmup = 4, .peak = 8};

    (void)state;
    check_rate(&s, 0, 2);
    check_rate(&s, 1, 4);
    check_rate(&s, 2, 6);
    check_rate(&s, 3, 8);
    check_rate(&s, 4, 8);
    check_rate(&s, 99, 8);
}

static void test_wsd_cools_down_as_one_minus_sqrt(void **state)
{
    struct mu_schedule s = {
        .kind = MU_SCHEDULE_WSD, .steps = 500, .warmup = 10, .peak = 2, .cooldown = 0.2};

    (void)state;
    assert_int_equal(mu_schedule_cooldown_start(&s), 400);
    check_rate(&s, 9, 2);
    check_rate(&s, 400, 2);
    check_rate(&s, 401, 2 * (1 - 0.1)); /* sqrt(1/100) */
    check_rate(&s, 404, 2 * (1 - 0.2));
    check_rate(&s, 425, 2 * (1 - 0.5));
    check_rate(&s, 481, 2 * (1 - 0.9));
    s.floor = 0.5; /* falls from the peak to half of it */
    check_rate(&s, 425, 2 * 0.75);
    s.cooldown = 0;
    assert_int_equal(mu_schedule_cooldown_start(&s), 500);
    check_rate(&s, 499, 2);
}

/* What lets runs of different lengths share a trunk. */
static void test_wsd_before_the_cooldown_does_not_know_the_length(void **state)
{
    const struct mu_schedule a = {MU_SCHEDULE_WSD, 100, 7, 1e-3, 0.2, 0.1},
                             b = {MU_SCHEDULE_WSD, 1000, 7, 1e-3, 0.2, 0.1};

    (void)state;
    for (int64_t k = 0; k < mu_schedule_cooldown_start(&a); k++)
        assert_true(mu_schedule_rate(&a, k) == mu_schedule_rate(&b, k));
}

static void test_cosine_and_linear(void **state)
{
    struct mu_schedule s = {.kind = MU_SCHEDULE_COSINE, .steps = 130, .warmup = 10, .peak = 4};

    (void)state;
    check_rate(&s, 9, 4);
    check_rate(&s, 10, 4);
    check_rate(&s, 40, 4 * (1 + sqrt(0.5)) / 2); /* cos(pi / 4) */
    check_rate(&s, 50, 3);                       /* cos(pi / 3) = 1/2 */
    check_rate(&s, 70, 2);
    check_rate(&s, 90, 1);
    s.floor = 0.1;
    check_rate(&s, 70, 4 * (0.1 + 0.9 * 0.5));
    s.kind = MU_SCHEDULE_LINEAR;
    s.floor = 0;
    check_rate(&s, 40, 3);
    check_rate(&s, 129, 4.0 / 120);
}

static void test_the_lower_of_warmup_and_decay_holds(void **state)
{
    const struct mu_schedule s = {
        .kind = MU_SCHEDULE_WSD, .steps = 10, .warmup = 10, .peak = 1, .cooldown = 1};

    (void)state;
    check_rate(&s, 0, 0.1);
    check_rate(&s, 1, 0.2);
    check_rate(&s, 9, 1 - sqrt(0.9));
}

static void test_rates_are_never_negative_nor_above_the_peak(void **state)
{
    const double parts[] = {0, 0.001, 0.3, 0.5, 1};

    (void)state;
    for (int kind = MU_SCHEDULE_WSD; kind <= MU_SCHEDULE_LINEAR; kind++)
        for (int64_t steps = 1; steps < 40; steps++)
            for (int64_t warmup = 0; warmup < 60; warmup += 7)
                for (size_t c = 0; c < 5; c++)
                    for (size_t f = 0; f < 5; f++) {
                        const struct mu_schedule s = {
                            (enum mu_schedule_kind)kind, steps, warmup, 3, parts[c], parts[f]};

                        for (int64_t k = 0; k < steps; k++) {
                            const double rate = mu_schedule_rate(&s, k);

                            assert_true(rate > 0 && rate <= 3);
                        }
                    }
}

/* Whatever two schedules are said to have in common, step by step; and of two that differ in their
 * length alone it is the beginning of the earlier cooldown. */
static void test_common_steps_have_the_same_rates(void **state)
{
    (void)state;
    for (int kinds = 0; kinds < 16; kinds++)
        for (int steps = 20; steps <= 100; steps += 16)
            for (int warmup = 0; warmup <= 30; warmup += 10) {
                struct mu_schedule a = {(enum mu_schedule_kind)(kinds % 4), 100, 10, 1, 0.2, 0.1};
                struct mu_schedule b = {
                    (enum mu_schedule_kind)(kinds / 4), steps, warmup, 1, 0.2, 0.1};
                int64_t common = mu_schedule_common(&a, &b);

                assert_int_equal(common, mu_schedule_common(&b, &a));
                for (int64_t k = 0; k < common && k < 200; k++)
                    assert_true(mu_schedule_rate(&a, k) == mu_schedule_rate(&b, k));
            }
    assert_int_equal(mu_schedule_common(&(struct mu_schedule){MU_SCHEDULE_WSD, 100, 10, 1, 0.2, 0},
                                        &(struct mu_schedule){MU_SCHEDULE_WSD, 400, 10, 1, 0.2, 0}),
                     80);
    assert_int_equal(mu_schedule_common(&(struct mu_schedule){MU_SCHEDULE_WSD, 100, 10, 1, 0.2, 0},
                                        &(struct mu_schedule){MU_SCHEDULE_WSD, 100, 10, 2, 0.2, 0}),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warmup_is_linear_and_ends_at_the_peak),
        cmocka_unit_test(test_wsd_cools_down_as_one_minus_sqrt),
        cmocka_unit_test(test_wsd_before_the_cooldown_does_not_know_the_length),
        cmocka_unit_test(test_cosine_and_linear),
        cmocka_unit_test(test_the_lower_of_warmup_and_decay_holds),
        cmocka_unit_test(test_rates_are_never_negative_nor_above_the_peak),
        cmocka_unit_test(test_common_steps_have_the_same_rates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
