/* orchestrator/sweep/tune.h, by way of stages.h: the optimum at each cell, and the law through
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/sweep_world.h"

/* The law that made the losses comes back, to the digits that a value is written with. */
static void a_tuned_law_is_found_and_used(void **unused)
{
    (void)unused;
    world.lr_at_one = 0.02;
    world.lr_power = -0.3;
    open_sweep(SIZES TUNED "budgets = [1e10, 1e11]; window = { points = 3; each_side = 1; };");
    assert_int_equal(stages.trials.count, 10);
    assert_int_equal(stages.expected, 16);
    assert_false(stages.complete);
    run_all();
    assert_true(stages.tuned.known && stages.tuned.cells == 2);
    assert_true(fabs(stages.tuned.exponent + 0.3) < 1e-9);
    assert_true(fabs(stages.tuned.coefficient / 0.02 - 1) < 1e-9);
    assert_true(stages.tuned.least_n == 4e3 && stages.tuned.most_n == 64e3);
    for (uint32_t i = 0; i < stages.tuned.cells; i++)
        assert_true(stages.tuned.cell[i].is_bracketed && stages.tuned.cell[i].points == 3);
    for (uint32_t i = 10; i < stages.trials.count; i++) {
        const struct mu_sweep_trial *t = &stages.trials.item[i];
        char text[40];

        snprintf(text, sizeof text, "%.6g", 0.02 * pow(t->n, -0.3));
        assert_true(t->settings.optim_lr == strtod(text, NULL));
    }
    assert_true(stages.complete);
}

/* One cell: a constant; cells of one size: their mean. */
static void without_two_sizes_the_law_is_a_constant(void **unused)
{
    (void)unused;
    world.lr_at_one = 2e-3;
    open_sweep(SIZES "budgets = [1e10]; window = { points = 3; each_side = 1; };"
                     "laws = ( { key = \"optim.lr\"; value = \"tune\"; } );"
                     "tune = { cells = ( { size = 4e3; budget = 1e10; }, { size = 4e3; budget = "
                     "2e10; } ); factors = [0.5, 1, 3, 9]; };");
    run_all();
    assert_true(stages.tuned.exponent == 0);
    assert_true(fabs(stages.tuned.coefficient / 2e-3 - 1) < 1e-9);
    assert_true(stages.trials.item[8].settings.optim_lr == 2e-3);
}

#define ONE_CELL                                            \
    "laws = ( { key = \"optim.lr\"; value = \"tune\"; } );" \
    "tune = { cells = ( { size = 16e3; budget = 1e10; } ); factors = [0.25, 0.5, 1, 2, 4]; };"
#define THREE "budgets = [3.072e10]; window = { points = 3; each_side = 1; };"

/* What is chosen from five losses at factors of two; 'd' diverged, 'm' is missing. */
static void an_optimum_is_a_vertex_or_the_best_value(void **unused)
{
    static const struct {
        const char *ends;
        double loss[5];
        double ln_factor; /* of the optimum, over ln 2 */
        uint32_t points;
        bool is_bracketed;
        const char *warning;
    } cases[] = {
        /* x^2 about -1 and about 1/4: exactly */
        {"lllll", {4, 3, 4, 7, 12}, -1, 3, true, NULL},
        {"lllll", {5.0625, 1.5625, .0625, .5625, 3.0625}, .25, 3, true, NULL},
        /* the far end does not draw the vertex off */
        {"lllll", {5, 4, 3, 4, 1e6}, 0, 3, true, NULL},
        /* a neighbour that is missing: the next one */
        {"lmlll", {4, 0, 0, 1, 4}, 0, 3, true, NULL},
        {"lllld", {4, 3, 2, 1, 0}, 1, 1, true, NULL},
        {"dllll", {0, 1, 2, 3, 4}, -1, 1, true, NULL},
        {"mmlmm", {0, 0, 2, 0, 0}, 0, 1, false, "is the smallest of those that gave a loss"},
        {"lllll", {5, 4, 3, 2, 1}, 2, 1, false, "is the largest of those that gave a loss"},
        {"lllll", {1, 2, 3, 4, 5}, -2, 1, false, "is the smallest of those that gave a loss"},
        {"llllm", {5, 4, 3, 2, 0}, 1, 1, false, "is the largest of those that gave a loss"},
        {"ddldd", {0, 0, 3, 0, 0}, 0, 1, true, NULL},
        /* what does not matter stays as it is */
        {"lllll", {2, 2, 2, 2, 2}, 0, 3, true, NULL},
    };

    (void)unused;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const struct mu_sweep_optimum *found = &stages.tuned.cell[0];

        open_sweep(SIZES THREE ONE_CELL);
        for (uint32_t i = 0; i < 5; i++) {
            result[i].kind = cases[c].ends[i] == 'l'   ? MU_SWEEP_RESULT_LOSS
                             : cases[c].ends[i] == 'd' ? MU_SWEEP_RESULT_DIVERGED
                                                       : MU_SWEEP_RESULT_MISSING;
            result[i].loss = cases[c].ends[i] == 'l' ? cases[c].loss[i] : NAN;
        }
        assert_int_equal(advance(), 3);
        assert_true(fabs(log2(found->value / 1e-3) - cases[c].ln_factor) < 1e-9);
        assert_int_equal(found->points, cases[c].points);
        assert_int_equal(found->is_bracketed, cases[c].is_bracketed);
        assert_true(found->size == 16e3 && found->n == 16e3 && found->budget == 1e10);
        assert_int_equal(warnings, cases[c].warning ? 1 : 0);
        if (cases[c].warning)
            assert_non_null(strstr(warned[0], cases[c].warning));
        end(NULL);
    }
}

