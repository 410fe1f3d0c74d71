/* Points that are resampled together. */
#ifndef MUSTER_POINTS_CLUSTERS_H
#define MUSTER_POINTS_CLUSTERS_H

#include "orchestrator/base/status.h"
#include "orchestrator/fit/points.h"

/* Clusters come as any numbers below `known`, or MU_FIT_NONE for a point of its own; they leave as
 * 0 .. points->clusters - 1, in the order of the points. */
enum mu_status mu_clusters_number(struct mu_fit_points *points, uint32_t known) MU_CHECKED;

#endif
