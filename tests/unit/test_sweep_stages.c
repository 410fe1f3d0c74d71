/* orchestrator/sweep/windows.h, by way of stages.h: when a budget gets more sizes, and which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/sweep_world.h"

/* The expected optimum of 3.072e10 is 16e3; the true one lies further on each time. */
static void a_budget_is_extended_until_its_minimum_is_bracketed(void **unused)
{
    static const struct {
        double optimum;
        uint32_t added, rounds;
        enum mu_sweep_bracket bracket;
        bool exhausted;
    } cases[] = {
        {16e3, 0, 0, MU_SWEEP_BRACKET_YES, false},       {32e3, 1, 1, MU_SWEEP_BRACKET_YES, false},
        {64e3, 2, 1, MU_SWEEP_BRACKET_YES, false},       {128e3, 3, 2, MU_SWEEP_BRACKET_YES, false},
        {256e3, 3 + 0, 2, MU_SWEEP_BRACKET_RIGHT, true}, {4e3, 2, 1, MU_SWEEP_BRACKET_YES, false},
        {2e3, 2, 1, MU_SWEEP_BRACKET_LEFT, true},        {1e3, 2, 1, MU_SWEEP_BRACKET_LEFT, true},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world.optimum = cases[i].optimum;
        open_sweep(SIZES "budgets = [3.072e10]; window = { points = 5; each_side = 2; };");
        assert_int_equal(stages.trials.count, 5);
        assert_false(stages.complete);
        assert_int_equal(run_all(), cases[i].rounds);
        assert_int_equal(stages.window[0].extended, cases[i].rounds);
        assert_int_equal(stages.trials.count, 5 + cases[i].added);
        assert_int_equal(stages.window[0].bracket, cases[i].bracket);
        assert_int_equal(stages.window[0].is_exhausted, cases[i].exhausted);
        assert_true(stages.complete);
        end(NULL);
    }
}

/* Seeds count by their mean; diverged ones are worse than any; missing ones do not count. */
static void a_side_has_sizes_with_results(void **unused)
{
    static const struct {
        const char *missing;
        double optimum, diverges_above;
        uint32_t added;
        enum mu_sweep_bracket bracket;
        bool exhausted;
        double best;
    } cases[] = {
        /* of 4e3 .. 64e3 */
        {NULL, 16e3, INFINITY, 0, MU_SWEEP_BRACKET_YES, false, 16e3},
        {NULL, 16e3, 20e3, 0, MU_SWEEP_BRACKET_YES, false, 16e3},
        {"params8000-", 16e3, INFINITY, 1, MU_SWEEP_BRACKET_YES, false, 16e3},
        {"params8000-c3.072e+10-s6", 16e3, INFINITY, 0, MU_SWEEP_BRACKET_YES, false, 16e3},
        {"params16000-", 15e3, INFINITY, 1, MU_SWEEP_BRACKET_YES, false, 8e3},
        {NULL, 16e3, 5e3, 2, MU_SWEEP_BRACKET_YES, false, 4e3},
        {NULL, 16e3, 1, 0, MU_SWEEP_BRACKET_NONE, true, NAN},
        {"params", 16e3, INFINITY, 0, MU_SWEEP_BRACKET_NONE, true, NAN},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct mu_sweep_window *w = &stages.window[0];

        world.missing = cases[i].missing;
        world.optimum = cases[i].optimum;
        world.size_diverges_above = cases[i].diverges_above;
        open_sweep(SIZES "budgets = [3.072e10]; window = { points = 5; each_side = 2; };"
                         "repeats = ( { budget = 3.072e10; seeds = 3; } );");
        run_all();
        assert_int_equal(stages.trials.count, 15 + 3 * cases[i].added);
        assert_int_equal(w->bracket, cases[i].bracket);
        assert_int_equal(w->is_exhausted, cases[i].exhausted);
        assert_true(isnan(cases[i].best) ? isnan(w->best_size) && isnan(w->best_loss)
                                         : w->best_size == cases[i].best);
        assert_true(stages.complete);
        end(NULL);
    }
}

/* One budget's extension does not wait for another's cells. */
static void a_budget_waits_for_its_own_cells_alone(void **unused)
{
    (void)unused;
    world.optimum = 64e3;
    open_sweep(SIZES "budgets = [3.072e10, 1.2288e11]; window = { points = 3; each_side = 1; };");
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(stages.trials.item[i].budget == 3.072e10);
        assert_int_equal(stages.window[0].bracket, MU_SWEEP_BRACKET_OPEN);
        result[i] = result_of(&stages.trials.item[i]);
        assert_int_equal(advance(), i == 2 ? 1 : 0);
    }
    assert_true(stages.trials.item[6].budget == 3.072e10 && stages.trials.item[6].n == 64e3);
    assert_int_equal(stages.trials.item[6].extension, 1);
    assert_int_equal(stages.window[0].extended, 1);
    assert_int_equal(stages.window[1].bracket, MU_SWEEP_BRACKET_OPEN);
    assert_int_equal(stages.expected, 7);
}

static void no_extension_where_none_is_allowed(void **unused)
{
    (void)unused;
    world.optimum = 512e3;
    open_sweep(SIZES "budgets = [3.072e10]; window = { points = 5; each_side = 2; extend = 0; };");
    assert_true(stages.complete);
    assert_int_equal(run_all(), 0);
    assert_int_equal(stages.window[0].bracket, MU_SWEEP_BRACKET_RIGHT);
    assert_true(stages.window[0].is_exhausted);
    end(NULL);
    open_sweep("kind = \"ladder\"; multiples = [10, 20];"
               "sizes = { key = \"synthetic.params\"; values = [1e5, 2e5]; };");
    assert_true(stages.complete);
    assert_int_equal(run_all(), 0);
    end(NULL);
    open_sweep("kind = \"grid\"; grid = ( { key = \"optim.lr\"; values = [1e-3, 2e-3]; } );");
    assert_true(stages.complete);
    assert_int_equal(run_all(), 0);
}

