/* orchestrator/plan: the arithmetic of a run's plan. Numbers are published ones, or counted by
 * hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/config/config.h"
#include "orchestrator/plan/plan.h"
#include "worker/segment.h"

static struct mu_settings settings_of(const char *text)
{
    struct mu_settings s;

    assert_int_equal(mu_config_parse_text(text, strlen(text), "the test's text", &s), MU_OK);
    return s;
}

/* GPT-2 124M (Radford et al. 2019), 12 layers of 768, 1024 positions, 50257 tokens: 124,439,808
 * parameters. Matrices: 12 * 12 * 768^2 + 50257 * 768 = 123,532,032. */
static void products_are_counted_by_hand(void **state)
{
    struct mu_settings s =
        settings_of("run = { steps = 1; }; data = { train = \"x\"; };\n"
                    "model = { layers = 12; heads = 12; width = 768; context = 1024; "
                    "vocab = 50257; };");

    (void)state;
    assert_true(mu_plan_exact_flops(&s) == 6.0 * 123532032 + 6.0 * 12 * 768 * 1025);
    s.model_kind = MU_MODEL_LLAMA;
    s.model_hidden = 2048;
    assert_true(mu_plan_exact_flops(&s) ==
                6.0 * (12 * (4.0 * 768 * 768 + 3.0 * 768 * 2048) + 50257.0 * 768) +
                    6.0 * 12 * 768 * 1025);
    s.model_kind = MU_MODEL_SYNTHETIC;
    assert_true(mu_plan_exact_flops(&s) == 0);
}

static void efficiency_is_work_over_time(void **state)
{
    (void)state;
    assert_true(mu_plan_efficiency(64, 64) == 1);
    assert_true(mu_plan_efficiency(8, 3) == 8.0 / 9);
    assert_true(mu_plan_efficiency(64, 33) == 64.0 / 66);
    assert_true(mu_plan_efficiency(64, 63) == 64.0 / 126);
    assert_true(mu_plan_efficiency(4, 8) == 0.5);
    assert_int_equal(mu_plan_good_below(64, 63), 35); /* 64 / 70 = 0.914; 36: 0.889 */
    assert_int_equal(mu_plan_good_above(64, 36), 64);
    assert_int_equal(mu_plan_good_below(8, 3), 2);
    assert_int_equal(mu_plan_good_above(8, 3), 4);
    assert_int_equal(mu_plan_good_above(8, 9), 0);
    assert_int_equal(mu_plan_good_below(1, 5), 1);
}

static void checkpoints(struct mu_settings *s, int64_t steps, int64_t every, int64_t keep,
                        int64_t keep_every)
{
    s->run_steps = steps;
    s->checkpoint_every = every;
    s->checkpoint_keep = keep;
    s->checkpoint_keep_every = keep_every;
}

static void checkpoints_are_counted(void **state)
{
    struct mu_settings s = settings_of("run = { steps = 1; }; model = { kind = \"synthetic\"; };");

    (void)state;
    checkpoints(&s, 1000, 200, 2, 0);
    assert_int_equal(mu_plan_checkpoints_written(&s), 5);
    assert_int_equal(mu_plan_checkpoints_kept(&s), 2);
    s.schedule_cooldown = 0;
    checkpoints(&s, 1001, 200, 3, 0); /* and one at the end */
    assert_int_equal(mu_plan_checkpoints_written(&s), 6);
    assert_int_equal(mu_settings_branch_point(&s), 0);
    checkpoints(&s, 1000, 0, 3, 0);
    assert_int_equal(mu_plan_checkpoints_written(&s), 1);
    assert_int_equal(mu_plan_checkpoints_kept(&s), 1);
    /* 250 ... 19073: 77; the last three, and 5000, 10000, 15000 */
    checkpoints(&s, 19073, 250, 3, 5000);
    assert_int_equal(mu_plan_checkpoints_written(&s), 77);
    assert_int_equal(mu_plan_checkpoints_kept(&s), 6);
    /* Those kept for ever must be written, too: 600, 1200, ... of 100, 200, 300 */
    checkpoints(&s, 3000, 200, 1, 300);
    assert_int_equal(mu_plan_checkpoints_kept(&s), 1 + 4);
    /* The cooldown begins with one: 801, among the last three, then not any more */
    s.schedule_cooldown = 0.2;
    checkpoints(&s, 1001, 200, 3, 0);
    assert_int_equal(mu_settings_branch_point(&s), 801);
    assert_int_equal(mu_plan_checkpoints_written(&s), 7);
    assert_int_equal(mu_plan_checkpoints_kept(&s), 3);
    s.checkpoint_keep = 2;
    assert_int_equal(mu_plan_checkpoints_kept(&s), 3);
    checkpoints(&s, 1000, 100, 1, 400); /* 800 is kept already */
    assert_int_equal(mu_plan_checkpoints_kept(&s), 1 + 2);
}

