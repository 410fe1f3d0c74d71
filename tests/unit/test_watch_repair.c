/* core/watch inside a repair: whoever keeps the others waiting is ended, and not those who wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/watched_host.h"

static void enter(int r, uint32_t epoch)
{
    rank[r].phase = MU_PHASE_REPAIRING;
    rank[r].repair = epoch;
}

static void leave(int r)
{
    rank[r].phase = MU_PHASE_RUNNING;
}

/* Rank 5 has died, 3 is stopped, the others sit in the shrink that waits for 3. */
static void a_stopped_rank_is_ended_and_not_those_who_wait_for_it(void **state)
{
    (void)state;
    open_host(6);
    timeout_ms = 1000; /* shorter than the wait itself */
    pass_looks(1000);
    rank[5].process = MU_PROCESS_GONE;
    stop(3);
    for (int r = 0; r < 5; r++)
        if (r != 3)
            enter(r, 1);
    pass_looks(60000);
    assert_ended(3, 0, MU_FENCE_STOPPED, 1000 + 1000);
    for (int r = 0; r < 6; r++)
        assert_int_equal(ended_by[r], r == 3 ? 0 : -1);
}

/* The one that is stopped is the fencer. */
static void a_stopped_fencer_is_ended_in_a_repair(void **state)
{
    (void)state;
    open_host(4);
    pass_looks(1000);
    stop(0);
    for (int r = 1; r < 4; r++)
        enter(r, 1);
    pass_looks(60000);
    assert_ended(0, 1, MU_FENCE_STOPPED, 1000 + MU_WATCH_STOPPED_MS);
    for (int r = 1; r < 4; r++)
        assert_int_equal(ended_by[r], -1);
}

static void who_is_stopped_inside_shrink_is_ended(void **state)
{
    (void)state;
    open_host(4);
    pass_looks(1000);
    for (int r = 0; r < 4; r++)
        enter(r, 1);
    stop(2);
    pass_looks(60000);
    assert_ended(2, 0, MU_FENCE_STOPPED, 1000 + MU_WATCH_STOPPED_MS);
    for (int r = 0; r < 4; r++)
        assert_int_equal(ended_by[r], r == 2 ? 0 : -1);
}

static void who_does_not_come_to_a_repair_is_ended_at_its_deadline(void **state)
{
    (void)state;
    open_host(4);
    hung[3] = true;
    pass_looks(3000);
    for (int r = 0; r < 3; r++)
        enter(r, 1);
    pass_looks(60000);
    assert_ended(3, 0, MU_FENCE_BEHIND, TIMEOUT_MS);
    for (int r = 0; r < 3; r++)
        assert_int_equal(ended_by[r], -1);
    enter(0, 2); /* again, in the next epoch */
    enter(1, 2);
    leave(2);
    hung[2] = true;
    pass_looks(TIMEOUT_MS + 1000);
    assert_int_equal(ended_by[2], 0);
    assert_int_equal(fence_of[2].why, MU_FENCE_BEHIND);
    assert_int_equal(ended_by[1], -1);
}

/* Who writes to a slow disk is waited for, as without a repair; else one death would cost all who
 * are saving. */
static void who_is_saving_is_waited_for(void **state)
{
    (void)state;
    open_host(4);
    for (int r = 1; r < 4; r++) {
        rank[r].phase = MU_PHASE_SAVING;
        hung[r] = true;
    }
    enter(0, 1);
    pass_looks(590000);
    assert_nobody_ended();
    for (int r = 1; r < 4; r++)
        enter(r, 1);
    pass_looks(60000); /* the time in the save does not count here */
    assert_nobody_ended();
}

static void who_stays_in_a_repair_that_is_over_is_ended(void **state)
{
    (void)state;
    open_host(3);
    for (int r = 0; r < 3; r++)
        enter(r, 1);
    pass_looks(9900);
    leave(0);
    leave(1);
    pass_looks(TIMEOUT_MS - 500); /* from when the others came out */
    assert_nobody_ended();
    pass_looks(1000);
    assert_ended(2, 0, MU_FENCE_IN_REPAIR, 9900 + TIMEOUT_MS);
    assert_int_equal(ended_by[0], -1);
    assert_int_equal(ended_by[1], -1);
}

