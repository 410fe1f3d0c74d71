/* orchestrator/sweep_run/master.h: groups that move, stops, branches, and a new master. */
#include "tests/support/sweep_master.h"

/* ---- moving ---- */
/* Rank 0 trains the last trial alone, and three others are free. */
static uint32_t begin_growth(uint64_t *group)
{
    uint32_t left;

    begin(ALONE);
    ready(0);
    ready(1);
    decide();
    mu_sweep_master_hear_progress(&m, group_of(0), 1, 4, 1e5);
    mu_sweep_master_hear_progress(&m, group_of(1), 1, 4, 1e5);
    end_group(1, MU_TRIAL_COMPLETE, 100);
    ready(2);
    ready(3);
    left = trial_of(0);
    *group = group_of(0);
    decide();
    assert_int_equal(cell_of(left)->phase, MU_CELL_MOVES);
    assert_true(mu_sweep_master_group(&m, *group)->makes_way);
    return left;
}

static void a_group_grows_when_all_have_let_go(void **state)
{
    uint64_t group;
    const uint32_t trial = begin_growth(&group);

    (void)state;
    decide();
    assert_int_equal(group_of(1), 0); /* kept, but not before rank 0 has left */
    end_group(0, MU_TRIAL_MADE_WAY, 10);
    assert_int_equal(cell_of(trial)->phase, MU_CELL_READY);
    decide();
    assert_int_equal(cell_of(trial)->phase, MU_CELL_TRAINS);
    assert_true(cell_of(trial)->workers > 1);
    assert_true(cell_of(trial)->group > group);
    assert_int_equal(cell_of(trial)->moves, 1);
    assert_int_equal(cell_of(trial)->step, 10);
    assert_int_equal(cell_of(trial)->retries, 0);
    finish();
}

static void who_dies_while_it_makes_way_is_not_waited_for(void **state)
{
    uint64_t group;
    const uint32_t trial = begin_growth(&group);

    (void)state;
    die(0); /* with what it had to tell */
    for (int i = 1; i < RANKS; i++)
        ready(i);
    decide();
    assert_int_equal(cell_of(trial)->phase, MU_CELL_TRAINS);
    finish();
    assert_int_equal(cell_of(trial)->phase, MU_CELL_COMPLETE);
}

static void a_trial_that_ends_instead_of_moving_frees_those_kept(void **state)
{
    uint64_t group;
    const uint32_t trial = begin_growth(&group);

    (void)state;
    end_group(0, MU_TRIAL_COMPLETE, 203);
    assert_int_equal(cell_of(trial)->phase, MU_CELL_COMPLETE);
    for (int i = 0; i < RANKS; i++)
        assert_int_equal(mu_sweep_master_member(&m, i)->kept, MU_TRIAL_ALONE);
    decide();
    assert_true(mu_sweep_master_is_over(&m));
}

/* ---- stopping ---- */
static void a_stopped_trial_stops_all(void **state)
{
    (void)state;
    begin(ALONE);
    ready(0);
    decide();
    end_group(0, MU_TRIAL_STOPPED, 10);
    assert_true(m.stops);
    for (int i = 1; i < RANKS; i++)
        ready(i);
    decide();
    assert_int_equal(m.state.busy, 0);
    assert_true(mu_sweep_master_is_over(&m));
    assert_false(mu_cell_has_ended(cell_of(0)->phase) && mu_cell_has_ended(cell_of(1)->phase));
}

