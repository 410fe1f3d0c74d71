/* Rows that can be fitted, and yet are hardly what was meant. */
#ifndef MUSTER_POINTS_DOUBT_H
#define MUSTER_POINTS_DOUBT_H

#include <stdbool.h>

#include "orchestrator/base/status.h"
#include "orchestrator/fit/points.h"
#include "orchestrator/points/points_csv.h"

/* Notes where a unit seems to be missing: billions written as 7, FLOPs far from 6 N D. */
void mu_points_doubt_units(const struct mu_fit_points *points, struct mu_points_found *found);
/* Notes where rows do not look like final losses of runs, each the best of its size: moments of
 * curves that no column tells apart (`steps`: there is a column of training
 * steps; `decided`: not to be asked again), or several runs
 * of one size and seed. */
enum mu_status mu_points_doubt_designs(const struct mu_fit_points *points, bool steps, bool decided,
                                       struct mu_points_found *found) MU_CHECKED;

#endif
