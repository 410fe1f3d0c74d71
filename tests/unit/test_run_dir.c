/* The run directory as a whole: folders, configuration, the lock, requests, status. */
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
#include "orchestrator/run/run_dir.h"
#include "tests/support/run_folder.h"

static struct mu_run_dir *open_run(int64_t resume_step)
{
    struct mu_run_dir *dir;

    assert_int_equal(open_run_dir("run.steps = 40;\n", resume_step, &dir), MU_OK);
    return dir;
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
    assert_int_equal(mu_path_format(path, "%s/control/resize", run), MU_OK);
    assert_int_equal(mu_file_write_atomically(path, "4\n", 2), MU_OK);
    mu_run_dir_clear_requests(dir);
    assert_true(exists("control/resize")); /* the launcher's */
    assert_false(mu_run_dir_stop_requested(dir));
    mu_run_dir_clear_requests(dir); /* nothing to clear */
    mu_run_dir_close(dir);
}

static void test_second_opener_is_told_who(void **state)
{
    struct mu_run_dir *dir = open_run(0), *second;
    struct mu_metrics m = {.step = 1};
    char message[2000], expected[60], *before, *after;

    (void)state;
    mu_run_dir_put_metrics(dir, &m);
    before = read_text("metrics.jsonl");
    listen_begin();
    assert_int_equal(open_run_dir("other", 0, &second), MU_FAILED);
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
    assert_int_equal(open_run_dir("other", 0, &second), MU_OK);
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
        if (open_run_dir("", 0, &dir) == MU_OK && write(ready[1], "x", 1) == 1)
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
    assert_int_equal(json_object_size(status), 19);
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
    assert_true(json_is_false(json_object_get(status, "agreed")));
    assert_true(json_is_null(json_object_get(status, "launch")));
    assert_true(json_is_null(json_object_get(status, "stopped_by")));
    assert_true(json_is_null(json_object_get(status, "dead_rank")));
    json_decref(status);
    setenv("MUSTER_JOB", "a generation", 1);
    s = running(40);
    s.state = MU_RUN_ENDED;
    s.outcome = MU_OUTCOME_REQUEUE;
    s.agreed = true;
    s.stopped_by = MU_STOPPED_BY_TIME_LIMIT;
    s.has_died = true;
    strcpy(s.message, "caf\xe9 \"quoted\"\n"); /* Latin-1 */
    mu_run_dir_put_status(dir, &s);
    status = read_status();
    assert_status_text(status, "state", "ended");
    assert_status_text(status, "outcome", "requeue");
    assert_true(json_is_null(json_object_get(status, "state_hash")));
    assert_true(json_is_null(json_object_get(status, "state_hash_step")));
    assert_status_text(status, "message", "caf? \"quoted\"\n");
    assert_true(json_is_true(json_object_get(status, "agreed")));
    assert_status_text(status, "launch", "a generation");
    assert_status_text(status, "stopped_by", "time_limit");
    assert_int_equal(json_integer_value(json_object_get(status, "dead_rank")), 0);
    unsetenv("MUSTER_JOB");
    json_decref(status);
    mu_run_dir_close(dir);
}

/* A run's second generation: it finds what the first has left, and who knows nothing of it (a rank
 * that only says that the run has failed) does not wipe it out. */
static void test_goodput_is_carried_on(void **state)
{
    struct mu_run_dir *dir = open_run(0);
    struct mu_run_status s = running(7);
    struct mu_run_kept kept = mu_run_dir_kept(dir);
    json_t *status, *goodput;

    (void)state;
    assert_int_equal(mu_ledger_total_us(&kept.goodput), 0);
    assert_int_equal(kept.step, 0);
    assert_false(kept.interrupted);
    s.loss = 1.0 / 3; /* 16 digits */
    s.goodput.us[MU_LEDGER_COMPUTE] = 97300000;
    s.goodput.us[MU_LEDGER_WAIT] = 2700123;
    s.goodput.events[MU_LEDGER_DEATHS] = 2;
    mu_run_dir_put_status(dir, &s);
    mu_run_dir_close(dir);
    dir = open_run(0);
    kept = mu_run_dir_kept(dir);
    assert_int_equal(kept.step, 7);
    assert_true(kept.interrupted);
    assert_int_equal(kept.goodput.us[MU_LEDGER_COMPUTE], 97300000);
    assert_int_equal(kept.goodput.us[MU_LEDGER_WAIT], 2700000);
    assert_int_equal(kept.goodput.events[MU_LEDGER_DEATHS], 2);
    s = running(8);
    s.state = MU_RUN_ENDED;
    s.outcome = MU_OUTCOME_REQUEUE;
    mu_run_dir_put_status(dir, &s);
    status = read_status();
    assert_int_equal(json_object_size(status), 19);
    assert_int_equal(json_integer_value(json_object_get(status, "step")), 8);
    goodput = json_object_get(status, "goodput");
    assert_int_equal(json_integer_value(json_object_get(goodput, "deaths")), 2);
    assert_true(json_real_value(json_object_get(goodput, "rank_seconds")) == 100.0);
    json_decref(status);
    mu_run_dir_close(dir);
    dir = open_run(0);
    assert_false(mu_run_dir_kept(dir).interrupted);
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
    mu_run_dir_close(dir);
    assert_int_equal(status_step(), s.step);
}

static void test_status_on_a_full_disk(void **state)
{
    struct rlimit old, small;
    struct mu_run_dir *dir = open_run(0);
    struct mu_run_status s = running(1);
    char message[2000];

    (void)state;
    mu_run_dir_put_status(dir, &s);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 10;
    listen_begin();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (s.step = 2; s.step <= 7; s.step++) {
        s.state = s.step % 2 ? MU_RUN_RUNNING : MU_RUN_SAVING;
        mu_run_dir_put_status(dir, &s);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    listen_end(message, sizeof message);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(count(message, "status.json: File too large; training goes on"), 1);
    assert_int_equal(count(message, "prometheus.prom: File too large; training goes on"), 1);
    assert_int_equal(count(message, "\n"), 2);
    assert_int_equal(status_step(), 1); /* the old one, whole */
    assert_false(exists("status.json.tmp"));
    assert_false(exists("prometheus.prom.tmp"));
    s.state = MU_RUN_ENDED;
    mu_run_dir_put_status(dir, &s);
    assert_int_equal(status_step(), 8); /* there is room again */
    mu_run_dir_close(dir);
}

int main(void)
{
#define IN_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)
    const struct CMUnitTest tests[] = {
        IN_ROOT(test_folders_and_config),
        IN_ROOT(test_requests),
        IN_ROOT(test_second_opener_is_told_who),
        IN_ROOT(test_lock_dies_with_its_process),
        IN_ROOT(test_status_keys),
        IN_ROOT(test_goodput_is_carried_on),
        IN_ROOT(test_status_is_written_seldom_but_ends_true),
        IN_ROOT(test_status_on_a_full_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
