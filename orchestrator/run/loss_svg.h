/* loss.svg, drawn by gnuplot in a process of its own. Private to the run directory. */
#ifndef MUSTER_RUN_LOSS_SVG_H
#define MUSTER_RUN_LOSS_SVG_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/status.h"
#include "orchestrator/run/gnuplot.h"

struct mu_loss_svg {
    char folder[MU_PATH_MAX]; /* holds metrics.csv; loss.svg goes there */
    char title[256];
    struct mu_gnuplot gnuplot;
    struct mu_deadline next; /* no drawing in the background before it */
    bool given_up;           /* there is no gnuplot, and that has been said */
    bool told;               /* a failure has been said */
};

enum mu_status mu_loss_svg_init(struct mu_loss_svg *plot, const char *folder) MU_CHECKED;
void mu_loss_svg_deinit(
    struct mu_loss_svg *plot); /* ends a drawing that is not done within a second */

/* Begins to draw unless one is being drawn or one was begun within the last seconds; never
 * blocks. */
void mu_loss_svg_start(struct mu_loss_svg *plot);
/* Draws what there is now and returns when it is drawn, or after ten seconds. */
void mu_loss_svg_draw(struct mu_loss_svg *plot);
/* Takes note of a gnuplot that ended, or ends one past its deadline. Cheap: call it now and
 * then. */
void mu_loss_svg_poll(struct mu_loss_svg *plot);

#endif
