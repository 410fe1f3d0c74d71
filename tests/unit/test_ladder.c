/* core/ladder: every end of a generation that can be seen, held against a plain reading of the
 * rules; restarts, pauses and progress; hosts; and when more ranks pay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "orchestrator/core/ladder.h"

#define SECOND ((uint64_t)1000000000u)
#define MINUTE (60 * SECOND)

/* ---- causes ---- */
/* The rules, one by one, in the order in which they hold. */
static enum mu_ladder_cause expected_cause(const struct mu_ladder_end *e)
{
    const bool by_itself = e->mpirun_signal == 0;
    const bool stop_was_asked_elsewhere =
        e->outcome == MU_LADDER_REQUEUE && by_itself && (e->exit_code == 75 || e->deaths > 0);

    if (e->outcome == MU_LADDER_COMPLETE)
        return MU_CAUSE_COMPLETE; /* whoever died after that is not missed */
    if (e->lease_lost)
        return MU_CAUSE_LEASE_LOST;
    if (e->wish == MU_WISH_STOP)
        return MU_CAUSE_STOPPED; /* saved or not: nothing is to be started again */
    if (e->wish == MU_WISH_GO_ON && stop_was_asked_elsewhere)
        return MU_CAUSE_STOPPED;
    if (e->stalled)
        return MU_CAUSE_STALLED;
    if (e->host_silent)
        return MU_CAUSE_HOST_SILENT;
    if (by_itself && (e->exit_code == 64 || e->exit_code == 70 || e->exit_code == 78))
        return MU_CAUSE_REFUSED;
    if (e->wish == MU_WISH_CHANGE && e->outcome == MU_LADDER_REQUEUE)
        return MU_CAUSE_CHANGED;
    if (by_itself && e->outcome == MU_LADDER_FAILED && e->agreed)
        return MU_CAUSE_AGREED;
    if (by_itself && e->outcome != MU_LADDER_REQUEUE && e->exit_code == 1 && e->has_started &&
        e->seen > 0 && e->deaths == 0 && !e->is_abroad)
        return MU_CAUSE_AGREED; /* all of them can be seen, and none is missing */
    if (!by_itself && !e->start_hung)
        return MU_CAUSE_MPIRUN_KILLED;
    if (!e->has_started && e->deaths > 0)
        return MU_CAUSE_START_DIED;
    if (e->start_hung)
        return MU_CAUSE_START_HUNG;
    return e->deaths > 0 ? MU_CAUSE_RANKS_DIED : MU_CAUSE_MPIRUN_ENDED;
}

static bool may_be_mended(enum mu_ladder_cause cause)
{
    return cause != MU_CAUSE_COMPLETE && cause != MU_CAUSE_STOPPED && cause != MU_CAUSE_REFUSED &&
           cause != MU_CAUSE_AGREED;
}

static void check_end(const struct mu_ladder_end *e)
{
    struct mu_ladder l = mu_ladder_begin(4, 1, 0);
    const struct mu_ladder_next next = mu_ladder_after(&l, e);

    if (next.cause != expected_cause(e))
        fail_msg("outcome %d agreed %d wish %d signal %d code %d seen %u deaths %u abroad %d "
                 "started %d hung %d lost %d stalled %d silent %d: %s, expected %s",
                 e->outcome, e->agreed, e->wish, e->mpirun_signal, e->exit_code, e->seen, e->deaths,
                 e->is_abroad, e->has_started, e->start_hung, e->lease_lost, e->stalled,
                 e->host_silent, mu_ladder_cause_words(next.cause),
                 mu_ladder_cause_words(expected_cause(e)));
    assert_int_equal(next.relaunch, may_be_mended(next.cause));
    assert_int_equal(l.restarts, next.relaunch && next.cause != MU_CAUSE_CHANGED);
    if (next.cause == MU_CAUSE_COMPLETE)
        assert_int_equal(next.status, MU_OK);
    if (next.cause == MU_CAUSE_STOPPED)
        assert_int_equal(next.status, MU_REQUEUE);
    if (next.cause == MU_CAUSE_REFUSED)
        assert_int_equal(mu_status_exit_code(next.status), e->exit_code);
    if (next.cause == MU_CAUSE_AGREED)
        assert_int_equal(next.status, MU_FAILED);
    if (next.relaunch)
        assert_int_equal(next.pause_ms, 0); /* the first one at once */
}

