/* orchestrator/sweep/: which trials follow from a file, and what they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/sweep/trials.h"

/* N = synthetic.params, C = 6 N D; a batch of 64 sequences of 128 tokens. */
#define RUN                                                                \
    "run = { steps = 100; seed = 5; }; model = { kind = \"synthetic\"; };" \
    "batch = { sequences = 64; shards = 8; };"

static struct mu_sweep_spec spec;
static struct mu_settings base;
static struct mu_sweep_trials trials;

static enum mu_status read_text(const char *run, const char *sweep)
{
    char text[4096];
    struct mu_config_source source = {.text = text, .text_name = "sweep.cfg"};

    snprintf(text, sizeof text, "%s sweep = { %s };", run, sweep);
    source.text_size = strlen(text);
    return mu_sweep_read(&source, &base, &spec);
}

static void make(const char *sweep)
{
    assert_int_equal(read_text(RUN, sweep), MU_OK);
    assert_int_equal(mu_sweep_trials_make(&spec, &base, "sweep.cfg", &trials), MU_OK);
}

static const struct mu_sweep_trial *find(const char *name)
{
    for (uint32_t i = 0; i < trials.count; i++)
        if (strcmp(trials.item[i].name, name) == 0)
            return &trials.item[i];
    fail_msg("there is no trial %s", name);
    return NULL;
}

static int end(void **unused)
{
    (void)unused;
    mu_sweep_trials_deinit(&trials);
    return 0;
}

#define SIZES "sizes = { key = \"synthetic.params\"; values = [64e3, 1e3, 4e3, 16e3, 256e3]; };"

/* With 20 tokens a parameter, 120 N^2 FLOPs: 16e3 is the centre of 3.072e10. */
static void a_window_lies_round_the_expected_optimum(void **unused)
{
    static const double sizes[] = {4e3, 16e3, 64e3};

    (void)unused;
    make(SIZES "budgets = [3.072e10]; window = { points = 3; each_side = 1; };");
    assert_int_equal(trials.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const struct mu_sweep_trial *t = &trials.item[i];

        assert_true(t->n == sizes[i] && t->settings.synthetic_params == (int64_t)sizes[i]);
        assert_true(t->flops_per_token == 6 * sizes[i]);
        assert_int_equal(t->settings.run_steps, llround(3.072e10 / 6 / sizes[i] / 8192));
        assert_true(t->tokens == (double)t->settings.run_steps * 8192);
        assert_true(t->flops == t->tokens * t->flops_per_token);
        assert_int_equal(t->settings.run_seed, 5);
    }
}

static void seeds_repeat_and_tuning_has_its_own(void **unused)
{
    (void)unused;
    make(SIZES "budgets = [1e9, 1e10]; repeats = ( { budget = 1e9; seeds = 3; } );"
               "window = { points = 3; each_side = 1; };"
               "laws = ( { key = \"optim.lr\"; value = \"tune\"; } );"
               "tune = { cells = ( { size = 4e3; budget = 1e9; } ); factors = [0.5, 1, 2]; };");
    assert_int_equal(trials.count, 3 + 3 * 3 + 3);
    assert_int_equal(trials.item[0].role, MU_SWEEP_TUNE);
    assert_true(find("tune-params4000-c1e+09-s1000-f0.5")->settings.optim_lr == 0.5e-3);
    assert_true(find("tune-params4000-c1e+09-s1000-f2")->settings.optim_lr == 2e-3);
    assert_int_equal(find("params4000-c1e+09-s7")->settings.run_seed, 7);
    assert_true(find("params4000-c1e+10-s5")->settings.optim_lr == 1e-3);
}

/* Budgets twice apart, cooldowns of a fifth: the longest whole, of the others their cooldowns. */
static void trunks_are_computed_once(void **unused)
{
    double whole = 0, shared = 0;

    (void)unused;
    make("sizes = { key = \"synthetic.params\"; values = [1e4, 2e4, 3e4, 4e4]; };"
         "budgets = [1e12, 2e12, 4e12]; window = { points = 4; each_side = 1; };"
         "share_trunk = true; controls = { trunk_tax = [2e4]; };");
    assert_int_equal(trials.count, 12 + 3);
    for (uint32_t i = 0; i < trials.count; i++) {
        const struct mu_sweep_trial *t = &trials.item[i];
        const bool longest = t->role == MU_SWEEP_CONTROL || t->budget == 4e12;

        whole += t->flops;
        shared += longest ? t->flops : 0.2 * t->flops;
        if (t->role == MU_SWEEP_CONTROL)
            assert_true(t->trunk == MU_TRIAL_ALONE && t->shared == 0);
        else
            assert_true(trials.item[t->trunk].budget == 4e12 && trials.item[t->trunk].n == t->n);
    }
    assert_true(trials.flops_alone == whole);
    assert_true(fabs(trials.flops_shared / shared - 1) < 1e-3); /* cooldowns are whole steps */
}

