/* The best model of each budget by each method, from the points as they are. */
#include <math.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/fit/parts.h"

static const double built_within = 0.1; /* of ln N: a model further off is not of that size */

double mu_fit_largest_of(const struct mu_fit_work *w, enum mu_method m)
{
    const struct mu_fit *fit = w->fit;
    double largest = 0;

    if (m == MU_METHOD_ENVELOPE)
        return fit->envelope.c_high;
    if (m == MU_METHOD_PARAMETRIC)
        return w->plan.c_largest;
    for (size_t b = 0; b < fit->isoflop.count; b++)
        if (!fit->isoflop.budget[b].refusal.refused)
            largest = fmax(largest, fit->budgets.c[b]);
    return largest;
}

/* Nothing where the rule builds none of about this size. */
static struct mu_built build(const struct mu_fit *fit, double n)
{
    const struct mu_built built = mu_shape_build(&fit->options.rule, n, fit->options.count);

    return fabs(mu_det_log(built.n / n)) <= built_within ? built : (struct mu_built){0};
}

static struct mu_fit_optimum optimum_of(struct mu_fit_work *w, enum mu_method m, size_t k)
{
    const struct mu_fit *fit = w->fit;
    const struct mu_measured_method *x = &w->whole->method[m];
    struct mu_fit_optimum o = {.c = w->plan.c[k],
                               .n = mu_estimate_of(x->n[k]),
                               .d = mu_estimate_of(x->d[k]),
                               .ratio = mu_estimate_of(x->d[k] / x->n[k]),
                               .loss = mu_estimate_of(x->loss[k]),
                               .n_low = NAN,
                               .n_high = NAN,
                               .far = w->plan.c[k] >
                                      MU_FIT_FAR * mu_fit_largest_of(w, m) * (1 + 1e-9)};

    if (isnan(x->n[k]))
        return o;
    o.built = build(fit, x->n[k]);
    if (m == MU_METHOD_PARAMETRIC) {
        const struct mu_best best = {
            .n = x->n[k], .d = x->d[k], .loss = x->loss[k], .inside = true};

        mu_best_range(fit->law.kind, w->whole->theta, &fit->flops, o.c, fit->options.unique, &best,
                      fit->options.tolerance, &o.n_low, &o.n_high);
    }
    return o;
}

static void refuse_methods(struct mu_fit_work *w)
{
    struct mu_fit *fit = w->fit;
    struct mu_refusal *law = &fit->scaling[MU_METHOD_PARAMETRIC].refusal;

    fit->scaling[MU_METHOD_ISOFLOP].refusal = fit->isoflop.refusal;
    fit->scaling[MU_METHOD_ENVELOPE].refusal = fit->envelope.refusal;
    *law = fit->law.refusal;
    if (law->refused || fit->law.kind == MU_LAW_POWER_C)
        return;
    if (mu_law_is_of_one(fit->law.kind))
        mu_refuse(law,
                  "a law of one variable has no optimum: it does not say what the other one is "
                  "worth");
    else if (isnan(w->whole->method[MU_METHOD_PARAMETRIC].ln_n))
        mu_refuse(law,
                  "at %.3g FLOPs the law's loss has no minimum between N = %.3g and %.3g: a "
                  "term has vanished, or the best size lies outside",
                  w->plan.c_largest, w->plan.n_low, w->plan.n_high);
}

/* Each method on the points as they are. */
void mu_fit_set_optima(struct mu_fit_work *w)
{
    struct mu_fit *fit = w->fit;
    const double *theta = w->problem ? w->whole->theta : NULL;

    for (size_t k = 0; k < mu_law_of(fit->law.kind)->parameters; k++)
        w->whole->theta[k] = fit->law.theta[k].value;
    for (int m = 0; m < MU_METHOD_COUNT; m++)
        mu_measure_nothing(&w->whole->method[m]);
    if (theta)
        mu_measure_law_optima(&w->plan, theta, &w->whole->method[MU_METHOD_PARAMETRIC]);
    if (!fit->isoflop.refusal.refused)
        mu_measure_line_optima(&w->plan, fit->isoflop.n_line, fit->isoflop.d_line, theta,
                               &w->whole->method[MU_METHOD_ISOFLOP]);
    if (!fit->envelope.refusal.refused)
        mu_measure_line_optima(&w->plan, fit->envelope.n_line, fit->envelope.d_line, theta,
                               &w->whole->method[MU_METHOD_ENVELOPE]);
    refuse_methods(w);
    for (int m = 0; m < MU_METHOD_COUNT; m++) {
        struct mu_fit_scaling *s = &fit->scaling[m];

        s->a = mu_estimate_of(w->whole->method[m].a);
        s->b = mu_estimate_of(w->whole->method[m].b);
        for (size_t k = 0; k < w->plan.optima; k++)
            *(k < w->plan.targets ? &s->target[k] : &s->path[k - w->plan.targets]) =
                optimum_of(w, (enum mu_method)m, k);
    }
}
