/* base/clock: time goes forward, deadlines pass when they should and not before, and a pause is
 * short at first and cheap later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "orchestrator/base/clock.h"

static void time_goes_forward(void **state)
{
    uint64_t before = mu_clock_ns();

    (void)state;
    for (int i = 0; i < 10000; i++) {
        uint64_t now = mu_clock_ns();

        assert_true(now >= before);
        before = now;
    }
    assert_true(mu_clock_s() >= 1e-9 * (double)before * (1 - 1e-12));
}

static void sleeping_takes_as_long_as_asked(void **state)
{
    uint64_t before = mu_clock_ns();

    (void)state;
    mu_clock_sleep_us(15000);
    assert_in_range(mu_clock_ns() - before, 15000000, 5000 * (uint64_t)1000000);
}

static void deadlines_pass_in_time(void **state)
{
    struct mu_deadline now = mu_deadline_in_ms(0), soon = mu_deadline_in_ms(20),
                       later = mu_deadline_in_ms(3600000);

    (void)state;
    assert_true(mu_deadline_passed(now));
    assert_false(mu_deadline_passed(later));
    while (!mu_deadline_passed(soon))
        assert_true(mu_clock_ns() < now.at_ns + 5000 * (uint64_t)1000000);
    assert_true(mu_clock_ns() >= soon.at_ns);
    assert_true(soon.at_ns >= now.at_ns + 20 * (uint64_t)1000000);
}

static void nothing(int number)
{
    (void)number;
}

/* A signal may end a sleep early; it never makes it longer. */
static void a_signal_does_not_prolong_a_sleep(void **state)
{
    struct sigaction action = {.sa_handler = nothing}, old;
    struct itimerval timer = {.it_value = {.tv_usec = 5000}, .it_interval = {.tv_usec = 5000}},
                     none = {.it_value = {0}};
    uint64_t before;

    (void)state;
    sigaction(SIGALRM, &action, &old);
    setitimer(ITIMER_REAL, &timer, NULL);
    before = mu_clock_ns();
    mu_clock_sleep_us(50000);
    assert_in_range(mu_clock_ns() - before, 1000000, 5000 * (uint64_t)1000000);
    setitimer(ITIMER_REAL, &none, NULL);
    sigaction(SIGALRM, &old, NULL);
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The first looks cost microseconds; a long wait sleeps: 2000 looks of it take 1400 x 50 µs at
 * least, most of them off the CPU. */
static void a_pause_spins_first_and_sleeps_later(void **state)
{
    struct mu_backoff pause = {0};
    double cpu = cpu_seconds();
    uint64_t start = mu_clock_ns();

    (void)state;
    for (int i = 0; i < 2000; i++)
        mu_backoff_pause(&pause);
    assert_int_equal(pause.looks, 2000);
    assert_true(mu_clock_ns() - start > 1400 * (uint64_t)50000);
    assert_true(cpu_seconds() - cpu < 0.7 * 1e-9 * (double)(mu_clock_ns() - start));
}

static void dates_are_utc_and_in_order(void **state)
{
    struct mu_clock_text d = mu_clock_date();
    struct tm t = {0};
    time_t told, now = time(NULL);

    (void)state;
    assert_int_equal(strlen(d.text), 20);
    assert_ptr_equal(strptime(d.text, "%Y-%m-%dT%H:%M:%SZ", &t), d.text + 20);
    told = timegm(&t);
    assert_true(told <= now && told >= now - 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_goes_forward),
        cmocka_unit_test(sleeping_takes_as_long_as_asked),
        cmocka_unit_test(deadlines_pass_in_time),
        cmocka_unit_test(a_signal_does_not_prolong_a_sleep),
        cmocka_unit_test(a_pause_spins_first_and_sleeps_later),
        cmocka_unit_test(dates_are_utc_and_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
