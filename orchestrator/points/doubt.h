/* Amounts that are numbers, and yet hardly what was meant. */
#ifndef MUSTER_POINTS_DOUBT_H
#define MUSTER_POINTS_DOUBT_H

#include "orchestrator/fit/points.h"
#include "orchestrator/points/points_csv.h"

/* Notes where a unit seems to be missing: billions written as 7, FLOPs far from 6 N D. */
void mu_points_doubt_units(const struct mu_fit_points *points, struct mu_points_found *found);

#endif