/* Parts are the whole, and the whole is what the segment takes. */
static void memory_is_the_segments(void **state)
{
    const struct mu_tensor_spec spec = {.name = "w", .rows = 1000, .cols = 640, .dense = true};
    struct mu_segment_options options = {.eval_pieces = 3, .ranks = 5};
    struct mu_plan_memory m = {0};
    struct mu_layout layout;

    (void)state;
    assert_int_equal(mu_layout_init(&layout, &spec, 1), MU_OK);
    options.layout = &layout;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        mu_plan_memory_of_segment(&layout, bf16, false, 3, 5, &m);
        options.bf16 = bf16;
        assert_true(m.segment == (double)mu_segment_bytes(&options));
        assert_true(m.weights == 640000.0 * (bf16 ? 12 : 8));
        assert_true(m.moments == 640000.0 * 16);
        assert_true(m.predictions == 3000 * 4); /* a row is three blocks */
        assert_in_range((int64_t)m.total, 640000 * 4, 640000 * 4 + 16384);
        assert_in_range((int64_t)m.sum, 640000 * 4, 640000 * 5);
        assert_true(fabs(m.segment - m.weights - m.moments - m.predictions - m.total - 5 * m.sum) <
                    1);
    }
    mu_layout_deinit(&layout);
}

static void time_follows_the_busiest_worker(void **state)
{
    const struct mu_plan_pace pace = {
        .shards = 8, .threads = 1, .cores = 4, .steps = 100, .evaluations = 2};
    const struct mu_speed alone = {.shard = 1, .sums = 0.1, .update = 0.4, .evaluation = 8},
                          together = {.shard = 2,
                                      .sums = 0.2,
                                      .update = 0.8,
                                      .evaluation = 16,
                                      .beside = 3};
    struct mu_plan_row row = {.workers = 1};

    (void)state;
    mu_plan_row_fill(&row, &pace, &alone, &together);
    assert_true(fabs(row.step_seconds - (8 + 0.1 + 0.4)) < 1e-9);
    assert_true(fabs(row.run_seconds - (850 + 16)) < 1e-9);
    row.workers = 4; /* as slow as when all compute */
    mu_plan_row_fill(&row, &pace, &alone, &together);
    assert_true(fabs(row.step_seconds - (2 * 2 + 0.2 + 0.2)) < 1e-9);
    assert_true(fabs(row.run_seconds - (440 + 2 * 4)) < 1e-9);
    row.workers = 3; /* two of the three others: 1 + 2/3; three shards of eight */
    mu_plan_row_fill(&row, &pace, &alone, &together);
    assert_int_equal(row.shards_each, 3);
    assert_true(fabs(row.step_seconds - (3 + 0.1 + 0.4 / 3) * 5 / 3) < 1e-9);
    row.workers = 8; /* two a core: no faster than four */
    mu_plan_row_fill(&row, &pace, &alone, &together);
    assert_true(fabs(row.step_seconds - (2 * 2 + 2 * 0.2 + 0.2)) < 1e-9);
}