static void every_end_has_its_cause_and_exit_code(void **state)
{
    static const int codes[] = {0, 1, 64, 70, 75, 78, 137, -1};
    long ends = 0;

    (void)state;
    for (unsigned i = 0; i < 4 * 3 * 2 * 8; i++)
        for (unsigned bits = 0; bits < 1 << 9; bits++) {
            struct mu_ladder_end e = {
                .outcome = (enum mu_ladder_outcome)(i % 4),
                .wish = (enum mu_ladder_wish)(i / 4 % 3),
                .mpirun_signal = i / 12 % 2 ? 9 : 0,
                .exit_code = codes[i / 24],
                .agreed = bits & 1,
                .seen = bits & 2 ? 4 : 0,
                .deaths = bits & 4 ? 2 : 0,
                .is_abroad = bits & 8,
                .has_started = bits & 16,
                .start_hung = bits & 32,
                .lease_lost = bits & 64,
                .stalled = bits & 128,
                .host_silent = bits & 256,
                .step = 5,
            };

            check_end(&e);
            ends++;
        }
    assert_int_equal(ends, 192 * 512);
}

static void causes_have_words(void **state)
{
    (void)state;
    for (int c = 0; c < MU_CAUSE_COUNT; c++)
        assert_true(strlen(mu_ladder_cause_words((enum mu_ladder_cause)c)) > 0);
    assert_string_equal(mu_ladder_cause_words(MU_CAUSE_MPIRUN_KILLED), "mpirun was killed");
    assert_string_equal(mu_ladder_cause_words(MU_CAUSE_COUNT), "?");
}

/* ---- progress, pauses, restarts ---- */
static struct mu_ladder_next killed_at(struct mu_ladder *l, int64_t step)
{
    const struct mu_ladder_end e = {.mpirun_signal = 9, .has_started = true, .step = step};

    return mu_ladder_after(l, &e);
}

static void three_generations_without_a_new_step_are_the_end(void **state)
{
    struct mu_ladder l = mu_ladder_begin(4, 100, 12);
    struct mu_ladder_next next;

    (void)state;
    next = killed_at(&l, 20); /* eight new steps */
    assert_true(next.relaunch);
    assert_int_equal(next.pause_ms, 0);
    next = killed_at(&l, 20);
    assert_true(next.relaunch);
    assert_int_equal(next.pause_ms, 0);
    next = killed_at(&l, 18); /* it fell back to a checkpoint, and did not come as far */
    assert_true(next.relaunch);
    assert_int_equal(next.pause_ms, 1000);
    next = killed_at(&l, -1);
    assert_false(next.relaunch);
    assert_true(next.no_progress);
    assert_false(next.no_restart_left);
    assert_int_equal(next.status, MU_FAILED);
    assert_int_equal(l.best_step, 20);

    l = mu_ladder_begin(4, 100, 0);
    l.most_still = 9;
    for (int i = 1; i < 9; i++) {
        next = killed_at(&l, 0);
        assert_true(next.relaunch);
        assert_int_equal(next.pause_ms, i == 1 ? 0 : 1000 << (i - 2)); /* 64 s in the end */
    }
    assert_true(killed_at(&l, 0).no_progress);
}

static void a_new_step_begins_the_count_anew(void **state)
{
    struct mu_ladder l = mu_ladder_begin(4, 100, 0);

    (void)state;
    for (int64_t step = 1; step < 30; step++) {
        assert_true(killed_at(&l, step - 1).relaunch);
        assert_true(killed_at(&l, step - 1).relaunch);
        assert_int_equal(killed_at(&l, step).pause_ms, 0);
    }
    assert_int_equal(l.restarts, 87);
}

static void a_planned_relaunch_is_no_failure(void **state)
{
    struct mu_ladder l = mu_ladder_begin(4, 1, 0);
    const struct mu_ladder_end changed = {.outcome = MU_LADDER_REQUEUE,
                                          .wish = MU_WISH_CHANGE,
                                          .exit_code = 75,
                                          .has_started = true,
                                          .step = 0};

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_true(mu_ladder_after(&l, &changed).relaunch);
    assert_int_equal(l.restarts, 0);
    assert_true(killed_at(&l, 0).relaunch);
}

static void restarts_are_counted(void **state)
{
    struct mu_ladder l = mu_ladder_begin(4, 3, 0);
    struct mu_ladder_next next;

    (void)state;
    for (int64_t step = 1; step <= 3; step++)
        assert_true(killed_at(&l, step).relaunch);
    next = killed_at(&l, 4);
    assert_false(next.relaunch);
    assert_true(next.no_restart_left);
    assert_int_equal(next.status, MU_FAILED);
    l = mu_ladder_begin(4, 0, 0);
    assert_false(killed_at(&l, 4).relaunch);
}

/* ---- hosts ---- */
static struct mu_ladder three_hosts(uint32_t ranks)
{
    static const struct mu_ladder_host hosts[] = {
        {.name = "a", .slots = 4}, {.name = "b", .slots = 2}, {.name = "c", .slots = 2}};
    struct mu_ladder l = mu_ladder_begin(ranks, 100, 0);

