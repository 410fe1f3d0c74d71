/* A chart as SVG or PNG, by gnuplot. */
#ifndef MUSTER_PLOT_PICTURE_H
#define MUSTER_PLOT_PICTURE_H

#include <stdio.h>

#include "orchestrator/base/status.h"
#include "orchestrator/plot/chart.h"

enum mu_plot_format { MU_PLOT_SVG, MU_PLOT_PNG };

struct mu_plot_picture {
    enum mu_plot_format format;
    int width, height; /* pixels; 0: as fits the number of runs */
};

/* gnuplot's script, which has all data in it. */
void mu_plot_picture_script(FILE *out, const struct mu_plot_chart *chart,
                            const struct mu_plot_picture *picture);

/* Draws, waits for it (a minute at most), and puts it at `path` whole, in the place of what is
 * there. */
enum mu_status mu_plot_picture_draw(const struct mu_plot_chart *chart,
                                    const struct mu_plot_picture *picture,
                                    const char *path) MU_CHECKED;

#endif
