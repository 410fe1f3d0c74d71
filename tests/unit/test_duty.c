/* core/duty: what is due at a boundary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/core/duty.h"

static const struct mu_duty_plan plan = {.steps = 400,
                                         .log_every = 10,
                                         .eval_every = 50,
                                         .hash_every = 25,
                                         .checkpoint_every = 100,
                                         .can_evaluate = true};

static void nothing_is_due_between(void **state)
{
    struct mu_duties d = mu_duties_at(&plan, 7, false, false);

    (void)state;
    assert_false(d.log || d.evaluate || d.hash || d.save || d.end);
}

static void each_comes_at_its_multiple(void **state)
{
    (void)state;
    assert_true(mu_duties_at(&plan, 10, false, false).log);
    assert_true(mu_duties_at(&plan, 50, false, false).evaluate);
    assert_true(mu_duties_at(&plan, 75, false, false).hash);
    assert_false(mu_duties_at(&plan, 75, false, false).save);
    assert_true(mu_duties_at(&plan, 100, false, false).save);
    assert_false(mu_duties_at(&plan, 100, false, false).end);
}

static void the_last_step_does_everything(void **state)
{
    struct mu_duties d = mu_duties_at(
        &(struct mu_duty_plan){.steps = 7, .log_every = 10, .eval_every = 50, .can_evaluate = true},
        7, false, false);

    (void)state;
    assert_true(d.log && d.evaluate && d.hash && d.save && d.end);
}

static void a_stop_saves_and_ends_without_evaluating(void **state)
{
    struct mu_duties d = mu_duties_at(&plan, 7, false, true);

    (void)state;
    assert_true(d.save && d.hash && d.end && d.log);
    assert_false(d.evaluate);
}

static void a_checkpoint_on_request_goes_on(void **state)
{
    struct mu_duties d = mu_duties_at(&plan, 7, true, false);

    (void)state;
    assert_true(d.save && d.hash);
    assert_false(d.end);
}

static void without_data_nothing_is_evaluated(void **state)
{
    struct mu_duty_plan blind = plan;

    (void)state;
    blind.can_evaluate = false;
    assert_false(mu_duties_at(&blind, 400, false, false).evaluate);
}

static void a_step_of_its_own_is_saved(void **state)
{
    struct mu_duty_plan with = plan;

    (void)state;
    with.save_at = 7;
    assert_true(mu_duties_at(&with, 7, false, false).save);
    assert_false(mu_duties_at(&with, 7, false, false).end);
    assert_false(mu_duties_at(&with, 6, false, false).save);
    assert_false(mu_duties_at(&plan, 7, false, false).save);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_due_between),
        cmocka_unit_test(each_comes_at_its_multiple),
        cmocka_unit_test(the_last_step_does_everything),
        cmocka_unit_test(a_stop_saves_and_ends_without_evaluating),
        cmocka_unit_test(a_checkpoint_on_request_goes_on),
        cmocka_unit_test(without_data_nothing_is_evaluated),
        cmocka_unit_test(a_step_of_its_own_is_saved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