/* The parts of separate runs' FLOPs that are left, by geometric series: four lengths, cooldown
 * .2. */
static void savings_are_those_of_the_series(void **unused)
{
    static const struct {
        const char *multiples;
        double part;
    } cases[] = {
        {"[10, 20, 40, 80]", (1 + 0.2 * (0.5 + 0.25 + 0.125)) / 1.875}, /* .63 */
        {"[10, 30, 90, 270]", (1 + 0.2 * (9 + 3 + 1) / 27) / (40.0 / 27)},
    };
    char text[300];

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text,
                 "kind = \"ladder\"; share_trunk = true; multiples = %s;"
                 "sizes = { key = \"synthetic.params\"; values = [1e7, 2e7]; };",
                 cases[i].multiples);
        make(text);
        assert_true(fabs(trials.flops_shared / trials.flops_alone - cases[i].part) < 1e-4);
        end(NULL);
    }
}

static void laws_follow_size_and_batch(void **unused)
{
    const struct mu_sweep_trial *t;

    (void)unused;
    make("sizes = { key = \"synthetic.params\"; values = [1e4, 2e4, 3e4, 4e4]; };"
         "budgets = [1e12]; window = { points = 4; each_side = 1; };"
         "laws = ( { key = \"batch.tokens\"; value = \"9000 * (N / 1e4)\"; round = \"pow2\"; },"
         "{ key = \"optim.schedule.warmup\"; value = \"N\"; unit = \"tokens\"; },"
         "{ key = \"synthetic.noise\"; value = \"size / 1e6\"; },"
         "{ key = \"optim.lr\"; value = \"0.1 * D^-0.5\"; } );");
    t = find("params40000-c1e+12-s5");
    assert_true(t->tokens_per_step == 32768);
    assert_int_equal(t->settings.schedule_warmup, 2); /* 40,000 tokens */
    assert_true(t->settings.synthetic_noise == 0.04);
    assert_true(fabs(t->settings.optim_lr / (0.1 / sqrt(1e12 / 6 / 4e4)) - 1) < 1e-5);
}

static void a_ladder_is_sizes_times_multiples(void **unused)
{
    (void)unused;
    make("kind = \"ladder\"; sizes = { key = \"synthetic.params\"; values = [1e5, 1e6]; };"
         "multiples = [10, 5, 20];");
    assert_int_equal(trials.count, 6);
    assert_int_equal(find("params1e+06-x20-s5")->settings.run_steps, llround(2e7 / 8192));
}

static void a_grid_is_every_combination(void **unused)
{
    const struct mu_sweep_trial *t;

    (void)unused;
    make("kind = \"grid\"; grid = ( { key = \"optim.lr\"; values = [1e-3, 2e-3]; },"
         "{ key = \"optim.schedule.kind\"; values = [\"wsd\", \"cosine\", \"linear\"]; } );");
    assert_int_equal(trials.count, 6);
    t = find("lr2e-3-kindcosine-s5");
    assert_true(t->settings.optim_lr == 2e-3 && t->settings.schedule_kind == MU_SCHEDULE_COSINE);
    assert_int_equal(t->settings.run_steps, 100);
}

/* A batch in tokens is one of sequences, whatever the context beside it. */
static void a_grid_may_vary_tokens_and_context(void **unused)
{
    (void)unused;
    make("kind = \"grid\"; grid = ( { key = \"batch.tokens\"; values = [8192, 16384]; },"
         "{ key = \"model.context\"; values = [64, 128]; } );"
         "laws = ( { key = \"optim.lr\"; value = \"D / 1e9\"; } );");
    for (uint32_t i = 0; i < trials.count; i++)
        assert_true(trials.item[i].tokens_per_step == (i % 2 ? 16384 : 8192));
    assert_true(fabs(find("tokens8192-context64-s5")->settings.optim_lr / 8.192e-4 - 1) < 1e-5);
    assert_int_equal(find("tokens8192-context64-s5")->settings.batch_sequences, 128);
}

