/* The run directory as its readers find it: exact text of records, what a resume keeps, the lock,
 * status, requests, the picture, and a disk that is full. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/rng.h"
#include "orchestrator/run/metrics.h"
#include "orchestrator/run/run_dir.h"

static char root[64], run[128];

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/muster-run-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(run, sizeof run, "%s/runs/it's a run", root);
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    return mu_file_remove_tree(root) == MU_OK ? 0 : -1;
}

static struct mu_run_dir *open_run(int64_t resume_step)
{
    struct mu_run_dir *dir;

    assert_int_equal(mu_run_dir_open(run, "run.steps = 40;\n", resume_step, &dir), MU_OK);
    return dir;
}

/* A file of the run directory as text; the caller frees. */
static char *read_text(const char *name)
{
    char path[MU_PATH_MAX], *text;
    size_t size;

    assert_int_equal(mu_path_format(path, "%s/%s", run, name), MU_OK);
    assert_int_equal(mu_file_read(path, 1 << 24, &text, &size), MU_OK);
    return text;
}

static void assert_file(const char *name, const char *expected)
{
    char *text = read_text(name);

    assert_string_equal(text, expected);
    free(text);
}

/* What is written to stderr in between, for the messages. Through a pipe: a limit on the size of
 * files does not reach it. */
static int saved_stderr, messages;

static void listen_begin(void)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    messages = ends[0];
}

static void listen_end(char *text, size_t size)
{
    ssize_t n;

    dup2(saved_stderr, STDERR_FILENO); /* the last write end: what follows is the end of file */
    close(saved_stderr);
    n = read(messages, text, size - 1);
    text[n > 0 ? n : 0] = 0;
    close(messages);
}

static size_t count(const char *text, const char *needle)
{
    size_t n = 0;

    for (; (text = strstr(text, needle)); text++)
        n++;
    return n;
}

static struct mu_metrics record(int64_t step)
{
    return (struct mu_metrics){.step = step,
                               .loss = 3 + 1.0 / (double)step,
                               .gradient_norm = 0.5,
                               .lr = 0.00098,
                               .step_ms = 85.23412345,
                               .tokens_per_s = 48123.456789,
                               .peak_share = 0.4123456789,
                               .tokens = (uint64_t)step * 4096,
                               .valid_loss = step % 10 == 0 ? 3.5 : NAN,
                               .valid_bits_per_byte = step % 10 == 0 ? 1.25 : NAN};
}

/* ---- records --------------------------------------------------------------------------------- */

#define CSV_HEADER                                                              \
    "step,loss,grad_norm,lr,step_ms,tokens_per_s,peak_share,tokens,valid_loss," \
    "valid_bits_per_byte,state_hash,escapes,redone,skipped\n"

static void test_text_of_records(void **state)
{
    struct mu_run_dir *dir = open_run(0);
    struct mu_metrics plain = record(2), full = record(10);

    (void)state;
    plain.loss = NAN;
    plain.gradient_norm = INFINITY;
    plain.skipped = true;
    full.loss = 0.1;
    full.has_hash = true;
    full.hash = (struct mu_hash){1, 0xabcdef};
    full.escapes = 3;
    full.redone = 1;
    mu_run_dir_put_metrics(dir, &plain);
    mu_run_dir_put_metrics(dir, &full);
    mu_run_dir_close(dir);
    assert_file("metrics.jsonl",
                "{\"step\": 2, \"loss\": null, \"grad_norm\": null, \"lr\": 0.00098, \"step_ms\": "
                "85.2341, \"tokens_per_s\": 48123.5, \"peak_share\": 0.412346, \"tokens\": 8192, "
                "\"skipped\": true}\n"
                "{\"step\": 10, \"loss\": 0.1, \"grad_norm\": 0.5, \"lr\": 0.00098, \"step_ms\": "
                "85.2341, \"tokens_per_s\": 48123.5, \"peak_share\": 0.412346, \"tokens\": 40960, "
                "\"valid_loss\": 3.5, \"valid_bits_per_byte\": 1.25, \"state_hash\": "
                "\"00000000000000010000000000abcdef\", \"escapes\": 3, \"redone\": 1}\n");
    assert_file("metrics.csv",
                CSV_HEADER "2,,,0.00098,85.2341,48123.5,0.412346,8192,,,,,,true\n"
                           "10,0.1,0.5,0.00098,85.2341,48123.5,0.412346,40960,3.5,1.25,"
                           "00000000000000010000000000abcdef,3,1,\n");
}

