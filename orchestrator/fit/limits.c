/* From replicates to limits. Each number keeps the value that the points as they are gave. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/fit/noise.h"
#include "orchestrator/fit/parts.h"

static const double wide_exponent = 1; /* a 95 % interval wider than the value itself */
static const double wide_factor =
    100; /* of A and B: high over low; they are e^(alpha ln N) strong */

static void set_optimum(struct mu_fit_work *w, enum mu_method m, size_t k,
                        struct mu_fit_optimum *optimum)
{
    struct mu_bootstrap *b = &w->bootstrap;
    const size_t n = MU_COLUMN_OF(method[m].n[k]), d = MU_COLUMN_OF(method[m].d[k]);

    mu_bootstrap_interval(b, n, &optimum->n);
    mu_bootstrap_interval(b, d, &optimum->d);
    mu_bootstrap_ratio(b, d, n, &optimum->ratio);
    mu_bootstrap_prediction(b, MU_COLUMN_OF(method[m].loss[k]), w->fit->noise.sd,
                            w->fit->noise.degrees, &optimum->loss);
}

static void set_scaling(struct mu_fit_work *w, enum mu_method m)
{
    struct mu_fit_scaling *s = &w->fit->scaling[m];
    struct mu_bootstrap *b = &w->bootstrap;

    if (s->refusal.refused)
        return;
    s->replicates = mu_bootstrap_interval(b, MU_COLUMN_OF(method[m].a), &s->a);
    mu_bootstrap_interval(b, MU_COLUMN_OF(method[m].b), &s->b);
    for (size_t k = 0; k < w->plan.optima; k++)
        set_optimum(w, m, k, k < w->plan.targets ? &s->target[k] : &s->path[k - w->plan.targets]);
    if (!isnan(s->a.value) && s->replicates < b->count)
        mu_fit_warn(w->fit,
                    "%zu of %zu replicates gave the %s method no result: its intervals speak for "
                    "the others only%s",
                    b->count - s->replicates, b->count, mu_method_text(m),
                    2 * s->replicates < b->count ? ", which are too few to show any" : "");
}

/* A and B are judged as factors, E and exponents as differences. */
static bool is_wide(const char *parameter, const struct mu_estimate *x)
{
    if (isnan(x->low95))
        return false;
    if (parameter[0] == 'A' || parameter[0] == 'B' || parameter[0] == 'R')
        return !(x->low95 > 0) || x->high95 / x->low95 > wide_factor;
    return x->high95 - x->low95 > wide_exponent * fabs(x->value);
}

/* An exponent whose terms have vanished: nothing feels it, and all replicates leave it alone. */
static bool is_unfelt(const struct mu_fit_law *law, const struct mu_law_estimate *best, size_t k)
{
    enum { A = 1 << 1, B = 1 << 2 };
    const char *parameter = mu_law_of(law->kind)->parameter[k];
    const uint32_t amplitudes = strcmp(parameter, "beta") == 0      ? B
                                : strcmp(parameter, "alpha") != 0   ? 0
                                : law->kind == MU_LAW_OVER_TRAINING ? A | B
                                                                    : A;

    return amplitudes && (best->at_bound & amplitudes) == amplitudes;
}

/* Of the final losses about the law. */
static double design_effect(const struct mu_fit_work *w)
{
    double *residual = malloc((w->count + 1) * sizeof *residual), effect = 1;
    uint32_t *cluster = malloc((w->count + 1) * sizeof *cluster);
    size_t finals = 0;

    for (size_t i = 0; residual && cluster && i < w->count; i++)
        if (w->kept[i].end) {
            residual[finals] =
                mu_det_log(w->kept[i].loss / w->fit->residual[w->origin[i]].predicted);
            cluster[finals++] = w->resample.cluster_of[i];
        }
    if (residual && cluster)
        effect = mu_noise_design_effect(residual, cluster, finals, w->resample.clusters);
    free(residual);
    free(cluster);
    return effect;
}