/* 15000 cells; extensions could add the 5 other sizes of each budget. */
static void a_sweep_that_could_grow_too_large_is_refused(void **unused)
{
    (void)unused;
    mu_log_set_level(MU_LOG_SILENT);
    assert_int_equal(init_of(SIZES "budgets = [3.072e10, 3.1e10, 3.2e10];"
                                   "repeats = ( { budget = 3.072e10; seeds = 1000; },"
                                   "{ budget = 3.1e10; seeds = 1000; },"
                                   "{ budget = 3.2e10; seeds = 1000; } );"),
                     MU_CONFIG);
    mu_log_reset_level();
    assert_int_equal(stages.trials.count, 0);
}

/* A size at whose run the warm-up does not fit is as if it were not in the ladder. */
static void an_extension_ends_where_runs_cannot_be(void **unused)
{
    (void)unused;
    world.optimum = 512e3;
    /* 3.072e12 FLOPs at 128e3 are 488 steps, at 256e3 244, at 512e3 122 */
    open_sweep(SIZES "budgets = [3.072e12]; window = { points = 3; each_side = 1;"
                     "tokens_per_parameter = 90; };"
                     "laws = ( { key = \"optim.schedule.warmup\"; value = \"size / 2.56e5 * 150\";"
                     "round = \"int\"; } );");
    assert_true(stages.trials.item[2].n == 128e3);
    assert_int_equal(run_all(), 1);
    assert_true(stages.trials.item[3].n == 256e3);
    assert_int_equal(stages.trials.count, 4);
    assert_true(stages.window[0].is_exhausted);
}

/* ---- trunks ---------------------------------------------------------------------------------- */

/* They run alone, and are in the cluster of their size and seed. */
static void extensions_share_luck_and_no_steps(void **unused)
{
    (void)unused;
    world.optimum = 256e3;
    open_sweep(SIZES "budgets = [3.072e10, 1.2288e11, 4.9152e11]; share_trunk = true;"
                     "window = { points = 3; each_side = 1; };"
                     "repeats = ( { budget = 3.072e10; seeds = 2; } );");
    run_all();
    for (uint32_t i = 0; i < stages.trials.count; i++) {
        const struct mu_sweep_trial *t = &stages.trials.item[i];
        const struct mu_sweep_trial *trunk = &stages.trials.item[t->trunk];

        assert_true(trunk->size == t->size && trunk->settings.run_seed == t->settings.run_seed);
        assert_true(trunk->trunk == t->trunk && trunk->shared == 0);
        if (t->extension > 0) {
            assert_int_equal(mu_sweep_waits_for(&stages.trials, i), MU_TRIAL_ALONE);
            assert_true(mu_sweep_saved_flops(t) == 0);
        }
    }
    assert_true(stages.window[0].extended == 2 && stages.window[1].extended == 2);
    /* planned at 64e3 were 1.2288e11 (a branch) and 4.9152e11 (the trunk); 3.072e10 came later */
    for (uint32_t i = 0; i < stages.trials.count; i++)
        if (stages.trials.item[i].n == 64e3 && stages.trials.item[i].settings.run_seed == 5)
            assert_true(stages.trials.item[stages.trials.item[i].trunk].budget == 4.9152e11);
}

static void controls_are_paired_with_their_cells(void **unused)
{
    uint32_t controls = 0;

    (void)unused;
    open_sweep("sizes = { key = \"synthetic.params\"; values = [1e4, 2e4, 3e4, 4e4]; };"
               "budgets = [1e12, 2e12]; window = { points = 4; each_side = 1; };"
               "repeats = ( { budget = 1e12; seeds = 2; } );"
               "share_trunk = true; controls = { trunk_tax = [2e4]; };");
    for (uint32_t i = 0; i < stages.trials.count; i++) {
        const struct mu_sweep_trial *t = &stages.trials.item[i];
        const uint32_t cell = mu_sweep_control_of(&stages.trials, i);

        if (t->role != MU_SWEEP_CONTROL) {
            assert_int_equal(cell, MU_TRIAL_ALONE);
            continue;
        }
        controls++;
        assert_string_equal(stages.trials.item[cell].name, t->name + strlen("alone-"));
        assert_true(t->shared == 0 && t->settings.run_seed == 5);
        /* cooldowns of a fifth: the trunk spares the rest, in whole steps */
        assert_true(fabs(mu_sweep_saved_flops(&stages.trials.item[cell]) / t->flops -
                         (t->budget == 1e12 ? 0.8 : 0)) < 1e-2);
    }
    assert_int_equal(controls, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_budget_is_extended_until_its_minimum_is_bracketed, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_side_has_sizes_with_results, begin, end),
        cmocka_unit_test_setup_teardown(a_budget_waits_for_its_own_cells_alone, begin, end),
        cmocka_unit_test_setup_teardown(no_extension_where_none_is_allowed, begin, end),
        cmocka_unit_test_setup_teardown(a_sweep_that_could_grow_too_large_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(an_extension_ends_where_runs_cannot_be, begin, end),
        cmocka_unit_test_setup_teardown(extensions_share_luck_and_no_steps, begin, end),
        cmocka_unit_test_setup_teardown(controls_are_paired_with_their_cells, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