static void test_losses_read_back_bit_by_bit(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        struct mu_rng_words r = mu_rng_draw(20261122, MU_RNG_SYNTHETIC, 1, i);
        struct mu_metrics m = record(1 + (int64_t)i), back;
        char line[MU_METRICS_LINE_MAX];
        uint64_t bits = (uint64_t)r.w[0] << 32 | r.w[1];
        int digits;

        memcpy(&m.loss, &bits, sizeof bits);
        m.valid_loss = (double)r.w[2] / 65536;
        m.valid_bits_per_byte = (float)r.w[3] * 1e-9f;
        m.tokens = r.w[2];
        assert_true(mu_metrics_parse_json(line, mu_metrics_print_json(&m, line), &back));
        assert_int_equal(back.step, m.step);
        assert_int_equal(back.tokens, m.tokens);
        assert_true(isfinite(m.loss) ? memcmp(&back.loss, &m.loss, sizeof bits) == 0
                                     : isnan(back.loss));
        assert_true(back.valid_loss == m.valid_loss);
        assert_true(back.valid_bits_per_byte == m.valid_bits_per_byte);
        if (isfinite(m.loss)) { /* and not one digit more than it takes */
            digits = mu_metrics_digits(m.loss);
            snprintf(line, sizeof line, "%.*g", digits - 1, m.loss);
            assert_true(digits == 6 || strtod(line, NULL) != m.loss);
        }
    }
}

static void test_what_is_no_record(void **state)
{
    static const char *const wrong[] = {
        "",
        "{}",
        "[]",
        "{\"step\": -1}",
        "{\"step\": 1.5}",
        "{\"step\": \"1\"}",
        "{\"step\": 1, \"loss\": \"low\"}",
        "{\"step\": 1, \"tokens\": -1}",
        "{\"step\": 1, \"escapes\": 4294967296}",
        "{\"step\": 1, \"skipped\": 1}",
        "{\"step\": 1, \"state_hash\": \"12\"}",
        "{\"step\": 1, \"step\": 2}",
        "{\"step\": 1} 2",
    };
    struct mu_metrics m;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(mu_metrics_parse_json(wrong[i], strlen(wrong[i]), &m));
    assert_true(mu_metrics_parse_json("{\"step\": 1, \"new\": []}", 22, &m));
    assert_int_equal(m.step, 1);
    assert_true(isnan(m.loss) && isnan(m.valid_loss) && !m.has_hash && !m.skipped);
}

/* ---- resuming -------------------------------------------------------------------------------- */

static void put_records(struct mu_run_dir *dir, int64_t from, int64_t to)
{
    for (int64_t step = from; step <= to; step++) {
        struct mu_metrics m = record(step);

        mu_run_dir_put_metrics(dir, &m);
    }
}

static void test_resume_counts_nothing_twice(void **state)
{
    struct mu_run_dir *dir = open_run(0);
    char *jsonl, *csv;

    (void)state;
    put_records(dir, 1, 40);
    mu_run_dir_close(dir);
    jsonl = read_text("metrics.jsonl");
    csv = read_text("metrics.csv");
    for (int64_t k = 0; k <= 40; k += 8) {
        char message[1000];

        listen_begin();
        dir = open_run(k);
        listen_end(message, sizeof message);
        if (k < 40) {
            char expected[100];

            snprintf(expected, sizeof expected,
                     "goes on from step %d: dropped the metrics of steps %d to 40\n", (int)k,
                     (int)k + 1);
            assert_non_null(strstr(message, expected));
        } else {
            assert_string_equal(message, "");
        }
        put_records(dir, k + 1, 40);
        mu_run_dir_close(dir);
        assert_file("metrics.jsonl", jsonl); /* as if nothing had happened */
        assert_file("metrics.csv", csv);
    }
    free(jsonl);
    free(csv);
}

