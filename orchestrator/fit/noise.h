/* How far the losses of equal runs scatter. */
#ifndef MUSTER_FIT_NOISE_H
#define MUSTER_FIT_NOISE_H

#include <stddef.h>

#include "orchestrator/fit/points.h"

/* Pooled sd of ln loss within groups of repeats: final points of one model, N and data that differ
 * in seed or in cluster, and whose seeds are known (two rows that agree by chance, as in digitised
 * points, are no repeats). N agrees within 1e-6, tokens and distinct tokens within 1e-3 (runs end on
 * a whole step; the loss moves by less than a tenth of that). Points of one seed and one cluster
 * are one run told several times, by its mean; points of weight 0 do not count.
 * degrees: of freedom, the sum over groups of runs - 1. NAN and 0 without repeats (or memory to
 * look for them). */
double mu_noise_of_repeats(const struct mu_fit_point *points, size_t count, size_t *degrees);

#endif
