/* Training runs that never were: losses of a known law over a design of budgets or trunks, with
 * noise of known size. */
#ifndef MUSTER_TESTS_FIT_RUNS_H
#define MUSTER_TESTS_FIT_RUNS_H

#include <math.h>
#include <stdlib.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/fit/law.h"
#include "orchestrator/fit/points.h"

struct design {
    double theta[MU_LAW_PARAMETERS]; /* of MU_LAW_CHINCHILLA */
    size_t budgets, sizes;
    double c_low, c_step;        /* smallest budget; factor from one to the next */
    double n_step;               /* factor between sizes */
    double sd_point, sd_cluster; /* of ln loss: a run's own noise, and its trunk's */
    uint64_t seed;
    uint32_t draw;
};

static inline double normal(const struct design *d, uint32_t a, uint64_t b)
{
    return mu_rng_normal(
        mu_rng_draw(d->seed, MU_RNG_SYNTHETIC, a, (uint64_t)d->draw << 32 | b).w[0]);
}

/* N* of C = 6 N D: Hoffmann et al. 2022, eq. 4. */
static inline double best_n(const double theta[], double c)
{
    const double a = theta[1], b = theta[2], alpha = theta[3], beta = theta[4];

    return pow(alpha * a / (beta * b), 1 / (alpha + beta)) * pow(c / 6, beta / (alpha + beta));
}

static inline struct mu_fit_point run_of(const struct design *d, double n, double tokens,
                                         uint32_t cluster, uint64_t index)
{
    const double loss = mu_law_loss(MU_LAW_CHINCHILLA, d->theta, n, tokens, 6 * n * tokens, tokens);
    const double noise = d->sd_point * normal(d, 1, index) + d->sd_cluster * normal(d, 2, cluster);

    return (struct mu_fit_point){.n = n,
                                 .d = tokens,
                                 .c = 6 * n * tokens,
                                 .loss = loss * exp(noise),
                                 .weight = 1,
                                 .unique = tokens,
                                 .cluster = cluster,
                                 .group = MU_FIT_NONE,
                                 .curve = MU_FIT_NONE,
                                 .seed = MU_FIT_NONE,
                                 .end = true,
                                 .line = (int)index + 2};
}

/* Sizes in even steps round each budget's optimum; every run by itself. Free .point. */
static inline struct mu_fit_points isoflop_runs(const struct design *d)
{
    struct mu_fit_points p = {.cluster_kind = "row"};

    p.point = calloc(d->budgets * d->sizes, sizeof *p.point);
    for (size_t b = 0; b < d->budgets; b++)
        for (size_t s = 0; s < d->sizes; s++) {
            const double c = d->c_low * pow(d->c_step, (double)b);
            const double n =
                best_n(d->theta, c) * pow(d->n_step, (double)s - 0.5 * (double)(d->sizes - 1));

            p.point[p.count] = run_of(d, n, c / (6 * n), (uint32_t)p.count, p.count);
            p.count++;
        }
    p.clusters = (uint32_t)p.count;
    return p;
}

/* A trunk for each size, with a branch where each budget is spent: branches share their trunk's
 * noise. The same sizes for all budgets, in even steps round the middle one's optimum. Free
 * .point. */
static inline struct mu_fit_points trunk_runs(const struct design *d)
{
    const double middle = d->c_low * pow(d->c_step, 0.5 * (double)(d->budgets - 1));
    struct mu_fit_points p = {.cluster_kind = "trunk", .clusters = (uint32_t)d->sizes};

    p.point = calloc(d->budgets * d->sizes, sizeof *p.point);
    for (size_t s = 0; s < d->sizes; s++)
        for (size_t b = 0; b < d->budgets; b++) {
            const double n =
                best_n(d->theta, middle) * pow(d->n_step, (double)s - 0.5 * (double)(d->sizes - 1));
            const double c = d->c_low * pow(d->c_step, (double)b);

            p.point[p.count] = run_of(d, n, c / (6 * n), (uint32_t)s, p.count);
            p.count++;
        }
    return p;
}

#endif
