/* Percentile intervals (Efron 1979) of what replicates gave. */
#ifndef MUSTER_FIT_INTERVAL_H
#define MUSTER_FIT_INTERVAL_H

#include <stddef.h>

#include "orchestrator/fit/estimate.h"

enum {
    MU_INTERVAL_LEAST = 40
}; /* values, for an end of a 95 % interval to lie between two of them */

/* The quantile of `values` at p in [0, 1], interpolated between neighbours (R's type 7). Reorders
 * values; no NAN among them; count > 0. */
double mu_quantile(double *values, size_t count, double p);

/* Sets the limits of `number` from replicates; NANs are replicates without a result. No limits when
 * fewer than MU_INTERVAL_LEAST or fewer than half have one: what is left would be a selection.
 * Reorders values; gives back how many had a result. */
size_t mu_interval_of(double *values, size_t count, struct mu_estimate *number);

#endif
