/* Progress: the words, the time left, and what arrives on a terminal and in a file. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/run/progress.h"
#include "orchestrator/run/progress_text.h"
#include "tests/support/screen.h"

static struct mu_metrics example(int64_t step)
{
    return (struct mu_metrics){.step = step,
                               .loss = 2.34561,
                               .gradient_norm = 0.512,
                               .lr = 9.8e-4,
                               .step_ms = 85.24,
                               .tokens_per_s = 48123,
                               .peak_share = 0.412,
                               .tokens = 491520,
                               .valid_loss = NAN,
                               .valid_bits_per_byte = NAN};
}

/* ---- words ----------------------------------------------------------------------------------- */

static void test_line(void **state)
{
    struct mu_metrics m = example(120);

    (void)state;
    assert_string_equal(mu_progress_line(&m, 400, 31.2).text,
                        "step 120/400  loss 2.3456  norm 0.51  lr 9.8e-04  85.2 ms  48k tok/s  41% "
                        "of peak  ETA 0:31");
    m.peak_share = m.tokens_per_s = m.step_ms = m.lr = m.gradient_norm = m.loss = NAN;
    assert_string_equal(mu_progress_line(&m, 400, NAN).text, "step 120/400  loss nan");
    m = example(7);
    m.gradient_norm = 0.00123;
    m.step_ms = 1.234;
    m.tokens_per_s = 1.96e6;
    assert_string_equal(mu_progress_line(&m, 9, 3).text,
                        "step 7/9  loss 2.3456  norm 1.2e-03  lr 9.8e-04  1.23 ms  2.0M tok/s  41% "
                        "of peak  ETA 0:03");
    m.step_ms = 12345;
    m.tokens_per_s = 999.6;
    assert_non_null(strstr(mu_progress_line(&m, 9, 3).text, "  12.3 s  1.0k tok/s  "));
}

static void test_eval_line(void **state)
{
    struct mu_metrics m = example(100);

    (void)state;
    m.valid_loss = 2.45678;
    assert_string_equal(mu_progress_eval_line(&m, 400).text, "step 100/400  valid loss 2.4568");
    m.valid_bits_per_byte = 1.0229;
    assert_string_equal(mu_progress_eval_line(&m, 400).text,
                        "step 100/400  valid loss 2.4568  1.023 bits per byte");
}

static void test_duration(void **state)
{
    (void)state;
    assert_string_equal(mu_progress_duration(0).text, "0:00");
    assert_string_equal(mu_progress_duration(59.6).text, "1:00");
    assert_string_equal(mu_progress_duration(12 * 60 + 5).text, "12:05");
    assert_string_equal(mu_progress_duration(3 * 3600 + 7 * 60 + 9).text, "3:07:09");
    assert_string_equal(mu_progress_duration(2 * 86400 + 3 * 3600 + 4 * 60).text, "2d 03:04");
    assert_string_equal(mu_progress_duration(-1).text, "0:00");
}

static void test_bar_fits_every_width(void **state)
{
    struct mu_metrics m = example(120);

    (void)state;
    for (int width = 0; width < 700; width++) {
        struct mu_progress_text bar = mu_progress_bar(&m, 400, 31.2, width);
        const char *space = bar.text[0] == '[' ? strchr(bar.text, ']') : NULL;

        assert_true(strlen(bar.text) <= (size_t)width);
        assert_null(strchr(bar.text, '\n'));
        if (space) {
            size_t inside = (size_t)(space - bar.text) - 1;
            size_t filled = strspn(bar.text + 1, "=");

            assert_in_range(inside, 10, 40);
            assert_int_equal(filled, inside * 3 / 10); /* 120 of 400 */
            assert_int_equal(strncmp(space, "]  30% 120/400", 14), 0);
        }
        if (width >= 40)
            assert_non_null(space);
    }
    assert_non_null(strstr(mu_progress_bar(&m, 400, 31.2, 50).text, "loss 2.3456  ETA 0:31"));
    assert_non_null(strstr(mu_progress_bar(&m, 400, 31.2, 200).text, "41% of peak  ETA 0:31"));
    m.step = 400;
    assert_non_null(strstr(mu_progress_bar(&m, 400, NAN, 100).text, "=] 100% 400/400"));
}

