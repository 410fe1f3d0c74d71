/* `muster plot`: metrics of runs in one picture.
 *
 * A tour: runs.h finds the runs, read.c reads their metrics.jsonl, series.h makes curves of them
 * (reduce.h: smoother, and fewer points), chart.h and scale.h say what a picture shows and where,
 * terminal.h and picture.h draw it. */
#ifndef MUSTER_PLOT_PLOT_H
#define MUSTER_PLOT_PLOT_H

#include <stdbool.h>

#include "orchestrator/base/status.h"
#include "orchestrator/plot/picture.h"
#include "orchestrator/plot/series.h"
#include "orchestrator/plot/terminal.h"

struct mu_plot_options {
    struct mu_plot_wish wish; /* flops_per_token and parts: found here */
    bool log_y;
    const char *out; /* NULL: on stdout, as text */
    struct mu_plot_picture picture;
    struct mu_plot_terminal terminal;
};

enum mu_status mu_plot(char *const *word, int count,
                       const struct mu_plot_options *options) MU_CHECKED;

#endif
