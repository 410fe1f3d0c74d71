/* `lock` is held for every write and, through the log's guard, from the moment a log line takes the
 * text away until it has put it back, so that a line of another thread neither tears it nor leaves
 * a piece of it. Order of locks: the log's, then ours; nothing here logs while it holds ours. */
#include "orchestrator/run/live.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "orchestrator/base/log.h"

enum { COLUMNS_UNKNOWN = 80, ROWS_UNKNOWN = 24, MOST = 10000 };

struct mu_live {
    pthread_mutex_t lock;
    int fd;
    char *text; /* as it stands; NULL: none */
};

bool mu_live_wanted(int fd)
{
    const char *asked = getenv("MUSTER_PROGRESS"), *term = getenv("TERM");

    if (asked && strcmp(asked, "bar") == 0)
        return true;
    if (asked && strcmp(asked, "lines") == 0)
        return false;
    return isatty(fd) && (!term || strcmp(term, "dumb") != 0);
}

static int from_environment(const char *name, int unknown)
{
    const char *text = getenv(name);
    long n = text ? strtol(text, NULL, 10) : 0;

    return n > 0 && n <= MOST ? (int)n : unknown;
}

struct mu_live_size mu_live_size(int fd)
{
    struct winsize size = {0};

    if (ioctl(fd, TIOCGWINSZ, &size) != 0)
        memset(&size, 0, sizeof size);
    return (struct mu_live_size){
        .columns = size.ws_col > 0 ? size.ws_col : from_environment("COLUMNS", COLUMNS_UNKNOWN),
        .rows = size.ws_row > 0 ? size.ws_row : from_environment("LINES", ROWS_UNKNOWN)};
}

/* ---- writing; the lock is held --------------------------------------------------------------- */

static void write_text(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);

        if (n <= 0)
            return; /* nobody watches: nothing better to do than to go on */
        text += n;
        size -= (size_t)n;
    }
}

/* Escape sequences that take away what stands there. */
static int clearing(const struct mu_live *l, char out[32])
{
    int lines = 0;

    out[0] = 0;
    for (const char *c = l->text; c && *c; c++)
        lines += *c == '\n';
    if (lines > 0)
        return snprintf(out, 32, "\r\033[%dA\033[J", lines);
    return l->text ? snprintf(out, 32, "\r\033[K") : 0;
}

/* In one write, so that nothing flickers: takes away what stands there; then the lines; then text,
 * which is what stands there from now on. Ours; NULL: none. */
static void redraw(struct mu_live *l, const char *lines, char *text)
{
    char before[32], *all = NULL;
    int n = clearing(l, before);

    n = asprintf(&all, "%s%s%s", before, lines, text ? text : "");
    if (n > 0)
        write_text(l->fd, all, (size_t)n);
    if (n >= 0)
        free(all);
    if (text != l->text) {
        free(l->text);
        l->text = text;
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void guard(void *context, int begin)
{
    struct mu_live *l = context;

    if (begin) {
        char before[32];

        pthread_mutex_lock(&l->lock);
        write_text(l->fd, before, (size_t)clearing(l, before));
    } else {
        if (l->text)
            write_text(l->fd, l->text, strlen(l->text));
        pthread_mutex_unlock(&l->lock);
    }
}

struct mu_live *mu_live_open(int fd)
{
    struct mu_live *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    pthread_mutex_init(&l->lock, NULL);
    l->fd = fd;
    mu_log_set_guard(guard, l);
    return l;
}

void mu_live_put(struct mu_live *l, const char *text)
{
    char *copy;

    if (!l)
        return;
    copy = *text ? strdup(text) : NULL;
    pthread_mutex_lock(&l->lock);
    redraw(l, "", copy);
    pthread_mutex_unlock(&l->lock);
}

void mu_live_say(struct mu_live *l, const char *lines)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    redraw(l, lines, l->text);
    pthread_mutex_unlock(&l->lock);
}

void mu_live_close(struct mu_live *l, bool keep)
{
    if (!l)
        return;
    mu_log_set_guard(NULL, NULL); /* returns when no line is being written */
    if (!keep)
        redraw(l, "", NULL);
    free(l->text);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