/* Also by ranks that were kept; and once: who cannot save is not asked again and again. */
static void what_is_in_memory_alone_is_saved_before_a_stop(void **state)
{
    uint64_t group;
    const uint32_t trial = begin_growth(&group);

    (void)state;
    end_group(0, MU_TRIAL_MADE_WAY, 10);
    m.stops = true;
    for (int i = 1; i < RANKS; i++)
        ready(i);
    decide();
    assert_int_equal(m.state.busy, 0);
    assert_true(mu_sweep_master_is_over(&m));
    m.side[trial].must_save = m.is_changed = true;
    m.state.cell[trial].host = 0;
    assert_false(mu_sweep_master_is_over(&m));
    decide();
    assert_int_equal(m.state.busy, 1);
    assert_int_equal(cell_of(trial)->workers, 1);
    assert_false(mu_sweep_master_is_over(&m));
    for (int i = 0; i < RANKS; i++)
        if (group_of(i) != 0)
            end_group(i, MU_TRIAL_FAILED, 10);
    decide();
    assert_int_equal(m.state.busy, 0);
    assert_true(mu_sweep_master_is_over(&m));
}

/* ---- branches ---- */
/* A trial that waits, and its trunk. */
static uint32_t branch_of(uint32_t *trunk)
{
    for (uint32_t i = 0; i < m.known; i++)
        if (cell_of(i)->phase == MU_CELL_WAITS) {
            *trunk = mu_sweep_waits_for(&m.stages.trials, i);
            return i;
        }
    fail_msg("no trial waits");
    return 0;
}

/* Some rank that trains the trunk. */
static int begin_trunk(uint32_t trunk)
{
    for (int i = 0; i < RANKS; i++)
        ready(i);
    decide();
    assert_int_equal(cell_of(trunk)->phase, MU_CELL_TRAINS);
    return mu_sweep_master_leader(&m, cell_of(trunk)->group);
}

static void a_branch_waits_for_its_trunk(void **state)
{
    uint32_t trunk, branch;
    int64_t shared;
    int leader;

    (void)state;
    begin(BRANCH);
    branch = branch_of(&trunk);
    shared = m.stages.trials.item[branch].shared;
    assert_true(shared > 0);
    leader = begin_trunk(trunk);
    mu_sweep_master_hear_progress(&m, group_of(leader), shared - 1, 4, 1e5);
    assert_int_equal(cell_of(branch)->phase, MU_CELL_WAITS);
    mu_sweep_master_hear_progress(&m, group_of(leader), shared, 4, 1e5);
    assert_int_equal(cell_of(branch)->phase, MU_CELL_READY);
    finish();
}

static void a_branch_whose_state_is_there_does_not_wait(void **state)
{
    (void)state;
    all_there = true;
    begin(BRANCH);
    all_there = false;
    for (uint32_t i = 0; i < m.known; i++)
        assert_int_equal(cell_of(i)->phase, MU_CELL_READY);
}

static void a_branch_diverges_with_its_trunk(void **state)
{
    uint32_t trunk, branch;
    int leader;

    (void)state;
    begin(BRANCH);
    branch = branch_of(&trunk);
    leader = begin_trunk(trunk);
    end_group(leader, MU_TRIAL_DIVERGED, m.stages.trials.item[branch].shared - 1);
    assert_int_equal(cell_of(branch)->phase, MU_CELL_DIVERGED);
    assert_non_null(strstr(cell_of(branch)->message, m.stages.trials.item[trunk].name));
}

static void a_trunk_that_diverges_later_has_left_the_branch(void **state)
{
    uint32_t trunk, branch;
    int leader;

    (void)state;
    begin(BRANCH);
    branch = branch_of(&trunk);
    leader = begin_trunk(trunk);
    end_group(leader, MU_TRIAL_DIVERGED, m.stages.trials.item[branch].shared);
    assert_int_equal(cell_of(branch)->phase, MU_CELL_READY);
}

static void a_branch_of_a_trunk_without_memory_goes_alone(void **state)
{
    uint32_t trunk, branch;

    (void)state;
    begin(BRANCH);
    branch = branch_of(&trunk);
    begin_trunk(trunk);
    end_without_memory(trunk);
    assert_int_not_equal(cell_of(branch)->phase, MU_CELL_WAITS);
    finish();
    assert_int_equal(cell_of(branch)->phase, MU_CELL_COMPLETE);
}

