#include "orchestrator/plot/chart.h"

#include <math.h>
#include <stdio.h>

static void take_curve(struct mu_plot_chart *chart, const struct mu_plot_curve *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (isnan(c->y[i]) || (chart->log_y && c->y[i] <= 0))
            continue;
        chart->x_low = fmin(chart->x_low, c->x[i]);
        chart->x_high = fmax(chart->x_high, c->x[i]);
        chart->y_low = fmin(chart->y_low, c->y[i]);
        chart->y_high = fmax(chart->y_high, c->y[i]);
    }
}

bool mu_plot_chart_range(struct mu_plot_chart *chart)
{
    chart->x_low = chart->y_low = INFINITY;
    chart->x_high = chart->y_high = -INFINITY;
    for (size_t i = 0; i < chart->count; i++) {
        take_curve(chart, &chart->line[i].series.line);
        if (chart->raw)
            take_curve(chart, &chart->line[i].series.raw);
        take_curve(chart, &chart->line[i].series.marks);
    }
    if (!isfinite(chart->x_low))
        return false;
    if (!chart->log_x && chart->x_low > 0 && chart->x_low < .2 * chart->x_high)
        chart->x_low = 0;
    return true;
}

void mu_plot_chart_scales(const struct mu_plot_chart *chart, int x_ticks, int y_ticks,
                          struct mu_plot_scale *x, struct mu_plot_scale *y)
{
    static const enum mu_plot_unit x_units[] = {[MU_PLOT_X_STEPS] = MU_PLOT_UNIT_COUNT,
                                                [MU_PLOT_X_TOKENS] = MU_PLOT_UNIT_COUNT,
                                                [MU_PLOT_X_FLOPS] = MU_PLOT_UNIT_POWER,
                                                [MU_PLOT_X_TIME] = MU_PLOT_UNIT_SECONDS};
    static const char *const x_labels[] = {
#define LABEL(name, word, label) label,
        MU_PLOT_X_TABLE(LABEL)
#undef LABEL
    };

    mu_plot_scale_init(x, chart->x_low, chart->x_high, chart->log_x, 0, x_units[chart->x_kind],
                       x_labels[chart->x_kind], x_ticks);
    mu_plot_scale_init(y, chart->y_low, chart->y_high, chart->log_y, .03,
                       chart->y_kind == MU_PLOT_Y_RATE ? MU_PLOT_UNIT_COUNT : MU_PLOT_UNIT_PLAIN,
                       mu_plot_y_row(chart->y_kind)->label, y_ticks);
}

struct mu_plot_newest mu_plot_newest(const struct mu_plot_series *s)
{
    struct mu_plot_newest out = {""};
    int n = 0;

    if (!isnan(s->last_line))
        n = snprintf(out.text, sizeof out.text, "%.5g", s->last_line);
    if (!isnan(s->last_marks))
        snprintf(out.text + n, sizeof out.text - (size_t)n, "%svalidation %.5g", n ? ", " : "",
                 s->last_marks);
    return out;
}
