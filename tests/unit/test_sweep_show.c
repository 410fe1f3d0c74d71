/* A sweep's table: its text, its fit into columns and rows, and the same out of sweep.json. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/base/log.h"
#include "orchestrator/sweep_run/records.h"
#include "orchestrator/sweep_run/show.h"
#include "tests/support/run_folder.h"
#include "tests/support/sweep_show.h"

static char *print(const struct mu_sweep_view *v, int columns, int rows)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    mu_sweep_view_print(out, v, columns, rows);
    assert_int_equal(fclose(out), 0);
    return text;
}

static struct mu_sweep_view *make(void)
{
    struct mu_sweep_view *v;

    assert_int_equal(mu_sweep_view_make(&sweep, &v), MU_OK);
    return v;
}

static void assert_prints(const struct mu_sweep_view *v, int columns, int rows, const char *text)
{
    char *got = print(v, columns, rows);

    assert_string_equal(got, text);
    free(got);
}

/* ---- the text -------------------------------------------------------------------------------- */

#define HEAD                                                                              \
    "sweep toy  3 of 8 trials ended, more may come  ETA 1:02:03  12:05 so far, start 2\n" \
    "trials   waits 1, ready 1, trains 2, moves 1, complete 1, diverged 1, failed 1\n"    \
    "fleet    [====..xx]  4 busy, 2 idle, 2 dead  48k tok/s\n"                            \
    "goodput  90.0 % of 1,000 rank-seconds: compute 90.0, idle 10.0 %\n"                  \
    "tuning   optim.lr = 0.0312 * N^-0.25; at 1 of 2 cells the best factor is at an end of them\n"
#define RECENT                                                                       \
    "1:15  width24-c1e+11-s1: diverged at step 37/400: the loss is nan at step 37\n" \
    "1:01  width16-c1e+11-s1: complete at step 400/400, valid loss 2.5000\n"         \
    "width32-c1e+11-s1: failed at step 0/400, 2 retries: no data\n"
static const char whole[] = HEAD
    "cell                 N     D     C  group     step  tok/s    loss      ETA  retries\n"
    "width16-c3e+11-s1  16k  3.1M  3e11      2  120/400    48k  2.3456     0:31        0\n"
    "width24-c3e+11-s1  24k  2.1M  3e11      1    0/400                                0\n"
    "width32-c3e+11-s1  32k  1.6M  3e11  moves  399/400   2.0k  3.0000  1:06:40        1\n" RECENT
        BUDGETS;

static void the_table_has_everything(void **state)
{
    struct mu_sweep_view *v = make();

    (void)state;
    assert_prints(v, 0, 0, whole);
    assert_string_equal(mu_sweep_view_line(v).text,
                        "sweep toy  3 of 8 trials ended  3 train  4 of 6 ranks busy  2 dead  48k "
                        "tok/s  goodput 90.0 %  12:05  ETA 1:02:03");
    assert_int_equal(mu_sweep_view_standing(v), MU_SWEEP_RUNS);
    mu_sweep_view_free(v);
}

/* Columns give way by their importance; then lines are cut. */
static void it_fits_its_terminal(void **state)
{
    struct mu_sweep_view *v = make();

    (void)state;
    assert_prints(v, 60, 13,
                  "sweep toy  3 of 8 trials ended, more may come  ETA 1:02:03\n"
                  "trials   waits 1, ready 1, trains 2, moves 1, complete 1, di\n"
                  "fleet    [====..xx]  4 busy, 2 idle, 2 dead  48k tok/s\n"
                  "goodput  90.0 % of 1,000 rank-seconds: compute 90.0, idle 10\n"
                  "tuning   optim.lr = 0.0312 * N^-0.25; at 1 of 2 cells the be\n"
                  "cell               group     step  tok/s    loss      ETA\n"
                  "width16-c3e+11-s1      2  120/400    48k  2.3456     0:31\n"
                  "width24-c3e+11-s1      1    0/400\n"
                  "width32-c3e+11-s1  moves  399/400   2.0k  3.0000  1:06:40\n"
                  "1:15  width24-c1e+11-s1: diverged at step 37/400: the loss i\n"
                  "budget   1e11    3/3 cells  minimum bracketed? no: smaller s\n"
                  "budget   3e11    0/3 cells  minimum bracketed? not known yet\n"
                  "budget   1e12    0/2 cells  minimum bracketed? not known yet\n");
    for (int columns = 1; columns < 150; columns++)
        for (int rows = 1; rows < 25; rows++) {
            char *text = print(v, columns, rows);
            int lines = 0;

            for (const char *line = text; *line; line += strcspn(line, "\n") + 1, lines++)
                assert_in_range(strcspn(line, "\n"), 0, columns);
            assert_in_range(lines, 1, rows);
            free(text);
        }
    mu_sweep_view_free(v);
}

