/* core/watch: who is ended for standing still or being stopped, by whom and when; who is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/base/rng.h"
#include "tests/support/watched_host.h"

/* ---- one rank ---- */
static void who_moves_is_left_alone(void **state)
{
    (void)state;
    open_host(4);
    pass_looks(200000);
    assert_nobody_ended();
}

static void who_stands_still_is_ended_at_the_deadline(void **state)
{
    (void)state;
    open_host(4);
    hung[2] = true;
    pass_looks(30000);
    assert_ended(2, 0, MU_FENCE_STILL, TIMEOUT_MS);
    assert_in_range(fence_of[2].still_ms, TIMEOUT_MS, TIMEOUT_MS + SLACK_MS);
    for (int r = 0; r < 4; r++)
        assert_int_equal(ended_by[r], r == 2 ? 0 : -1);
}

static void one_poll_begins_the_deadline_again(void **state)
{
    (void)state;
    open_host(3);
    hung[1] = true;
    pass_looks(TIMEOUT_MS - 500);
    rank[1].polls++;
    pass_looks(TIMEOUT_MS - 500);
    assert_nobody_ended();
    rank[1].phase = MU_PHASE_EVALUATING; /* as does a move to another phase */
    pass_looks(TIMEOUT_MS - 500);
    assert_nobody_ended();
    pass_looks(1000);
    assert_int_equal(ended_by[1], 0);
}

/* By hand: what each phase is given, with a timeout of 10 s and of 700 s. */
static void each_phase_has_its_deadline(void **state)
{
    enum { NEVER = 0, REPAIR_S = 1800 };
    static const struct {
        enum mu_phase phase;
        uint64_t at_10_s, at_700_s;
    } expected[MU_PHASE_COUNT] = {
        {MU_PHASE_STARTING, NEVER, NEVER}, {MU_PHASE_MEETING, 600, 700},
        {MU_PHASE_PREPARING, 600, 700},    {MU_PHASE_LOADING, 600, 700},
        {MU_PHASE_RUNNING, 10, 700},       {MU_PHASE_EVALUATING, 10, 700},
        {MU_PHASE_SAVING, 600, 700},       {MU_PHASE_RECORDING, 600, 700},
        {MU_PHASE_REPAIRING, 10, 700}, /* as the others are not in it */
        {MU_PHASE_SPARE, 10, 700},         {MU_PHASE_LEAVING, NEVER, NEVER},
    };

    (void)state;
    for (int i = 0; i < MU_PHASE_COUNT; i++)
        for (int longer = 0; longer < 2; longer++) {
            uint64_t s = longer ? expected[i].at_700_s : expected[i].at_10_s;

            open_host(2);
            timeout_ms = longer ? 700000 : 10000;
            rank[1].phase = expected[i].phase;
            hung[1] = true;
            pass_looks(2000000);
            if (s == NEVER)
                assert_int_equal(ended_by[1], -1);
            else
                assert_in_range(ended_ms[1], 1000 * s, 1000 * s + SLACK_MS);
            assert_int_equal(ended_by[0], -1);
        }
    assert_string_equal(mu_phase_name(MU_PHASE_SAVING), "saving");
    assert_string_equal(mu_phase_name((enum mu_phase)99), "?");
    assert_int_equal(mu_phase_of_life(MU_LIFE_EVALUATING), MU_PHASE_EVALUATING);
    assert_int_equal(mu_phase_of_life(MU_LIFE_FAILED), MU_PHASE_LEAVING);
}

static void without_a_timeout_nobody_is_ended_for_standing_still(void **state)
{
    (void)state;
    open_host(2);
    timeout_ms = 0;
    hung[1] = true;
    pass_looks(2000000);
    assert_nobody_ended();
    stop(1);
    pass_looks(3000);
    assert_int_equal(ended_by[1], 0);
}

/* The first step of a large model: a minute, but it polls. */
static void a_long_step_that_polls_is_left_alone(void **state)
{
    (void)state;
    open_host(3);
    hung[0] = hung[1] = hung[2] = true;
    for (int s = 0; s < 60; s++) {
        pass_looks(TIMEOUT_MS - 1000);
        for (int r = 0; r < 3; r++)
            rank[r].polls++;
    }
    assert_nobody_ended();
}

static void who_is_stopped_is_ended_soon_in_every_phase(void **state)
{
    (void)state;
    for (int phase = 0; phase < MU_PHASE_COUNT; phase++) {
        open_host(3);
        pass_looks(1000);
        for (int r = 0; r < 3; r++)
            rank[r].phase = (enum mu_phase)phase;
        pass(MU_WATCH_LOOK_MS);
        stop(1);
        pass_looks(4000);
        assert_ended(1, 0, MU_FENCE_STOPPED, 1100 + MU_WATCH_STOPPED_MS);
        assert_int_equal(ended_by[0], -1);
        assert_int_equal(ended_by[2], -1);
    }
}

static void who_is_continued_in_time_is_left_alone(void **state)
{
    (void)state;
    open_host(3);
    for (int i = 0; i < 20; i++) {
        stop(1);
        pass_looks(MU_WATCH_STOPPED_MS - 200);
        rank[1].process = MU_PROCESS_RUNS;
        pass(MU_WATCH_LOOK_MS);
    }
    assert_nobody_ended();
}

