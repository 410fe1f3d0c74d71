/* A sweep's journal, written (orchestrator/sweep_run/notes.h) and read (past.h), and the messages
 * between ranks (messages.h). */
#include <stdlib.h>
#include <unistd.h>

#include "orchestrator/sweep_run/messages.h"
#include "orchestrator/sweep_run/notes.h"
#include "orchestrator/sweep_run/past.h"
#include "tests/support/sweep_master.h"

static char folder[] = "/tmp/muster-past-XXXXXX", path[64];
static struct mu_journal *journal;
static struct mu_sweep_past past;
static const struct mu_sweep_data no_data, some_data = {{"aa"}, {"bb"}};

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/muster-past-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s", folder);
    begin(ALONE);
    m.state.start = 1;
    m.state.began = 1e9;
    return 0;
}

static int tear_down(void **state)
{
    mu_journal_close(journal);
    journal = NULL;
    mu_sweep_past_deinit(&past);
    assert_int_equal(mu_file_remove_tree(folder), MU_OK);
    return end(state);
}

static void start_journal(const struct mu_sweep_data *data)
{
    uint32_t generation;

    mu_journal_close(journal);
    assert_int_equal(mu_journal_open(path, &journal, &generation), MU_OK);
    assert_int_equal(mu_sweep_note_start(journal, &m.state, data), MU_OK);
}

/* What the master has to tell. */
static void write_news(void)
{
    for (uint32_t i = 0; i < m.news_count; i++)
        assert_int_equal(mu_sweep_note(journal, &m, &m.news[i]), MU_OK);
    m.news_count = 0;
}

static void step(double seconds)
{
    m.state.now += seconds;
    mu_sweep_master_advance(&m);
    mu_sweep_master_decide(&m);
    write_news();
}

static const struct mu_sweep_past_trial *read_back(uint32_t trial)
{
    assert_int_equal(mu_sweep_past_read(&past, path), MU_OK);
    return mu_sweep_past_find(&past, m.stages.trials.item[trial].name);
}

static void nothing_is_no_past(void **state)
{
    (void)state;
    assert_int_equal(mu_sweep_past_read(&past, path), MU_OK);
    assert_int_equal(past.start, 0);
    assert_null(mu_sweep_past_find(&past, "x"));
}

static void a_result_is_read_back(void **state)
{
    const struct mu_sweep_past_trial *t;
    struct mu_trial_outcome o = outcome(MU_TRIAL_COMPLETE, 203);
    uint32_t trial;

    (void)state;
    start_journal(&no_data);
    ready(0);
    step(1);
    trial = trial_of(0);
    m.state.now += 5;
    o.has_hash = true;
    o.hash = (struct mu_hash){1, 2};
    o.valid_loss = 2.123456789012345678;
    mu_sweep_master_hear_outcome(&m, group_of(0), &o);
    write_news();
    t = read_back(trial);
    assert_non_null(t);
    assert_int_equal(t->cell.phase, MU_CELL_COMPLETE);
    assert_true(t->cell.valid_loss == o.valid_loss);
    assert_true(isnan(t->cell.valid_bits_per_byte));
    assert_true(t->cell.has_hash && mu_hash_equal(t->cell.hash, o.hash));
    assert_int_equal(t->cell.step, 203);
    assert_true(fabs(t->cell.rank_seconds - 5) < 1e-3);
    assert_int_equal(past.first_open, past.parts);
    assert_int_equal(past.start, 1);
    assert_true(past.began == 1e9);
}

static void an_assignment_without_an_end_is_open(void **state)
{
    (void)state;
    start_journal(&no_data);
    ready(0);
    step(1);
    assert_non_null(read_back(trial_of(0)));
    assert_int_equal(past.parts - past.first_open, 1);
    assert_true(past.part[past.first_open].is_open);
    assert_int_equal(past.part[past.first_open].group, group_of(0));
    assert_int_equal(past.part[past.first_open].span.rank, 0);
    mu_sweep_past_close(&past);
    assert_int_equal(past.first_open, past.parts);
}

static void a_death_is_read_back(void **state)
{
    const struct mu_sweep_past_trial *t;
    uint32_t trial;

    (void)state;
    start_journal(&no_data);
    ready(1);
    step(1);
    trial = trial_of(1);
    m.state.now += 2;
    die(1);
    write_news();
    t = read_back(trial);
    assert_int_equal(t->cell.phase, MU_CELL_READY);
    assert_int_equal(t->cell.deaths, 1);
    assert_int_equal(t->cell.retries, 1);
    assert_true(past.part[0].span.died);
    assert_int_equal(past.first_open, past.parts);
}

/* A message may quote anything, and may be cut in the middle of a letter. */
static void a_message_that_is_not_utf_8_keeps_its_ascii(void **state)
{
    struct mu_trial_outcome o = outcome(MU_TRIAL_REFUSED, 0);
    uint32_t trial;

    (void)state;
    start_journal(&no_data);
    ready(0);
    step(1);
    trial = trial_of(0);
    strcpy(o.message, "/data/caf\xe9 is not there");
    mu_sweep_master_hear_outcome(&m, group_of(0), &o);
    write_news();
    assert_string_equal(read_back(trial)->cell.message, "/data/caf? is not there");
}

