#include "orchestrator/plan/advice.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "orchestrator/base/disk.h"
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

double mu_plan_shm_left(void)
{
    const double left = (double)mu_memory_left("");
    struct mu_disk shm;

    return mu_disk_look("/dev/shm", &shm) == 0 ? fmin(left, (double)shm.free_bytes) : left;
}