/* A crash or a full disk may end metrics.jsonl anywhere, and metrics.csv anywhere else. */
static void test_resume_after_a_cut_anywhere(void **state)
{
    struct mu_run_dir *dir = open_run(0);
    char *jsonl, *csv, path[MU_PATH_MAX], other[MU_PATH_MAX];
    size_t size;

    (void)state;
    put_records(dir, 1, 2);
    mu_run_dir_close(dir);
    jsonl = read_text("metrics.jsonl");
    csv = read_text("metrics.csv");
    size = strlen(jsonl);
    assert_int_equal(mu_path_format(path, "%s/metrics.jsonl", run), MU_OK);
    assert_int_equal(mu_path_format(other, "%s/metrics.csv", run), MU_OK);
    mu_log_set_level(MU_LOG_ERROR);
    for (size_t cut = 0; cut < size; cut++) {
        int64_t whole = 0;

        for (size_t i = 0; i < cut; i++)
            whole += jsonl[i] == '\n';
        assert_int_equal(mu_file_write_atomically(path, jsonl, cut), MU_OK);
        assert_int_equal(mu_file_write_atomically(other, csv, cut % (strlen(csv) + 1)), MU_OK);
        dir = open_run(2);
        put_records(dir, whole + 1, 2);
        mu_run_dir_close(dir);
        assert_file("metrics.jsonl", jsonl);
        assert_file("metrics.csv", csv);
    }
    mu_log_set_level(MU_LOG_INFO);
    free(jsonl);
    free(csv);
}

static void test_keys_of_other_versions_stay(void **state)
{
    char path[MU_PATH_MAX];
    const char *line = "{\"step\": 1, \"loss\": 2.5, \"mood\": \"good\"}\n";
    struct mu_run_dir *dir;

    (void)state;
    assert_int_equal(mu_file_make_folders(run), MU_OK);
    assert_int_equal(mu_path_format(path, "%s/metrics.jsonl", run), MU_OK);
    assert_int_equal(mu_file_write_atomically(path, line, strlen(line)), MU_OK);
    dir = open_run(1);
    mu_run_dir_close(dir);
    assert_file("metrics.jsonl", line);
    assert_file("metrics.csv", CSV_HEADER "1,2.5,,,,,,0,,,,,,\n");
}

static void test_losses(void **state)
{
    struct mu_run_dir *dir = open_run(0);
    struct mu_metrics m = record(1);
    struct mu_run_losses losses = mu_run_dir_losses(dir);

    (void)state;
    assert_true(isnan(losses.first_train) && isnan(losses.last_train));
    assert_true(isnan(losses.first_valid) && isnan(losses.last_valid));
    m.loss = NAN;
    mu_run_dir_put_metrics(dir, &m);
    put_records(dir, 2, 39);
    m = record(40);
    m.valid_loss = 3.25;
    mu_run_dir_put_metrics(dir, &m);
    losses = mu_run_dir_losses(dir);
    mu_run_dir_close(dir);
    assert_true(losses.first_train == 3.5 && losses.last_train == 3.025);
    assert_true(losses.first_valid == 3.5 && losses.last_valid == 3.25);
}

/* ---- the folder ------------------------------------------------------------------------------ */

static void test_folders_and_config(void **state)
{
    static const char *const names[] = {"journal", "control", "checkpoints"};
    struct mu_run_dir *dir;
    char *text;

    (void)state;
    assert_int_equal(mu_run_dir_read_config(run, &text), MU_NOT_FOUND);
    assert_null(text);
    dir = open_run(0);
    for (size_t i = 0; i < 3; i++) {
        char path[MU_PATH_MAX];
        struct stat s;

        assert_int_equal(mu_path_format(path, "%s/%s", run, names[i]), MU_OK);
        assert_true(stat(path, &s) == 0 && S_ISDIR(s.st_mode));
    }
    assert_int_equal(mu_run_dir_read_config(run, &text), MU_OK);
    assert_string_equal(text, "run.steps = 40;\n");
    free(text);
    mu_run_dir_close(dir);
    mu_run_dir_close(NULL);
}

static void test_requests(void **state)
{
    struct mu_run_dir *dir = open_run(0);
    char path[MU_PATH_MAX];

    (void)state;
    assert_false(mu_run_dir_stop_requested(dir));
    assert_int_equal(mu_path_format(path, "%s/control/stop", run), MU_OK);
    assert_int_equal(mu_file_write_atomically(path, "", 0), MU_OK);
    assert_true(mu_run_dir_stop_requested(dir));
    mu_run_dir_clear_requests(dir);
    assert_false(mu_run_dir_stop_requested(dir));
    mu_run_dir_clear_requests(dir); /* nothing to clear */
    mu_run_dir_close(dir);
}

