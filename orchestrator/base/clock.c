#include "orchestrator/base/clock.h"

#include <sched.h>
#include <time.h>

enum { SPINS = 200, YIELDS = 400 };

uint64_t mu_clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double mu_clock_s(void)
{
    return 1e-9 * (double)mu_clock_ns();
}

void mu_clock_sleep_us(unsigned us)
{
    struct timespec t = {.tv_sec = us / 1000000u, .tv_nsec = (long)(us % 1000000u) * 1000};

    nanosleep(&t, NULL);
}

struct mu_clock_text mu_clock_date(void)
{
    struct mu_clock_text out;
    time_t now = time(NULL);
    struct tm utc;

    gmtime_r(&now, &utc);
    strftime(out.text, sizeof out.text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return out;
}

double mu_clock_date_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void mu_backoff_pause(struct mu_backoff *b)
{
    b->looks++;
    if (b->looks < SPINS) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    } else if (b->looks < YIELDS) {
        sched_yield();
    } else {
        mu_clock_sleep_us(50);
    }
}
