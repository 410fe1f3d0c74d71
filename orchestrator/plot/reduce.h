/* Curves, and less of them: running means, and as many points as a picture can show. Pure. */
#ifndef MUSTER_PLOT_REDUCE_H
#define MUSTER_PLOT_REDUCE_H

#include <stdbool.h>
#include <stddef.h>

#include "orchestrator/base/status.h"

/* x ascends; a y that is NaN interrupts the curve. */
struct mu_plot_curve {
    double *x, *y;
    size_t count;
};

/* Room for `count` points; zeros. */
enum mu_status mu_plot_curve_init(struct mu_plot_curve *c, size_t count) MU_CHECKED;
void mu_plot_curve_deinit(struct mu_plot_curve *c);

/* Centred means of up to `window` values that are numbers. At the beginning, where a loss falls
 * steeply and a mean would lie above it, the window of value i is no wider than 2 i / 5; at the end,
 * where noise would be all that is seen, it is cut off. NaN stays NaN. out may not be in. */
enum mu_status mu_plot_smooth(const double *in, size_t count, size_t window,
                              double *out) MU_CHECKED;

/* Of each of `parts` equal parts of the x axis (of its logarithm) the first, lowest, highest and
 * last point stay, in order: no peak is lost, and a line through them covers the same pixels. A
 * curve of 4 * parts points or less stays as it is. */
void mu_plot_thin(struct mu_plot_curve *c, size_t parts, bool log_x);

#endif
