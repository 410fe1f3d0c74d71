/* orchestrator/sweep_run/: what a sweep leaves in its folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/log.h"
#include "orchestrator/sweep_run/records.h"

/* N = synthetic.params, C = 6 N D; a batch of 64 sequences of 128 tokens: 8192 tokens a step. */
static const char sweep_text[] =
    "run = { steps = 100; seed = 5; }; model = { kind = \"synthetic\"; };"
    "batch = { sequences = 64; shards = 8; };"
    "sweep = { name = \"toy\"; sizes = { key = \"synthetic.params\"; values = [1e4, 2e4, 3e4, "
    "4e4]; };"
    "budgets = [1e12, 4e12]; window = { points = 4; each_side = 1; }; share_trunk = true;"
    "controls = { trunk_tax = [2e4]; }; laws = ( { key = \"optim.lr\"; value = \"tune\"; } );"
    "tune = { cells = ( { size = 2e4; budget = 1e12; } ); factors = [0.5, 1, 2]; };"
    "fit = { methods = [\"isoflop\"]; bootstrap = 50; holdout = \"largest_budget\";"
    "targets = [1e13]; }; };";

static struct mu_sweep_spec spec;
static struct mu_settings base;
static struct mu_sweep_stages stages;
static struct mu_sweep_state state;
static char root[64];

static const char grid_text[] =
    "run = { steps = 100; seed = 5; }; model = { kind = \"synthetic\"; };"
    "batch = { sequences = 64; shards = 8; };"
    "sweep = { name = \"toy\"; kind = \"grid\"; grid = ("
    "{ key = \"batch.tokens\"; values = [8192, 16384]; },"
    "{ key = \"optim.betas\"; values = [\"[0.9, 0.95]\", \"[0.9, 0.99]\"]; } ); };";

static int begin_with(const char *text)
{
    const struct mu_config_source source = {
        .text = text, .text_size = strlen(text), .text_name = "sweep.cfg"};

    strcpy(root, "/tmp/muster-records-XXXXXX");
    if (!mkdtemp(root) || mu_sweep_read(&source, &base, &spec) != MU_OK)
        return -1;
    stages = (struct mu_sweep_stages){.spec = &spec, .base = &base};
    if (mu_sweep_trials_make(&spec, &base, "sweep.cfg", &stages.trials) != MU_OK)
        return -1;
    state = (struct mu_sweep_state){.path = root, .spec = &spec, .base = &base, .stages = &stages};
    state.cell = calloc(stages.trials.count, sizeof *state.cell);
    if (!state.cell)
        return -1;
    for (uint32_t i = 0; i < stages.trials.count; i++)
        state.cell[i] = mu_cell_new(MU_CELL_READY);
    return 0;
}

static int begin(void **unused)
{
    (void)unused;
    return begin_with(sweep_text);
}

static int begin_grid(void **unused)
{
    (void)unused;
    return begin_with(grid_text);
}

static int end(void **unused)
{
    (void)unused;
    free(state.cell);
    mu_sweep_trials_deinit(&stages.trials);
    return mu_file_remove_tree(root) == MU_OK ? 0 : -1;
}

static uint32_t find(const char *name)
{
    for (uint32_t i = 0; i < stages.trials.count; i++)
        if (strcmp(stages.trials.item[i].name, name) == 0)
            return i;
    fail_msg("there is no trial %s", name);
    return 0;
}

static struct mu_cell *complete(const char *name, double loss)
{
    struct mu_cell *cell = &state.cell[find(name)];

    cell->phase = MU_CELL_COMPLETE;
    cell->train_loss = loss + 0.5;
    cell->valid_loss = loss;
    cell->valid_bits_per_byte = 1.5;
    cell->has_hash = true;
    cell->hash = (struct mu_hash){0xabc, (uint64_t)find(name)};
    return cell;
}

/* The caller frees. */
static char *read_file(const char *name)
{
    char path[MU_PATH_MAX], *text;
    size_t size;

    assert_int_equal(mu_path_format(path, "%s/%s", root, name), MU_OK);
    assert_int_equal(mu_file_read(path, 1 << 24, &text, &size), MU_OK);
    assert_int_equal(strlen(text), size);
    return text;
}

static char *results(void)
{
    assert_int_equal(mu_sweep_write_results(&state), MU_OK);
    return read_file("results.csv");
}

