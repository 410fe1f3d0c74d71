#include "orchestrator/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"

static const struct {
    const char *name, *meaning;
    int exit_code;
} table[MU_STATUS_COUNT] = {
#define MU_STATUS_ROW(name, code, meaning) {#name, meaning, code},
    MU_STATUS_TABLE(MU_STATUS_ROW)
#undef MU_STATUS_ROW
};

const char *mu_status_name(enum mu_status st)
{
    MU_ASSERT((unsigned)st < MU_STATUS_COUNT);
    return table[st].name;
}

const char *mu_status_meaning(enum mu_status st)
{
    MU_ASSERT((unsigned)st < MU_STATUS_COUNT);
    return table[st].meaning;
}

int mu_status_exit_code(enum mu_status st)
{
    MU_ASSERT((unsigned)st < MU_STATUS_COUNT);
    return table[st].exit_code;
}

size_t mu_status_told(enum mu_status out[MU_STATUS_COUNT])
{
    size_t count = 0;

    for (enum mu_status st = 0; st < MU_STATUS_COUNT; st++) {
        size_t at = count;

        if (table[st].exit_code == 1 && st != MU_FAILED)
            continue;
        for (; at > 0 && table[out[at - 1]].exit_code > table[st].exit_code; at--)
            out[at] = out[at - 1];
        out[at] = st;
        count++;
    }
    return count;
}

enum mu_status mu_status_report(enum mu_status st, const char *file, int line, const char *format,
                                ...)
{
    char text[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mu_log(MU_LOG_ERROR, "%s", text);
    mu_log(MU_LOG_DEBUG, "  %s raised at %s:%d", mu_status_name(st), file, line);
    return st;
}

void mu_status_trace(enum mu_status st, const char *file, int line, const char *call)
{
    mu_log(MU_LOG_DEBUG, "  %s passed on at %s:%d: %.80s", mu_status_name(st), file, line, call);
}

void mu_assert_failed(const char *condition, const char *file, int line)
{
    mu_log(MU_LOG_ERROR, "internal error at %s:%d: not true: %s. Please report this line.", file,
           line, condition);
    abort(); /* a signal, not an exit code: the other ranks are told of a death, never of an exit */
}