/* Within a start it stays; the next one tries it again. */
static void what_failed_is_tried_again_by_the_next_start(void **state)
{
    uint32_t trial;

    (void)state;
    start_journal(&no_data);
    ready(0);
    step(1);
    trial = trial_of(0);
    end_group(0, MU_TRIAL_REFUSED, 0);
    write_news();
    assert_int_equal(read_back(trial)->cell.phase, MU_CELL_FAILED);
    mu_sweep_past_deinit(&past);
    m.state.start = 2;
    start_journal(&no_data);
    assert_int_equal(read_back(trial)->cell.phase, MU_CELL_READY);
    assert_int_equal(past.start, 2);
}

static void the_first_start_s_data_count(void **state)
{
    (void)state;
    start_journal(&some_data);
    start_journal(&no_data);
    assert_int_equal(mu_sweep_past_read(&past, path), MU_OK);
    assert_true(past.has_data);
    assert_string_equal(past.data.train.text, "aa");
    assert_string_equal(past.data.valid.text, "bb");
}

/* ---- messages ---- */
static void what_a_rank_says_is_read_back(void **state)
{
    uint8_t bytes[MU_SWEEP_UP_BYTES];
    struct mu_sweep_up up = {.kind = MU_SWEEP_SAY_READY,
                             .group = 77,
                             .has_outcome = true,
                             .outcome = outcome(MU_TRIAL_DIVERGED, 9),
                             .idle = {.us = {[MU_LEDGER_IDLE] = 5}},
                             .over = MU_SWEEP_NOT_OVER},
                       got;
    size_t size;

    (void)state;
    memset(up.outcome.message, 'x', sizeof up.outcome.message - 1);
    size = mu_sweep_up_pack(&up, bytes);
    assert_true(mu_sweep_up_read(bytes, size, &got));
    assert_int_equal(got.group, 77);
    assert_int_equal(got.outcome.end, MU_TRIAL_DIVERGED);
    assert_int_equal(got.outcome.step, 9);
    assert_string_equal(got.outcome.message, up.outcome.message);
    assert_int_equal(got.over, MU_SWEEP_NOT_OVER);
    assert_true(got.idle.us[MU_LEDGER_IDLE] == 5);
    for (size_t cut = 0; cut < size; cut++)
        assert_false(mu_sweep_up_read(bytes, cut, &got));
}

static void an_order_is_read_back(void **state)
{
    const int who[] = {1, 5};
    const struct mu_trial_branch branch = {.step = 12, .run_path = "s/trials/b"};
    const struct mu_trial_order order = {.group = 5,
                                         .trial = 3,
                                         .retries = 2,
                                         .names = who,
                                         .count = 2,
                                         .config = "run = { };",
                                         .sweep_path = "s",
                                         .run_path = "s/trials/a",
                                         .branches = &branch,
                                         .branch_count = 1};
    struct mu_sweep_down got;
    size_t size;
    uint8_t *bytes = mu_sweep_order_pack(&order, &size);

    (void)state;
    assert_non_null(bytes);
    assert_true(mu_sweep_down_read(bytes, size, &got));
    assert_int_equal(got.kind, MU_SWEEP_SAY_ORDER);
    assert_int_equal(got.order.order.retries, 2);
    assert_int_equal(got.order.order.count, 2);
    assert_int_equal(got.order.names[1], 5);
    assert_string_equal(got.order.config, order.config);
    assert_string_equal(got.order.run_path, order.run_path);
    assert_int_equal(got.order.branches[0].step, 12);
    assert_string_equal(got.order.branches[0].run_path, branch.run_path);
    mu_sweep_order_deinit(&got.order);
    for (size_t cut = 0; cut < size; cut++)
        assert_false(mu_sweep_down_read(bytes, cut, &got));
    free(bytes);
}

static void other_commands_are_read_back(void **state)
{
    uint8_t bytes[MU_SWEEP_UP_BYTES];
    struct mu_sweep_down down = {.kind = MU_SWEEP_SAY_END, .over = MU_REQUEUE}, got;
    size_t size = mu_sweep_down_pack(&down, bytes);

    (void)state;
    assert_true(mu_sweep_down_read(bytes, size, &got));
    assert_int_equal(got.over, MU_REQUEUE);
    down = (struct mu_sweep_down){.kind = MU_SWEEP_SAY_MAKE_WAY, .group = 9};
    size = mu_sweep_down_pack(&down, bytes);
    assert_true(mu_sweep_down_read(bytes, size, &got));
    assert_int_equal(got.group, 9);
    bytes[0] = 99;
    assert_false(mu_sweep_down_read(bytes, size, &got));
}

int main(void)
{
#define PAST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        PAST(nothing_is_no_past),
        PAST(a_result_is_read_back),
        PAST(an_assignment_without_an_end_is_open),
        PAST(a_death_is_read_back),
        PAST(a_message_that_is_not_utf_8_keeps_its_ascii),
        PAST(what_failed_is_tried_again_by_the_next_start),
        PAST(the_first_start_s_data_count),
        cmocka_unit_test(what_a_rank_says_is_read_back),
        cmocka_unit_test(an_order_is_read_back),
        cmocka_unit_test(other_commands_are_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
