/* A chart as text. Two ways to draw a line:
 *
 *   dots      braille, 2 x 4 dots in a place (with ASCII: one '*'): one run, or runs by colour
 *   letters   'A' for the first run, 'B' for the second, ...: several runs without colours, or more
 *             runs than colours
 *
 * Validation losses are 'o', in letters those of the run, small. Pure: no terminal is asked. */
#ifndef MUSTER_PLOT_TERMINAL_H
#define MUSTER_PLOT_TERMINAL_H

#include <stdbool.h>

#include "orchestrator/base/status.h"
#include "orchestrator/plot/chart.h"

struct mu_plot_terminal {
    int columns, rows; /* of all that is written; at least 30 x 8 are taken */
    bool unicode, colours;
};

/* Lines that end with a newline and reach `columns` at most, zero-terminated; the caller frees. */
enum mu_status mu_plot_terminal_draw(const struct mu_plot_chart *chart,
                                     const struct mu_plot_terminal *terminal,
                                     char **text) MU_CHECKED;

#endif
