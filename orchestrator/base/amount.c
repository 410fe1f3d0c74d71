#include "orchestrator/base/amount.h"

#include <stdio.h>

struct mu_amount mu_amount_bytes(double bytes)
{
    static const char *const units[] = {"bytes", "kiB", "MiB", "GiB", "TiB", "PiB"};
    enum { GIB = 3, LAST = sizeof units / sizeof *units - 1 };
    struct mu_amount out;
    int unit = 0;

    for (; bytes >= 999.5 && unit < LAST; unit++) /* not 1024: more than three digits */
        bytes /= 1024;
    snprintf(out.text, sizeof out.text, unit < GIB ? "%.3g %s" : "%.1f %s", bytes, units[unit]);
    return out;
}

struct mu_amount mu_amount_duration(double seconds)
{
    struct mu_amount out;

    if (!(seconds >= 0))
        snprintf(out.text, sizeof out.text, "-");
    else if (seconds < 9.95)
        snprintf(out.text, sizeof out.text, "%.2g s", seconds);
    else if (seconds < 120)
        snprintf(out.text, sizeof out.text, "%.0f s", seconds);
    else if (seconds < 7200)
        snprintf(out.text, sizeof out.text, "%.0f min", seconds / 60);
    else if (seconds < 200 * 3600)
        snprintf(out.text, sizeof out.text, "%.1f h", seconds / 3600);
    else
        snprintf(out.text, sizeof out.text, "%.3g days", seconds / 86400);
    return out;
}
