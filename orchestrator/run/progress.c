/* Two manners: on a terminal a bar in the last line, redrawn in place; otherwise (a file, a pipe,
 * TERM=dumb) plain lines. No colours. Under mpirun stderr is a pipe even when a person watches it:
 * MUSTER_PROGRESS=bar says so (and =lines the opposite).
 *
 * The bar and the log share stderr. `lock` is held for every write of the bar and, through the
 * log's guard, from the moment it takes the bar away until it has put it back, so that a line of
 * another thread neither tears the bar nor leaves a piece of it. Order of locks: the log's, then
 * ours; nothing here logs while it holds ours. */
#include "orchestrator/run/progress.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/run/progress_text.h"

enum { REDRAW_MS = 100, LINE_MS = 5000, WIDTH_UNKNOWN = 80 };

struct mu_progress {
    pthread_mutex_t lock;
    bool terminal;
    int64_t steps;
    struct mu_progress_rate rate;
    struct mu_deadline next;     /* no redraw, no plain line before */
    struct mu_metrics newest;    /* plain: of the newest step that was given no line */
    bool unsaid;                 /* there is one */
    bool started;                /* the first record has been shown */
    struct mu_progress_text bar; /* as it stands; empty: none */
};

static void write_text(const char *text, size_t size)
{
    if (write(STDERR_FILENO, text, size) < 0) {
        /* nobody watches: nothing better to do than to go on */
    }
}

static void write_line(const char *text)
{
    char line[MU_PROGRESS_LINE_MAX + 1];

    write_text(line, (size_t)snprintf(line, sizeof line, "%s\n", text));
}

static const char clear_line[] = "\r\033[K";

/* The last column stays empty: some terminals wrap there. */
static int bar_width(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return WIDTH_UNKNOWN - 1;
    return size.ws_col - 1;
}

static void draw_bar(const struct mu_progress *p)
{
    char text[sizeof clear_line + MU_PROGRESS_LINE_MAX];

    if (p->bar.text[0])
        write_text(text, (size_t)snprintf(text, sizeof text, "%s%s", clear_line, p->bar.text));
}

static void take_bar_away(const struct mu_progress *p)
{
    if (p->bar.text[0])
        write_text(clear_line, sizeof clear_line - 1);
}

static void guard(void *context, int begin)
{
    struct mu_progress *p = context;

    if (begin) {
        pthread_mutex_lock(&p->lock);
        take_bar_away(p);
    } else {
        draw_bar(p);
        pthread_mutex_unlock(&p->lock);
    }
}

static bool wants_bar(void)
{
    const char *asked = getenv("MUSTER_PROGRESS"), *term = getenv("TERM");

    if (asked && strcmp(asked, "bar") == 0)
        return true;
    if (asked && strcmp(asked, "lines") == 0)
        return false;
    return isatty(STDERR_FILENO) && (!term || strcmp(term, "dumb") != 0);
}

struct mu_progress *mu_progress_open(int64_t steps, int64_t from_step)
{
    struct mu_progress *p;

    if (!mu_log_shows(MU_LOG_INFO))
        return NULL;
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    p->terminal = wants_bar();
    p->steps = steps;
    mu_progress_rate_start(&p->rate, mu_clock_s(), from_step);
    if (p->terminal)
        mu_log_set_guard(guard, p);
    return p;
}

void mu_progress_close(struct mu_progress *p)
{
    if (!p)
        return;
    if (p->terminal) {
        mu_log_set_guard(NULL, NULL); /* returns when no line is being written */
        take_bar_away(p);
    } else if (p->unsaid) {
        write_line(mu_progress_line(&p->newest, p->steps, NAN).text);
    }
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void mu_progress_step(struct mu_progress *p, const struct mu_metrics *m)
{
    double left;
    bool due;

    if (!p)
        return;
    mu_progress_rate_step(&p->rate, mu_clock_s(), m->step);
    left = m->step < p->steps ? mu_progress_rate_left(&p->rate, p->steps) : NAN;
    due = !p->started || m->step >= p->steps || mu_deadline_passed(p->next);
    p->newest = *m;
    p->unsaid = !due;
    if (!due)
        return;
    p->started = true;
    p->next = mu_deadline_in_ms(p->terminal ? REDRAW_MS : LINE_MS);
    if (!p->terminal) {
        write_line(mu_progress_line(m, p->steps, left).text);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->bar = mu_progress_bar(m, p->steps, left, bar_width());
    draw_bar(p);
    pthread_mutex_unlock(&p->lock);
}

void mu_progress_eval(struct mu_progress *p, const struct mu_metrics *m)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    if (p->terminal)
        take_bar_away(p);
    write_line(mu_progress_eval_line(m, p->steps).text);
    draw_bar(p);
    pthread_mutex_unlock(&p->lock);
}