static enum mu_status set_law(struct mu_fit_work *w)
{
    struct mu_fit_law *law = &w->fit->law;
    const struct mu_law *names = mu_law_of(law->kind);
    const struct mu_law_estimate *best = &law->estimate[w->fit->options.objective.kind];
    enum mu_status st = MU_OK;

    for (size_t k = 0; k < names->parameters; k++) {
        mu_bootstrap_interval(&w->bootstrap, MU_COLUMN_OF(theta[k]), &law->theta[k]);
        law->weak[k] = (best->at_bound >> k & 1) || is_unfelt(law, best, k) ||
                       is_wide(names->parameter[k], &law->theta[k]);
        if (!law->weak[k])
            continue;
        MU_TRY(mu_parametric_profile(w->problem, w->fit->options.objective, best, k, 0.95,
                                     design_effect(w), &law->profile_low[k], &law->profile_high[k]),
               st, done);
        mu_fit_warn(
            w->fit,
            "%s is weakly identified by these points: its 95 %% profile likelihood interval "
            "is %.4g to %.4g",
            names->parameter[k], law->profile_low[k], law->profile_high[k]);
    }
done:
    return st;
}

static void set_vertices(struct mu_fit_work *w)
{
    struct mu_fit *fit = w->fit;

    for (size_t i = 0; i < fit->isoflop.count; i++) {
        if (fit->isoflop.budget[i].refusal.refused)
            continue;
        mu_bootstrap_interval(&w->bootstrap, MU_COLUMN_OF(vertex_n[i]), &fit->vertex_n[i]);
        mu_bootstrap_interval(&w->bootstrap, MU_COLUMN_OF(vertex_d[i]), &fit->vertex_d[i]);
        mu_bootstrap_interval(&w->bootstrap, MU_COLUMN_OF(vertex_loss[i]), &fit->vertex_loss[i]);
    }
}

/* Methods are compared within each replicate: what shifts both of them is no disagreement. */
static void compare(struct mu_fit_work *w, enum mu_method one, enum mu_method other)
{
    struct mu_fit *fit = w->fit;
    struct mu_fit_disagreement *d = &fit->disagreement[fit->disagreements];
    const double x = w->whole->method[one].ln_n, y = w->whole->method[other].ln_n;

    if (isnan(x) || isnan(y))
        return;
    fit->disagreements++;
    *d =
        (struct mu_fit_disagreement){.one = one, .other = other, .ln_ratio = mu_estimate_of(x - y)};
    mu_bootstrap_difference(&w->bootstrap, MU_COLUMN_OF(method[one].ln_n),
                            MU_COLUMN_OF(method[other].ln_n), &d->ln_ratio);
    d->flagged = d->ln_ratio.low95 > 0 || d->ln_ratio.high95 < 0;
    if (d->flagged)
        mu_fit_warn(fit,
                    "the %s and %s methods disagree beyond their intervals: N* at %.3g FLOPs is "
                    "%.3g times as large by the former (95 %%: %.3g to %.3g)",
                    mu_method_text(one), mu_method_text(other), w->plan.c_largest, exp(x - y),
                    exp(d->ln_ratio.low95), exp(d->ln_ratio.high95));
}

enum mu_status mu_fit_set_intervals(struct mu_fit_work *w)
{
    enum mu_status st = MU_OK;

    for (int one = 0; one < MU_METHOD_COUNT; one++)
        for (int other = one + 1; other < MU_METHOD_COUNT; other++)
            compare(w, (enum mu_method)one, (enum mu_method)other);
    if (w->bootstrap.count == 0)
        return MU_OK;
    for (int m = 0; m < MU_METHOD_COUNT; m++)
        set_scaling(w, (enum mu_method)m);
    set_vertices(w);
    if (w->problem)
        st = set_law(w);
    return st;
}