    mu_ladder_set_hosts(&l, hosts, 3);
    return l;
}

static void a_host_that_failed_twice_is_left_out_until_it_has_cooled_off(void **state)
{
    struct mu_ladder l = three_hosts(8);
    struct mu_ladder_plan plan;

    (void)state;
    assert_false(mu_ladder_host_failed(&l, 1, MINUTE));
    assert_int_equal(mu_ladder_plan(&l, MINUTE).ranks, 8);
    assert_true(mu_ladder_host_failed(&l, 1, 3 * MINUTE));
    plan = mu_ladder_plan(&l, 4 * MINUTE);
    assert_int_equal(plan.ranks, 6);
    assert_int_equal(plan.hosts, 2);
    assert_true(plan.use[0] && !plan.use[1] && plan.use[2]);
    assert_int_equal(mu_ladder_plan(&l, 13 * MINUTE - 1).ranks, 6);
    plan = mu_ladder_plan(&l, 13 * MINUTE);
    assert_int_equal(plan.ranks, 8);
    assert_true(plan.use[1]);
    assert_false(mu_ladder_host_failed(&l, 1, 14 * MINUTE)); /* its past is forgotten */
}

static void how_long_a_host_cools_off_can_be_set(void **state)
{
    struct mu_ladder l = three_hosts(8);

    (void)state;
    l.cool_off_ms = 9000;
    mu_ladder_host_lost(&l, 1, MINUTE);
    assert_int_equal(mu_ladder_plan(&l, MINUTE + MINUTE / 60 * 9 - 1).ranks, 6);
    assert_int_equal(mu_ladder_plan(&l, MINUTE + MINUTE / 60 * 9).ranks, 8);
}

static void failures_far_apart_do_not_add_up(void **state)
{
    struct mu_ladder l = three_hosts(8);

    (void)state;
    assert_false(mu_ladder_host_failed(&l, 0, MINUTE));
    assert_false(mu_ladder_host_failed(&l, 0, 12 * MINUTE));
    assert_true(mu_ladder_host_failed(&l, 0, 13 * MINUTE));
}

static void hosts_that_do_not_answer_are_left_out_at_once_and_all_of_them_is_a_pause(void **state)
{
    struct mu_ladder l = three_hosts(8);
    struct mu_ladder_plan plan;

    (void)state;
    mu_ladder_host_lost(&l, 0, MINUTE);
    assert_int_equal(mu_ladder_plan(&l, MINUTE).ranks, 4);
    mu_ladder_host_lost(&l, 2, 2 * MINUTE);
    mu_ladder_host_lost(&l, 1, 3 * MINUTE);
    plan = mu_ladder_plan(&l, 4 * MINUTE);
    assert_int_equal(plan.ranks, 0);
    assert_int_equal(plan.hosts, 0);
    assert_int_equal(plan.pause_ms, 7 * 60 * 1000 + 1); /* until minute 11, when a is back */
    plan = mu_ladder_plan(&l, 4 * MINUTE + plan.pause_ms * 1000000);
    assert_int_equal(plan.ranks, 4);
    assert_true(plan.use[0] && !plan.use[1] && !plan.use[2]);
}

static void ranks_follow_the_slots_that_are_left(void **state)
{
    (void)state;
    for (uint32_t wanted = 1; wanted <= 32; wanted++) {
        struct mu_ladder l = three_hosts(wanted);

        assert_int_equal(mu_ladder_plan(&l, 0).ranks, wanted);
        mu_ladder_host_lost(&l, 0, 0); /* 4 of 8 slots */
        assert_int_equal(mu_ladder_plan(&l, 1).ranks, wanted <= 4   ? wanted
                                                      : wanted <= 8 ? 4
                                                                    : wanted / 2);
    }
}

static void without_hosts_it_is_this_machine(void **state)
{
    struct mu_ladder l = mu_ladder_begin(5, 1, 0);

    (void)state;
    assert_int_equal(mu_ladder_plan(&l, 0).ranks, 5);
    assert_int_equal(mu_ladder_plan(&l, 0).hosts, 1);
    l.wanted = 2;
    assert_int_equal(mu_ladder_plan(&l, 0).ranks, 2);
}

static void a_new_list_keeps_what_is_known_of_a_host(void **state)
{
    static const struct mu_ladder_host more[] = {{.name = "d", .slots = 8},
                                                 {.name = "b", .slots = 3}};
    struct mu_ladder l = three_hosts(11);
    struct mu_ladder_plan plan;

    (void)state;
    mu_ladder_host_lost(&l, 1, MINUTE);
    mu_ladder_set_hosts(&l, more, 2);
    plan = mu_ladder_plan(&l, 2 * MINUTE);
    assert_int_equal(plan.ranks, 8);
    assert_true(plan.use[0] && !plan.use[1]);
    assert_int_equal(mu_ladder_plan(&l, 11 * MINUTE).ranks, 11);
}

