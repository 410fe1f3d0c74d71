/* From a start to the minimum of an objective next to it. */
#include <math.h>
#include <string.h>

#include "orchestrator/fit/parametric_work.h"

/* Mean of |r| at x: where continuation starts. */
static double mean_residual(const struct mu_work *work, const double x[])
{
    const struct mu_objective absolute = {.kind = MU_OBJECTIVE_ABSOLUTE};

    return mu_work_objective(work, absolute, x) / work->weight;
}

bool mu_work_polish(const struct mu_work *work, struct mu_objective objective, double x[],
                    double *value)
{
    const double delta = mu_objective_delta(objective);
    double scale = mean_residual(work, x);

    if (objective.kind == MU_OBJECTIVE_SQUARES)
        return mu_minimise(&work->minimise, delta, x, value);
    return mu_minimise_through(&work->minimise, scale, delta, x, value);
}