static void no_two_trials_have_one_name(void)
{
    for (uint32_t i = 0; i < trials.count; i++) {
        assert_true(strlen(trials.item[i].name) < sizeof trials.item[i].name - 1);
        for (uint32_t j = 0; j < i; j++)
            assert_string_not_equal(trials.item[i].name, trials.item[j].name);
    }
}

#define LONG "a-sweep-with-a-very-long-name-of-its-data-in-"
#define TEN  "[1e-1, 2e-1, 3e-1, 4e-1, 5e-1, 6e-1, 7e-1, 8e-1, 9e-1, 1]"

static void names_tell_trials_apart(void **unused)
{
    (void)unused;
    make("sizes = { key = \"synthetic.params\"; values = [1000001, 1000002, 1000003, 1000004]; };"
         "budgets = [1e12, 1.00000001e12]; window = { points = 4; each_side = 1; };");
    no_two_trials_have_one_name();
    find("params1000004-c1.00000001e+12-s5");
    end(NULL);
    make("kind = \"grid\"; grid = ( { key = \"data.train\";"
         "values = [\"../" LONG "a\", \"../" LONG "b\"]; },"
         "{ key = \"optim.lr\"; values = [1e-3, 2e-3]; } );");
    no_two_trials_have_one_name();
    find("train2-lr1e-3-s5");
    end(NULL);
    make("kind = \"grid\"; grid = ("
         "{ key = \"optim.schedule.cooldown\"; values = [0.123456789012, 0.223456789012]; },"
         "{ key = \"optim.weight_decay\"; values = [0.123456789012, 0.223456789012]; },"
         "{ key = \"optim.schedule.floor\"; values = [0.123456789012, 0.223456789012]; },"
         "{ key = \"optim.lr\"; values = [0.12345678901234, 0.22345678901234]; },"
         "{ key = \"synthetic.noise\"; values = " TEN "; } );");
    no_two_trials_have_one_name();
    find("cooldown2-weight_decay1-floor1-lr2-noise10-s5");
}

#define TUNE "tune = { cells = ( { size = 4e3; budget = 1e9; } ); factors = [1, 2, 3]; };"

