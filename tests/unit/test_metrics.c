/* The records of a run: their exact text, reading them back, what a resume keeps, and a disk that
 * is full. */
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
#include <unistd.h>

#include <cmocka.h>

#include "orchestrator/base/log.h"
#include "orchestrator/base/rng.h"
#include "orchestrator/run/metrics.h"
#include "orchestrator/run/run_dir.h"
#include "tests/support/run_folder.h"

static struct mu_run_dir *open_run(int64_t resume_step)
{
    struct mu_run_dir *dir;

    assert_int_equal(open_run_dir("run.steps = 40;\n", resume_step, &dir), MU_OK);
    return dir;
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
    assert_null(mu_run_dir_trial("runs/x"));
    assert_null(mu_run_dir_trial("trials"));
    assert_null(mu_run_dir_trial("/trials/"));
    assert_string_equal(mu_run_dir_trial("s/trials/w16-s1"), "w16-s1");
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
    for (size_t cut = strcspn(jsonl, "\n") - 1; cut < size; cut++) {
        int64_t whole = cut > strcspn(jsonl, "\n");
        struct mu_metrics_log log;

        assert_int_equal(mu_file_write_atomically(path, jsonl, cut), MU_OK);
        assert_int_equal(mu_file_write_atomically(other, csv, cut % (strlen(csv) + 1)), MU_OK);
        assert_int_equal(mu_metrics_open(&log, run, 2), MU_OK);
        for (int64_t step = whole + 1; step <= 2; step++) {
            struct mu_metrics m = record(step);

            mu_metrics_put(&log, &m);
        }
        mu_metrics_close(&log);
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

static void test_what_stands_in_the_way(void **state)
{
    struct mu_run_dir *dir;
    char path[MU_PATH_MAX], message[4000];

    (void)state;
    assert_int_equal(mu_path_format(path, "%s/metrics.csv", run), MU_OK);
    assert_int_equal(mu_file_make_folders(path), MU_OK);
    listen_begin();
    assert_int_equal(open_run_dir("", 0, &dir), MU_FAILED);
    listen_end(message, sizeof message);
    assert_int_equal(count(message, "cannot rename"), 1);
    assert_false(exists("metrics.csv.tmp"));
    mu_run_dir_close(dir);
}

/* A disk that is full, by a limit on the size of files. */
static void test_full_disk_is_warned_of_once(void **state)
{
    struct rlimit old, small;
    struct mu_run_dir *dir = open_run(0);
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
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    listen_end(message, sizeof message);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(count(message, "cannot write metrics of step"), 1);
    assert_int_equal(count(message, "\n"), 2); /* and one of the events for TensorBoard */
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
    listen_begin();
    mu_run_dir_close(dir);
    listen_end(message, sizeof message);
    assert_int_equal(count(message, "records of metrics could not be written"), 1);
    jsonl = read_text("metrics.jsonl");
    assert_int_equal(count(jsonl, "\n"), lines + 1);
    assert_int_equal(count(jsonl, "{\"step\": 21, "), 1);
    free(jsonl);
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
        IN_ROOT(test_what_stands_in_the_way),
        IN_ROOT(test_full_disk_is_warned_of_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
