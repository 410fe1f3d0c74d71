/* orchestrator/sweep_run/master.h: orders, outcomes and deaths, by sequences of what the master
 * hears. */
#include "tests/support/sweep_master.h"

/* ---- */
static void all_is_trained(void **state)
{
    (void)state;
    begin(ALONE);
    assert_int_equal(m.known, 2);
    decide();
    assert_int_equal(m.groups, 0); /* nobody is ready */
    for (int i = 0; i < RANKS; i++)
        ready(i);
    decide();
    assert_true(m.groups >= 2);
    assert_int_equal(cell_of(0)->phase, MU_CELL_TRAINS);
    assert_int_equal(cell_of(1)->phase, MU_CELL_TRAINS);
    assert_int_equal(m.group[0].number, FIRST);
    assert_int_equal(cell_of(0)->workers, mu_sweep_master_size(&m, cell_of(0)->group));
    finish();
    for (uint32_t i = 0; i < m.known; i++) {
        assert_int_equal(cell_of(i)->phase, MU_CELL_COMPLETE);
        assert_true(cell_of(i)->valid_loss == 3.5);
        assert_true(cell_of(i)->rank_seconds > 0);
    }
    assert_int_equal(m.state.busy, 0);
}

static void an_order_is_written_down_first(void **state)
{
    (void)state;
    begin(ALONE);
    ready(0);
    mu_sweep_master_decide(&m);
    assert_int_equal(m.news_count, 1);
    assert_int_equal(m.news[0].kind, MU_SWEEP_NEWS_ASSIGN);
    assert_int_equal(m.news[0].group, group_of(0));
    assert_false(mu_sweep_master_is_over(&m));
}

static void a_late_ready_is_not_the_end_of_a_new_group(void **state)
{
    (void)state;
    begin(ALONE);
    ready(0);
    decide();
    mu_sweep_master_hear_ready(&m, 0, 0); /* said twice, before the order came */
    assert_int_not_equal(group_of(0), 0);
    assert_int_equal(cell_of(trial_of(0))->phase, MU_CELL_TRAINS);
}

/* Its leader died after the last step, before it could tell: assigned again. */
static void a_lost_outcome_is_made_again(void **state)
{
    uint32_t trial;

    (void)state;
    begin(ALONE);
    ready(0);
    ready(1);
    decide();
    trial = trial_of(1);
    die(1);
    assert_int_equal(cell_of(trial)->phase, MU_CELL_READY);
    assert_int_equal(cell_of(trial)->deaths, 1);
    assert_int_equal(cell_of(trial)->retries, 1);
    assert_int_equal(m.state.dead, 1);
    assert_int_equal(m.state.ranks, RANKS - 1);
    finish();
    assert_int_equal(cell_of(trial)->phase, MU_CELL_COMPLETE);
}

static void ranks_of_other_groups_lose_nothing(void **state)
{
    uint64_t group;

    (void)state;
    begin(ALONE);
    ready(0);
    ready(1);
    decide();
    group = group_of(0);
    die(1);
    assert_int_equal(group_of(0), group);
    assert_int_equal(cell_of(trial_of(0))->phase, MU_CELL_TRAINS);
    assert_int_equal(cell_of(trial_of(0))->deaths, 0);
}

/* Ranks 0 and 1 in one group. */
static uint32_t begin_pair(void)
{
    struct mu_sweep_group *g;

    begin(ALONE);
    ready(0);
    ready(1);
    g = mu_sweep_master_add_group(&m, FIRST, 0);
    mu_sweep_master_join(&m, &m.member[0], g);
    mu_sweep_master_join(&m, &m.member[1], g);
    assert_int_equal(cell_of(0)->workers, 2);
    return 0;
}

static void a_member_dies_and_the_rest_goes_on(void **state)
{
    const uint32_t trial = begin_pair();
    const uint64_t group = group_of(0);

    (void)state;
    die(1);
    assert_int_equal(cell_of(trial)->phase, MU_CELL_TRAINS);
    assert_int_equal(cell_of(trial)->workers, 1);
    assert_int_equal(cell_of(trial)->deaths, 1);
    assert_int_equal(cell_of(trial)->retries, 0);
    assert_int_equal(mu_sweep_master_leader(&m, group), 0);
}

static void the_leader_dies_and_another_one_tells(void **state)
{
    const uint32_t trial = begin_pair();
    const uint64_t group = group_of(0);

    (void)state;
    die(0);
    assert_int_equal(mu_sweep_master_leader(&m, group), 1);
    end_group(1, MU_TRIAL_COMPLETE, 203);
    assert_int_equal(cell_of(trial)->phase, MU_CELL_COMPLETE);
}

static void an_outcome_counts_once(void **state)
{
    const uint32_t trial = begin_pair();
    const uint64_t group = group_of(0);
    struct mu_trial_outcome o = outcome(MU_TRIAL_COMPLETE, 203);

    (void)state;
    o.goodput.us[MU_LEDGER_COMPUTE] = 1000;
    mu_sweep_master_hear_outcome(&m, group, &o);
    o.valid_loss = 9;
    mu_sweep_master_hear_outcome(&m, group, &o); /* after a repair it is told again */
    assert_true(cell_of(trial)->valid_loss == 3.5);
    assert_true(m.state.goodput.us[MU_LEDGER_COMPUTE] == 1000);
}

