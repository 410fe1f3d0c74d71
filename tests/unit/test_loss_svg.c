/* loss.svg: drawn when there is a gnuplot, never at the cost of training, and nothing left behind.
 * Most tests put a stand-in for gnuplot first on PATH. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/run/run_dir.h"
#include "tests/support/fake_gnuplot.h"
#include "tests/support/run_folder.h"

static int end(void **state)
{
    fake_gnuplot_end();
    return remove_root(state);
}

static struct mu_run_dir *open_run(int64_t records)
{
    struct mu_run_dir *dir;

    assert_int_equal(open_run_dir("", 0, &dir), MU_OK);
    for (int64_t step = 1; step <= records; step++) {
        struct mu_metrics m = {.step = step,
                               .loss = 2 + 8 / (double)step,
                               .gradient_norm = NAN,
                               .lr = 1e-3,
                               .step_ms = NAN,
                               .tokens_per_s = NAN,
                               .peak_share = NAN,
                               .valid_loss = step % 10 == 0 ? 2.5 : NAN,
                               .valid_bits_per_byte = NAN};

        mu_run_dir_put_metrics(dir, &m);
    }
    return dir;
}

static void stand_in(const char *script)
{
    fake_gnuplot(root, script);
}

static void assert_no_child(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* neither living nor a zombie */
    assert_int_equal(errno, ECHILD);
}

static void assert_picture(const char *a, const char *b)
{
    char *text = read_text("loss.svg");

    assert_non_null(strstr(text, "<svg"));
    assert_non_null(strstr(text, "</svg>"));
    assert_null(strstr(text, "scale(0.00)")); /* points of no size: renderers refuse the file */
    assert_non_null(strstr(text, a));
    assert_non_null(strstr(text, b));
    free(text);
    assert_false(exists("loss.svg.tmp"));
}

static void test_real_gnuplot(void **state)
{
    struct mu_run_dir *dir;

    (void)state;
    if (system("command -v gnuplot >/dev/null") != 0) {
        print_message("skipped: gnuplot is not installed\n");
        skip();
    }
    dir = open_run(0);
    mu_run_dir_plot(dir, true); /* nothing to draw yet is no mistake */
    assert_false(exists("loss.svg"));
    mu_run_dir_close(dir);
    for (int64_t records = 1; records <= 3000; records = records * 13 + 2) {
        char last[40];

        dir = open_run(records);
        mu_run_dir_plot(dir, true);
        mu_run_dir_close(dir);
        snprintf(last, sizeof last, "%s", records >= 10 ? "validation" : "training");
        assert_picture("it s a_run", last);
        assert_picture("loss in nats per token", records > 160 ? "running mean" : "training");
    }
    assert_no_child();
}

static void test_what_gnuplot_is_given(void **state)
{
    struct mu_run_dir *dir;
    char *text;

    (void)state;
    stand_in("#!/bin/sh\n"
             "{ echo \"args: $*\"; pwd; ls /proc/self/fd | tr '\\n' ' '; cat; } > loss.svg.tmp\n");
    dir = open_run(3);
    mu_run_dir_plot(dir, true);
    text = read_text("loss.svg");
    mu_run_dir_close(dir);
    assert_int_equal(strncmp(text, "args: -d\n/", 10), 0);
    assert_non_null(strstr(text, "/it's a_run\n0 1 2 3 ")); /* 3: ls's own; not the lock */
    assert_null(strstr(text, "0 1 2 3 4"));
    assert_non_null(strstr(text, "run = 'it s a_run'\n"));
    assert_non_null(strstr(text, "'metrics.csv'"));
    free(text);
}

static void test_a_slow_one_holds_up_nothing(void **state)
{
    struct mu_run_dir *dir;
    double begin, passed;
    char *text;

    (void)state;
    stand_in("#!/bin/sh\necho x >> begun\nexec sleep 60\n");
    dir = open_run(3);
    begin = mu_clock_s();
    for (int i = 0; i < 100; i++)
        mu_run_dir_plot(dir, false);
    passed = mu_clock_s() - begin;
    assert_true(passed < 0.5);
    while (!exists("begun") && mu_clock_s() - begin < 10)
        mu_clock_sleep_us(1000);
    begin = mu_clock_s();
    mu_run_dir_close(dir);
    passed = mu_clock_s() - begin;
    assert_true(passed > 0.9 && passed < 3); /* it was given a second, then ended */
    text = read_text("begun");
    assert_string_equal(text, "x\n"); /* one at a time */
    free(text);
    assert_false(exists("loss.svg"));
    assert_no_child();
}

static void test_one_that_ends_is_noticed_in_passing(void **state)
{
    struct mu_run_status s = {.steps = 1};
    struct mu_run_dir *dir;
    double begin = mu_clock_s();

    (void)state;
    stand_in("#!/bin/sh\necho '<svg a b></svg>' > loss.svg.tmp\n");
    dir = open_run(3);
    mu_run_dir_plot(dir, false);
    while (!exists("loss.svg") && mu_clock_s() - begin < 10) {
        mu_run_dir_put_status(dir, &s);
        mu_clock_sleep_us(1000);
    }
    assert_no_child();
    assert_picture("a", "b");
    mu_run_dir_plot(dir, false); /* too soon after the last one */
    assert_no_child();
    mu_run_dir_close(dir);
}

/* How many lines `times` drawings say. */
static size_t draw_and_listen(struct mu_run_dir *dir, int times, char *text, size_t size)
{
    listen_begin();
    for (int i = 0; i < times; i++)
        mu_run_dir_plot(dir, true);
    listen_end(text, size);
    return count(text, "\n");
}

static void test_failures_are_told_once(void **state)
{
    struct mu_run_dir *dir = open_run(3);
    char text[2000];

    (void)state;
    stand_in("#!/bin/sh\necho half > loss.svg.tmp\necho >&2\necho no such terminal >&2\nexit 2\n");
    assert_int_equal(draw_and_listen(dir, 3, text, sizeof text), 1);
    assert_string_equal(text,
                        "muster: loss.svg was not drawn: gnuplot ended with 2: no such terminal\n");
    assert_false(exists("loss.svg"));
    assert_false(exists("loss.svg.tmp"));
    no_gnuplot();
    assert_int_equal(draw_and_listen(dir, 3, text, sizeof text), 1);
    assert_non_null(strstr(text, "gnuplot is not installed"));
    mu_run_dir_plot(dir, false);
    mu_run_dir_close(dir);
    assert_no_child();
}

int main(void)
{
#define IN_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, end)
    const struct CMUnitTest tests[] = {
        IN_ROOT(test_real_gnuplot),
        IN_ROOT(test_what_gnuplot_is_given),
        IN_ROOT(test_a_slow_one_holds_up_nothing),
        IN_ROOT(test_one_that_ends_is_noticed_in_passing),
        IN_ROOT(test_failures_are_told_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