/* ---- more ranks ---- */
static void more_ranks_pay_when_they_save_more_than_the_relaunch_costs(void **state)
{
    /* 32 shards: 8 a rank, then 4: half of the time is saved. */
    struct mu_ladder_gain g = {.steps_left = 100,
                               .step_s = 0.1,
                               .relaunch_s = 2,
                               .ranks_now = 4,
                               .ranks_then = 8,
                               .shards = 32};

    (void)state;
    assert_true(mu_ladder_pays(&g)); /* 5 s for 2 s */
    g.steps_left = 40;
    assert_false(mu_ladder_pays(&g)); /* 2 s for 2 s */
    g.steps_left = 41;
    assert_true(mu_ladder_pays(&g));
    g.ranks_then = 5; /* 7 shards instead of 8 */
    assert_false(mu_ladder_pays(&g));
    g.steps_left = 1000;
    assert_true(mu_ladder_pays(&g)); /* 12.5 s */
    g.ranks_now = 16;
    g.ranks_then = 31; /* 2 shards as before */
    assert_false(mu_ladder_pays(&g));
    g.ranks_then = 64; /* one each: the others would be spares */
    assert_true(mu_ladder_pays(&g));
    g.ranks_now = 32;
    assert_false(mu_ladder_pays(&g));
}

static void nothing_pays_that_is_not_known(void **state)
{
    const struct mu_ladder_gain g = {.steps_left = 1000000,
                                     .step_s = 1,
                                     .relaunch_s = 1,
                                     .ranks_now = 1,
                                     .ranks_then = 8,
                                     .shards = 32};
    struct mu_ladder_gain unknown = g;

    (void)state;
    assert_true(mu_ladder_pays(&g));
    unknown.shards = 0;
    assert_false(mu_ladder_pays(&unknown));
    unknown = g;
    unknown.step_s = 0;
    assert_false(mu_ladder_pays(&unknown));
    unknown = g;
    unknown.ranks_now = 0;
    assert_false(mu_ladder_pays(&unknown));
    unknown = g;
    unknown.ranks_then = 1;
    assert_false(mu_ladder_pays(&unknown));
    unknown = g;
    unknown.steps_left = -1;
    assert_false(mu_ladder_pays(&unknown));
}

/* 5 s, and twice as long each time, up to 64 times; ten minutes without one: 5 s again. */
static void ranks_that_die_again_and_again_are_replaced_less_and_less_often(void **state)
{
    struct mu_ladder l = mu_ladder_begin(4, 100, 0);
    uint64_t now_ns = 1;

    (void)state;
    assert_int_equal(mu_ladder_patience_ms(&l, now_ns), 5000);
    for (unsigned i = 1; i <= 8; i++) {
        now_ns += UINT64_C(599000000000);
        mu_ladder_replenish(&l, now_ns);
        assert_int_equal(mu_ladder_patience_ms(&l, now_ns), 5000u << (i < 6 ? i : 6));
    }
    now_ns += UINT64_C(600000000000);
    assert_int_equal(mu_ladder_patience_ms(&l, now_ns), 320000);
    now_ns += 1;
    assert_int_equal(mu_ladder_patience_ms(&l, now_ns), 5000);
    mu_ladder_replenish(&l, now_ns);
    assert_int_equal(mu_ladder_patience_ms(&l, now_ns), 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_has_its_cause_and_exit_code),
        cmocka_unit_test(causes_have_words),
        cmocka_unit_test(three_generations_without_a_new_step_are_the_end),
        cmocka_unit_test(a_new_step_begins_the_count_anew),
        cmocka_unit_test(a_planned_relaunch_is_no_failure),
        cmocka_unit_test(restarts_are_counted),
        cmocka_unit_test(a_host_that_failed_twice_is_left_out_until_it_has_cooled_off),
        cmocka_unit_test(how_long_a_host_cools_off_can_be_set),
        cmocka_unit_test(failures_far_apart_do_not_add_up),
        cmocka_unit_test(hosts_that_do_not_answer_are_left_out_at_once_and_all_of_them_is_a_pause),
        cmocka_unit_test(ranks_follow_the_slots_that_are_left),
        cmocka_unit_test(without_hosts_it_is_this_machine),
        cmocka_unit_test(a_new_list_keeps_what_is_known_of_a_host),
        cmocka_unit_test(more_ranks_pay_when_they_save_more_than_the_relaunch_costs),
        cmocka_unit_test(nothing_pays_that_is_not_known),
        cmocka_unit_test(ranks_that_die_again_and_again_are_replaced_less_and_less_often),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