/* Line `number`, from 0. */
static const char *line_of(char *text, int number)
{
    char *save = NULL, *line = strtok_r(text, "\n", &save);

    while (line && number-- > 0)
        line = strtok_r(NULL, "\n", &save);
    assert_non_null(line);
    return line;
}

/* 8192 tokens a step, 6 N D FLOPs: round(1e12 / (6 2e4) / 8192) = 1017 steps, of which the last
 * fifth is the cooldown. */
static void a_branch_has_all_of_its_row(void **unused)
{
    char expected[1024];
    char *text;
    const double d = 1017 * 8192., c = 6 * 2e4 * d;

    (void)unused;
    complete("params20000-c1e+12-s5", 0.1 + 0.2);
    text = results();
    snprintf(expected, sizeof expected,
             "params20000-c1e+12-s5,cell,params20000-s5,params20000-c4e+12-s5,%lld,,5,complete,"
             "1000000000000,20000,20000,20000,,,,,,%.0f,%.17g,%.17g,%.17g,%.17g,%.17g,%.17g,%.17g,"
             "optim.lr,%s,8192,1017,0.30000000000000004,1.5,0000000000000abc%016llx",
             (long long)stages.trials.item[find("params20000-c1e+12-s5")].shared, d, c, c, c, c, c,
             c, c, "0.001", (unsigned long long)find("params20000-c1e+12-s5"));
    assert_string_equal(line_of(text, 1), expected);
    free(text);
}

/* Beginning, end, sorted; what has not ended has no line. */
static void rows_are_sorted_by_name(void **unused)
{
    static const char *const names[] = {"alone-params20000-c1e+12-s5", "params10000-c4e+12-s5",
                                        "params30000-c1e+12-s5",
                                        "tune-params20000-c1e+12-s1000-f2"};
    char *text, *at;

    (void)unused;
    for (size_t k = 4; k-- > 0;)
        complete(names[k], 2);
    text = results();
    at = text;
    for (size_t k = 0; k < 4; k++) {
        at = strchr(at, '\n') + 1;
        assert_int_equal(strncmp(at, names[k], strlen(names[k])), 0);
    }
    assert_int_equal(strchr(at, '\n')[1], 0);
    free(text);
}

static void has_status(const char *row, const char *status, bool loss)
{
    char *cell[64], *copy = strdup(row), *at = copy;
    int cells = 0;

    for (char *one; (one = strsep(&at, ",")) != NULL;)
        cell[cells++] = one;
    assert_int_equal(cells, 32);
    assert_string_equal(cell[7], status);
    assert_int_equal(cell[29][0] != 0, loss);
    assert_int_equal(cell[31][0] != 0, loss);
    free(copy);
}

/* Only cells with a loss are points. */
static void what_is_no_point_says_so(void **unused)
{
    char *text;

    (void)unused;
    complete("alone-params20000-c1e+12-s5", 2);
    complete("tune-params20000-c1e+12-s1000-f2", 2);
    complete("params10000-c1e+12-s5", 2)->phase = MU_CELL_DIVERGED;
    complete("params20000-c1e+12-s5", 2)->phase = MU_CELL_OUT_OF_MEMORY;
    complete("params30000-c1e+12-s5", 2)->phase = MU_CELL_FAILED;
    text = results();
    has_status(line_of(text, 1), "control", true);
    free(text);
    text = results();
    assert_non_null(strstr(line_of(text, 1), ",params20000-c1e+12-s5,5,control,")); /* its twin */
    free(text);
    text = results();
    has_status(line_of(text, 2), "diverged", false);
    free(text);
    text = results();
    has_status(line_of(text, 3), "out of memory", false);
    free(text);
    text = results();
    has_status(line_of(text, 4), "failed", false);
    free(text);
    text = results();
    has_status(line_of(text, 5), "tuning", true);
    free(text);
}

/* Who computed it, when, after how many deaths: not a byte. */
static void results_do_not_hang_on_who_computed(void **unused)
{
    struct mu_sweep_span span = {
        .rank = 3, .start = 2, .trial = 1, .from = 1, .to = 2, .died = true};
    struct mu_cell *cell;
    char *one, *other;

    (void)unused;
    cell = complete("params20000-c4e+12-s5", 2.25);
    one = results();
    cell->group = 7;
    cell->workers = 3;
    cell->host = 1;
    cell->step = 9;
    cell->train_loss = 9;
    cell->tokens_per_s = 4e5;
    cell->retries = cell->deaths = cell->moves = 2;
    cell->rank_seconds = 90;
    strcpy(cell->message, "rank 3 died");
    state.span = &span;
    state.spans = 1;
    state.start = 3;
    other = results();
    assert_string_equal(one, other);
    free(one);
    free(other);
    state.span = NULL;
    state.spans = 0;
}

