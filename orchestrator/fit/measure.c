#include "orchestrator/fit/measure.h"

#include <math.h>

#include "orchestrator/base/detmath.h"

static const double slope_step =
    0.05; /* of ln C: the slope is a central difference over twice it */

_Static_assert(sizeof(struct mu_measured) % sizeof(double) == 0, "a row of doubles");

static void set_nan(double *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = NAN;
}

void mu_measure_nothing(struct mu_measured_method *out)
{
    set_nan((double *)out, sizeof *out / sizeof(double));
}

static double law_loss(const struct mu_measure_plan *plan, const double *theta, double n, double d,
                       double c)
{
    return mu_law_loss(plan->law, theta, n, d, c, d < plan->unique ? d : plan->unique);
}

static bool best(const struct mu_measure_plan *plan, const double theta[], double c,
                 struct mu_best *out)
{
    *out = mu_best_of_budget(plan->law, theta, &plan->flops, c, plan->unique, plan->n_low,
                             plan->n_high);
    return out->inside;
}

/* A law of C alone has losses and no optimum. */
static void measure_losses(const struct mu_measure_plan *plan, const double theta[],
                           struct mu_measured_method *out)
{
    for (size_t k = 0; k < plan->optima; k++)
        out->loss[k] = mu_law_loss(plan->law, theta, NAN, NAN, plan->c[k], NAN);
}

void mu_measure_law_optima(const struct mu_measure_plan *plan, const double theta[],
                           struct mu_measured_method *out)
{
    const double factor = mu_det_exp(slope_step);
    struct mu_best below, at, above;

    mu_measure_nothing(out);
    if (plan->law == MU_LAW_POWER_C) {
        measure_losses(plan, theta, out);
        return;
    }
    if (best(plan, theta, plan->c_largest, &at))
        out->ln_n = mu_det_log(at.n);
    if (best(plan, theta, plan->c_largest / factor, &below) &&
        best(plan, theta, plan->c_largest * factor, &above)) {
        out->a = mu_det_log(above.n / below.n) / (2 * slope_step);
        out->b = mu_det_log(above.d / below.d) / (2 * slope_step);
    }
    for (size_t k = 0; k < plan->optima; k++) {
        if (!best(plan, theta, plan->c[k], &at))
            continue;
        out->n[k] = at.n;
        out->d[k] = at.d;
        out->loss[k] = at.loss;
    }
}

void mu_measure_line_optima(const struct mu_measure_plan *plan, struct mu_power n,
                            struct mu_power d, const double *theta, struct mu_measured_method *out)
{
    mu_measure_nothing(out);
    out->a = n.exponent;
    out->b = d.exponent;
    out->ln_n = n.ln_at_one + n.exponent * mu_det_log(plan->c_largest);
    for (size_t k = 0; k < plan->optima; k++) {
        out->n[k] = mu_power_at(n, plan->c[k]);
        out->d[k] = mu_flops_tokens(&plan->flops, plan->c[k], out->n[k]);
        if (theta && !mu_law_is_of_one(plan->law))
            out->loss[k] = law_loss(plan, theta, out->n[k], out->d[k], plan->c[k]);
    }
}

static void measure_isoflop(const struct mu_measure_plan *plan, const double *multiplicity,
                            const double *theta, struct mu_measure_scratch *scratch,
                            struct mu_measured *out)
{
    struct mu_isoflop *found = &scratch->isoflop;

    mu_isoflop_resample(plan->point, plan->count, plan->residual, multiplicity, scratch->loss);
    mu_isoflop_fit(plan->point, plan->count, plan->budgets, &plan->flops, scratch->loss, false,
                   NULL, found);
    for (size_t b = 0; b < found->count; b++) {
        if (found->budget[b].refusal.refused)
            continue;
        out->vertex_n[b] = found->budget[b].n;
        out->vertex_d[b] = found->budget[b].d;
        out->vertex_loss[b] = found->budget[b].loss;
    }
    if (!found->refusal.refused)
        mu_measure_line_optima(plan, found->n_line, found->d_line, theta,
                               &out->method[MU_METHOD_ISOFLOP]);
}

/* A replicate that drew no more points than the law has parameters says nothing of it. */
static bool enough_points(const struct mu_measure_plan *plan, const double *multiplicity)
{
    const size_t parameters = mu_law_of(plan->law)->parameters;
    size_t drawn = 0;

    for (size_t i = 0; i < plan->count && drawn <= parameters; i++)
        drawn += plan->point[i].end && multiplicity[i] > 0;
    return drawn > parameters;
}

enum mu_status mu_measure(const struct mu_measure_plan *plan, const double *multiplicity,
                          const double *start, struct mu_measure_scratch *scratch,
                          struct mu_measured *out)
{
    struct mu_law_estimate estimate;
    const double *theta = NULL;
    enum mu_status st = MU_OK;

    set_nan((double *)out, sizeof *out / sizeof(double));
    if (plan->problem && enough_points(plan, multiplicity)) {
        MU_TRY(mu_parametric_fit(plan->problem, plan->objective, multiplicity, start, &estimate),
               st, done);
        theta = estimate.theta;
        for (size_t k = 0; k < mu_law_of(plan->law)->parameters; k++)
            out->theta[k] = theta[k];
        mu_measure_law_optima(plan, theta, &out->method[MU_METHOD_PARAMETRIC]);
    }
    if (plan->residual)
        measure_isoflop(plan, multiplicity, theta, scratch, out);
    if (plan->curves) {
        mu_envelope_fit(plan->curves, multiplicity, &scratch->envelope);
        if (!scratch->envelope.refusal.refused)
            mu_measure_line_optima(plan, scratch->envelope.n_line, scratch->envelope.d_line, theta,
                                   &out->method[MU_METHOD_ENVELOPE]);
    }
done:
    return st;
}
