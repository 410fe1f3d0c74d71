/* launch/allotted: when a sweep has to stop, what the ranks are told of the time, and how many more
 * allocations it takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/parts.h"
#include "tests/support/run_folder.h"

static const uint64_t s_ns = 1000000000;
static struct mu_slurm_allocation allocation;
static struct mu_launch_request request;
static struct mu_launch l;

static double more(double work, double left, double length, double start, double end)
{
    return mu_allotted_more(&(struct mu_allotted){work, left, length, start, end});
}

static void allocations_are_counted(void **state)
{
    (void)state;
    assert_true(more(100, 3600, 3600, 2, 8) == 0);
    assert_true(more(3592, 3600, 3600, 2, 8) == 0);
    assert_true(more(3700, 3600, 3600, 2, 8) == 0);    /* within what a guess may be wrong by */
    assert_true(more(3800, 3600, 3600, 2, 8) == 1);    /* 208 s are left */
    assert_true(more(10000, 3600, 3600, 10, 90) == 2); /* 10000 - 3510, in 3500 each */
    assert_true(more(10510, 3600, 3600, 10, 90) == 2);
    assert_true(more(10511, 3600, 3600, 10, 90) == 3);
    /* Not at its beginning: 10 s of 60 are left, 5 of them to stop. */
    assert_true(more(150, 10, 60, 5, 5) == 3);
    assert_true(more(155, 10, 60, 5, 5) == 3);
    assert_true(more(156, 10, 60, 5, 5) == 4);
    assert_true(more(50, 3, 60, 5, 5) == 1); /* nothing more is done here */
    assert_true(isinf(more(50, 3, 10, 5, 5)));
    assert_true(more(NAN, 3, 10, 5, 5) == 0);
}

/* An allocation of so many seconds, of which some are left; the first generation has trained since
 * 2 s after its start, and for `paced` seconds. */
static void begin(bool is_sweep, uint64_t length_s, uint64_t left_s, uint64_t paced_s)
{
    const uint64_t now_ns = mu_clock_ns();

    memset(&l, 0, sizeof l);
    allocation = (struct mu_slurm_allocation){
        .is_there = true, .end_ns = now_ns + left_s * s_ns, .length_ns = length_s * s_ns};
    request = (struct mu_launch_request){
        .allocation = &allocation, .is_sweep = is_sweep, .sets_time_limit = true};
    l.request = &request;
    l.is_sweep = is_sweep;
    l.left_s = NAN;
    l.now.is_training = true;
    l.now.start_ns = now_ns;
    l.now.training_ns = now_ns + 2 * s_ns;
    l.pace_ns = now_ns - paced_s * s_ns;
}

static void check_forecast(const char *expected)
{
    char said[1024];

    mu_log_set_level(MU_LOG_INFO);
    listen_begin();
    mu_launch_forecast(&l);
    mu_launch_forecast(&l); /* once */
    listen_end(said, sizeof said);
    if (!expected)
        assert_string_equal(said, "");
    else if (!strstr(said, expected))
        fail_msg("said: %s", said);
    if (expected)
        assert_null(strstr(strstr(said, expected) + 1, expected));
}

static void a_run_is_foretold(void **state)
{
    (void)state;
    /* 9,000 steps of 1 s; here 3,590 s less 9.5 to stop; 3,588.5 s each: 1.51 more. */
    begin(false, 3600, 3590, 60);
    l.steps = 10000;
    l.step = 1000;
    l.step_s = 1;
    check_forecast(
        "will not finish in this allocation: 2 more at this speed (2.5 h of work, here 60 min to "
        "train)");
    begin(false, 3600, 3590, 30); /* too early to tell */
    l.steps = 10000;
    l.step_s = 1;
    check_forecast(NULL);
    begin(false, 3600, 3590, 60);
    l.steps = 1000;
    l.step_s = 1;
    check_forecast(NULL);
    begin(false, 11, 8, 3); /* 7.5 s to stop, 2 to start */
    l.steps = 1000;
    l.step_s = 0.01;
    check_forecast("will not finish in this allocation: 7 more at this speed (10 s of work");
    begin(false, 9, 8, 3);
    l.steps = 1000;
    l.step_s = 0.01;
    check_forecast("will not finish in this allocation: none has the time at this speed");
    allocation.end_ns = 0; /* no end is known */
    l.has_forecast = false;
    check_forecast(NULL);
}

static void a_sweep_is_foretold_by_its_own_estimate(void **state)
{
    (void)state;
    begin(true, 3600, 3000, 60);
    check_forecast(NULL); /* it has none yet */
    l.left_s = 2900;
    check_forecast(NULL);
    l.left_s = 10000; /* 10000 - 2940, in 3538 each */
    check_forecast(
        "will not finish in this allocation: 2 more at this speed (2.8 h of work, here 49 min to "
        "train)");
}

static void time_is_kept_for_the_end(void **state)
{
    (void)state;
    begin(false, 3600, 3000, 0);
    assert_in_range(mu_launch_time_limit(&l), 2994, 2995);
    assert_false(mu_launch_is_out_of_time(&l));
    begin(false, 3600, 4, 0);
    assert_int_equal(mu_launch_time_limit(&l), 1);
    assert_false(mu_launch_is_out_of_time(&l)); /* its ranks know by themselves */
    begin(true, 3600, 62, 0);
    assert_int_equal(mu_launch_time_limit(&l), 0);
    assert_false(mu_launch_is_out_of_time(&l));
    begin(true, 3600, 58, 0);
    assert_true(mu_launch_is_out_of_time(&l));
    begin(true, 100, 12, 0);
    assert_false(mu_launch_is_out_of_time(&l));
    begin(true, 100, 9, 0);
    assert_true(mu_launch_is_out_of_time(&l));
    allocation.end_ns = 0;
    assert_false(mu_launch_is_out_of_time(&l));
    assert_int_equal(mu_launch_time_limit(&l), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_counted),
        cmocka_unit_test(a_run_is_foretold),
        cmocka_unit_test(a_sweep_is_foretold_by_its_own_estimate),
        cmocka_unit_test(time_is_kept_for_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