/* 17 digits, and the training loss where there is no validation. */
static void losses_round_trip(void **unused)
{
    const double loss = 2.2250738585072014 + 1e-15;
    struct mu_cell *cell = complete("params20000-c4e+12-s5", loss);
    char *text, *at;

    (void)unused;
    text = results();
    at = strrchr(text, '\n');
    for (int commas = 0; commas < 3;)
        commas += *--at == ',';
    assert_true(strtod(at + 1, NULL) == loss);
    free(text);
    cell->valid_loss = NAN;
    text = results();
    at = strrchr(text, '\n');
    for (int commas = 0; commas < 3;)
        commas += *--at == ',';
    assert_true(strtod(at + 1, NULL) == loss + 0.5);
    assert_non_null(strstr(at, ",,")); /* no bits a byte of a training loss */
    free(text);
}

/* By heads that no column of `muster fit` has; a value with a comma is one cell. */
static void axes_of_a_grid_are_columns(void **unused)
{
    char *text;
    const char *line;

    (void)unused;
    complete(stages.trials.item[1].name, 2);
    text = results();
    line = line_of(text, 0);
    assert_string_equal(line + strlen(line) - strlen(",hash,grid_batch_tokens,grid_optim_betas"),
                        ",hash,grid_batch_tokens,grid_optim_betas");
    free(text);
    text = results();
    line = line_of(text, 1);
    assert_string_equal(line + strlen(line) - strlen(",16384,\"[0.9, 0.95]\""),
                        ",16384,\"[0.9, 0.95]\"");
    free(text);
}

static void times_of_all_trials(void **unused)
{
    const uint32_t i = find("params20000-c1e+12-s5");
    struct mu_sweep_span spans[] = {
        {.rank = 2, .start = 1, .trial = i, .from = 1.5, .to = 3, .died = true},
        {.rank = 0, .start = 1, .trial = i, .from = 1.25, .to = 4, .moved = true},
        {.rank = 1, .start = 2, .trial = i, .from = 7, .to = NAN},
    };
    char *text;

    (void)unused;
    state.cell[i].phase = MU_CELL_TRAINS;
    state.cell[i].step = 17;
    state.cell[i].tokens = 17 * 8192;
    state.cell[i].rank_seconds = 4.25;
    state.cell[i].deaths = state.cell[i].moves = 1;
    strcpy(state.cell[i].message, "said \"no\", twice");
    state.span = spans;
    state.spans = 3;
    assert_int_equal(mu_sweep_write_timing(&state), MU_OK);
    text = read_file("timing.csv");
    assert_non_null(strstr(text, "\nparams20000-c1e+12-s5,cell,trains,17,1017,20000,8331264,"
                                 "999751680000,139264,4.250,0,1,1,3,1.250,,"
                                 "\"said \"\"no\"\", twice\"\n"));
    free(text);
    text = read_file("timeline.csv");
    assert_string_equal(text, "start,rank,trial,from,to,ending\n"
                              "1,2,params20000-c1e+12-s5,1.500,3.000,died\n"
                              "1,0,params20000-c1e+12-s5,1.250,4.000,moved\n"
                              "2,1,params20000-c1e+12-s5,7.000,,\n");
    free(text);
    state.span = NULL;
    state.spans = 0;
}

static json_t *status(void)
{
    json_t *json;
    char *text;

    assert_int_equal(mu_sweep_write_status(&state), MU_OK);
    text = read_file("sweep.json");
    json = json_loads(text, 0, NULL);
    assert_non_null(json);
    free(text);
    return json;
}

#define WORD(object, key) json_string_value(json_object_get(object, key))

