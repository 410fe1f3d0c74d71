#include "orchestrator/fit/parametric_work.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/detmath.h"

enum { ABSENT = MU_LAW_PARAMETERS - 1 }; /* a term that a law lacks; no law here has so many */

/* Which variable of a law each of E, A, B, alpha and beta is. */
static const size_t variable_of[MU_LAW_COUNT][MU_TERMS_PARAMETERS] = {
    [MU_LAW_CHINCHILLA] = {0, 1, 2, 3, 4},        [MU_LAW_OVER_TRAINING] = {0, 1, 2, 3, 3},
    [MU_LAW_POWER_N] = {0, 1, ABSENT, 2, ABSENT}, [MU_LAW_POWER_D] = {0, 1, ABSENT, 2, ABSENT},
    [MU_LAW_POWER_C] = {0, 1, ABSENT, 2, ABSENT},
};

enum { X, Y, LN_LOSS, INVERSE_LOSS, WEIGHT, LN_UNIQUE, ARRAYS };

enum mu_status mu_work_new(const struct mu_parametric *problem, const double *multiplicity,
                           size_t room, struct mu_work *out)
{
    const size_t blocks = (problem->points + MU_LANES - 1) / MU_LANES, lanes = blocks * MU_LANES;
    double *array[ARRAYS];

    *out = (struct mu_work){.problem = problem,
                            .centre_x = problem->centre_x,
                            .centre_y = problem->centre_y,
                            .loss_low = INFINITY};
    out->memory =
        aligned_alloc(sizeof(mu_lanes), (blocks * (ARRAYS + room) + 1) * sizeof(mu_lanes));
    if (out->memory == NULL)
        return MU_FAIL(MU_NO_MEMORY, "no memory to fit %zu points", problem->points);
    for (size_t k = 0; k < ARRAYS; k++)
        array[k] = (double *)out->memory + k * lanes;
    memset(out->memory, 0, ARRAYS * blocks * sizeof(mu_lanes));
    for (size_t i = 0; i < problem->points; i++) {
        const double m = multiplicity == NULL ? 1 : multiplicity[problem->origin[i]];
        const size_t k = out->count;

        if (!(m > 0))
            continue;
        out->count++;
        array[X][k] = problem->x[i] - problem->centre_x;
        array[Y][k] = problem->y[i] - problem->centre_y;
        array[LN_LOSS][k] = problem->ln_loss[i];
        array[WEIGHT][k] = m * problem->weight[i];
        array[LN_UNIQUE][k] = problem->ln_unique[i];
        out->weight += array[WEIGHT][k];
    }
    for (size_t k = out->count; k % MU_LANES != 0; k++) /* of weight 0 */
        for (size_t a = 0; a < ARRAYS; a++)
            array[a][k] = a == WEIGHT ? 0 : array[a][0];
    out->points = (struct mu_terms_points){.blocks = (out->count + MU_LANES - 1) / MU_LANES,
                                           .x = (mu_lanes *)array[X],
                                           .y = (mu_lanes *)array[Y],
                                           .ln_loss = (mu_lanes *)array[LN_LOSS],
                                           .inverse_loss = (mu_lanes *)array[INVERSE_LOSS],
                                           .weight = (mu_lanes *)array[WEIGHT]};
    out->ln_unique = (mu_lanes *)array[LN_UNIQUE];
    out->columns = (mu_lanes *)out->memory + ARRAYS * blocks;
    problem->terms->exp(out->points.ln_loss, -1, out->points.blocks,
                        (mu_lanes *)array[INVERSE_LOSS]);
    for (size_t k = 0; k < out->count; k++) {
        out->loss_low = fmin(out->loss_low, 1 / array[INVERSE_LOSS][k]);
        out->loss_high = fmax(out->loss_high, 1 / array[INVERSE_LOSS][k]);
    }
    mu_work_prepare(out);
    return MU_OK;
}

void mu_work_free(struct mu_work *work)
{
    free(work->memory);
}

double mu_work_objective(const struct mu_work *work, struct mu_objective objective,
                         const double x[])
{
    struct mu_derivatives at;

    work->minimise.evaluate(work, x, mu_objective_delta(objective), false, &at);
    return mu_objective_of(objective, at.value);
}

static void evaluate_terms(const void *context, const double x[], double delta, bool metric,
                           struct mu_derivatives *out)
{
    const struct mu_work *work = context;
    const size_t *variable = variable_of[work->problem->law];
    const size_t n = work->minimise.variables;
    double theta[MU_TERMS_PARAMETERS];
    struct mu_terms_sums sums;

