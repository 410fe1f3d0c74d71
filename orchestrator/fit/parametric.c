#include "orchestrator/fit/parametric.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/fit/parametric_work.h"

/* A coarse grid's start is polished as well when its objective, which nobody has
 * polished yet, is up to this many times the polished start's. */
#define NEAR 1.5

static bool counts(const struct mu_fit_point *point)
{
    return point->end && point->weight > 0;
}

enum mu_status mu_parametric_new(const struct mu_fit_point *points, size_t count,
                                 enum mu_law_kind law, struct mu_parametric **out)
{
    struct mu_parametric *p = calloc(1, sizeof *p);
    double *numbers = NULL;
    size_t n = 0;

    *out = NULL;
    for (size_t i = 0; i < count; i++)
        n += counts(&points[i]);
    if (p != NULL) {
        p->origin = calloc(n + 1, sizeof *p->origin);
        p->x = numbers = calloc(5 * n + 1, sizeof *numbers);
    }
    if (p == NULL || p->origin == NULL || numbers == NULL) {
        mu_parametric_free(p);
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu points", n);
    }
    p->y = numbers + n;
    p->ln_unique = numbers + 2 * n;
    p->ln_loss = numbers + 3 * n;
    p->weight = numbers + 4 * n;
    p->law = law;
    p->count = count;
    p->terms = mu_terms_fastest();
    for (size_t i = 0; i < count; i++) {
        const struct mu_fit_point *from = &points[i];
        const size_t k = p->points;

        if (!counts(from))
            continue;
        p->points++;
        p->origin[k] = (uint32_t)i;
        p->x[k] = mu_det_log(mu_law_abscissa(law, from->n, from->d, from->c));
        p->y[k] = mu_law_is_of_one(law) ? 0 : mu_det_log(from->d);
        p->ln_unique[k] = mu_det_log(from->unique < from->d ? from->unique : from->d);
        p->ln_loss[k] = mu_det_log(from->loss);
        p->weight[k] = from->weight;
        p->centre_x += p->x[k] / (double)n;
        p->centre_y += p->y[k] / (double)n;
    }
    *out = p;
    return MU_OK;
}

void mu_parametric_free(struct mu_parametric *p)
{
    if (p == NULL)
        return;
    free(p->origin);
    free(p->x);
    free(p);
}

double mu_objective_delta(struct mu_objective objective)
{
    switch (objective.kind) {
    case MU_OBJECTIVE_HUBER:
        return objective.delta;
    case MU_OBJECTIVE_ABSOLUTE:
        return MU_DELTA_ABSOLUTE;
    case MU_OBJECTIVE_SQUARES:
    case MU_OBJECTIVE_COUNT:
        break;
    }
    return MU_DELTA_SQUARES;
}

double mu_objective_of(struct mu_objective objective, double value)
{
    return objective.kind == MU_OBJECTIVE_ABSOLUTE ? value / MU_DELTA_ABSOLUTE : value;
}

static void keep_best(const struct mu_work *work, struct mu_objective objective, const double x[],
                      struct mu_law_estimate *best, double best_x[])
{
    double y[MU_LAW_PARAMETERS], value;
    bool converged;

    memcpy(y, x, sizeof y);
    converged = mu_work_polish(work, objective, y, &value);
    if (!(value < best->objective))
        return;
    best->objective = value;
    best->converged = converged;
    memcpy(best_x, y, sizeof y);
}

static uint32_t bounds_reached(const struct mu_minimise *m, const double x[])
{
    uint32_t bits = 0;

    for (size_t k = 0; k < m->variables; k++)
        if (x[k] <= m->low[k] || x[k] >= m->high[k])
            bits |= UINT32_C(1) << k;
    return bits;
}

enum mu_status mu_parametric_fit(const struct mu_parametric *problem, struct mu_objective objective,
                                 const double *multiplicity, const double *start,
                                 struct mu_law_estimate *out)
{
    const bool coarse = start != NULL;
    struct mu_start starts[MU_GRID_STARTS];
    double x[MU_LAW_PARAMETERS] = {0}, best_x[MU_LAW_PARAMETERS] = {0};
    enum mu_status st = MU_OK;
    struct mu_work work;
    size_t count;

    *out = (struct mu_law_estimate){.objective = INFINITY};
    MU_TRY(mu_work_new(problem, multiplicity, mu_grid_room(problem->law, coarse), &work), st, done);
    if (work.count == 0) {
        st = MU_FAIL(MU_FAILED, "no points to fit a law to");
        goto done;
    }
    if (coarse) {
        mu_work_variables(&work, start, x);
        keep_best(&work, objective, x, out, best_x);
    }
    count = mu_grid_search(&work, objective, coarse ? best_x : NULL, starts);
    for (size_t k = 0; k < count; k++)
        if (!coarse || mu_work_objective(&work, objective, starts[k].x) < NEAR * out->objective)
            keep_best(&work, objective, starts[k].x, out, best_x);
    out->at_bound = bounds_reached(&work.minimise, best_x);
    mu_work_theta(&work, best_x, out->theta);
done:
    mu_work_free(&work);
    return st;
}

double mu_parametric_objective(const struct mu_parametric *problem, struct mu_objective objective,
                               const double *multiplicity, const double *theta)
{
    const double delta = mu_objective_delta(objective);
    double sum = 0;

    for (size_t i = 0; i < problem->points; i++) {
        const double m = multiplicity == NULL ? 1 : multiplicity[problem->origin[i]];
        const double n = mu_det_exp(problem->x[i]), d = mu_det_exp(problem->y[i]);
        const double r = m == 0 ? 0
                                : mu_det_log(mu_law_loss(problem->law, theta, n,
                                                         mu_law_is_of_one(problem->law) ? n : d, n,
                                                         mu_det_exp(problem->ln_unique[i]))) -
                                      problem->ln_loss[i];
        const double psi = r < -delta ? -delta : r > delta ? delta : r;

        sum += m * problem->weight[i] * psi * (r - 0.5 * psi);
    }
    return mu_objective_of(objective, sum);
}
