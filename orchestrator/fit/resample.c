#include "orchestrator/fit/resample.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/rng.h"

/* A cluster by its least point, so that numbers do not follow the order of the rows. */
struct cluster {
    const struct mu_fit_point *least;
    uint32_t was;
};

static int compare_points(const struct mu_fit_point *p, const struct mu_fit_point *q)
{
    const double a[] = {p->n, p->d, p->c, p->loss, p->weight};
    const double b[] = {q->n, q->d, q->c, q->loss, q->weight};

    for (size_t k = 0; k < sizeof a / sizeof *a; k++)
        if (a[k] != b[k])
            return a[k] < b[k] ? -1 : 1;
    return 0;
}

static int compare_clusters(const void *a, const void *b)
{
    const struct cluster *x = a, *y = b;
    const int order = compare_points(x->least, y->least);

    return order != 0 ? order : (x->was > y->was) - (x->was < y->was);
}

/* number[was]: which of `clusters` the caller's cluster is. */
static void number_clusters(struct mu_resample *r, struct cluster *cluster, uint32_t *number)
{
    for (size_t i = 0; i < r->count; i++) {
        uint32_t *n = &number[r->point[i].cluster];

        if (*n == MU_FIT_NONE) {
            *n = r->clusters++;
            cluster[*n] = (struct cluster){&r->point[i], r->point[i].cluster};
        } else if (compare_points(&r->point[i], cluster[*n].least) < 0) {
            cluster[*n].least = &r->point[i];
        }
    }
    qsort(cluster, r->clusters, sizeof *cluster, compare_clusters);
    for (uint32_t k = 0; k < r->clusters; k++)
        number[cluster[k].was] = k;
    for (size_t i = 0; i < r->count; i++)
        r->cluster_of[i] = number[r->point[i].cluster];
}

enum mu_status mu_resample_init(const struct mu_fit_point *point, size_t count,
                                struct mu_resample *out)
{
    struct cluster *cluster = malloc((count + 1) * sizeof *cluster);
    uint32_t last = 0, *number = NULL;
    enum mu_status st = MU_OK;

    *out = (struct mu_resample){.point = point, .count = count};
    for (size_t i = 0; i < count; i++)
        last = point[i].cluster > last ? point[i].cluster : last;
    number = malloc(((size_t)last + 1) * sizeof *number);
    out->cluster_of = malloc((count + 1) * sizeof *out->cluster_of);
    if (cluster && number && out->cluster_of) {
        memset(number, 0xff, ((size_t)last + 1) * sizeof *number);
        number_clusters(out, cluster, number);
    } else {
        mu_resample_deinit(out);
        st = MU_FAIL(MU_NO_MEMORY, "no memory for %zu points", count);
    }
    free(cluster);
    free(number);
    return st;
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