static void who_is_held_by_a_debugger_is_left_alone(void **state)
{
    (void)state;
    open_host(3);
    rank[1].process = MU_PROCESS_TRACED;
    pass_looks(100 * TIMEOUT_MS);
    assert_nobody_ended();
    rank[1].process = MU_PROCESS_RUNS;
    hung[1] = true; /* from here on it counts */
    pass_looks(TIMEOUT_MS - 500);
    assert_nobody_ended();
    pass_looks(1000);
    assert_int_equal(ended_by[1], 0);
}

static void the_dead_are_not_ended(void **state)
{
    (void)state;
    open_host(4);
    pass_looks(1000);
    rank[0].process = rank[2].process = MU_PROCESS_GONE;
    pass_looks(100 * TIMEOUT_MS);
    assert_nobody_ended();
}

/* The same entry, another process: nothing that was seen of the first counts for it. */
static void a_new_process_is_begun_afresh(void **state)
{
    (void)state;
    for (int what = 0; what < 2; what++) {
        open_host(2);
        hung[1] = true;
        pass_looks(TIMEOUT_MS - 500);
        if (what == 0)
            rank[1].pid++;
        else
            rank[1].start_time++;
        pass_looks(TIMEOUT_MS - 500);
        assert_nobody_ended();
        pass_looks(1000);
        assert_int_equal(ended_by[1], 0);
    }
    open_host(2); /* in the place of a dead one, too */
    rank[1].process = MU_PROCESS_GONE;
    pass_looks(5000);
    rank[1].start_time++;
    rank[1].process = MU_PROCESS_RUNS;
    hung[1] = true;
    pass_looks(TIMEOUT_MS + 1000);
    assert_int_equal(ended_by[1], 0);
}

/* ---- the looker's own time ---- */
static void a_late_look_begins_afresh(void **state)
{
    (void)state;
    open_host(3);
    hung[2] = true;
    stop(1);
    pass_looks(1800);
    pass(3600 * 1000); /* suspended, or stopped */
    assert_nobody_ended();
    pass_looks(MU_WATCH_STOPPED_MS - 200);
    assert_nobody_ended();
    pass_looks(500);
    assert_int_equal(ended_by[1], 0);
    assert_int_equal(ended_by[2], -1);
}

static void time_that_runs_backwards_begins_afresh(void **state)
{
    (void)state;
    open_host(2);
    hung[1] = true;
    pass_looks(TIMEOUT_MS - 200);
    now_ns -= 5000 * ms;
    pass(0);
    pass_looks(TIMEOUT_MS - 200);
    assert_nobody_ended();
    pass_looks(500);
    assert_int_equal(ended_by[1], 0);
}

/* Looks that come nine times too late each count for two. */
static void a_deadline_is_so_many_looks(void **state)
{
    int looks = 0;

    (void)state;
    open_host(2);
    hung[1] = true;
    while (ended_by[1] < 0 && looks < 1000) {
        pass(MU_WATCH_LATE_MS - 100);
        looks++;
    }
    assert_in_range(looks, TIMEOUT_MS / (2 * MU_WATCH_LOOK_MS),
                    TIMEOUT_MS / (2 * MU_WATCH_LOOK_MS) + 3);
}

/* Looks at random times, ranks that get on now and then only, for an hour. */
static void an_overloaded_machine_is_no_reason(void **state)
{
    uint64_t draws = 0;

    (void)state;
    open_host(8);
    for (int r = 0; r < 8; r++)
        hung[r] = true;
    while (now_ns < 3600 * 1000 * ms) {
        for (int r = 0; r < 8; r++)
            rank[r].polls += mu_rng_draw(1, MU_RNG_SYNTHETIC, 1, draws++).w[0] % 3 == 0;
        pass(50 + mu_rng_draw(1, MU_RNG_SYNTHETIC, 2, draws++).w[0] % 400);
    }
    assert_nobody_ended();
}

/* ---- who acts ---- */
/* Every subset of six ranks is stopped at once: those who run end all of them, and nobody else. */
static void any_are_stopped_at_once(void **state)
{
    enum { N = 6 };

    (void)state;
    for (int mask = 0; mask < 1 << N; mask++) {
        int lowest = 0;

        open_host(N);
        pass_looks(1000);
        while (lowest < N && mask >> lowest & 1)
            lowest++;
        for (int r = 0; r < N; r++)
            if (mask >> r & 1)
                stop(r);
        pass_looks(4000);
        for (int r = 0; r < N; r++)
            if (!(mask >> r & 1) || lowest == N)
                assert_int_equal(ended_by[r], -1);
            else
                assert_ended(r, lowest, MU_FENCE_STOPPED, 1000 + MU_WATCH_STOPPED_MS);
        if (lowest < N)
            continue;
        for (int r = 0; r < N; r++) /* all: Ctrl-Z, and on */
            rank[r].process = MU_PROCESS_RUNS;
        pass_looks(3 * TIMEOUT_MS);
        assert_nobody_ended();
    }
}

