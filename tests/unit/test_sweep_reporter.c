/* orchestrator/sweep_run/reporter.c: who makes the report beside a sweep. This program stands in
 * for `muster`, too: the reporter runs what it is part of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/process.h"
#include "orchestrator/sweep_run/records.h"

static char root[64];

static bool has(const char *name)
{
    char path[MU_PATH_MAX];

    return mu_path_format(path, "%s/%s", root, name) == MU_OK && mu_file_exists(path);
}

static void put(const char *name, const char *text)
{
    char path[MU_PATH_MAX];

    assert_int_equal(mu_path_format(path, "%s/%s", root, name), MU_OK);
    assert_int_equal(mu_file_write_atomically(path, text, strlen(text)), MU_OK);
}

static char *get(const char *name)
{
    char path[MU_PATH_MAX], *text;
    size_t size;

    assert_int_equal(mu_path_format(path, "%s/%s", root, name), MU_OK);
    assert_int_equal(mu_file_read(path, 1 << 20, &text, &size), MU_OK);
    return text;
}

/* `muster fit --threads N FOLDER`: says what it was started with; waits or fails as the folder
 * says. */
static int pretend(char **argv)
{
    char text[400];
    int signal = 0;

    snprintf(root, sizeof root, "%s", argv[4]);
    if (mu_sweep_reporter_follow() != MU_OK)
        return 3;
    prctl(PR_GET_PDEATHSIG, &signal);
    snprintf(text, sizeof text, "%ld: %s %s %s, nice %d, dies by %d, rank %s, home %s\n",
             (long)getpid(), argv[1], argv[2], argv[3], getpriority(PRIO_PROCESS, 0), signal,
             getenv("PMIX_RANK") ? "known" : "unknown", getenv("HOME") ? "known" : "unknown");
    printf("this is said\n");
    fflush(stdout);
    put("started", text);
    while (has("wait"))
        mu_clock_sleep_us(1000);
    return has("fail") ? 7 : 0;
}

static int begin(void **unused)
{
    (void)unused;
    strcpy(root, "/tmp/muster-reporter-XXXXXX");
    setenv("PMIX_RANK", "0", 1);
    setenv("HOME", "/", 1);
    return mkdtemp(root) ? 0 : -1;
}

static int end(void **unused)
{
    (void)unused;
    mu_log_reset_level();
    return mu_file_remove_tree(root) == MU_OK ? 0 : -1;
}

/* While r->pid is (not) 0, at most half a minute. */
static void poll_while(struct mu_sweep_reporter *r, bool runs)
{
    const struct mu_deadline late = mu_deadline_in_ms(30000);

    while ((r->pid > 0) == runs && !mu_deadline_passed(late)) {
        mu_sweep_reporter_poll(r);
        mu_clock_sleep_us(1000);
    }
    assert_int_equal(r->pid > 0, !runs);
}

static void wait_for(const char *name)
{
    const struct mu_deadline late = mu_deadline_in_ms(30000);

    while (!has(name) && !mu_deadline_passed(late))
        mu_clock_sleep_us(1000);
    assert_true(has(name));
}

static void it_runs_aside_and_is_no_rank(void **unused)
{
    struct mu_sweep_reporter r;
    char *text, expected[200];

    (void)unused;
    mu_sweep_reporter_init(&r, root);
    mu_sweep_reporter_poll(&r);
    assert_int_equal(r.pid, 0); /* nobody asked */
    put("wait", "");
    mu_sweep_reporter_ask(&r);
    mu_sweep_reporter_poll(&r);
    assert_true(r.pid > 0);
    wait_for("started");
    text = get("started");
    snprintf(expected, sizeof expected,
             "%d: fit --threads 1, nice 19, dies by 9, rank unknown, home known\n", r.pid);
    assert_string_equal(text, expected);
    free(text);
    text = get("report.log");
    assert_string_equal(text, "this is said\n");
    free(text);
    assert_int_equal(unlink(strcat(strcpy(expected, root), "/wait")), 0);
    poll_while(&r, true);
    assert_int_equal(r.status, 0);
}