/* All have come and nobody comes out, for very long: one at a time. */
static void a_repair_that_does_not_end_costs_one_rank_at_a_time(void **state)
{
    (void)state;
    open_host(5);
    for (int r = 0; r < 5; r++)
        enter(r, 1);
    pass_looks(MU_PHASE_REPAIR_MS - 1000);
    assert_nobody_ended();
    pass_looks(2000);
    assert_ended(1, 0, MU_FENCE_IN_REPAIR, MU_PHASE_REPAIR_MS);
    pass_looks(MU_PHASE_REPAIR_MS - 3000);
    for (int r = 0; r < 5; r++)
        assert_int_equal(ended_by[r], r == 1 ? 0 : -1);
    pass_looks(5000);
    for (int r = 0; r < 5; r++)
        assert_int_equal(ended_by[r], r == 1 || r == 2 ? 0 : -1);
    rank[0].process = MU_PROCESS_GONE; /* the next fencer has waited as long, and gives time too */
    pass_looks(MU_PHASE_REPAIR_MS - 3000);
    assert_int_equal(ended_by[4], -1);
    pass_looks(6000);
    assert_int_equal(ended_by[4], 3);
}

/* For one that moves, or that a debugger holds, however long: nobody is ended in its place. */
static void who_waits_for_one_that_lives_is_left_alone(void **state)
{
    (void)state;
    for (int traced = 0; traced < 2; traced++) {
        open_host(3);
        if (traced)
            rank[1].process = MU_PROCESS_TRACED;
        enter(0, 1);
        enter(2, 1);
        pass_looks(3 * MU_PHASE_REPAIR_MS);
        assert_nobody_ended();
    }
}

/* Nobody has come out, and who is leaving will not come in. */
static void who_is_leaving_keeps_nobody_in_a_repair(void **state)
{
    (void)state;
    open_host(3);
    rank[2].phase = MU_PHASE_LEAVING;
    enter(0, 1);
    enter(1, 1);
    pass_looks(MU_PHASE_REPAIR_MS + 1000);
    assert_ended(1, 0, MU_FENCE_IN_REPAIR, MU_PHASE_REPAIR_MS);
}

/* The same of who is dead; its entry stays. */
static void who_is_dead_keeps_nobody_in_a_repair(void **state)
{
    (void)state;
    open_host(3);
    pass_looks(1000);
    rank[2].process = MU_PROCESS_GONE;
    enter(0, 1);
    enter(1, 1);
    pass_looks(MU_PHASE_REPAIR_MS + 10000);
    assert_int_equal(ended_by[1], 0);
}

static void nobody_waits_for_the_dead_nor_for_those_who_left(void **state)
{
    (void)state;
    open_host(5);
    pass_looks(1000);
    rank[3].process = MU_PROCESS_GONE; /* in epoch 1; its entry stays */
    rank[4].phase = MU_PHASE_LEAVING;
    pass_looks(3000);
    for (int r = 0; r < 3; r++)
        enter(r, 2);
    pass_looks(10000);
    leave(0);
    leave(1); /* not 2 */
    pass_looks(TIMEOUT_MS + 500);
    assert_int_equal(ended_by[2], 0);
    for (int r = 3; r < 5; r++)
        assert_int_equal(ended_by[r], -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_rank_is_ended_and_not_those_who_wait_for_it),
        cmocka_unit_test(a_stopped_fencer_is_ended_in_a_repair),
        cmocka_unit_test(who_is_stopped_inside_shrink_is_ended),
        cmocka_unit_test(who_does_not_come_to_a_repair_is_ended_at_its_deadline),
        cmocka_unit_test(who_is_saving_is_waited_for),
        cmocka_unit_test(who_stays_in_a_repair_that_is_over_is_ended),
        cmocka_unit_test(a_repair_that_does_not_end_costs_one_rank_at_a_time),
        cmocka_unit_test(who_waits_for_one_that_lives_is_left_alone),
        cmocka_unit_test(who_is_leaving_keeps_nobody_in_a_repair),
        cmocka_unit_test(who_is_dead_keeps_nobody_in_a_repair),
        cmocka_unit_test(nobody_waits_for_the_dead_nor_for_those_who_left),
    };

    return cmocka_run_group_tests(tests, NULL, close_host);
}
