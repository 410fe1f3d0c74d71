/* A line is put together outside of the lock and written whole under it. The environment is asked
 * for the level at the first line, so that it holds for what is said before anything is set up. */
#include "orchestrator/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEVEL_NOT_ASKED_FOR = MU_LOG_SILENT - 1 };

static struct {
    pthread_mutex_t lock;
    int level, rank;
    void (*guard)(void *context, int begin);
    void *guard_context;
    void (*take)(void *context, enum mu_log_level level, const char *text);
    void *take_context;
    const char *where;
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = LEVEL_NOT_ASKED_FOR, .rank = -1};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

int mu_log_level_from_name(const char *name)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(name, level_names[i]) == 0)
            return i;
    return -1;
}

static int current_level(void)
{
    if (sink.level == LEVEL_NOT_ASKED_FOR) {
        const char *name = getenv("MUSTER_LOG");
        int level = name ? mu_log_level_from_name(name) : -1;
        sink.level = level < 0 ? MU_LOG_INFO : level;
    }
    return sink.level;
}

void mu_log(enum mu_log_level level, const char *format, ...)
{
    char line[4096];
    int n = 0, text;
    va_list args;

    if (!mu_log_shows(level) && !(sink.take && level <= MU_LOG_WARN))
        return;
    n += sink.rank >= 0 ? snprintf(line, sizeof line, "muster[%d]: ", sink.rank)
                        : snprintf(line, sizeof line, "muster: ");
    if (level == MU_LOG_ERROR || level == MU_LOG_WARN)
        n += snprintf(line + n, sizeof line - (size_t)n, "%s: ", level_names[level]);
    if (level == MU_LOG_ERROR && sink.where)
        n += snprintf(line + n, sizeof line - (size_t)n, "[%.256s] ", sink.where);
    text = n;
    va_start(args, format);
    n += vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    if (n > (int)sizeof line - 2)
        n = (int)sizeof line - 2;
    pthread_mutex_lock(&sink.lock);
    if (sink.take && level <= MU_LOG_WARN) {
        line[n] = 0;
        sink.take(sink.take_context, level, line + text);
        pthread_mutex_unlock(&sink.lock);
        return;
    }
    line[n++] = '\n';
    if (sink.guard)
        sink.guard(sink.guard_context, 1);
    if (write(STDERR_FILENO, line, (size_t)n) < 0) {
        /* nobody listens: nothing better to do than to go on */
    }
    if (sink.guard)
        sink.guard(sink.guard_context, 0);
    pthread_mutex_unlock(&sink.lock);
}

void mu_log_set_level(enum mu_log_level level)
{
    sink.level = (int)level;
}

void mu_log_reset_level(void)
{
    sink.level = LEVEL_NOT_ASKED_FOR;
}

bool mu_log_shows(enum mu_log_level level)
{
    return (int)level <= current_level();
}

void mu_log_set_rank(int rank)
{
    sink.rank = rank;
}

void mu_log_set_guard(void (*guard)(void *context, int begin), void *context)
{
    pthread_mutex_lock(&sink.lock);
    sink.guard = guard;
    sink.guard_context = context;
    pthread_mutex_unlock(&sink.lock);
}

void mu_log_set_taker(void (*take)(void *context, enum mu_log_level level, const char *text),
                      void *context)
{
    pthread_mutex_lock(&sink.lock);
    sink.take = take;
    sink.take_context = context;
    pthread_mutex_unlock(&sink.lock);
}

void mu_log_set_where(const char *where)
{
    sink.where = where;
}
