/* worker/segment of a sweep's trials: ranks go from one to the other within their processes, and
 * what they leave stays for whoever goes on with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/support/own_segment.h"

static uint64_t sweep; /* of this test alone */

static struct mu_segment_options trial_of(uint64_t sweep_key, uint64_t trial)
{
    struct mu_segment_options o = options_of(true);

    run_key = o.run_key = mu_segment_trial_key(sweep_key, trial);
    o.keep_sweep = true;
    return o;
}

/* A state of 7 steps. */
static void open_with_state(struct mu_segment *s, const struct mu_segment_options *o)
{
    assert_int_equal(mu_segment_open(s, o), MU_OK);
    s->half[1].weight[0] = 3;
    s->header->result[1].step = 7;
    s->header->state = 7 << 1 | 1;
    s->header->settled = 1;
}

static int set_up_sweep(void **state)
{
    int failed = set_up(state);

    sweep = run_key >> 16; /* its low half differs from test to test */
    return failed;
}

static int tear_down_sweep(void **state)
{
    (void)state;
    for (uint64_t trial = 1; trial <= 3; trial++) {
        run_key = mu_segment_trial_key(sweep, trial);
        shm_unlink(own_name());
        run_key = mu_segment_trial_key(sweep + 1, trial);
        shm_unlink(own_name());
    }
    return 0;
}

static bool is_there(uint64_t sweep_key, uint64_t trial)
{
    run_key = mu_segment_trial_key(sweep_key, trial);
    return exists();
}

static void who_made_way_is_not_ended(void **state)
{
    struct mu_segment_options o = trial_of(sweep, 1);
    struct mu_segment s;

    (void)state;
    open_with_state(&s, &o);
    assert_int_equal(s.rank[0].pid, (uint32_t)getpid());
    mu_segment_close(&s, false);
    o.generation = GENERATION + 1;
    o.ranks = 1;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK); /* else this process would be killed */
    assert_int_equal(mu_segment_step(&s), 7);
    assert_true(s.half[1].weight[0] == 3);
    mu_segment_close(&s, true);
}

/* In a process of its own: detaches after some time, or never; the exit code is 0 then. */
static pid_t hold(struct mu_segment_options o, bool detaches)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct mu_segment s;

        open_with_state(&s, &o);
        mu_clock_sleep_us(300000);
        while (!detaches)
            pause();
        mu_segment_close(&s, false);
        _exit(0);
    }
    return pid;
}

static void wait_for_state(void)
{
    struct mu_segment_options o = options_of(false);
    struct mu_deadline deadline = mu_deadline_in_ms(PATIENCE_MS);
    struct mu_segment s;

    o.run_key = run_key;
    o.slot = 2;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    while (atomic_load(&s.header->settled) == 0 && !mu_deadline_passed(deadline))
        mu_clock_sleep_us(1000);
    assert_int_equal(mu_segment_step(&s), 7);
    mu_segment_close(&s, false);
}

static void who_is_on_its_way_out_is_waited_for(void **state)
{
    struct mu_segment_options o = trial_of(sweep, 1);
    pid_t pid = hold(o, true);
    struct mu_segment s;
    int status;

    (void)state;
    wait_for_state();
    o.generation = GENERATION + 1;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_int_equal(mu_segment_step(&s), 7);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    mu_segment_close(&s, true);
}

static void who_does_not_go_is_ended(void **state)
{
    struct mu_segment_options o = trial_of(sweep, 1);
    pid_t pid = hold(o, false);
    struct mu_segment s;
    int status;

    (void)state;
    wait_for_state();
    o.generation = GENERATION + 1;
    poll_says = MU_RECOVERED; /* somebody else's death ends the wait */
    assert_int_equal(mu_segment_open(&s, &o), MU_RECOVERED);
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    poll_says = MU_OK;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    mu_segment_close(&s, true);
}

static void the_states_of_other_trials_stay(void **state)
{
    struct mu_segment_options o = trial_of(sweep, 1);
    struct mu_segment s;

    (void)state;
    open_with_state(&s, &o);
    mu_segment_close(&s, false);
    o = trial_of(sweep, 2);
    open_with_state(&s, &o);
    assert_true(is_there(sweep, 1));
    mu_segment_close(&s, true);
    assert_true(is_there(sweep, 1));
    assert_false(is_there(sweep, 2));
    o = trial_of(sweep + 1, 1); /* another sweep's start removes them, as any other's */
    open_with_state(&s, &o);
    assert_false(is_there(sweep, 1));
    mu_segment_close(&s, true);
}

static void the_end_of_a_sweep_takes_what_nobody_holds(void **state)
{
    struct mu_segment_options o = trial_of(sweep, 1);
    struct mu_segment s;

    (void)state;
    open_with_state(&s, &o);
    mu_segment_close(&s, false);
    o = trial_of(sweep, 2);
    open_with_state(&s, &o);
    mu_segment_remove_sweep(sweep + 1);
    assert_true(is_there(sweep, 1));
    mu_segment_remove_sweep(sweep);
    assert_false(is_there(sweep, 1));
    assert_true(is_there(sweep, 2));
    mu_segment_close(&s, true);
}

#define OF_A_SWEEP(test) cmocka_unit_test_setup_teardown(test, set_up_sweep, tear_down_sweep)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OF_A_SWEEP(who_made_way_is_not_ended),
        OF_A_SWEEP(who_is_on_its_way_out_is_waited_for),
        OF_A_SWEEP(who_does_not_go_is_ended),
        OF_A_SWEEP(the_states_of_other_trials_stay),
        OF_A_SWEEP(the_end_of_a_sweep_takes_what_nobody_holds),
    };

    return cmocka_run_group_tests(tests, make_layout, free_layout);
}