/* Ten train: of six rows for them and the budgets, a third is of the budgets. */
static void what_does_not_fit_is_counted(void **state)
{
    static struct mu_sweep_trial many[10];
    static struct mu_cell cells[10];
    struct mu_sweep_view *v;

    (void)state;
    for (int i = 0; i < 10; i++) {
        many[i] = trial[3];
        cells[i] = cell[3];
        snprintf(many[i].name, sizeof many[i].name, "t%d", i);
    }
    stages.trials = (struct mu_sweep_trials){.item = many, .count = 10};
    sweep.cell = cells;
    sweep.spans = 0;
    sweep.goodput = (struct mu_ledger_sum){0};
    spec.laws.count = 0;
    v = make();
    assert_prints(
        v, 79, 10,
        "sweep toy  0 of 10 trials ended, more may come  ETA 1:02:03  12:05 so far, star\n"
        "trials   trains 10\n"
        "fleet    [====..xx]  4 busy, 2 idle, 2 dead  481k tok/s\n"
        "cell    N     D     C  group     step  tok/s    loss   ETA  retries\n"
        "t0    16k  3.1M  3e11      2  120/400    48k  2.3456  0:31        0\n"
        "t1    16k  3.1M  3e11      2  120/400    48k  2.3456  0:31        0\n"
        "t2    16k  3.1M  3e11      2  120/400    48k  2.3456  0:31        0\n"
        "... and 7 more\n"
        "budget   1e11    0/0 cells  minimum bracketed? no: smaller sizes wanted; best 2\n"
        "... and 2 more budgets\n");
    mu_sweep_view_free(v);
}

/* ---- a sweep's end --------------------------------------------------------------------------- */

static char *title(const struct mu_sweep_view *v)
{
    return print(v, 0, 2);
}

static void an_end_is_told(void **state)
{
    struct mu_sweep_view *v;
    char *text;

    (void)state;
    sweep.ended = "stopped on request: the same command goes on";
    v = make();
    text = title(v);
    assert_string_equal(text,
                        "sweep toy  3 of 8 trials ended, more may come  12:05 so far, start 2\n"
                        "ended    stopped on request: the same command goes on\n");
    assert_int_equal(mu_sweep_view_standing(v), MU_SWEEP_STOPPED);
    free(text);
    mu_sweep_view_free(v);
    stages.complete = true;
    for (int i = 0; i < TRIALS; i++)
        if (!mu_cell_has_ended(cell[i].phase))
            cell[i].phase = MU_CELL_COMPLETE;
    v = make();
    assert_int_equal(mu_sweep_view_standing(v), MU_SWEEP_HAS_FAILURES);
    mu_sweep_view_free(v);
    cell[2].phase = MU_CELL_OUT_OF_MEMORY; /* a result, as is a divergence */
    v = make();
    assert_int_equal(mu_sweep_view_standing(v), MU_SWEEP_COMPLETE);
    mu_sweep_view_free(v);
}

static void assert_has(const char *needle)
{
    struct mu_sweep_view *v = make();
    char *text = print(v, 0, 0);

    if (!strstr(text, needle))
        fail_msg("no '%s' in\n%s", needle, text);
    free(text);
    mu_sweep_view_free(v);
}

static void budgets_and_tuning_have_their_words(void **state)
{
    struct mu_sweep_window *w = &stages.window[2];

    (void)state;
    w->bracket = MU_SWEEP_BRACKET_YES;
    w->best_size = 24;
    w->best_loss = 2.12345;
    w->extended = 2;
    assert_has("budget   1e12    0/2 cells  minimum bracketed? yes; best 2.1235 at size 24; "
               "extended 2 times\n");
    w->bracket = MU_SWEEP_BRACKET_RIGHT;
    assert_has("1e12    0/2 cells  minimum bracketed? no: larger sizes wanted; best");
    w->is_exhausted = true;
    assert_has("bracketed? no: larger sizes wanted, none left; best");
    w->bracket = MU_SWEEP_BRACKET_LEFT;
    assert_has("bracketed? no: smaller sizes wanted, none left; best");
    w->bracket = MU_SWEEP_BRACKET_NONE;
    assert_has("bracketed? too few losses to tell; best");
    stages.tuned.exponent = 0;
    stages.tuned.cell[1].is_bracketed = true;
    assert_has("tuning   optim.lr = 0.0312\n");
    stages.tuned.known = false;
    assert_has("tuning   optim.lr: not known yet\n");
}