static void the_status_says_where_it_stands(void **unused)
{
    struct mu_sweep_span spans[] = {
        {.trial = find("params10000-c1e+12-s5"), .from = 1, .to = 3},
        {.trial = find("params30000-c1e+12-s5"), .from = 1, .to = 5},
    };
    struct mu_cell *live = &state.cell[find("params20000-c1e+12-s5")];
    json_t *json, *one;

    (void)unused;
    complete("params10000-c1e+12-s5", 2);
    complete("params30000-c1e+12-s5", 2.5);
    live->phase = MU_CELL_TRAINS;
    live->workers = 2;
    live->tokens_per_s = 1e4;
    strcpy(live->message, "not UTF-8: \xff");
    state.span = spans;
    state.spans = 2;
    state.start = 2;
    state.ranks = 4;
    state.eta = NAN;
    stages.window[0] = (struct mu_sweep_window){.bracket = MU_SWEEP_BRACKET_LEFT, .extended = 1};
    json = status();
    assert_string_equal(WORD(json, "schema"), "muster-sweep-1");
    assert_string_equal(WORD(json, "kind"), "isoflop");
    assert_true(json_is_null(json_object_get(json, "ended")));
    assert_true(json_is_null(json_object_get(json, "eta")));
    assert_int_equal(json_integer_value(json_object_get(json, "start")), 2);
    assert_true(json_real_value(json_object_get(json, "tokens_per_s")) == 1e4);
    one = json_object_get(json, "phases");
    assert_int_equal(json_object_size(one), MU_CELL_PHASES - 1); /* none is elsewhere */
    assert_int_equal(json_integer_value(json_object_get(one, "complete")), 2);
    assert_int_equal(json_integer_value(json_object_get(one, "ready")), 3 + 8 + 2 - 3);
    assert_string_equal(WORD(json_object_get(json, "count"), "flops"), "6N"); /* no attention */
    one = json_array_get(json_object_get(json, "budgets"), 0);
    assert_string_equal(WORD(one, "bracket"), "left");
    assert_int_equal(json_integer_value(json_object_get(one, "trials")), 4);
    assert_int_equal(json_integer_value(json_object_get(one, "ended")), 2);
    assert_int_equal(json_array_size(json_object_get(json, "live")), 1);
    one = json_array_get(json_object_get(json, "live"), 0);
    assert_string_equal(WORD(one, "name"), "params20000-c1e+12-s5");
    assert_string_equal(WORD(one, "message"), "not UTF-8: ?");
    assert_true(json_is_null(json_object_get(one, "host")));
    assert_int_equal(json_array_size(json_object_get(json, "recent")), 2);
    one = json_array_get(json_object_get(json, "recent"), 0);
    assert_string_equal(WORD(one, "name"), "params30000-c1e+12-s5");
    assert_true(json_real_value(json_object_get(one, "ended_at")) == 5);
    assert_string_equal(WORD(json_object_get(json, "tuned"), "key"), "optim.lr");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "fit"), "bootstrap")),
                     50);
    json_decref(json);
    state.ended = "All trials have ended.";
    json = status();
    assert_string_equal(WORD(json, "ended"), "All trials have ended.");
    json_decref(json);
    state.ended = NULL;
    state.span = NULL;
    state.spans = 0;
}

/* The old file stays, and the caller hears of it. */
static void a_folder_that_takes_no_file_is_told(void **unused)
{
    char gone[80];

    (void)unused;
    snprintf(gone, sizeof gone, "%s/gone", root);
    state.path = gone;
    mu_log_set_level(MU_LOG_SILENT);
    assert_int_equal(mu_sweep_write_results(&state), MU_FAILED);
    assert_int_equal(mu_sweep_write_timing(&state), MU_FAILED);
    assert_int_equal(mu_sweep_write_status(&state), MU_FAILED);
    mu_log_reset_level();
    state.path = root;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_branch_has_all_of_its_row, begin, end),
        cmocka_unit_test_setup_teardown(rows_are_sorted_by_name, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_point_says_so, begin, end),
        cmocka_unit_test_setup_teardown(results_do_not_hang_on_who_computed, begin, end),
        cmocka_unit_test_setup_teardown(losses_round_trip, begin, end),
        cmocka_unit_test_setup_teardown(axes_of_a_grid_are_columns, begin_grid, end),
        cmocka_unit_test_setup_teardown(times_of_all_trials, begin, end),
        cmocka_unit_test_setup_teardown(the_status_says_where_it_stands, begin, end),
        cmocka_unit_test_setup_teardown(a_folder_that_takes_no_file_is_told, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
