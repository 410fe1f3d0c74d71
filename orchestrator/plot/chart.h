/* What a picture shows, whoever draws it: in a terminal (terminal.h) or by gnuplot (picture.h). */
#ifndef MUSTER_PLOT_CHART_H
#define MUSTER_PLOT_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "orchestrator/plot/scale.h"
#include "orchestrator/plot/series.h"

struct mu_plot_line {
    const char *name;
    struct mu_plot_series series;
};

struct mu_plot_chart {
    enum mu_plot_x x_kind;
    enum mu_plot_y y_kind;
    bool log_x, log_y;
    bool raw;                            /* what is smoothed is shown as it was, too, behind */
    double x_low, x_high, y_low, y_high; /* of all that is drawn */
    struct mu_plot_line *line;
    size_t count;
};

/* Finds the ranges, of what can be drawn: on a logarithmic axis what is positive. False: nothing
 * can. */
bool mu_plot_chart_range(struct mu_plot_chart *chart);

/* Both axes, with room for so many ticks. */
void mu_plot_chart_scales(const struct mu_plot_chart *chart, int x_ticks, int y_ticks,
                          struct mu_plot_scale *x, struct mu_plot_scale *y);

/* "2.3456, validation 2.4567": the newest values of a line. */
struct mu_plot_newest {
    char text[80];
};
struct mu_plot_newest mu_plot_newest(const struct mu_plot_series *s);

#endif