/* The order was on its way when somebody died: it is void, and nobody's crash. */
static void an_order_that_did_not_arrive_is_void(void **state)
{
    struct mu_rank_word word[RANKS];
    uint32_t count, trial;

    (void)state;
    begin(ALONE);
    ready(0);
    decide();
    trial = trial_of(0);
    count = words(word, (int[]){3}, 1);
    word[0].group = 0;
    mu_sweep_master_hear_words(&m, word, count);
    assert_int_equal(group_of(0), 0);
    assert_int_equal(cell_of(trial)->phase, MU_CELL_READY);
    assert_int_equal(cell_of(trial)->retries, 0);
    decide();
    assert_int_equal(group_of(0), 0); /* until it says that it is ready */
    ready(0);
    decide();
    assert_int_not_equal(group_of(0), 0);
}

/* Half of a group had its order, the other half had not. */
static void a_group_goes_on_without_whom_its_order_missed(void **state)
{
    const uint32_t trial = begin_pair();
    struct mu_rank_word word[RANKS];
    const uint32_t count = words(word, (int[]){3}, 1);

    (void)state;
    word[1].group = 0;
    mu_sweep_master_hear_words(&m, word, count);
    assert_int_equal(cell_of(trial)->workers, 1);
    assert_int_equal(group_of(1), 0);
    assert_int_equal(cell_of(trial)->phase, MU_CELL_TRAINS);
    mu_sweep_master_hear_ready(&m, 1, 0);
    assert_true(mu_sweep_master_member(&m, 1)->is_ready);
}

/* READY was on its way when somebody died: the group has ended, and the outcome comes again. */
static void a_ready_that_was_lost_is_waited_for(void **state)
{
    const uint32_t trial = begin_pair();
    const uint64_t group = group_of(0);
    struct mu_rank_word word[RANKS];
    const uint32_t count = words(word, (int[]){3}, 1);

    (void)state;
    word[0].group = word[1].group = 0;
    word[0].ended = word[1].ended = group;
    mu_sweep_master_hear_words(&m, word, count);
    assert_int_equal(cell_of(trial)->phase, MU_CELL_TRAINS);
    end_group(0, MU_TRIAL_COMPLETE, 203);
    assert_int_equal(cell_of(trial)->phase, MU_CELL_COMPLETE);
}

static void crashes_without_progress_end_a_trial(void **state)
{
    uint32_t trial;

    (void)state;
    begin(ALONE);
    spec.retries = 1;
    ready(0);
    decide();
    trial = trial_of(0);
    end_group(0, MU_TRIAL_FAILED, 5);
    assert_int_equal(cell_of(trial)->phase, MU_CELL_READY);
    assert_int_equal(cell_of(trial)->crashes, 1);
    do { /* the other one may come first */
        decide();
        if (trial_of(0) != trial)
            end_group(0, MU_TRIAL_COMPLETE, 100);
    } while (group_of(0) == 0);
    assert_int_equal(trial_of(0), trial);
    end_group(0, MU_TRIAL_FAILED, 5);
    assert_int_equal(cell_of(trial)->phase, MU_CELL_FAILED);
    assert_non_null(strstr(cell_of(trial)->message, "as told, 2 times in a row at step 5"));
}

static void progress_between_crashes_forgives_them(void **state)
{
    uint32_t trial;

    (void)state;
    begin(ALONE);
    spec.retries = 1;
    ready(0);
    decide();
    trial = trial_of(0);
    for (int64_t step = 5; step < 50; step += 5) {
        mu_sweep_master_hear_progress(&m, group_of(0), step, 4, 1e5);
        mu_sweep_master_hear_progress(&m, group_of(0), step + 1, 4, 1e5);
        end_group(0, MU_TRIAL_FAILED, step + 1);
        assert_int_equal(cell_of(trial)->crashes, 1);
        do {
            decide();
            if (trial_of(0) != trial)
                end_group(0, MU_TRIAL_COMPLETE, 100);
        } while (group_of(0) == 0);
    }
    assert_int_equal(cell_of(trial)->retries, 9);
}

/* It is begun again from a step later than the last that was heard of, and dies in the next. */
static void going_on_from_memory_is_no_progress(void **state)
{
    uint32_t trial;

    (void)state;
    begin(ALONE);
    spec.retries = 2;
    ready(0);
    decide();
    trial = trial_of(0);
    for (uint32_t crash = 1; crash <= 3; crash++) {
        mu_sweep_master_hear_progress(&m, group_of(0), 49 + crash, 4, 1e5);
        end_group(0, MU_TRIAL_FAILED, 49 + crash);
        assert_int_equal(cell_of(trial)->crashes, crash);
        for (int i = 0; crash < 3 && (group_of(0) == 0 || trial_of(0) != trial); i++) {
            assert_true(i < 10);
            if (group_of(0) != 0)
                end_group(0, MU_TRIAL_COMPLETE, 100);
            decide();
        }
    }
    assert_int_equal(cell_of(trial)->phase, MU_CELL_FAILED);
}