/* ---- a new master ---- */
/* Another one takes over: groups as the journal has them, then what the living say. */
static void a_new_master_takes_the_groups_from_the_words(void **state)
{
    struct mu_rank_word word[RANKS];
    struct mu_sweep_group *g;
    uint32_t count;

    (void)state;
    begin(ALONE);
    g = mu_sweep_master_add_group(&m, FIRST, 0);
    mu_sweep_master_join(&m, &m.member[0], g);
    mu_sweep_master_join(&m, &m.member[1], g);
    g = mu_sweep_master_add_group(&m, FIRST + 1, 1);
    mu_sweep_master_join(&m, &m.member[2], g);
    count = words(word, (int[]){0}, 1); /* the master was in the first */
    mu_sweep_master_hear_words(&m, word, count);
    assert_int_equal(cell_of(0)->workers, 1);
    assert_int_equal(cell_of(1)->workers, 1);
    assert_int_equal(m.next_group, FIRST + 2);
    end_group(1, MU_TRIAL_COMPLETE, 203);
    assert_int_equal(cell_of(0)->phase, MU_CELL_COMPLETE);
    finish();
}

static void a_death_of_all_of_a_group_with_the_master_is_a_crash(void **state)
{
    struct mu_rank_word word[RANKS];
    struct mu_sweep_group *g;
    uint32_t count;

    (void)state;
    begin(ALONE);
    g = mu_sweep_master_add_group(&m, FIRST, 0);
    mu_sweep_master_join(&m, &m.member[0], g);
    count = words(word, (int[]){0}, 1);
    mu_sweep_master_hear_words(&m, word, count);
    assert_int_equal(cell_of(0)->phase, MU_CELL_READY);
    assert_int_equal(cell_of(0)->retries, 1);
    finish();
}

static void learned_speeds_stand_for_trials_alike(void **state)
{
    (void)state;
    begin(BRANCH);
    for (int i = 0; i < RANKS; i++)
        ready(i);
    decide();
    assert_true(isnan(mu_sweep_master_step_seconds(&m, 0)));
    mu_sweep_master_hear_progress(&m, group_of(0), 3, 4, 81920);
    assert_true(!isnan(mu_sweep_master_step_seconds(&m, 0)));
    if (mu_sweep_master_size(&m, group_of(0)) == 1)
        assert_true(fabs(mu_sweep_master_step_seconds(&m, trial_of(0)) - 0.1) < 1e-9);
}

static void idle_time_is_added_once(void **state)
{
    struct mu_ledger_sum idle = {.us = {[MU_LEDGER_IDLE] = 500}};

    (void)state;
    begin(ALONE);
    mu_sweep_master_hear_idle(&m, 0, &idle);
    mu_sweep_master_hear_idle(&m, 0, &idle);
    idle.us[MU_LEDGER_IDLE] = 700;
    mu_sweep_master_hear_idle(&m, 0, &idle);
    assert_true(m.state.goodput.us[MU_LEDGER_IDLE] == 700);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_group_grows_when_all_have_let_go),
        TEST(who_dies_while_it_makes_way_is_not_waited_for),
        TEST(a_trial_that_ends_instead_of_moving_frees_those_kept),
        TEST(a_stopped_trial_stops_all),
        TEST(what_is_in_memory_alone_is_saved_before_a_stop),
        TEST(a_branch_waits_for_its_trunk),
        TEST(a_branch_whose_state_is_there_does_not_wait),
        TEST(a_branch_diverges_with_its_trunk),
        TEST(a_trunk_that_diverges_later_has_left_the_branch),
        TEST(a_branch_of_a_trunk_without_memory_goes_alone),
        TEST(a_new_master_takes_the_groups_from_the_words),
        TEST(a_death_of_all_of_a_group_with_the_master_is_a_crash),
        TEST(learned_speeds_stand_for_trials_alike),
        TEST(idle_time_is_added_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