/* Asked for while one runs, another follows: later, and one only. */
static void one_at_a_time_and_not_too_often(void **unused)
{
    struct mu_sweep_reporter r;
    char path[80];
    int first;

    (void)unused;
    put("wait", "");
    mu_sweep_reporter_init(&r, root);
    mu_sweep_reporter_ask(&r);
    mu_sweep_reporter_poll(&r);
    first = r.pid;
    for (int k = 0; k < 3; k++) {
        mu_sweep_reporter_ask(&r);
        mu_sweep_reporter_poll(&r);
        assert_int_equal(r.pid, first);
    }
    assert_int_equal(unlink(strcat(strcpy(path, root), "/wait")), 0);
    poll_while(&r, true);
    assert_true(r.again);
    assert_true(r.next_ns >= r.began_ns + 10000000000ull);
    mu_sweep_reporter_poll(&r);
    if (mu_clock_ns() < r.next_ns)
        assert_int_equal(r.pid, 0);
    r.next_ns = 0; /* the time has come */
    mu_sweep_reporter_poll(&r);
    assert_true(r.pid > 0 && r.pid != first && !r.again);
    poll_while(&r, true);
}

static void a_failure_is_told_and_kept(void **unused)
{
    struct mu_sweep_reporter r;

    (void)unused;
    mu_log_set_level(MU_LOG_SILENT);
    put("fail", "");
    mu_sweep_reporter_init(&r, root);
    mu_sweep_reporter_ask(&r);
    mu_sweep_reporter_poll(&r);
    poll_while(&r, true);
    assert_true(WIFEXITED(r.status) && WEXITSTATUS(r.status) == 7 && r.told);
    assert_int_equal(mu_sweep_reporter_finish(&r, NULL, NULL), MU_FAILED);
}

static void count_call(void *context)
{
    ++*(int *)context;
}

/* The last one waits for no other, and takes all cores. */
static void the_last_one_is_waited_for(void **unused)
{
    struct mu_sweep_reporter r;
    char path[80], *text;
    int calls = 0, first;

    (void)unused;
    put("wait", "");
    mu_sweep_reporter_init(&r, root);
    mu_sweep_reporter_ask(&r);
    mu_sweep_reporter_poll(&r);
    first = r.pid;
    wait_for("started");
    assert_int_equal(unlink(strcat(strcpy(path, root), "/wait")), 0);
    assert_int_equal(mu_sweep_reporter_finish(&r, count_call, &calls), MU_OK);
    assert_true(calls > 0);
    assert_int_equal(r.pid, 0);
    text = get("started");
    assert_true(strtol(text, NULL, 10) != first);
    assert_non_null(strstr(text, "--threads 0"));
    free(text);
}

static void what_cannot_start_is_told(void **unused)
{
    struct mu_sweep_reporter r;
    char gone[80];

    (void)unused;
    mu_log_set_level(MU_LOG_SILENT);
    mu_sweep_reporter_init(&r, strcat(strcpy(gone, root), "/gone")); /* no report.log there */
    mu_sweep_reporter_ask(&r);
    mu_sweep_reporter_poll(&r);
    assert_true(r.pid == 0 && r.again && r.told && r.next_ns > mu_clock_ns());
    assert_int_equal(mu_sweep_reporter_finish(&r, NULL, NULL), MU_FAILED);
}

/* A master that is killed leaves none behind. */
static void it_dies_with_who_started_it(void **unused)
{
    const struct mu_deadline late = mu_deadline_in_ms(30000);
    struct mu_process process;
    pid_t master;
    uint32_t pid;
    char *text;

    (void)unused;
    put("wait", "");
    master = fork();
    assert_true(master >= 0);
    if (master == 0) {
        struct mu_sweep_reporter r;

        mu_sweep_reporter_init(&r, root);
        mu_sweep_reporter_ask(&r);
        mu_sweep_reporter_poll(&r);
        for (;;)
            pause();
    }
    wait_for("started");
    text = get("started");
    pid = (uint32_t)strtol(text, NULL, 10);
    free(text);
    assert_true(mu_process_read(pid, &process) && !mu_process_is_over(&process));
    kill(master, SIGKILL);
    assert_int_equal(waitpid(master, NULL, 0), master);
    while (mu_process_read(pid, &process) && !mu_process_is_over(&process) &&
           !mu_deadline_passed(late))
        mu_clock_sleep_us(1000);
    assert_false(mu_deadline_passed(late));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_runs_aside_and_is_no_rank, begin, end),
        cmocka_unit_test_setup_teardown(one_at_a_time_and_not_too_often, begin, end),
        cmocka_unit_test_setup_teardown(a_failure_is_told_and_kept, begin, end),
        cmocka_unit_test_setup_teardown(the_last_one_is_waited_for, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_start_is_told, begin, end),
        cmocka_unit_test_setup_teardown(it_dies_with_who_started_it, begin, end),
    };

    if (argc == 5 && strcmp(argv[1], "fit") == 0)
        return pretend(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