/* It begins again from a checkpoint, and dies where it died before. */
static void steps_taken_again_are_no_progress(void **state)
{
    uint32_t trial;

    (void)state;
    begin(ALONE);
    spec.retries = 1;
    ready(0);
    decide();
    trial = trial_of(0);
    for (uint32_t crash = 1; crash <= 2; crash++) {
        mu_sweep_master_hear_progress(&m, group_of(0), 41, 4, 1e5);
        mu_sweep_master_hear_progress(&m, group_of(0), 50, 4, 1e5);
        end_group(0, MU_TRIAL_FAILED, 50);
        assert_int_equal(cell_of(trial)->crashes, crash);
        for (int i = 0; crash < 2 && (group_of(0) == 0 || trial_of(0) != trial); i++) {
            assert_true(i < 10);
            if (group_of(0) != 0)
                end_group(0, MU_TRIAL_COMPLETE, 100);
            decide();
        }
    }
    assert_int_equal(cell_of(trial)->phase, MU_CELL_FAILED);
}

static void results_are_no_crashes(void **state)
{
    (void)state;
    begin(ALONE);
    ready(0);
    ready(1);
    decide();
    end_group(0, MU_TRIAL_DIVERGED, 7);
    end_without_memory(trial_of(1));
    assert_true(mu_cell_has_ended(cell_of(0)->phase) && mu_cell_has_ended(cell_of(1)->phase));
    assert_int_equal(cell_of(0)->retries + cell_of(1)->retries, 0);
    ready(2);
    ready(3);
    assert_true(mu_sweep_master_is_over(&m));
}

/* Beside another trial, on two ranks: on one, and when that fails, too, once nothing else is
 * left. */
static void out_of_memory_is_no_result_beside_others(void **state)
{
    const uint32_t trial = begin_pair(), other = 1 - trial;

    (void)state;
    end_group(0, MU_TRIAL_OUT_OF_MEMORY, 0);
    assert_int_equal(cell_of(trial)->phase, MU_CELL_READY);
    for (int i = 0; i < RANKS; i++)
        ready(i);
    decide();
    assert_int_equal(cell_of(trial)->workers, 1);
    assert_int_equal(cell_of(other)->phase, MU_CELL_TRAINS);
    end_group(mu_sweep_master_leader(&m, cell_of(trial)->group), MU_TRIAL_OUT_OF_MEMORY, 0);
    m.is_changed = true;
    decide();
    assert_int_equal(cell_of(trial)->phase,
                     MU_CELL_READY); /* waits until the other one has ended */
    end_group(mu_sweep_master_leader(&m, cell_of(other)->group), MU_TRIAL_COMPLETE, 10);
    decide();
    assert_int_equal(cell_of(trial)->phase, MU_CELL_TRAINS);
    assert_int_equal(cell_of(trial)->workers, 1);
    assert_int_equal(cell_of(trial)->retries, 0);
    finish();
    assert_int_equal(cell_of(trial)->phase, MU_CELL_COMPLETE);
}

static void an_order_that_is_not_given_leaves_its_ranks_free(void **state)
{
    (void)state;
    begin(ALONE);
    ready(0);
    mu_sweep_master_decide(&m);
    mu_sweep_master_take_back(&m, group_of(0));
    assert_int_equal(group_of(0), 0);
    assert_int_equal(m.state.busy, 0);
    assert_true(m.member[0].is_ready);
    assert_int_equal(cell_of(0)->phase, MU_CELL_READY);
    assert_int_equal(cell_of(0)->crashes + cell_of(0)->retries, 0);
}

static void a_refused_trial_is_not_tried_again(void **state)
{
    (void)state;
    begin(ALONE);
    spec.retries = 5;
    ready(0);
    decide();
    end_group(0, MU_TRIAL_REFUSED, 0);
    assert_true(cell_of(0)->phase == MU_CELL_FAILED || cell_of(1)->phase == MU_CELL_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_is_trained),
        TEST(an_order_is_written_down_first),
        TEST(a_late_ready_is_not_the_end_of_a_new_group),
        TEST(a_lost_outcome_is_made_again),
        TEST(ranks_of_other_groups_lose_nothing),
        TEST(a_member_dies_and_the_rest_goes_on),
        TEST(the_leader_dies_and_another_one_tells),
        TEST(an_outcome_counts_once),
        TEST(an_order_that_did_not_arrive_is_void),
        TEST(a_group_goes_on_without_whom_its_order_missed),
        TEST(a_ready_that_was_lost_is_waited_for),
        TEST(crashes_without_progress_end_a_trial),
        TEST(progress_between_crashes_forgives_them),
        TEST(going_on_from_memory_is_no_progress),
        TEST(steps_taken_again_are_no_progress),
        TEST(results_are_no_crashes),
        TEST(out_of_memory_is_no_result_beside_others),
        TEST(an_order_that_is_not_given_leaves_its_ranks_free),
        TEST(a_refused_trial_is_not_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