/* They are continued one after the other, within half a second. */
static void all_are_stopped_and_continued(void **state)
{
    (void)state;
    open_host(5);
    pass_looks(1000);
    for (int r = 0; r < 5; r++)
        stop(r);
    now_ns += 60000 * ms;
    for (int r = 4; r >= 0; r--) {
        rank[r].process = MU_PROCESS_RUNS;
        pass(MU_WATCH_LOOK_MS);
    }
    pass_looks(3 * TIMEOUT_MS);
    assert_nobody_ended();
}

static void the_fencer_is_ended_by_the_next(void **state)
{
    (void)state;
    open_host(4);
    hung[0] = true; /* its watchdog runs, and does not end its own rank */
    pass_looks(TIMEOUT_MS + 1000);
    assert_ended(0, 1, MU_FENCE_STILL, TIMEOUT_MS);
    hung[1] = hung[3] = true; /* now 1 is the fencer of 3, and 2 that of 1 */
    pass_looks(TIMEOUT_MS + 1000);
    assert_int_equal(ended_by[1], 2);
    assert_int_equal(ended_by[3], 1);
    assert_int_equal(ended_by[2], -1);
}

static void the_fencer_is_dead_when_another_is_stopped(void **state)
{
    (void)state;
    open_host(4);
    pass_looks(1000);
    rank[0].process = MU_PROCESS_GONE;
    stop(3);
    pass_looks(4000);
    assert_ended(3, 1, MU_FENCE_STOPPED, 1000 + MU_WATCH_STOPPED_MS);
    assert_int_equal(ended_by[0], -1);
}

static void alone_nobody_is_ended(void **state)
{
    (void)state;
    open_host(1);
    hung[0] = true;
    pass_looks(100 * TIMEOUT_MS);
    assert_nobody_ended();
}

/* Its process does not go away at once (it waits for a disk): it is not ended again and again. */
static void nobody_is_ended_twice(void **state)
{
    static struct mu_watch_actions actions;
    static struct mu_watch w;
    struct mu_watch_view v[2] = {
        {.rank = 0, .pid = 1, .phase = MU_PHASE_RUNNING},
        {.rank = 1, .pid = 2, .phase = MU_PHASE_RUNNING, .process = MU_PROCESS_RUNS}};
    int fences = 0;

    (void)state;
    mu_watch_init(&w, 0, true);
    for (uint64_t t = 1; t < 100000; t += MU_WATCH_LOOK_MS) {
        v[0].beats++;
        v[0].polls++;
        mu_watch_look(&w, v, 2, TIMEOUT_MS, t * ms, &actions);
        fences += actions.fences;
    }
    assert_int_equal(fences, 1);
    v[1].polls++; /* the shell saw it move and let it live: then it may be ended another time */
    for (uint64_t t = 100001; t < 120000; t += MU_WATCH_LOOK_MS) {
        v[0].beats++;
        v[0].polls++;
        mu_watch_look(&w, v, 2, TIMEOUT_MS, t * ms, &actions);
        fences += actions.fences;
    }
    assert_int_equal(fences, 2);
}

static void many_are_ended_in_several_looks(void **state)
{
    (void)state;
    open_host(MOST);
    pass_looks(1000);
    for (int r = 10; r < MOST; r++)
        stop(r);
    pass_looks(4000);
    for (int r = 0; r < MOST; r++) {
        assert_int_equal(ended_by[r], r < 10 ? -1 : 0);
        assert_int_equal(ended_times[r], r < 10 ? 0 : 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_moves_is_left_alone),
        cmocka_unit_test(who_stands_still_is_ended_at_the_deadline),
        cmocka_unit_test(one_poll_begins_the_deadline_again),
        cmocka_unit_test(each_phase_has_its_deadline),
        cmocka_unit_test(without_a_timeout_nobody_is_ended_for_standing_still),
        cmocka_unit_test(a_long_step_that_polls_is_left_alone),
        cmocka_unit_test(who_is_stopped_is_ended_soon_in_every_phase),
        cmocka_unit_test(who_is_continued_in_time_is_left_alone),
        cmocka_unit_test(who_is_held_by_a_debugger_is_left_alone),
        cmocka_unit_test(the_dead_are_not_ended),
        cmocka_unit_test(a_new_process_is_begun_afresh),
        cmocka_unit_test(a_late_look_begins_afresh),
        cmocka_unit_test(time_that_runs_backwards_begins_afresh),
        cmocka_unit_test(a_deadline_is_so_many_looks),
        cmocka_unit_test(an_overloaded_machine_is_no_reason),
        cmocka_unit_test(any_are_stopped_at_once),
        cmocka_unit_test(all_are_stopped_and_continued),
        cmocka_unit_test(the_fencer_is_ended_by_the_next),
        cmocka_unit_test(the_fencer_is_dead_when_another_is_stopped),
        cmocka_unit_test(alone_nobody_is_ended),
        cmocka_unit_test(nobody_is_ended_twice),
        cmocka_unit_test(many_are_ended_in_several_looks),
    };

    return cmocka_run_group_tests(tests, NULL, close_host);
}
