/* Which points count how often in a replicate of the bootstrap. Clusters are drawn with
 * replacement, whole: points that share their noise (branches of one trunk) stand or fall
 * together. Resampling their rows one by one would cover the truth in 61 to 73 % of cases where
 * 95 % are promised. */
#ifndef MUSTER_FIT_RESAMPLE_H
#define MUSTER_FIT_RESAMPLE_H

#include "orchestrator/base/status.h"
#include "orchestrator/fit/points.h"

struct mu_resample {
    const struct mu_fit_point *point;
    size_t count;
    uint32_t clusters; /* that have a point */
    uint32_t
        *cluster_of; /* [count]: 0 .. clusters - 1, in an order that the rows' has no part in */
};

enum mu_status mu_resample_init(const struct mu_fit_point *point, size_t count,
                                struct mu_resample *out) MU_CHECKED;
void mu_resample_deinit(struct mu_resample *r);

/* Replicate `replicate` under `seed`: multiplicity[count], whole numbers. drawn[clusters]: scratch.
 * A pure function of its arguments. */
void mu_resample_draw(const struct mu_resample *r, uint64_t seed, uint32_t replicate,
                      uint32_t *drawn, double *multiplicity);

#endif
