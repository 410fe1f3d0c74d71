/* Progress: the words, the time left, and what arrives on a terminal (a pseudo-terminal read by a
 * small model of a screen) and in a file. */
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/run/progress.h"
#include "orchestrator/run/progress_text.h"

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

static char *captured; /* all that was written to stderr */
static size_t captured_size;

struct capture {
    int saved, write_end, read_end;
    pthread_t reader;
    int stop[2];
};

static void *drain(void *context)
{
    struct capture *c = context;
    struct pollfd look[2] = {{.fd = c->read_end, .events = POLLIN},
                             {.fd = c->stop[0], .events = POLLIN}};

    for (;;) {
        char part[4096];
        ssize_t n;

        poll(look, 2, -1);
        if (!(look[0].revents & POLLIN)) {
            if (look[1].revents)
                return NULL;
            continue;
        }
        n = read(c->read_end, part, sizeof part);
        if (n <= 0)
            return NULL;
        captured = realloc(captured, captured_size + (size_t)n + 1);
        memcpy(captured + captured_size, part, (size_t)n);
        captured_size += (size_t)n;
        captured[captured_size] = 0;
    }
}

static void capture_begin(struct capture *c, bool terminal, int columns)
{
    free(captured);
    captured = strdup("");
    captured_size = 0;
    if (terminal) {
        struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};

        c->read_end = posix_openpt(O_RDWR | O_NOCTTY);
        assert_true(c->read_end >= 0);
        assert_int_equal(grantpt(c->read_end), 0);
        assert_int_equal(unlockpt(c->read_end), 0);
        c->write_end = open(ptsname(c->read_end), O_RDWR | O_NOCTTY);
        assert_true(c->write_end >= 0);
        assert_int_equal(ioctl(c->write_end, TIOCSWINSZ, &size), 0);
    } else {
        int ends[2];

        assert_int_equal(pipe(ends), 0);
        c->read_end = ends[0];
        c->write_end = ends[1];
    }
    assert_int_equal(pipe(c->stop), 0);
    c->saved = dup(STDERR_FILENO);
    assert_true(dup2(c->write_end, STDERR_FILENO) >= 0);
    assert_int_equal(pthread_create(&c->reader, NULL, drain, c), 0);
}

static void capture_end(struct capture *c)
{
    dup2(c->saved, STDERR_FILENO);
    assert_int_equal(write(c->stop[1], "x", 1), 1);
    pthread_join(c->reader, NULL);
    close(c->saved);
    close(c->write_end);
    close(c->read_end);
    close(c->stop[0]);
    close(c->stop[1]);
}

/* What a person would see: finished lines, and the last one. Understands CR, LF, ESC[K. */
struct screen {
    char lines[4096][200];
    size_t count; /* finished lines */
    char last[200];
    size_t longest, draws;
};

static void show(struct screen *s)
{
    size_t column = 0;

    memset(s, 0, sizeof *s);
    for (const char *c = captured; *c; c++) {
        if (*c == '\r') {
            column = 0;
        } else if (*c == '\n') {
            assert_true(s->count < 4096);
            strcpy(s->lines[s->count++], s->last);
            memset(s->last, 0, sizeof s->last);
            column = 0;
        } else if (strncmp(c, "\033[K", 3) == 0) {
            memset(s->last + column, 0, sizeof s->last - column);
            c += 2;
        } else {
            assert_true(*c >= ' ' && column + 1 < sizeof s->last); /* no other escapes: no colour */
            s->draws += *c == '[' && column == 0;
            s->last[column++] = *c;
            s->longest = column > s->longest ? column : s->longest;
        }
    }
}

static size_t count(const char *needle)
{
    size_t n = 0;

    for (const char *at = captured; (at = strstr(at, needle)); at++)
        n++;
    return n;
}

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
    assert_int_equal(count("\n"), 2 + 4);
    assert_int_equal(strncmp(captured, "step 1/1000  loss 2.3456", 24), 0);
    assert_int_equal(count("\nstep 1000/1000  loss 2.3456"), 1);
    assert_int_equal(count("valid loss 2.5000\n"), 4);
    assert_int_equal(count("\033"), 0);
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
    assert_int_equal(count("\n"), 2);
    assert_int_equal(count("\nstep 37/1000  loss"), 1);
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
    assert_int_equal(count("\033"), 0);
    assert_int_equal(count("\r\n"), 1); /* the terminal makes CR LF of LF */
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
