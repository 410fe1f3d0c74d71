/* From records to what is drawn. */
#include "orchestrator/plot/series.h"

#include <math.h>
#include <stdlib.h>

enum { SMOOTHED_FROM = 160, PARTS = 80 }; /* as in loss.svg */

const struct mu_plot_y_row *mu_plot_y_row(enum mu_plot_y y)
{
    static const struct mu_plot_y_row rows[] = {
#define ROW(name, word, line, marks, noisy, label) {word, line, marks, noisy, label},
        MU_PLOT_Y_TABLE(ROW)
#undef ROW
    };

    return &rows[y];
}

static double steps_of(const struct mu_plot_records *r, size_t i)
{
    if (i > 0)
        return r->record[i].step - r->record[i - 1].step;
    if (r->count > 1) /* a run that goes on from another's checkpoint begins anywhere */
        return fmin(r->record[0].step, r->record[1].step - r->record[0].step);
    return r->record[0].step;
}

void mu_plot_times(const struct mu_plot_records *r, double *seconds)
{
    double ms = 0, total = 0;

    for (size_t i = 0; i < r->count && ms == 0; i++)
        ms = r->record[i].step_ms > 0 ? r->record[i].step_ms : 0;
    for (size_t i = 0; i < r->count; i++) {
        ms = r->record[i].step_ms >= 0 ? r->record[i].step_ms : ms;
        total += 1e-3 * ms * steps_of(r, i);
        seconds[i] = total;
    }
}

static double x_of(const struct mu_plot_record *m, const struct mu_plot_wish *wish, double seconds)
{
    switch (wish->x) {
    case MU_PLOT_X_TOKENS:
        return m->tokens;
    case MU_PLOT_X_FLOPS:
        return m->tokens * wish->flops_per_token;
    case MU_PLOT_X_TIME:
        return seconds;
    default:
        return m->step;
    }
}

static bool is_drawn(const struct mu_plot_record *m, const struct mu_plot_wish *wish, double x)
{
    return m->step >= (double)wish->from_step && isfinite(x) && (!wish->log_x || x > 0);
}

/* Both curves with every record that is drawn, as it is. */
static void fill(const struct mu_plot_records *r, const struct mu_plot_wish *wish,
                 const double *seconds, struct mu_plot_series *out)
{
    out->line.count = out->marks.count = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct mu_plot_record *m = &r->record[i];
        const double x = x_of(m, wish, seconds[i]);

        if (!is_drawn(m, wish, x))
            continue;
        out->line.x[out->line.count] = x;
        out->line.y[out->line.count++] = m->line;
        if (isnan(m->line))
            out->gaps++;
        else
            out->last_line = m->line;
        if (isnan(m->marks))
            continue;
        out->marks.x[out->marks.count] = x;
        out->marks.y[out->marks.count++] = out->last_marks = m->marks;
    }
    if (out->gaps == out->line.count) /* a quantity that this run does not have */
        out->gaps = out->line.count = 0;
}

static size_t window_of(const struct mu_plot_wish *wish, size_t count)
{
    if (wish->smooth != MU_PLOT_SMOOTH_AUTO)
        return (size_t)wish->smooth;
    return mu_plot_y_row(wish->y)->noisy && count > SMOOTHED_FROM ? count / PARTS : 1;
}

static enum mu_status smooth(struct mu_plot_series *s, size_t window)
{
    enum mu_status st;

    if (window < 2 || s->line.count < 3)
        return MU_OK;
    s->raw = s->line;
    MU_TRY(mu_plot_curve_init(&s->line, s->raw.count), st, done);
    for (size_t i = 0; i < s->raw.count; i++)
        s->line.x[i] = s->raw.x[i];
    MU_TRY(mu_plot_smooth(s->raw.y, s->raw.count, window, s->line.y), st, done);
done:
    return st;
}

enum mu_status mu_plot_series_make(const struct mu_plot_records *r, const struct mu_plot_wish *wish,
                                   struct mu_plot_series *out)
{
    double *seconds = calloc(r->count + 1, sizeof *seconds);
    enum mu_status st;

    *out = (struct mu_plot_series){.last_line = NAN, .last_marks = NAN};
    if (!seconds)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu records", r->count);
    MU_TRY(mu_plot_curve_init(&out->line, r->count), st, done);
    MU_TRY(mu_plot_curve_init(&out->marks, r->count), st, done);
    mu_plot_times(r, seconds);
    fill(r, wish, seconds, out);
    MU_TRY(smooth(out, window_of(wish, out->line.count)), st, done);
    mu_plot_thin(&out->line, wish->parts, wish->log_x);
    mu_plot_thin(&out->raw, wish->parts, wish->log_x);
    mu_plot_thin(&out->marks, wish->parts, wish->log_x);
done:
    free(seconds);
    if (st != MU_OK)
        mu_plot_series_deinit(out);
    return st;
}

void mu_plot_series_deinit(struct mu_plot_series *s)
{
    mu_plot_curve_deinit(&s->line);
    mu_plot_curve_deinit(&s->raw);
    mu_plot_curve_deinit(&s->marks);
}
