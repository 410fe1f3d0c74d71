#include "orchestrator/fit/resample.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/rng.h"

enum mu_status mu_resample_init(const struct mu_fit_point *point, size_t count,
                                struct mu_resample *out)
{
    uint32_t last = 0, *number = NULL;

    *out = (struct mu_resample){.point = point, .count = count};
    for (size_t i = 0; i < count; i++)
        last = point[i].cluster > last ? point[i].cluster : last;
    number = malloc(((size_t)last + 1) * sizeof *number);
    out->cluster_of = malloc((count + 1) * sizeof *out->cluster_of);
    if (!number || !out->cluster_of) {
        free(number);
        mu_resample_deinit(out);
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu points", count);
    }
    memset(number, 0xff, ((size_t)last + 1) * sizeof *number);
    for (size_t i = 0; i < count; i++) {
        uint32_t *n = &number[point[i].cluster];

        if (*n == MU_FIT_NONE)
            *n = out->clusters++;
        out->cluster_of[i] = *n;
    }
    free(number);
    return MU_OK;
}

void mu_resample_deinit(struct mu_resample *r)
{
    free(r->cluster_of);
    r->cluster_of = NULL;
}

void mu_resample_draw(const struct mu_resample *r, uint64_t seed, uint32_t replicate,
                      uint32_t *drawn, double *multiplicity)
{
    memset(drawn, 0, r->clusters * sizeof *drawn);
    for (uint32_t i = 0; i < r->clusters; i += 2) {
        const struct mu_rng_words x = mu_rng_draw(seed, MU_RNG_BOOTSTRAP, replicate, i);

        drawn[mu_rng_below(r->clusters, x.w[0], x.w[1])]++;
        if (i + 1 < r->clusters)
            drawn[mu_rng_below(r->clusters, x.w[2], x.w[3])]++;
    }
    for (size_t i = 0; i < r->count; i++)
        multiplicity[i] = drawn[r->cluster_of[i]];
}