static void words(const char *schedule, const char *expected)
{
    char text[512];
    struct mu_settings s;

    snprintf(text, sizeof text,
             "run = { steps = 100; }; model = { kind = \"synthetic\"; };\n"
             "optim = { lr = 0.01; schedule = { %s }; };",
             schedule);
    s = settings_of(text);
    assert_string_equal(mu_plan_schedule_words(&s).text, expected);
}

static void schedules_are_told_in_words(void **state)
{
    (void)state;
    words("kind = \"wsd\"; warmup = 10; cooldown = 0.2;",
          "rises over 10 steps to 0.01, stays until step 80, and falls as 1 - sqrt to 0 over "
          "the last 20");
    words("kind = \"wsd\"; cooldown = 0.0;", "begins at 0.01, stays to the end");
    words("kind = \"constant\"; warmup = 1;", "rises over 1 step to 0.01, stays to the end");
    words("kind = \"cosine\"; floor = 0.1;", "begins at 0.01, falls as a cosine to 0.001 at step "
                                             "100");
    words("kind = \"linear\"; warmup = 5;",
          "rises over 5 steps to 0.01, falls linearly to 0 at step 100");
}

static void keep(void *context, const char *line)
{
    strncat(context, line, 4000 - strlen(context));
    strcat(context, "\n");
}

/* What a plan warns of, given what it found. */
static void warnings_of(struct mu_plan *p, char text[8192])
{
    text[0] = 0;
    mu_plan_warnings(p, &(struct mu_advice){keep, text});
}

static void memory_and_disk_are_warned_of(void **state)
{
    struct mu_plan *p = calloc(1, sizeof *p);
    static char text[8192];

    (void)state;
    assert_non_null(p);
    p->settings = settings_of("run = { steps = 1000; }; model = { kind = \"synthetic\"; };\n"
                              "batch = { sequences = 8; shards = 8; };");
    p->ranks = p->workers = p->cores = 4;
    p->row_count = 1;
    p->row[0] = (struct mu_plan_row){.workers = 4, .run_seconds = 7201};
    p->tokens.a_step = 1024;
    p->tokens.all = 1024000;
    p->disk.most = 10;
    p->disk.left = 10;
    p->memory = (struct mu_plan_memory){
        .known = true, .host = 100, .segment = 50, .left = 100, .physical = 200, .shm_left = 50};
    warnings_of(p, text);
    assert_string_equal(text, "");
    p->memory.left = 99;
    p->memory.shm_left = 49;
    p->disk.left = 9;
    p->settings.run_time_limit = 3600;
    warnings_of(p, text);
    assert_non_null(strstr(text, "of memory, and"));
    assert_non_null(strstr(text, "remount,size=SIZE"));
    assert_non_null(strstr(text, "the disk of run.dir has"));
    assert_non_null(strstr(text, "run.time_limit ends the run after 60 min, of about 2.0 h that 4 "
                                 "workers take here: the same command goes on, 3 starts in all"));
    p->memory.physical = 99;
    warnings_of(p, text);
    assert_non_null(strstr(text, "and this machine has"));
    p->standing = MU_PLAN_GOES_ON; /* its own state may be what fills /dev/shm */
    p->memory.physical = 200;
    warnings_of(p, text);
    assert_null(strstr(text, "remount,size=SIZE"));
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_counted_by_hand),
        cmocka_unit_test(efficiency_is_work_over_time),
        cmocka_unit_test(checkpoints_are_counted),
        cmocka_unit_test(memory_is_the_segments),
        cmocka_unit_test(time_follows_the_busiest_worker),
        cmocka_unit_test(schedules_are_told_in_words),
        cmocka_unit_test(memory_and_disk_are_warned_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