/* ---- out of sweep.json ----------------------------------------------------------------------- */

#define SWEEP_JSON                                                                                 \
    "{\"schema\": \"muster-sweep-1\", \"name\": \"toy\", \"start\": 2, \"now\": 725.0, "           \
    "\"ended\": null, \"all_known\": false, \"trials\": 8,"                                        \
    "\"phases\": {\"waits\": 1, \"ready\": 1, \"trains\": 2, \"moves\": 1, \"complete\": 1, "      \
    "\"diverged\": 1, \"out of memory\": 0, \"failed\": 1},"                                       \
    "\"fleet\": {\"ranks\": 6, \"busy\": 4, \"dead\": 2}, \"tokens_per_s\": 48123.0,"              \
    "\"eta\": 3723, \"goodput\": {\"rank_seconds\": 1000.0, \"seconds\": {\"compute\": 900.0, "    \
    "\"communicate\": 0, \"checkpoint\": 0, \"recover\": 0, \"redo\": 0, \"idle\": 100.0, "        \
    "\"wait\": 0}, \"percent\": {}, \"deaths\": 0, \"recoveries\": 0, \"shards_redone\": 0, "      \
    "\"steps_lost\": 0}, \"size_key\": \"model.width\","                                           \
    "\"tuned\": {\"key\": \"optim.lr\", \"known\": true, \"coefficient\": 0.0312, \"exponent\": "  \
    "-0.25, \"cells\": [{\"bracketed\": true}, {\"bracketed\": false}]},"                          \
    "\"budgets\": [{\"budget\": 1e11, \"bracket\": \"left\", \"extended\": 1, \"exhausted\": "     \
    "false, \"best_size\": 16, \"best_loss\": 2.5, \"trials\": 3, \"ended\": 3},"                  \
    "{\"budget\": 3e11, \"bracket\": \"open\", \"best_loss\": null, \"trials\": 3, \"ended\": 0}," \
    "{\"budget\": 1e12, \"bracket\": \"open\", \"trials\": 2, \"ended\": 0}],"                     \
    "\"live\": [{\"name\": \"width16-c3e+11-s1\", \"phase\": \"trains\", \"workers\": 2, "         \
    "\"step\": 120, \"steps\": 400, \"n\": 16000, \"d\": 3125000, \"c\": 3e11, \"train_loss\": "   \
    "2.34561, \"valid_loss\": null, \"tokens_per_s\": 48123, \"wanted\": 31.2, \"retries\": 0},"   \
    "{\"name\": \"width24-c3e+11-s1\", \"phase\": \"trains\", \"workers\": 1, \"step\": 0, "       \
    "\"steps\": 400, \"n\": 24000, \"d\": 2083333.3, \"c\": 3e11, \"train_loss\": null},"          \
    "{\"name\": \"width32-c3e+11-s1\", \"phase\": \"moves\", \"workers\": 1, \"step\": 399, "      \
    "\"steps\": 400, \"n\": 32000, \"d\": 1562500, \"c\": 3e11, \"train_loss\": 3.0, "             \
    "\"tokens_per_s\": 1960, \"wanted\": 4000, \"retries\": 1}],"                                  \
    "\"recent\": [{\"name\": \"width24-c1e+11-s1\", \"phase\": \"diverged\", \"step\": 37, "       \
    "\"steps\": 400, \"ended_at\": 75.0, \"message\": \"the loss is nan at step 37\"},"            \
    "{\"name\": \"width16-c1e+11-s1\", \"phase\": \"complete\", \"step\": 400, \"steps\": 400, "   \
    "\"train_loss\": 2.25, \"valid_loss\": 2.5, \"ended_at\": 61.0, \"message\": \"\"},"           \
    "{\"name\": \"width32-c1e+11-s1\", \"phase\": \"failed\", \"step\": 0, \"steps\": 400, "       \
    "\"retries\": 2, \"ended_at\": 0, \"message\": \"no data\"}]}"