static void test_time_left(void **state)
{
    struct mu_progress_rate r;
    double now = 1000, left;

    (void)state;
    mu_progress_rate_start(&r, now, 100);
    assert_true(isnan(mu_progress_rate_left(&r, 1000)));
    for (int64_t step = 101; step <= 200; step++)
        mu_progress_rate_step(&r, now += 0.5, step);
    left = mu_progress_rate_left(&r, 1000);
    assert_true(fabs(left - 800 * 0.5) < 1e-6); /* steady: exact, whatever it forgets */
    mu_progress_rate_step(&r, now, 200);        /* the same step again: nothing */
    assert_true(mu_progress_rate_left(&r, 1000) == left);
    /* A pause of 2 s raises the estimate by about 2 s in the remembered 31 s or so, not tenfold. */
    mu_progress_rate_step(&r, now += 2.5, 201);
    left = mu_progress_rate_left(&r, 1000);
    assert_true(left > 799 * 0.5 && left < 799 * 0.5 * 1.1);
    /* Twice as slow from here on: after five minutes the old speed is forgotten. */
    for (int64_t step = 202; step <= 501; step++)
        mu_progress_rate_step(&r, now += 1, step);
    left = mu_progress_rate_left(&r, 1000);
    assert_true(fabs(left - 499) < 5);
}

/* ---- where the words go ---------------------------------------------------------------------- */

static void test_plain_lines(void **state)
{
    struct capture c;
    struct mu_progress *p;

    (void)state;
    capture_begin(&c, false, 0);
    p = mu_progress_open(1000, 0);
    for (int64_t step = 1; step <= 1000; step++) {
        struct mu_metrics m = example(step);

        mu_progress_step(p, &m);
        if (step % 250 == 0) {
            m.valid_loss = 2.5;
            mu_progress_eval(p, &m);
        }
    }
    mu_progress_close(p);
    capture_end(&c);
    /* Within five seconds: the first, the last, evaluations. */
    assert_int_equal(captured_count("\n"), 2 + 4);
    assert_int_equal(strncmp(captured, "step 1/1000  loss 2.3456", 24), 0);
    assert_int_equal(captured_count("\nstep 1000/1000  loss 2.3456"), 1);
    assert_int_equal(captured_count("valid loss 2.5000\n"), 4);
    assert_int_equal(captured_count("\033"), 0);
}

static void test_plain_run_that_stops_early_says_where(void **state)
{
    struct capture c;
    struct mu_progress *p;

    (void)state;
    capture_begin(&c, false, 0);
    p = mu_progress_open(1000, 0);
    for (int64_t step = 1; step <= 37; step++) {
        struct mu_metrics m = example(step);

        mu_progress_step(p, &m);
    }
    mu_progress_close(p);
    capture_end(&c);
    assert_int_equal(captured_count("\n"), 2);
    assert_int_equal(captured_count("\nstep 37/1000  loss"), 1);
}

static void test_quiet(void **state)
{
    struct capture c;
    struct mu_metrics m = example(1);
    struct mu_progress *p;

    (void)state;
    capture_begin(&c, true, 80);
    mu_log_set_level(MU_LOG_WARN);
    p = mu_progress_open(10, 0);
    mu_progress_step(p, &m);
    mu_progress_eval(p, &m);
    mu_progress_close(p);
    mu_log_set_level(MU_LOG_INFO);
    capture_end(&c);
    assert_int_equal(captured_size, 0);
}

static void test_dumb_terminal_gets_lines(void **state)
{
    struct capture c;
    struct mu_metrics m = example(1);
    struct mu_progress *p;

    (void)state;
    capture_begin(&c, true, 80);
    setenv("TERM", "dumb", 1);
    p = mu_progress_open(10, 0);
    setenv("TERM", "xterm", 1);
    mu_progress_step(p, &m);
    mu_progress_close(p);
    capture_end(&c);
    assert_int_equal(captured_count("\033"), 0);
    assert_int_equal(captured_count("\r\n"), 1); /* the terminal makes CR LF of LF */
}

