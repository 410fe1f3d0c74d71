/* worker/recover by groups: one repair of ranks that are at different points. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/toy_groups.h"

static int set_up(void **state)
{
    (void)state;
    return open_stage("recover-groups");
}

static void *repair_once(void *context)
{
    struct rank *r = context;

    r->status = mu_recover(&r->recovery);
    pthread_mutex_lock(&lock);
    r->ended = true;
    ended++;
    pthread_cond_broadcast(&one_ended);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Ranks 0, 1, 2 in group 1; 3, 4 in group 2; 5 is idle. */
static struct schedule three_kinds(void)
{
    struct schedule s = {.size = 6,
                         .group = {1, 1, 1, 2, 2, 0},
                         .settings = toy_settings(STEPS),
                         .host = {0, 0, 1, 0, 1, 0}};

    for (uint32_t i = 0; i < MOST_RANKS; i++)
        s.fate[i].kind = FAKE_KINDS;
    set_the_stage(&s);
    return s;
}

static void starts_again_is_decided_among_the_group(void **state)
{
    struct schedule s = three_kinds();

    (void)state;
    for (int i = 0; i < 3; i++)
        rank[i].recovery.phase = MU_RECOVERY_STARTING;
    rank[2].recovery.phase = MU_RECOVERY_REFUSED; /* not all: the start is not over */
    fake_kill(1);
    run(&s, repair_once);
    for (uint32_t i = 0; i < s.size; i++) {
        const struct mu_recovery *r = &rank[i].recovery;

        if (i == 1)
            continue;
        assert_int_equal(rank[i].status, MU_OK);
        assert_int_equal(r->plan.restart, i < 3);
        assert_false(r->plan.finished);
        assert_int_equal(r->dead_count, 1);
        assert_int_equal(r->dead[0], 1);
        assert_int_equal(r->lost_count, i < 3);
        if (i < 3)
            assert_int_equal(r->lost[0], 1);
    }
    assert_int_equal(mu_comm_size(rank[0].worker.comm), 2);
    assert_int_equal(mu_comm_name(rank[2].worker.comm, 1), 2);
    assert_int_equal(mu_comm_rank(rank[2].worker.comm), 1);
    assert_int_equal(mu_comm_rank(rank[4].worker.comm), 1);
    assert_int_equal(rank[3].roll.size, 2);
    assert_int_equal(rank[3].roll.epoch, 1);
    clean_up(&s);
}

static void everybody_hears_who_works_on_what(void **state)
{
    struct schedule s = three_kinds();

    (void)state;
    rank[0].recovery.duties = 3;
    rank[5].recovery.ended = 9;
    fake_kill(2);
    run(&s, repair_once);
    for (uint32_t i = 0; i < s.size; i++) {
        const struct mu_rank_word *word = rank[i].recovery.word;

        if (i == 2)
            continue;
        for (int place = 0; place < 5; place++) {
            int name = place + (place >= 2);

            assert_int_equal(word[place].name, name);
            assert_int_equal(word[place].group, s.group[name]);
            assert_int_equal(word[place].trial, 10 * s.group[name]);
            assert_int_equal(word[place].phase, name == 5 ? MU_RECOVERY_IDLE : MU_RECOVERY_RUNNING);
            assert_int_equal(word[place].step, 0);
            assert_int_equal(word[place].bytes > 0, name != 5);
            assert_int_equal(word[place].ended, name == 5 ? 9 : 0);
        }
        assert_int_equal(word[0].duties, 3);
    }
    assert_int_equal(rank[0].recovery.plan.duties, 3);
    assert_int_equal(rank[3].recovery.plan.duties, 0);
    clean_up(&s);
}

static void what_one_rank_knows_to_be_done_is_done(void **state)
{
    struct schedule s = three_kinds();

    (void)state;
    rank[5].recovery.ended = 1; /* it was in it, and is idle again */
    for (int i = 3; i < 5; i++)
        rank[i].recovery.phase = MU_RECOVERY_REFUSED;
    fake_kill(0);
    run(&s, repair_once);
    for (uint32_t i = 1; i < s.size; i++) {
        assert_int_equal(rank[i].status, MU_OK);
        assert_int_equal(rank[i].recovery.plan.finished, i < 5);
        assert_false(rank[i].recovery.plan.restart);
    }
    assert_int_equal(rank[1].roll.size, 2); /* it has a state, and could go on */
    clean_up(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_again_is_decided_among_the_group),
        cmocka_unit_test(everybody_hears_who_works_on_what),
        cmocka_unit_test(what_one_rank_knows_to_be_done_is_done),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
