/* core/watch inside a repair: whoever keeps the others waiting is ended, and not those who wait;
 * and a repair that does not end though nobody is missing is given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/watched_host.h"

static void enter(int r, uint32_t epoch)
{
    rank[r].from = rank[r].phase;
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

/* What a repair of so many is given, when nobody is missing. */
static uint64_t repair_ms(int count)
{
    return MU_WATCH_REPAIR_MS + MU_WATCH_REPAIR_RANK_MS * (uint64_t)count;
}

/* The host has given it up from that moment on, by one rank, and nobody was ended for it. */
static void assert_given_up(int by, uint64_t from_ms)
{
    assert_int_equal(given_up_by, by);
    assert_in_range(given_up_ms, from_ms, from_ms + SLACK_MS);
    assert_nobody_ended();
}

static void a_repair_that_does_not_end_is_given_up(void **state)
{
    (void)state;
    open_host(5);
    for (int r = 0; r < 4; r++)
        enter(r, 1);
    pass_looks(9900); /* for rank 4, who moves */
    enter(4, 1);
    pass_looks(60000);
    assert_given_up(0, 9900 + repair_ms(5));
}

/* A repair ends long before, or moves: from one named point to the next, or from epoch to epoch. */
static void a_repair_that_moves_is_not_given_up(void **state)
{
    (void)state;
    open_host(3);
    for (int r = 0; r < 3; r++)
        enter(r, 1);
    pass_looks(repair_ms(3) - 500);
    rank[1].point = MU_FAULT_EXCHANGE;
    pass_looks(repair_ms(3) - 500);
    for (int r = 0; r < 3; r++) {
        leave(r);
        enter(r, 2);
    }
    pass_looks(repair_ms(3) - 500);
    assert_int_equal(given_up_by, -1);
    for (int r = 0; r < 3; r++)
        leave(r);
    pass_looks(60000);
    assert_int_equal(given_up_by, -1);
    assert_nobody_ended();
}

/* A stopped one keeps the others in it; its end is news, and they get all the time again. */
static void the_end_of_one_gives_time_to_a_repair(void **state)
{
    (void)state;
    open_host(4);
    for (int r = 0; r < 4; r++)
        enter(r, 1);
    pass_looks(3000);
    stop(2);
    pass_looks(MU_WATCH_STOPPED_MS + 500);
    assert_ended(2, 0, MU_FENCE_STOPPED, 3000 + MU_WATCH_STOPPED_MS);
    pass_looks(repair_ms(3) - 1500);
    assert_int_equal(given_up_by, -1);
    pass_looks(60000);
    assert_int_equal(given_up_by, 0);
}

/* The first one's watchdog runs no more, and its process is not stopped: the next one gives up. */
static void the_next_one_gives_up_when_the_first_cannot(void **state)
{
    (void)state;
    open_host(3);
    pass_looks(3000);
    rank[0].process = MU_PROCESS_GONE;
    enter(1, 1);
    enter(2, 1);
    pass_looks(60000);
    assert_int_equal(given_up_by, 1);
    assert_nobody_ended();
}

/* Ranks of other hosts may be as busy as those here were, until they are ended there: they have
 * their deadline, and the repair has its own after it. */
static void ranks_of_other_hosts_are_waited_for(void **state)
{
    static const struct {
        enum mu_phase from;
        uint64_t they_ms;
    } expected[] = {{MU_PHASE_RUNNING, TIMEOUT_MS}, {MU_PHASE_EVALUATING, TIMEOUT_MS},
                    {MU_PHASE_SPARE, TIMEOUT_MS},   {MU_PHASE_SAVING, 600000},
                    {MU_PHASE_RECORDING, 600000},   {MU_PHASE_LOADING, 600000}};

    (void)state;
    sees_all = false;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        open_host(3);
        rank[1].phase = expected[i].from;
        for (int r = 0; r < 3; r++)
            enter(r, 1);
        pass_looks(700000);
        assert_given_up(0, expected[i].they_ms + repair_ms(3));
    }
    sees_all = true;
}

/* The only one of its host gives up too; nobody else could do it there. */
static void one_that_is_alone_on_its_host_gives_up(void **state)
{
    (void)state;
    sees_all = false;
    open_host(1);
    enter(0, 1);
    pass_looks(60000);
    assert_given_up(0, TIMEOUT_MS + repair_ms(1));
    sees_all = true;
}

/* For one that moves, or that a debugger holds, however long: nobody is ended in its place, and the
 * repair is not given up; nor when the one that is held is in it. */
static void who_waits_for_one_that_lives_is_left_alone(void **state)
{
    (void)state;
    for (int traced = 0; traced < 3; traced++) {
        open_host(3);
        if (traced)
            rank[1].process = MU_PROCESS_TRACED;
        enter(0, 1);
        enter(2, 1);
        if (traced == 2)
            enter(1, 1);
        pass_looks(2000000);
        assert_nobody_ended();
        assert_int_equal(given_up_by, -1);
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
    pass_looks(60000);
    assert_given_up(0, repair_ms(2));
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
    pass_looks(60000);
    assert_int_equal(given_up_by, 0);
    assert_nobody_ended();
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
        cmocka_unit_test(a_repair_that_does_not_end_is_given_up),
        cmocka_unit_test(a_repair_that_moves_is_not_given_up),
        cmocka_unit_test(the_end_of_one_gives_time_to_a_repair),
        cmocka_unit_test(the_next_one_gives_up_when_the_first_cannot),
        cmocka_unit_test(ranks_of_other_hosts_are_waited_for),
        cmocka_unit_test(one_that_is_alone_on_its_host_gives_up),
        cmocka_unit_test(who_waits_for_one_that_lives_is_left_alone),
        cmocka_unit_test(who_is_leaving_keeps_nobody_in_a_repair),
        cmocka_unit_test(who_is_dead_keeps_nobody_in_a_repair),
        cmocka_unit_test(nobody_waits_for_the_dead_nor_for_those_who_left),
    };

    return cmocka_run_group_tests(tests, NULL, close_host);
}
