/* How far the losses of equal runs scatter. */
#ifndef MUSTER_FIT_NOISE_H
#define MUSTER_FIT_NOISE_H

#include <stddef.h>

#include "orchestrator/fit/points.h"

/* Pooled sd of ln loss within groups of repeats: final points of one model, N and data that
 * differ in seed or in cluster, and whose seeds are known (two rows that agree by chance, as in
 * digitised points, are no repeats). N agrees within 1e-6, tokens and distinct tokens within
 * 1e-3 (runs end on a whole step; the loss moves by less than a tenth of that). Points of one
 * seed and one cluster are one run told several times, by its mean; points of weight 0 do not
 * count. degrees: of freedom, the sum over groups of runs - 1. NAN and 0 without repeats (or
 * memory to look for them). */
double mu_noise_of_repeats(const struct mu_fit_point *points, size_t count, size_t *degrees);

/* How many times the variance of a mean is that of independent points when clusters share noise:
 * 1 + (m - 1) rho, at least 1 (Kish 1965, "Survey Sampling", section 5.4), m the mean size of a
 * cluster and rho the correlation within, from the one-way analysis of variance of `residual`
 * [count]. cluster: [count], 0 .. clusters - 1. 1 where it cannot be told. */
double mu_noise_design_effect(const double *residual, const uint32_t *cluster, size_t count,
                              uint32_t clusters);

#endif
