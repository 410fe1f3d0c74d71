/* A sweep on the master's terminal: the table in place between lines of the log, or lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/sweep_run/show.h"
#include "tests/support/screen.h"
#include "tests/support/sweep_show.h"

static void a_terminal_has_it_in_place(void **state)
{
    static struct screen s;
    struct mu_sweep_screen *screen;
    struct capture c;
    double begun, passed;
    int lines = 0;

    (void)state;
    capture_begin(&c, true, 80);
    screen = mu_sweep_screen_open();
    for (begun = mu_clock_s(); (passed = mu_clock_s() - begun) < 1.2 || lines < 20;
         mu_clock_sleep_us(1000)) {
        mu_sweep_screen_put(screen, &sweep);
        if (lines < 20 && passed > 0.05 * lines)
            mu_log(MU_LOG_INFO, "line %d", ++lines);
    }
    mu_sweep_screen_tell(screen, &sweep, 0);
    mu_sweep_screen_close(screen, &sweep);
    mu_log(MU_LOG_INFO, "the end");
    capture_end(&c);
    show(&s);
    /* Every line of the log above one table, and what came after it below. */
    assert_int_equal(lines, 20);
    for (int i = 0; i < lines; i++) {
        char line[32];

        snprintf(line, sizeof line, "muster: line %d", i + 1);
        assert_string_equal(s.lines[i], line);
    }
    assert_string_equal(s.lines[20], "sweep toy  3 of 8 trials ended, more may come  ETA 1:02:03  "
                                     "12:05 so far, start");
    assert_string_equal(s.lines[34],
                        "budget   1e12    0/2 cells  minimum bracketed? not known yet");
    assert_string_equal(s.lines[35], "muster: the end");
    assert_int_equal(s.count, 36);
    assert_in_range(s.longest, 1, 79);
    /* Drawn anew at most twice a second, and put back after each line of the log. */
    assert_in_range(captured_count("sweep toy"), 3, (size_t)(passed / 0.5) + 2 + 20);
}

static void elsewhere_it_is_lines(void **state)
{
    struct mu_sweep_screen *screen;
    struct capture c;

    (void)state;
    capture_begin(&c, false, 0);
    screen = mu_sweep_screen_open();
    for (int i = 0; i < 1000; i++)
        mu_sweep_screen_put(screen, &sweep);
    mu_sweep_screen_tell(screen, &sweep, 0);
    mu_sweep_screen_tell(screen, &sweep, 1);
    mu_sweep_screen_close(screen, &sweep);
    capture_end(&c);
#define LINE                                                                                       \
    "sweep toy  3 of 8 trials ended  3 train  4 of 6 ranks busy  2 dead  48k tok/s  goodput 90.0 " \
    "%  12:05  ETA 1:02:03\n"
    assert_string_equal(
        captured, LINE
        "width16-c1e+11-s1: complete at step 400/400, valid loss 2.5000\n"
        "width24-c1e+11-s1: diverged at step 37/400: the loss is nan at step 37\n" LINE
        "tuning   optim.lr = 0.0312 * N^-0.25; at 1 of 2 cells the best factor is at an end of "
        "them\n" BUDGETS);
}

static void who_wants_no_information_has_none(void **state)
{
    struct mu_sweep_screen *screen;
    struct capture c;

    (void)state;
    capture_begin(&c, true, 80);
    mu_log_set_level(MU_LOG_WARN);
    screen = mu_sweep_screen_open();
    mu_sweep_screen_put(screen, &sweep);
    mu_sweep_screen_tell(screen, &sweep, 0);
    mu_sweep_screen_close(screen, &sweep);
    mu_log_set_level(MU_LOG_INFO);
    capture_end(&c);
    assert_int_equal(captured_size, 0);
}

/* Under mpirun stderr is a pipe: the environment may say how large the terminal is. */
static void a_pipe_has_the_size_that_the_environment_says(void **state)
{
    static struct screen s;
    struct mu_sweep_screen *screen;
    struct capture c;

    (void)state;
    setenv("MUSTER_PROGRESS", "bar", 1);
    setenv("COLUMNS", "41", 1);
    setenv("LINES", "5", 1);
    capture_begin(&c, false, 0);
    screen = mu_sweep_screen_open();
    mu_sweep_screen_put(screen, &sweep);
    mu_sweep_screen_close(screen, &sweep);
    capture_end(&c);
    unsetenv("MUSTER_PROGRESS");
    unsetenv("COLUMNS");
    unsetenv("LINES");
    show(&s);
    assert_int_equal(s.count, 4);
    assert_int_equal(s.longest, 40);
    assert_string_equal(s.lines[1], "trials   waits 1, ready 1, trains 2, mov");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_terminal_has_it_in_place, begin),
        cmocka_unit_test_setup(elsewhere_it_is_lines, begin),
        cmocka_unit_test_setup(who_wants_no_information_has_none, begin),
        cmocka_unit_test_setup(a_pipe_has_the_size_that_the_environment_says, begin),
    };
    int failed;

    setenv("TERM", "xterm", 1);
    mu_log_set_level(MU_LOG_INFO);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(captured);
    return failed;
}
