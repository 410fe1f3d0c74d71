#include "orchestrator/plan/advice.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "orchestrator/base/memory_left.h"

void mu_advise(const struct mu_advice *advice, const char *format, ...)
{
    char line[512];
    va_list rest;

    va_start(rest, format);
    vsnprintf(line, sizeof line, format, rest);
    va_end(rest);
    advice->warn(advice->context, line);
}

double mu_plan_useful_batch(double tokens)
{
    return 0.58 * pow(tokens, 0.571);
}

struct mu_plan_text mu_plan_duration(double seconds)
{
    struct mu_plan_text t;

    if (seconds < 9.95)
        snprintf(t.text, sizeof t.text, "%.2g s", seconds);
    else if (seconds < 120)
        snprintf(t.text, sizeof t.text, "%.0f s", seconds);
    else if (seconds < 7200)
        snprintf(t.text, sizeof t.text, "%.0f min", seconds / 60);
    else if (seconds < 200 * 3600)
        snprintf(t.text, sizeof t.text, "%.1f h", seconds / 3600);
    else
        snprintf(t.text, sizeof t.text, "%.3g days", seconds / 86400);
    return t;
}

struct mu_plan_text mu_plan_bytes(double count)
{
    struct mu_plan_text t;

    if (count < 0x1p30)
        snprintf(t.text, sizeof t.text, "%.3g MiB", count / 0x1p20);
    else
        snprintf(t.text, sizeof t.text, "%.1f GiB", count / 0x1p30);
    return t;
}

double mu_plan_shm_left(void)
{
    struct statvfs disk;
    const double left = (double)mu_memory_left("");

    if (statvfs("/dev/shm", &disk) != 0)
        return left;
    return fmin(left, (double)disk.f_bavail * (double)disk.f_frsize);
}
