/* Points to fit a law to: made from a known law, or read from a CSV of numbers. */
#ifndef MUSTER_TESTS_FIT_POINTS_H
#define MUSTER_TESTS_FIT_POINTS_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/fit/law.h"
#include "orchestrator/fit/points.h"

enum { FIT_POINTS = 512 };

static inline struct mu_fit_point fit_point(double n, double d, double loss)
{
    return (struct mu_fit_point){.n = n,
                                 .d = d,
                                 .c = 6 * n * d,
                                 .loss = loss,
                                 .weight = 1,
                                 .unique = d,
                                 .group = MU_FIT_NONE,
                                 .curve = MU_FIT_NONE,
                                 .seed = MU_FIT_NONE,
                                 .end = true};
}

/* `sizes` x `budgets` points: N from 1e7, D / N from 1000 down to about 4 in each budget; ln loss
 * has normal noise of that sd. repeats: two of three budgets see their data several times over. */
static inline size_t fit_points_synthetic(struct mu_fit_point points[], enum mu_law_kind law,
                                          const double theta[], size_t sizes, size_t budgets,
                                          double noise, bool repeats, uint64_t seed)
{
    size_t count = 0;

    for (size_t b = 0; b < budgets; b++)
        for (size_t s = 0; s < sizes; s++) {
            const double n = 1e7 * exp(0.55 * (double)b + 2.8 * (double)s / (double)sizes),
                         c = 6e17 * exp(1.1 * (double)b), d = c / (6 * n);
            struct mu_fit_point *p = &points[count];

            *p = fit_point(n, d, 1);
            if (repeats && b % 3 > 0)
                p->unique = d / (2.5 * (double)(b % 3) * (1 + (double)(s % 4)));
            p->loss =
                mu_law_loss(law, theta, p->n, p->d, p->c, p->unique) *
                exp(noise * mu_rng_normal(mu_rng_draw(seed, MU_RNG_SYNTHETIC, 0, count).w[0]));
            p->cluster = (uint32_t)count++;
        }
    return count;
}

/* Epoch's points (Besiroglu et al. 2024, arXiv 2404.10102), in the order of the file; 0: they are
 * not here. */
static inline size_t fit_points_epoch(struct mu_fit_point points[])
{
    const char *shared = getenv("MUSTER_SHARED"), *source = getenv("MUSTER_SOURCE");
    char path[4096], line[512];
    size_t count = 0;
    FILE *file;

    if (shared != NULL)
        snprintf(path, sizeof path, "%s/data/epoch_chinchilla.csv", shared);
    else
        snprintf(path, sizeof path, "%s/../shared/data/epoch_chinchilla.csv",
                 source == NULL ? "." : source);
    file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fgets(line, sizeof line, file) == NULL)
        line[0] = 0;
    while (count < FIT_POINTS && fgets(line, sizeof line, file) != NULL) {
        double n, c, loss;

        if (sscanf(line, "%*[^,],%*[^,],%*[^,],%lf,%lf,%*[^,],%lf", &n, &c, &loss) == 3)
            points[count++] = fit_point(n, c / (6 * n), loss);
    }
    fclose(file);
    return count;
}

/* Takes away the `drop` points of the highest loss; the order of the others stays. */
static inline size_t fit_points_drop_top(struct mu_fit_point points[], size_t count, size_t drop)
{
    for (size_t k = 0; k < drop; k++) {
        size_t top = 0;

        for (size_t i = 1; i < count; i++)
            if (points[i].loss > points[top].loss)
                top = i;
        memmove(&points[top], &points[top + 1], (count - top - 1) * sizeof *points);
        count--;
    }
    return count;
}

#endif