static void test_bar_redraws_at_most_ten_times_a_second(void **state)
{
    static struct screen s;
    struct capture c;
    struct mu_progress *p;
    double begin, passed;
    int64_t step = 0;

    (void)state;
    capture_begin(&c, true, 72);
    p = mu_progress_open((int64_t)1 << 40, 0);
    for (begin = mu_clock_s(); (passed = mu_clock_s() - begin) < 0.45;) {
        struct mu_metrics m = example(++step);

        mu_progress_step(p, &m);
    }
    mu_progress_close(p);
    capture_end(&c);
    show(&s);
    assert_in_range(s.draws, 2, (size_t)(passed / 0.1) + 1);
    assert_true(step > 100);
    assert_true(s.longest <= 71);
    assert_int_equal(s.count, 0);    /* in place: no line was finished */
    assert_string_equal(s.last, ""); /* and the bar was taken away */
}

enum { THREADS = 3, LINES = 150 };
static atomic_int speakers;

static void *speak(void *context)
{
    int who = *(int *)context;

    for (int i = 0; i < LINES; i++) {
        mu_log(MU_LOG_INFO, "speaker %d says %d", who, i);
        mu_clock_sleep_us(300);
    }
    atomic_fetch_sub(&speakers, 1);
    return NULL;
}

static void test_log_lines_do_not_tear_the_bar(void **state)
{
    static struct screen s;
    int who[THREADS] = {0, 1, 2}, said[THREADS] = {0};
    struct capture c;
    struct mu_progress *p;
    pthread_t threads[THREADS];
    struct mu_metrics first = example(1);
    int64_t step = 1;
    size_t evaluations = 0, seen = 0;

    (void)state;
    capture_begin(&c, true, 72);
    p = mu_progress_open(1 << 20, 0);
    mu_progress_step(p, &first);
    atomic_store(&speakers, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, speak, &who[i]), 0);
    while (atomic_load(&speakers) > 0) {
        struct mu_metrics m = example(++step);

        mu_progress_step(p, &m);
        if (step % 50 == 0) {
            m.valid_loss = 2.5;
            mu_progress_eval(p, &m);
            evaluations++;
        }
        mu_clock_sleep_us(200);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    mu_progress_close(p);
    mu_log(MU_LOG_INFO, "the end");
    capture_end(&c);
    show(&s);
    for (size_t i = 0; i + 1 < s.count; i++) {
        int speaker, number, used = 0;

        if (sscanf(s.lines[i], "muster: speaker %d says %d%n", &speaker, &number, &used) == 2) {
            assert_int_equal(strlen(s.lines[i]), used);
            assert_in_range(speaker, 0, THREADS - 1);
            assert_int_equal(number, said[speaker]++); /* each once, in order, nothing behind it */
        } else {
            assert_int_equal(
                sscanf(s.lines[i], "step %*d/1048576  valid loss 2.500%*1[0]%n", &used), 0);
            assert_int_equal(strlen(s.lines[i]), used);
            seen++;
        }
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(said[i], LINES);
    assert_int_equal(seen, evaluations);
    assert_string_equal(s.lines[s.count - 1], "muster: the end");
    assert_string_equal(s.last, "");
    assert_true(s.draws > THREADS * LINES / 2); /* it came back after the lines */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_eval_line),
        cmocka_unit_test(test_duration),
        cmocka_unit_test(test_bar_fits_every_width),
        cmocka_unit_test(test_time_left),
        cmocka_unit_test(test_plain_lines),
        cmocka_unit_test(test_plain_run_that_stops_early_says_where),
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_dumb_terminal_gets_lines),
        cmocka_unit_test(test_bar_redraws_at_most_ten_times_a_second),
        cmocka_unit_test(test_log_lines_do_not_tear_the_bar),
    };
    int failed;

    setenv("TERM", "xterm", 1);
    mu_log_set_level(MU_LOG_INFO);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(captured);
    return failed;
}