    for (size_t k = 0; k < MU_TERMS_PARAMETERS; k++)
        theta[k] = variable[k] == ABSENT ? 0 : x[variable[k]];
    work->problem->terms->evaluate(&work->points, theta, delta,
                                   metric ? MU_TERMS_METRIC : MU_TERMS_HESSIAN, &sums);
    out->value = sums.value;
    for (size_t i = 0; i < n; i++) {
        out->gradient[i] = 0;
        for (size_t j = 0; j < n; j++)
            out->second[i][j] = 0;
    }
    for (size_t i = 0; i < MU_TERMS_PARAMETERS; i++) {
        if (variable[i] == ABSENT)
            continue;
        out->gradient[variable[i]] += sums.gradient[i];
        for (size_t j = 0; j < MU_TERMS_PARAMETERS; j++)
            if (variable[j] != ABSENT)
                out->second[variable[i]][variable[j]] += sums.hessian[i][j];
    }
}

double mu_work_residual(const struct mu_work *work, size_t i, const double x[], double slope[])
{
    const size_t *variable = variable_of[work->problem->law], block = i / MU_LANES,
                 lane = i % MU_LANES;
    const struct mu_terms_points *points = &work->points;
    const double at[2] = {points->x[block][lane] + points->shift_x,
                          points->y[block][lane] + points->shift_y};
    double predicted = x[0];

    if (work->problem->law == MU_LAW_DATA_CONSTRAINED)
        return mu_constrained_residual(work, i, x, slope);
    memset(slope, 0, work->minimise.variables * sizeof *slope);
    slope[0] = 1;
    for (size_t term = 0; term < 2; term++) {
        const size_t a = variable[1 + term], alpha = variable[3 + term];
        double power;

        if (a == ABSENT)
            continue;
        power = mu_det_exp(-x[alpha] * at[term]);
        predicted += x[a] * power;
        slope[a] = power;
        slope[alpha] -= x[a] * power * at[term];
    }
    for (size_t k = 0; k < work->minimise.variables; k++)
        slope[k] /= predicted;
    return mu_det_log(predicted) - points->ln_loss[block][lane];
}

static void bound(struct mu_minimise *m, size_t k, double low, double high)
{
    m->low[k] = low;
    m->high[k] = high;
}

void mu_work_prepare(struct mu_work *work)
{
    const enum mu_law_kind law = work->problem->law;
    struct mu_minimise *m = &work->minimise;
    const double most = 1e6 * work->loss_high;

    m->variables = mu_law_of(law)->parameters;
    m->weight = work->weight;
    m->context = work;
    bound(m, 0, 0, work->loss_high);
    if (law == MU_LAW_DATA_CONSTRAINED) {
        m->evaluate = mu_constrained_evaluate;
        for (size_t k = 1; k <= 2; k++)
            bound(m, k, -50, log(most));
        for (size_t k = 3; k <= 4; k++)
            bound(m, k, MU_EXPONENT_LOW, MU_EXPONENT_HIGH);
        for (size_t k = 5; k <= 6; k++)
            bound(m, k, log(MU_WORTH_LOW), log(MU_WORTH_HIGH));
        return;
    }
    m->evaluate = evaluate_terms;
    for (size_t k = 1; k < MU_TERMS_PARAMETERS; k++) {
        const size_t variable = variable_of[law][k];

        if (variable != ABSENT && k <= 2)
            bound(m, variable, 0, most);
        else if (variable != ABSENT)
            bound(m, variable, MU_EXPONENT_LOW, MU_EXPONENT_HIGH);
    }
}

void mu_work_variables(const struct mu_work *work, const double theta[], double x[])
{
    const enum mu_law_kind law = work->problem->law;
    const bool logarithms = law == MU_LAW_DATA_CONSTRAINED;
    const size_t *variable = logarithms ? variable_of[MU_LAW_CHINCHILLA] : variable_of[law];
    const double centre[2] = {work->centre_x, work->centre_y};

    memcpy(x, theta, mu_law_of(law)->parameters * sizeof *x);
    for (size_t term = 0; term < 2; term++) {
        const size_t k = variable[1 + term];

        if (k == ABSENT)
            continue;
        if (logarithms)
            x[k] = mu_det_log(theta[k]) - theta[variable[3 + term]] * centre[term];
        else
            x[k] = theta[k] * mu_det_exp(-theta[variable[3 + term]] * centre[term]);
    }
    for (size_t k = 5; logarithms && k <= 6; k++)
        x[k] = mu_det_log(theta[k]);
}

void mu_work_theta(const struct mu_work *work, const double x[], double theta[])
{
    const enum mu_law_kind law = work->problem->law;
    const bool logarithms = law == MU_LAW_DATA_CONSTRAINED;
    const size_t *variable = logarithms ? variable_of[MU_LAW_CHINCHILLA] : variable_of[law];
    const double centre[2] = {work->centre_x, work->centre_y};

    memcpy(theta, x, mu_law_of(law)->parameters * sizeof *x);
    for (size_t term = 0; term < 2; term++) {
        const size_t k = variable[1 + term];

        if (k == ABSENT)
            continue;
        if (logarithms)
            theta[k] = mu_det_exp(x[k] + x[variable[3 + term]] * centre[term]);
        else
            theta[k] = x[k] * mu_det_exp(x[variable[3 + term]] * centre[term]);
    }
    for (size_t k = 5; logarithms && k <= 6; k++)
        theta[k] = mu_det_exp(x[k]);
}