static void test_second_opener_is_told_who(void **state)
{
    struct mu_run_dir *dir = open_run(0), *second;
    struct mu_metrics m = record(1);
    char message[2000], expected[60], *before, *after;

    (void)state;
    mu_run_dir_put_metrics(dir, &m);
    before = read_text("metrics.jsonl");
    listen_begin();
    assert_int_equal(mu_run_dir_open(run, "other", 0, &second), MU_FAILED);
    listen_end(message, sizeof message);
    assert_null(second);
    snprintf(expected, sizeof expected, "another process is training this run: pid %ld on ",
             (long)getpid());
    assert_non_null(strstr(message, expected));
    assert_non_null(strstr(message, run));
    after = read_text("metrics.jsonl"); /* untouched */
    assert_string_equal(before, after);
    assert_file("config.cfg", "run.steps = 40;\n");
    free(before);
    free(after);
    mu_run_dir_close(dir);
    assert_int_equal(mu_run_dir_open(run, "other", 0, &second), MU_OK);
    mu_run_dir_close(second);
}

static void test_lock_dies_with_its_process(void **state)
{
    int ready[2], status;
    char byte;
    pid_t child;
    struct mu_run_dir *dir;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (mu_run_dir_open(run, "", 0, &dir) == MU_OK && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(kill(child, SIGKILL), 0);
    dir = open_run(0); /* at most a second after the kill */
    mu_run_dir_close(dir);
    assert_int_equal(waitpid(child, &status, 0), child);
    close(ready[0]);
    close(ready[1]);
}

/* ---- status ---------------------------------------------------------------------------------- */

static struct mu_run_status running(int64_t step)
{
    return (struct mu_run_status){.state = MU_RUN_RUNNING,
                                  .step = step,
                                  .steps = 40,
                                  .loss = 2.3456,
                                  .valid_loss = NAN,
                                  .ranks = 8,
                                  .hosts = 2,
                                  .message = "training"};
}

static json_t *read_status(void)
{
    char *text = read_text("status.json");
    json_t *status = json_loads(text, 0, NULL);

    assert_non_null(status);
    assert_int_equal(text[strlen(text) - 1], '\n');
    free(text);
    return status;
}

static int64_t status_step(void)
{
    json_t *status = read_status();
    int64_t step = json_integer_value(json_object_get(status, "step"));

    json_decref(status);
    return step;
}

static void assert_status_text(const json_t *status, const char *key, const char *expected)
{
    assert_string_equal(json_string_value(json_object_get(status, key)), expected);
}

static void test_status_keys(void **state)
{
    struct mu_run_dir *dir = open_run(0);
    struct mu_run_status s = running(7);
    json_t *status;

    (void)state;
    s.has_hash = true;
    s.hash.low = 0x12;
    s.hash_step = 5;
    mu_run_dir_put_status(dir, &s);
    status = read_status();
    assert_int_equal(json_object_size(status), 14);
    assert_status_text(status, "state", "running");
    assert_status_text(status, "outcome", "none");
    assert_int_equal(json_integer_value(json_object_get(status, "step")), 7);
    assert_int_equal(json_integer_value(json_object_get(status, "steps")), 40);
    assert_true(json_real_value(json_object_get(status, "loss")) == 2.3456);
    assert_true(json_is_null(json_object_get(status, "valid_loss")));
    assert_status_text(status, "state_hash", "00000000000000000000000000000012");
    assert_int_equal(json_integer_value(json_object_get(status, "state_hash_step")), 5);
    assert_int_equal(json_integer_value(json_object_get(status, "ranks")), 8);
    assert_int_equal(json_integer_value(json_object_get(status, "hosts")), 2);
    assert_int_equal(json_integer_value(json_object_get(status, "pid")), getpid());
    assert_true(json_string_length(json_object_get(status, "host")) > 0);
    assert_int_equal(json_string_length(json_object_get(status, "updated")), 20);
    assert_status_text(status, "message", "training");
    json_decref(status);
    s = running(40);
    s.state = MU_RUN_ENDED;
    s.outcome = MU_OUTCOME_REQUEUE;
    strcpy(s.message, "caf\xe9 \"quoted\"\n"); /* Latin-1 */
    mu_run_dir_put_status(dir, &s);
    status = read_status();
    assert_status_text(status, "state", "ended");
    assert_status_text(status, "outcome", "requeue");
    assert_true(json_is_null(json_object_get(status, "state_hash")));
    assert_true(json_is_null(json_object_get(status, "state_hash_step")));
    assert_status_text(status, "message", "caf? \"quoted\"\n");
    json_decref(status);
    mu_run_dir_close(dir);
}

static void test_status_is_written_seldom_but_ends_true(void **state)
{
    struct mu_run_dir *dir = open_run(0);
    struct mu_run_status s = running(1);
    double begin = mu_clock_s();
    size_t changes = 0;
    int64_t last = 0;

    (void)state;
    while (mu_clock_s() - begin < 1.2) {
        mu_run_dir_put_status(dir, &s);
        changes += status_step() != last;
        last = status_step();
        s.step++;
    }
    assert_in_range(changes, 2, (size_t)((mu_clock_s() - begin) / 0.5) + 1);
    s.state = MU_RUN_SAVING; /* at once, within the interval */
    mu_run_dir_put_status(dir, &s);
    assert_int_equal(status_step(), s.step);
    s.step = 1 << 30;
    mu_run_dir_put_status(dir, &s);
    assert_true(status_step() < s.step);
    mu_run_dir_close(dir);
    assert_int_equal(status_step(), s.step);
}

/* ---- a disk that is full --------------------------------------------------------------------- */

static void test_full_disk_is_warned_of_once(void **state)
{
    struct rlimit old, small;
    struct mu_run_dir *dir = open_run(0);
    struct mu_run_status status = running(1);
    char message[4000], *jsonl, *csv;
    uint64_t lines;

    (void)state;
    put_records(dir, 1, 1);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 1000; /* the fifth or sixth record is cut in two; the CSV would have room */
    listen_begin();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    put_records(dir, 2, 20);
    small.rlim_cur = 10;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 6; i++) {
        status.state = i % 2 ? MU_RUN_SAVING : MU_RUN_RUNNING;
        mu_run_dir_put_status(dir, &status);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    listen_end(message, sizeof message);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(count(message, "cannot write metrics of step"), 1);
    assert_int_equal(count(message, "status.json: File too large; training goes on"), 1);
    assert_int_equal(count(message, "\n"), 2);
    jsonl = read_text("metrics.jsonl");
    csv = read_text("metrics.csv");
    lines = count(jsonl, "\n");
    assert_in_range(lines, 4, 7);
    assert_int_equal(jsonl[strlen(jsonl) - 1], '\n');
    assert_int_equal(count(csv, "\n"), lines + 1); /* the same records */
    assert_int_equal(csv[strlen(csv) - 1], '\n');
    free(jsonl);
    free(csv);
    put_records(dir, 21, 21); /* there is room again */
    mu_run_dir_put_status(dir, &status);
    listen_begin();
    mu_run_dir_close(dir);
    listen_end(message, sizeof message);
    assert_int_equal(count(message, "records of metrics could not be written"), 1);
    jsonl = read_text("metrics.jsonl");
    assert_int_equal(count(jsonl, "\n"), lines + 1);
    assert_int_equal(count(jsonl, "{\"step\": 21, "), 1);
    free(jsonl);
    (void)status_step(); /* whole JSON */
}

int main(void)
{
#define IN_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)
    const struct CMUnitTest tests[] = {
        IN_ROOT(test_text_of_records),
        cmocka_unit_test(test_losses_read_back_bit_by_bit),
        cmocka_unit_test(test_what_is_no_record),
        IN_ROOT(test_resume_counts_nothing_twice),
        IN_ROOT(test_resume_after_a_cut_anywhere),
        IN_ROOT(test_keys_of_other_versions_stay),
        IN_ROOT(test_losses),
        IN_ROOT(test_folders_and_config),
        IN_ROOT(test_requests),
        IN_ROOT(test_second_opener_is_told_who),
        IN_ROOT(test_lock_dies_with_its_process),
        IN_ROOT(test_status_keys),
        IN_ROOT(test_status_is_written_seldom_but_ends_true),
        IN_ROOT(test_full_disk_is_warned_of_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
