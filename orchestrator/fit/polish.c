/* From a start to the minimum of an objective next to it.
 *
 * Least absolute deviations: as Huber's function with a delta that shrinks, until no more points
 * are inside it than there are variables. Those are the points that the minimum passes through; it
 * is then solved for exactly, as the stationary point of sum w |r| over the others under r = 0 for
 * these, and holds when no multiplier exceeds its point's weight. Where points repeat or the
 * minimum is no such corner, what stays is the minimum for the smallest delta. */
#include <math.h>
#include <string.h>

#include "orchestrator/fit/parametric_work.h"

enum { N = MU_LAW_PARAMETERS, NEWTON_STEPS = 12 };
#define CORNER_FROM 1e-2 /* delta over the mean of |r| */
#define CORNER_TO   1e-8
#define NO_RESIDUAL 1e-13

static const struct mu_objective absolute = {.kind = MU_OBJECTIVE_ABSOLUTE};

/* Points that the minimum passes through. */
struct corner {
    size_t count, index[N];
    double residual[N], slope[N][N], multiplier[N];
};

static double weight_of(const struct mu_work *work, size_t i)
{
    return work->points.weight[i / MU_LANES][i % MU_LANES];
}

static bool find_corner(const struct mu_work *work, const double x[], double delta,
                        struct corner *out)
{
    double slope[N];

    out->count = 0;
    for (size_t i = 0; i < work->count; i++) {
        if (!(fabs(mu_work_residual(work, i, x, slope)) <= delta))
            continue;
        if (out->count == work->minimise.variables)
            return false;
        out->index[out->count++] = i;
    }
    return true;
}

/* Slope and Hessian of sum w |r| over the points that are not in the corner. The corner's own
 * curvature is left out of the Hessian: it only matters where there are fewer points in it than
 * variables, and there for the number of steps. */
static void others_at(const struct mu_work *work, const struct corner *corner, const double x[],
                      struct mu_derivatives *at)
{
    struct mu_work others = *work;
    double *weight = (double *)work->columns;

    memcpy(weight, work->points.weight, work->points.blocks * sizeof(mu_lanes));
    for (size_t k = 0; k < corner->count; k++)
        weight[corner->index[k]] = 0;
    others.points.weight = work->columns;
    work->minimise.evaluate(&others, x, MU_DELTA_ABSOLUTE, false, at);
    for (size_t i = 0; i < work->minimise.variables; i++) {
        at->gradient[i] /= MU_DELTA_ABSOLUTE;
        for (size_t j = 0; j < work->minimise.variables; j++)
            at->second[i][j] /= MU_DELTA_ABSOLUTE;
    }
}

/* One step of Newton's method to r = 0 at the corner's points and a stationary sum over the others:
 * [H J'; J 0] (step, multiplier) = (-gradient, -r), with variables at a bound left out. false:
 * singular. */
static bool step_to_corner(const struct mu_work *work, struct corner *corner, double x[],
                           double *moved)
{
    const struct mu_minimise *m = &work->minimise;
    double a[2 * N][2 * N] = {{0}}, b[2 * N] = {0};
    size_t free[N], n = 0;
    struct mu_derivatives at;

    for (size_t k = 0; k < corner->count; k++)
        corner->residual[k] = mu_work_residual(work, corner->index[k], x, corner->slope[k]);
    others_at(work, corner, x, &at);
    for (size_t i = 0; i < m->variables; i++)
        if (x[i] > m->low[i] && x[i] < m->high[i])
            free[n++] = i;
    if (corner->count > n)
        return false;
    for (size_t i = 0; i < n; i++) {
        b[i] = -at.gradient[free[i]];
        for (size_t j = 0; j < n; j++)
            a[i][j] = at.second[free[i]][free[j]];
        for (size_t k = 0; k < corner->count; k++)
            a[i][n + k] = a[n + k][i] = corner->slope[k][free[i]];
    }
    for (size_t k = 0; k < corner->count; k++)
        b[n + k] = -corner->residual[k];
    if (!mu_gauss_solve(&a[0][0], 2 * N, n + corner->count, b))
        return false;
    *moved = 0;
    for (size_t i = 0; i < n; i++) {
        *moved = fmax(*moved, fabs(b[i]));
        x[free[i]] = fmin(fmax(x[free[i]] + b[i], m->low[free[i]]), m->high[free[i]]);
    }
    memcpy(corner->multiplier, b + n, corner->count * sizeof *b);
    return true;
}

/* Moves x to the corner that it is close to, if that is a minimum. `value`: sum w |r| at x. */
static bool settle(const struct mu_work *work, double delta, double x[], double *value)
{
    struct corner corner;
    double y[N], moved = INFINITY, there;

    memcpy(y, x, sizeof y);
    if (!find_corner(work, x, delta, &corner))
        return false;
    for (int k = 0; k < NEWTON_STEPS && moved > 1e-14; k++)
        if (!step_to_corner(work, &corner, y, &moved) || !isfinite(moved))
            return false;
    for (size_t k = 0; k < corner.count; k++)
        if (!(fabs(corner.multiplier[k]) <= weight_of(work, corner.index[k]) * (1 + 1e-9)))
            return false;
    there = mu_work_objective(work, absolute, y);
    if (!(moved <= 1e-9 && there <= *value))
        return false;
    *value = there;
    memcpy(x, y, sizeof y);
    return true;
}

static bool polish_absolute(const struct mu_work *work, double scale, double x[], double *value)
{
    bool converged;
    double unused;

    converged = mu_minimise_through(&work->minimise, scale, CORNER_FROM * scale, x, &unused);
    for (double delta = CORNER_FROM * scale; delta > CORNER_TO * scale; delta /= 8) {
        converged = mu_minimise(&work->minimise, delta, x, &unused);
        *value = mu_work_objective(work, absolute, x);
        if (*value <= NO_RESIDUAL * work->weight || settle(work, delta, x, value))
            return true;
    }
    return converged;
}

/* first: the mean of |r|, or less, where continuation starts. */
static bool polish_from(const struct mu_work *work, struct mu_objective objective, double first,
                        double x[], double *value)
{
    const double delta = mu_objective_delta(objective);

    switch (objective.kind) {
    case MU_OBJECTIVE_HUBER:
        return mu_minimise_through(&work->minimise, first, delta, x, value);
    case MU_OBJECTIVE_ABSOLUTE:
        return polish_absolute(work, fmax(first, NO_RESIDUAL), x, value);
    case MU_OBJECTIVE_SQUARES:
    case MU_OBJECTIVE_COUNT:
        break;
    }
    return mu_minimise(&work->minimise, delta, x, value);
}

bool mu_work_polish(const struct mu_work *work, struct mu_objective objective, double x[],
                    double *value)
{
    const double before = mu_work_objective(work, objective, x),
                 scale = mu_work_objective(work, absolute, x) / work->weight;
    double from[N];
    bool converged;

    memcpy(from, x, sizeof from);
    converged = polish_from(work, objective, scale, x, value);
    if (*value <= before)
        return converged;
    /* a start at a minimum, which larger deltas led out of */
    memcpy(x, from, sizeof from);
    return polish_from(work, objective, 1e-4 * scale, x, value);
}
