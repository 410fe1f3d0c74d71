#include "orchestrator/config/mistakes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/base/log.h"

void mu_mistakes_add(struct mu_mistakes *m, struct mu_place place, const char *key,
                     const char *format, ...)
{
    char text[1024], number[16] = "";
    char **line = m->count < MU_MISTAKES_KEPT ? &m->line[m->count] : NULL;
    va_list args;

    m->count++;
    if (!line)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (place.line > 0)
        snprintf(number, sizeof number, ":%d", place.line);
    if (asprintf(line, "%s%s: %s%s%s", place.source, number, key, *key ? ": " : "", text) < 0)
        *line = NULL;
}

enum mu_status mu_mistakes_report(struct mu_mistakes *m)
{
    int count = m->count;

    for (int i = 0; i < MU_MISTAKES_KEPT && i < count; i++)
        mu_log(MU_LOG_ERROR, "%s", m->line[i] ? m->line[i] : "(no memory to tell this mistake)");
    if (count > MU_MISTAKES_KEPT)
        mu_log(MU_LOG_ERROR, "and %d more mistakes", count - MU_MISTAKES_KEPT);
    mu_mistakes_deinit(m);
    return count ? MU_CONFIG : MU_OK;
}

void mu_mistakes_deinit(struct mu_mistakes *m)
{
    for (int i = 0; i < MU_MISTAKES_KEPT; i++)
        free(m->line[i]);
    *m = (struct mu_mistakes){.count = 0};
}
