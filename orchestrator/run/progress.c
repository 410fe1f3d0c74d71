/* Two manners: on a terminal a bar in the last line, redrawn in place (live.h); otherwise (a file,
 * a pipe, TERM=dumb) plain lines. */
#include "orchestrator/run/progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/run/live.h"
#include "orchestrator/run/progress_text.h"

enum { REDRAW_MS = 100, LINE_MS = 5000 };

struct mu_progress {
    struct mu_live *bar; /* NULL: plain lines */
    int64_t steps;
    struct mu_progress_rate rate;
    struct mu_deadline next;  /* no redraw, no plain line before */
    struct mu_metrics newest; /* plain: of the newest step that was given no line */
    bool unsaid;              /* there is one */
    bool started;             /* the first record has been shown */
};

static void write_line(const struct mu_progress *p, const char *text)
{
    char line[MU_PROGRESS_LINE_MAX + 1];
    int n = snprintf(line, sizeof line, "%s\n", text);

    if (p->bar)
        mu_live_say(p->bar, line);
    else if (write(STDERR_FILENO, line, (size_t)n) < 0) {
        /* nobody watches: nothing better to do than to go on */
    }
}

struct mu_progress *mu_progress_open(int64_t steps, int64_t from_step)
{
    struct mu_progress *p;

    if (!mu_log_shows(MU_LOG_INFO))
        return NULL;
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->steps = steps;
    mu_progress_rate_start(&p->rate, mu_clock_s(), from_step);
    if (mu_live_wanted(STDERR_FILENO))
        p->bar = mu_live_open(STDERR_FILENO);
    return p;
}

void mu_progress_close(struct mu_progress *p)
{
    if (!p)
        return;
    if (p->bar)
        mu_live_close(p->bar, false);
    else if (p->unsaid)
        write_line(p, mu_progress_line(&p->newest, p->steps, NAN).text);
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
    p->next = mu_deadline_in_ms(p->bar ? REDRAW_MS : LINE_MS);
    if (p->bar) /* the last column stays empty: some terminals wrap there */
        mu_live_put(
            p->bar,
            mu_progress_bar(m, p->steps, left, mu_live_size(STDERR_FILENO).columns - 1).text);
    else
        write_line(p, mu_progress_line(m, p->steps, left).text);
}

void mu_progress_eval(struct mu_progress *p, const struct mu_metrics *m)
{
    if (p)
        write_line(p, mu_progress_eval_line(m, p->steps).text);
}