static void what_cannot_be_is_refused(void **unused)
{
    static const char *const sweeps[] = {
        "",
        "kind = \"isoflop\";",
        SIZES,
        SIZES "budgets = [1e10]; sises = 3;",
        SIZES "budgets = [1e10, 0];",
        SIZES "budgets = [\"1e10\"];",
        SIZES "budgets = 1e10;",
        SIZES "budgets = [1e10]; kind = \"isoflops\";",
        SIZES "budgets = [1e10]; laws = ( { key = \"optim.lr\"; value = \"2 +\"; } );",
        SIZES "budgets = [1e10]; laws = ( { key = \"optim.lrr\"; value = \"2\"; } );",
        SIZES "budgets = [1e10]; laws = ( { key = \"optim.lr\"; value = \"tune\"; } );",
        SIZES "budgets = [1e10]; laws = ( { key = \"synthetic.noise\"; value = \"tune\"; } );" TUNE,
        SIZES "budgets = [1e10]; laws = ( { key = \"run.steps\"; value = \"tune\"; } );" TUNE,
        SIZES "budgets = [1e10]; laws = ( { key = \"optim.lr\"; value = \"tune\"; } );"
              "tune = { cells = ( { size = 4e3; budget = 1e9; }, { size = 4000; budget = 1e9; } );"
              "factors = [1, 2, 3]; };",
        SIZES "budgets = [1e10]; laws = ( { key = \"synthetic.params\"; value = \"2\"; } );",
        SIZES "budgets = [1e10]; laws = ( { key = \"optim.lr\"; } );",
        SIZES "budgets = [1e10]; repeats = ( { budget = 1e11; seeds = 2; } );",
        SIZES "budgets = [1e10]; controls = { trunk_tax = [5]; };",
        SIZES "budgets = [1e10]; fit = { methods = [\"guess\"]; };",
        SIZES "budgets = [1e10]; fit = { holdout = \"all\"; };",
        SIZES "budgets = [1e10]; name = \"../x\";",
        "sizes = { key = \"model.size\"; values = [1, 2, 3, 4]; }; budgets = [1e10];",
        "sizes = { key = \"synthetic.params\"; values = [1e4, 2e4, 3e4]; }; budgets = [1e10];",
        SIZES "kind = \"ladder\";",
        "kind = \"grid\";",
        "kind = \"grid\"; grid = ( { key = \"optim.lr\"; } );",
        "kind = \"grid\"; grid = ( { values = [1]; } );",
        "kind = \"grid\"; grid = ( { key = \"optim.lrate\"; values = [1]; } );",
        "kind = \"grid\"; grid = ( { key = \"optim.lr\"; values = [1e-3, 0.001]; } );",
        "kind = \"grid\"; grid = ( { key = \"run.name\"; values = [\"a\", \"b\"]; } );",
        "kind = \"grid\"; grid = ( { key = \"batch.tokens\"; values = [128]; },"
        "{ key = \"batch.sequences\"; values = [2]; } );",
        "kind = \"grid\"; grid = ( { key = \"run.steps\"; values = [9]; } );"
        "laws = ( { key = \"optim.lr\"; value = \"size\"; } );",
        SIZES "budgets = [1e10]; laws = ( { key = \"run.steps\"; value = \"9\"; } );",
        SIZES "budgets = [1e10]; laws = ( { key = \"run.seed\"; value = \"size\"; } );",
        SIZES "budgets = [1e10]; laws = ( { key = \"optim.schedule.kind\"; value = \"1\"; } );",
        SIZES "budgets = [1e10]; laws = ( { key = \"optim.betas\"; value = \"1\"; } );",
        SIZES "budgets = [1e10]; laws = ( { key = \"model.layers\"; value = \"N / 1e3\"; } );",
        SIZES "budgets = [1e10]; laws = ( { key = \"optim.lr\"; value = \"(N = 3)\"; } );",
        SIZES "budgets = [1e10]; laws = ( { key = \"batch.tokens\"; value = \"N\"; },"
              "{ key = \"batch.sequences\"; value = \"64\"; } );",
        SIZES "budgets = [1e10]; window = { points = 4; each_side = 2; };",
        "sizes = { key = \"run.steps\"; values = [1, 2, 3, 4]; }; budgets = [1e10];",
        "sizes = { key = \"model.kind\"; values = [1, 2, 3, 4]; }; budgets = [1e10];",
    };

    (void)unused;
    mu_log_set_level(MU_LOG_SILENT);
    for (size_t i = 0; i < sizeof sweeps / sizeof *sweeps; i++)
        if (read_text(RUN, sweeps[i]) != MU_CONFIG)
            fail_msg("taken: %s", sweeps[i]);
    mu_log_reset_level();
}

/* Each mistake is one of the whole: the laws' values, or of a trial made by them. */
static void trials_that_cannot_be_are_refused(void **unused)
{
    static const char *const sweeps[] = {
        SIZES "budgets = [1e10]; laws = ( { key = \"optim.lr\"; value = \"-1\"; } );",
        SIZES "budgets = [1e10]; laws = ( { key = \"optim.lr\"; value = \"sqrt(-N)\"; } );",
        SIZES "budgets = [1e10, 1e11]; share_trunk = true;"
              "laws = ( { key = \"optim.lr\"; value = \"D^-0.1\"; } );",
        "kind = \"grid\"; grid = ( { key = \"batch.shards\"; values = [7]; } );",
        "kind = \"grid\"; grid = ( { key = \"optim.lr\"; values = [\"fast\"]; } );",
    };

    (void)unused;
    mu_log_set_level(MU_LOG_SILENT);
    for (size_t i = 0; i < sizeof sweeps / sizeof *sweeps; i++) {
        assert_int_equal(read_text(RUN, sweeps[i]), MU_OK);
        if (mu_sweep_trials_make(&spec, &base, "sweep.cfg", &trials) != MU_CONFIG)
            fail_msg("taken: %s", sweeps[i]);
    }
    mu_log_reset_level();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_window_lies_round_the_expected_optimum, end),
        cmocka_unit_test_teardown(seeds_repeat_and_tuning_has_its_own, end),
        cmocka_unit_test_teardown(trunks_are_computed_once, end),
        cmocka_unit_test(savings_are_those_of_the_series),
        cmocka_unit_test_teardown(laws_follow_size_and_batch, end),
        cmocka_unit_test_teardown(a_ladder_is_sizes_times_multiples, end),
        cmocka_unit_test_teardown(a_grid_is_every_combination, end),
        cmocka_unit_test_teardown(a_grid_may_vary_tokens_and_context, end),
        cmocka_unit_test_teardown(names_tell_trials_apart, end),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(trials_that_cannot_be_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
