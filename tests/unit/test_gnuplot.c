/* gnuplot's process: scripts and output of any size, complaints, a deadline. A stand-in does what
 * is asked of it. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "orchestrator/run/gnuplot.h"
#include "tests/support/fake_gnuplot.h"

static char root[64];

static int begin(void **state)
{
    (void)state;
    strcpy(root, "/tmp/muster-gnuplot-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    fake_gnuplot_end();
    return mu_file_remove_tree(root) == MU_OK ? 0 : -1;
}

static int ended(struct mu_gnuplot *g)
{
    int status = -1;

    while (!mu_gnuplot_poll(g, &status))
        mu_clock_sleep_us(500);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    return status;
}

static void test_a_script_larger_than_a_pipe(void **state)
{
    enum { SIZE = 3 << 20 };
    struct mu_gnuplot g;
    char *script = malloc(SIZE), *output;
    size_t size = 0;

    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        script[i] = (char)(i % 251);
    fake_gnuplot(root, "#!/bin/sh\nexec cat\n");
    assert_int_equal(mu_gnuplot_start(&g, NULL, script, SIZE, true, 60000), 0);
    assert_int_equal(ended(&g), 0);
    output = mu_gnuplot_output(&g, &size);
    assert_int_equal(size, SIZE);
    assert_memory_equal(output, script, SIZE);
    mu_gnuplot_close(&g);
    free(output);
    free(script);
}

static void test_output_is_kept_only_when_asked_for(void **state)
{
    struct mu_gnuplot g;
    size_t size;

    (void)state;
    fake_gnuplot(root, "#!/bin/sh\necho said\npwd > where\n");
    assert_int_equal(mu_gnuplot_start(&g, root, "", 0, false, 60000), 0);
    assert_int_equal(ended(&g), 0);
    assert_null(mu_gnuplot_output(&g, &size));
    mu_gnuplot_close(&g);
}

static void test_complaints(void **state)
{
    struct mu_gnuplot g;
    char why[200];
    int status;

    (void)state;
    fake_gnuplot(root, "#!/bin/sh\nprintf '\\nno such terminal\\nmore\\n' >&2\nexit 3\n");
    assert_int_equal(mu_gnuplot_start(&g, NULL, "x", 1, true, 60000), 0);
    status = ended(&g);
    mu_gnuplot_explain(&g, status, why, sizeof why);
    assert_string_equal(why, "gnuplot ended with 3: no such terminal");
    mu_gnuplot_close(&g);
    no_gnuplot();
    assert_int_equal(mu_gnuplot_start(&g, NULL, "x", 1, true, 60000), ENOENT);
    assert_false(mu_gnuplot_poll(&g, &status));
}

static void test_deadline(void **state)
{
    struct mu_gnuplot g;
    char why[200];
    int status;

    (void)state;
    fake_gnuplot(root, "#!/bin/sh\nexec sleep 60\n");
    assert_int_equal(mu_gnuplot_start(&g, NULL, "x", 1, true, 100), 0);
    status = ended(&g);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    mu_gnuplot_explain(&g, status, why, sizeof why);
    assert_string_equal(why, "gnuplot ended by signal 9");
    mu_gnuplot_close(&g);
}

/* Gone, or waited for by nobody. */
static bool is_dead(pid_t pid)
{
    char path[64], stat[256] = "", *name_end;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (!file)
        return true;
    stat[fread(stat, 1, sizeof stat - 1, file)] = 0;
    fclose(file);
    name_end = strrchr(stat, ')');
    return !name_end || name_end[2] == 'Z' || name_end[2] == 'X';
}

/* A wrapper's gnuplot, too: it would go on drawing beside the training. */
static void test_its_children_end_with_it(void **state)
{
    struct mu_gnuplot g;
    struct mu_deadline end = mu_deadline_in_ms(5000);
    char *said;
    size_t size;
    pid_t child;

    (void)state;
    fake_gnuplot(root, "#!/bin/sh\nsleep 60 &\necho $!\nwait\n");
    assert_int_equal(mu_gnuplot_start(&g, NULL, "x", 1, true, 500), 0);
    assert_true(WIFSIGNALED(ended(&g)));
    said = mu_gnuplot_output(&g, &size);
    assert_non_null(said);
    child = (pid_t)atoi(said);
    assert_true(child > 1);
    while (!is_dead(child) && !mu_deadline_passed(end))
        mu_clock_sleep_us(500);
    assert_true(is_dead(child));
    mu_gnuplot_close(&g);
    free(said);
}

int main(void)
{
#define IN_ROOT(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        IN_ROOT(test_a_script_larger_than_a_pipe),
        IN_ROOT(test_output_is_kept_only_when_asked_for),
        IN_ROOT(test_complaints),
        IN_ROOT(test_deadline),
        IN_ROOT(test_its_children_end_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
