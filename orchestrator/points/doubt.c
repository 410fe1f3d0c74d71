#include "orchestrator/points/doubt.h"

#include <math.h>

#include "orchestrator/points/columns.h"

/* The smallest model and run that anybody fits a law to are far above. */
static const double least_n = 100, least_d = 1000;
/* Attention adds to 6 N D, mixtures of experts and counts without embeddings take away. */
static const double least_ratio = 0.02, most_ratio = 50;

static void doubt(struct mu_points_found *found, const char *what, double largest)
{
    mu_points_note(found,
                   "%s are at most %g: is a unit missing? It can stand in the column's head, as in "
                   "'Params (B)'",
                   what, largest);
}

void mu_points_doubt_units(const struct mu_fit_points *points, struct mu_points_found *found)
{
    double n = 0, d = 0, low = INFINITY, high = 0;

    for (size_t i = 0; i < points->count; i++) {
        const struct mu_fit_point *p = &points->point[i];
        const double ratio = p->c / (6 * p->n * p->d);

        n = fmax(n, p->n);
        d = fmax(d, p->d);
        low = fmin(low, ratio);
        high = fmax(high, ratio);
    }
    if (n < least_n)
        doubt(found, "parameters", n);
    if (d < least_d)
        doubt(found, "training tokens", d);
    if (high < least_ratio || low > most_ratio)
        mu_points_note(found, "training FLOPs are %.3g to %.3g times 6 N D: is a unit missing?",
                       low, high);
}