/* The parabola's least loss, by the same x^2 about 1/4. */
static void an_optimum_has_the_loss_of_the_vertex(void **unused)
{
    (void)unused;
    open_sweep(SIZES THREE ONE_CELL);
    for (int i = 0; i < 5; i++)
        result[i] = (struct mu_sweep_result){MU_SWEEP_RESULT_LOSS, 3 + pow(i - 2 - 0.25, 2)};
    assert_int_equal(advance(), 3);
    assert_true(fabs(stages.tuned.cell[0].loss - 3) < 1e-12);
}

static void a_cell_without_any_loss_ends_the_sweep(void **unused)
{
    uint32_t added;

    (void)unused;
    open_sweep(SIZES THREE ONE_CELL);
    for (int i = 0; i < 5; i++)
        result[i].kind = i % 2 ? MU_SWEEP_RESULT_MISSING : MU_SWEEP_RESULT_DIVERGED;
    mu_log_set_level(MU_LOG_SILENT);
    assert_int_equal(mu_sweep_stages_advance(&stages, result, &added, hear, warned), MU_CONFIG);
    mu_log_reset_level();
    assert_int_equal(added, 0);
    assert_int_equal(stages.trials.count, 5);
    assert_false(stages.tuned.known || stages.complete);
}

/* All five are looked at; a result that changes later changes nothing that was decided. */
static void tuning_waits_for_all_and_is_decided_once(void **unused)
{
    double coefficient;

    (void)unused;
    open_sweep(SIZES THREE ONE_CELL);
    for (uint32_t i = 0; i < 4; i++) {
        result[i] = result_of(&stages.trials.item[i]);
        assert_int_equal(advance(), 0);
        assert_false(stages.tuned.known);
    }
    result[4].kind = MU_SWEEP_RESULT_MISSING;
    assert_int_equal(advance(), 3);
    coefficient = stages.tuned.coefficient;
    result[4] = (struct mu_sweep_result){MU_SWEEP_RESULT_NONE, NAN};
    assert_int_equal(advance(), 0);
    result[4] = (struct mu_sweep_result){MU_SWEEP_RESULT_LOSS, 0};
    assert_int_equal(advance(), 0);
    assert_true(stages.tuned.known && stages.tuned.coefficient == coefficient);
}

static void a_law_far_outside_its_sizes_is_a_warning(void **unused)
{
    (void)unused;
    open_sweep(SIZES "budgets = [3.072e10]; window = { points = 3; each_side = 1; };" ONE_CELL);
    run_all(); /* 8e3, 16e3, 32e3: a factor of 2 */
    assert_int_equal(warnings, 0);
    end(NULL);
    open_sweep(SIZES "budgets = [3.072e10]; window = { points = 5; each_side = 1; };" ONE_CELL);
    run_all();
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(warned[0], "2 trials are more than 2 times outside of the sizes that "
                                      "optim.lr was tuned at, N = 1.6e+04 to 1.6e+04"));
    end(NULL);
    world.optimum = 64e3; /* extensions beyond are told, too */
    open_sweep(SIZES "budgets = [3.072e10]; window = { points = 3; each_side = 1; };" ONE_CELL);
    run_all();
    assert_int_equal(warnings, 2);
    assert_non_null(strstr(warned[0], "1 trial is more than 2 times outside"));
}

/* Before tuning has taken its time. */
static void mistakes_of_cells_are_told_at_once(void **unused)
{
    (void)unused;
    mu_log_set_level(MU_LOG_SILENT);
    assert_int_equal(init_of(SIZES THREE
                             "laws = ( { key = \"optim.lr\"; value = \"tune\"; },"
                             "{ key = \"optim.schedule.warmup\"; value = \"C / 1e10 * 1e6\"; } );"
                             "tune = { cells = ( { size = 16e3; budget = 1; } );"
                             "factors = [0.5, 1, 2]; };"),
                     MU_CONFIG);
    mu_log_reset_level();
    assert_int_equal(stages.trials.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_tuned_law_is_found_and_used, begin, end),
        cmocka_unit_test_setup_teardown(without_two_sizes_the_law_is_a_constant, begin, end),
        cmocka_unit_test_setup_teardown(an_optimum_is_a_vertex_or_the_best_value, begin, end),
        cmocka_unit_test_setup_teardown(an_optimum_has_the_loss_of_the_vertex, begin, end),
        cmocka_unit_test_setup_teardown(a_cell_without_any_loss_ends_the_sweep, begin, end),
        cmocka_unit_test_setup_teardown(tuning_waits_for_all_and_is_decided_once, begin, end),
        cmocka_unit_test_setup_teardown(a_law_far_outside_its_sizes_is_a_warning, begin, end),
        cmocka_unit_test_setup_teardown(mistakes_of_cells_are_told_at_once, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
