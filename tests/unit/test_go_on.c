/* What becomes of a run that stands in its directory: whether it goes on, from where, or is refused,
 * by its configuration, its records and the names of its checkpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>

#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/master/go_on.h"
#include "tests/support/run_folder.h"

/* Warm-up 4; the cooldown, a fifth, begins after step 80. */
#define CONFIG(steps, lr, more)                                                           \
    "run = { steps = " steps "; }; model = { kind = \"synthetic\"; }; optim = { lr = " lr \
    "; schedule = { kind = \"wsd\"; warmup = 4; cooldown = 0.2; }; };\n" more

static void put(const char *name, const char *text)
{
    char path[MU_PATH_MAX];

    assert_int_equal(mu_path_format(path, "%s/%s", run, name), MU_OK);
    assert_int_equal(mu_file_write_atomically(path, text, strlen(text)), MU_OK);
}

static void put_checkpoint(int64_t step)
{
    char name[64], path[MU_PATH_MAX];

    snprintf(name, sizeof name, "checkpoints/step-%08" PRId64, step);
    assert_int_equal(mu_path_format(path, "%s/%s", run, name), MU_OK);
    assert_int_equal(mu_file_make_folders(path), MU_OK);
    strcat(name, "/checkpoint.h5");
    put(name, "");
}

/* Its last record is of step `recorded`. */
static void put_run(const char *config, int64_t recorded)
{
    char line[64];

    snprintf(line, sizeof line, "{\"step\": %" PRId64 ", \"loss\": 1.5}\n", recorded);
    put("config.cfg", config);
    put("metrics.jsonl", line);
}

static int make_folder(void **state)
{
    mu_log_set_level(MU_LOG_SILENT);
    return make_root(state) == 0 && mu_file_make_folders(run) == MU_OK ? 0 : -1;
}

static int remove_folder(void **state)
{
    mu_log_reset_level();
    return remove_root(state);
}

static struct mu_go_on decide(const char *config, bool is_trial)
{
    struct mu_settings *before, *now;
    struct mu_go_on g;

    assert_int_equal(mu_go_on_read(run, &before), MU_OK);
    assert_int_equal(mu_config_recall(config, "today's", &now), MU_OK);
    assert_int_equal(mu_go_on_decide(run, is_trial, before, now, &g), MU_OK);
    free(before);
    free(now);
    return g;
}

static void nothing_stands_there(void **state)
{
    struct mu_settings *before;

    (void)state;
    assert_int_equal(mu_go_on_read(run, &before), MU_NOT_FOUND);
    assert_null(before);
}

static void the_same_run_goes_on(void **state)
{
    struct mu_go_on g;

    (void)state;
    put_run(CONFIG("100", "0.5", ""), 100);
    put_checkpoint(100);
    g = decide(CONFIG("100", "0.5", "eval = { tokens = 999; };"), false);
    assert_int_equal(g.kind, MU_GO_ON_AS_IT_IS);
    assert_true(g.common_steps == INT64_MAX);
}

static void a_longer_one_goes_back_to_before_the_cooldown(void **state)
{
    struct mu_go_on g;

    (void)state;
    put_run(CONFIG("100", "0.5", ""), 96);
    put_checkpoint(40);
    put_checkpoint(80);
    put_checkpoint(90);
    g = decide(CONFIG("200", "0.5", ""), false);
    assert_int_equal(g.kind, MU_GO_ON_FROM);
    assert_int_equal(g.common_steps, 80);
    assert_int_equal(g.from_step, 80);
    assert_int_equal(g.last_step, 96);
    g = decide(CONFIG("200", "0.5", ""), true); /* a trial's schedule is the sweep's */
    assert_int_equal(g.kind, MU_GO_ON_REFUSED);
}

static void what_has_not_come_so_far_just_goes_on(void **state)
{
    struct mu_go_on g;

    (void)state;
    put_run(CONFIG("100", "0.5", ""), 60);
    put_checkpoint(40);
    g = decide(CONFIG("200", "0.5", ""), false);
    assert_int_equal(g.kind, MU_GO_ON_AS_IT_IS);
    assert_int_equal(g.common_steps,
                     80); /* a state of later steps in memory is none of this run's */
}

static void without_an_old_checkpoint_it_is_refused(void **state)
{
    (void)state;
    put_run(CONFIG("100", "0.5", ""), 60);
    put_checkpoint(90); /* saved, and its records were lost */
    assert_int_equal(decide(CONFIG("200", "0.5", ""), false).kind, MU_GO_ON_REFUSED);
    assert_int_equal(decide(CONFIG("100", "0.25", ""), false).kind, MU_GO_ON_REFUSED);
}

static void a_fork_has_the_checkpoint_that_it_began_with(void **state)
{
    int64_t newest, last;

    (void)state;
    put_run(CONFIG("100", "0.5", ""), 90);
    put("parent.json", "{\"checkpoint\": \"/x\", \"step\": 50, \"state_hash\": "
                       "\"00000000000000000000000000000012\", \"weights_only\": false}");
    put_checkpoint(90);
    assert_int_equal(decide(CONFIG("200", "0.5", ""), false).from_step, 50);
    assert_int_equal(mu_go_on_reach(run, INT64_MAX, &newest, &last), MU_OK);
    assert_true(newest == 90 && last == 90);
    assert_int_equal(mu_go_on_reach(run, 49, &newest, &last), MU_OK);
    assert_int_equal(newest, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        CASE(nothing_stands_there),
        CASE(the_same_run_goes_on),
        CASE(a_longer_one_goes_back_to_before_the_cooldown),
        CASE(what_has_not_come_so_far_just_goes_on),
        CASE(without_an_old_checkpoint_it_is_refused),
        CASE(a_fork_has_the_checkpoint_that_it_began_with),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
