/* The bootstrap: everything measured again on resampled points, by several threads. Replicate r
 * is a pure function of (plan, seed, r), so the number of threads changes nothing. */
#ifndef MUSTER_FIT_BOOTSTRAP_H
#define MUSTER_FIT_BOOTSTRAP_H

#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/fit/measure.h"
#include "orchestrator/fit/resample.h"

struct mu_bootstrap {
    size_t count;
    struct mu_measured *replicate; /* [count] */
    double *scratch;               /* [count] */
    uint64_t seed;
};

/* start: theta of the points as they are. No replicates of a single cluster: they would all be
 * equal, and their intervals of no width. */
enum mu_status mu_bootstrap_run(const struct mu_measure_plan *plan,
                                const struct mu_resample *resample, const double *start,
                                uint64_t seed, size_t replicates, unsigned threads,
                                struct mu_bootstrap *out) MU_CHECKED;
void mu_bootstrap_deinit(struct mu_bootstrap *b);

/* Which column of a replicate `member` of struct mu_measured is. */
#define MU_COLUMN_OF(member) (offsetof(struct mu_measured, member) / sizeof(double))

/* Limits of a number from one column; from the ratio of two; from the logarithm of the ratio. Gives
 * back how many replicates had a result. With no replicates nothing happens. */
size_t mu_bootstrap_interval(struct mu_bootstrap *b, size_t column, struct mu_estimate *number);
size_t mu_bootstrap_ratio(struct mu_bootstrap *b, size_t over, size_t under,
                          struct mu_estimate *number);
size_t mu_bootstrap_difference(struct mu_bootstrap *b, size_t one, size_t other,
                               struct mu_estimate *number);
/* Of a loss that a new run will have: each replicate's prediction times exp(sd t), t Student's with
 * the degrees of freedom that sd was estimated with (normal above 30). */
size_t mu_bootstrap_prediction(struct mu_bootstrap *b, size_t column, double sd, size_t degrees,
                               struct mu_estimate *number);

#endif
