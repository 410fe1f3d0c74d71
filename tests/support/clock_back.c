/* A library for LD_PRELOAD: the wall clock of a process is an hour behind as soon as the file that
 * CLOCK_BACK names is there, as when somebody sets the clock back in mid-run. CLOCK_MONOTONIC goes
 * on, as it does then, and so do the kernel's own times, those of files among them. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { BACK_S = 3600 };

static int tell(clockid_t clock, struct timespec *t)
{
    int result = (int)syscall(SYS_clock_gettime, clock, t);
    const char *file = getenv("CLOCK_BACK");

    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && file &&
        access(file, F_OK) == 0)
        t->tv_sec -= BACK_S;
    return result;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    return tell(clock, t);
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now;
    int result = tell(CLOCK_REALTIME, &now);

    (void)zone;
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *out)
{
    struct timespec now = {0};

    tell(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *t, int base)
{
    return base == TIME_UTC && tell(CLOCK_REALTIME, t) == 0 ? base : 0;
}