static void write_file(const char *name, const char *text)
{
    char path[MU_PATH_MAX];

    assert_int_equal(mu_path_format(path, "%s/%s", root, name), MU_OK);
    assert_int_equal(mu_file_write_durably(path, text, strlen(text)), MU_OK);
}

static void the_file_has_the_same_table(void **state)
{
    struct mu_sweep_view *v;
    struct mu_run_dir *holder;
    char *text;

    (void)state;
    assert_int_equal(mu_run_dir_lock(root, &holder), MU_OK);
    write_file("sweep.json", SWEEP_JSON);
    assert_int_equal(mu_sweep_view_read(root, &v), MU_OK);
    assert_prints(v, 0, 0, whole);
    assert_int_equal(mu_sweep_view_standing(v), MU_SWEEP_RUNS);
    mu_sweep_view_free(v);
    mu_run_dir_close(holder);
    assert_int_equal(mu_sweep_view_read(root, &v), MU_OK); /* its process is gone */
    text = title(v);
    assert_string_equal(text,
                        "sweep toy  3 of 8 trials ended, more may come  12:05 so far, start 2\n"
                        "ended    nobody works on it now: it was killed; the same command "
                        "goes on\n");
    assert_int_equal(mu_sweep_view_standing(v), MU_SWEEP_WAS_KILLED);
    free(text);
    mu_sweep_view_free(v);
}

/* What the master writes is what another terminal shows. */
static void what_is_written_is_read(void **state)
{
    struct mu_sweep_view *v;
    struct mu_run_dir *holder;

    begin(state);
    sweep.path = root;
    assert_int_equal(mu_run_dir_lock(root, &holder), MU_OK);
    assert_int_equal(mu_sweep_write_status(&sweep), MU_OK);
    assert_int_equal(mu_sweep_view_read(root, &v), MU_OK);
    assert_prints(v, 0, 0, whole);
    mu_sweep_view_free(v);
    mu_run_dir_close(holder);
}

/* Foreign bytes: refused, or taken for what is not known; never more. */
static void files_that_are_none_do_no_harm(void **state)
{
    static const char *const refused[] = {
        "", "{", "[]", "{}", "{\"schema\": 1}", "{\"schema\": \"muster-sweep-2\"}"};
    static const char *const odd[] = {
        "{\"schema\": \"muster-sweep-1\"}",
        ("{\"schema\": \"muster-sweep-1\", \"name\": 7, \"now\": \"x\", \"trials\": -5, "
         "\"phases\": "
         "[1], \"fleet\": null, \"tuned\": 3, \"budgets\": {}, \"live\": [1, null, {\"phase\": "
         "\"gone\", \"n\": 1e308, \"step\": -9}], \"recent\": [{\"workers\": 1e99}], \"eta\": {}}"),
        ("{\"schema\": \"muster-sweep-1\", \"fleet\": {\"ranks\": 9223372036854775807, \"busy\": "
         "4294967295, \"dead\": 4294967296}, \"recent\": [{},{},{},{},{},{},{},{},{},{},{},{}]}")};
    struct mu_sweep_view *v;

    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    assert_int_equal(mu_sweep_view_read(root, &v), MU_NOT_FOUND);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        write_file("sweep.json", refused[i]);
        assert_int_equal(mu_sweep_view_read(root, &v), MU_CORRUPT);
        assert_null(v);
    }
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        write_file("sweep.json", odd[i]);
        assert_int_equal(mu_sweep_view_read(root, &v), MU_OK);
        free(print(v, 80, 24));
        free(print(v, 0, 0));
        mu_sweep_view_free(v);
    }
    mu_log_set_level(MU_LOG_INFO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_table_has_everything, begin),
        cmocka_unit_test_setup(it_fits_its_terminal, begin),
        cmocka_unit_test_setup(what_does_not_fit_is_counted, begin),
        cmocka_unit_test_setup(an_end_is_told, begin),
        cmocka_unit_test_setup(budgets_and_tuning_have_their_words, begin),
        cmocka_unit_test_setup_teardown(the_file_has_the_same_table, make_root, remove_root),
        cmocka_unit_test_setup_teardown(what_is_written_is_read, make_root, remove_root),
        cmocka_unit_test_setup_teardown(files_that_are_none_do_no_harm, make_root, remove_root),
    };

    mu_log_set_level(MU_LOG_INFO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
