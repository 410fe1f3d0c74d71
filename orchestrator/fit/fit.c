/* The order of a fit: what is kept, what the points' FLOPs are, each method on the points as they
 * are, the same on replicates, then what only a comparison shows: disagreements, the future, other
 * conventions. */
#include "orchestrator/fit/fit.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/cores.h"
#include "orchestrator/base/detmath.h"
#include "orchestrator/fit/interval.h"
#include "orchestrator/fit/noise.h"
#include "orchestrator/fit/parts.h"

static const char not_asked[] = "not asked for";
static const double normal_mad =
    1.4826022185056018; /* sd of a normal law over its median deviation */

const char *mu_method_text(enum mu_method method)
{
    static const char *const texts[] = {
#define MU_METHOD_TEXT(name, word, text) text,
        MU_METHOD_TABLE(MU_METHOD_TEXT)
#undef MU_METHOD_TEXT
    };

    return texts[method];
}

void mu_fit_options_default(struct mu_fit_options *options)
{
    *options = (struct mu_fit_options){.law = MU_LAW_CHINCHILLA,
                                       .objective = {.kind = MU_OBJECTIVE_HUBER, .delta = 1e-3},
                                       .replicates = 4000,
                                       .seed = 1,
                                       .unique = INFINITY,
                                       .tolerance = 1e-3};
}

/* sd of ln loss about the law; for robust objectives from the median deviation, which is as little
 * moved by outliers as they are. What parameters took up of the noise they took from the clusters:
 * these are the degrees of freedom. */
static double residual_sd(const struct mu_fit_work *w, size_t parameters)
{
    const struct mu_fit *fit = w->fit;
    const double clusters = w->resample.clusters, free_ones = clusters - (double)parameters;
    double *deviation = malloc((fit->used + 1) * sizeof *deviation), squares = 0, sd;
    size_t k = 0;

    if (!deviation || free_ones < 1) {
        free(deviation);
        return NAN;
    }
    for (size_t i = 0; i < fit->points->count; i++) {
        if (!fit->residual[i].used)
            continue;
        deviation[k] = fabs(mu_det_log(fit->residual[i].predicted / fit->points->point[i].loss));
        squares += deviation[k] * deviation[k];
        k++;
    }
    sd = fit->options.objective.kind == MU_OBJECTIVE_SQUARES
             ? sqrt(squares / (double)k)
             : normal_mad * mu_quantile(deviation, k, 0.5);
    free(deviation);
    return sd * sqrt(clusters / free_ones);
}

/* What --drop-top changed, by fitting all final points. */
static enum mu_status fit_undropped(struct mu_fit_work *w)
{
    struct mu_fit *fit = w->fit;
    struct mu_parametric *problem = NULL;
    enum mu_status st = MU_OK;

    if (fit->dropped == 0)
        return MU_OK;
    MU_TRY(mu_parametric_new(fit->points->point, fit->points->count, fit->law.kind, &problem), st,
           done);
    MU_TRY(mu_parametric_fit(problem, fit->options.objective, NULL, NULL, &fit->law.undropped), st,
           done);
done:
    mu_parametric_free(problem);
    return st;
}

static enum mu_status fit_law(struct mu_fit_work *w)
{
    struct mu_fit *fit = w->fit;
    struct mu_fit_law *law = &fit->law;
    const size_t parameters = mu_law_of(fit->options.law)->parameters;
    const struct mu_law_estimate *chosen = &law->estimate[fit->options.objective.kind];
    enum mu_status st = MU_OK;

    law->kind = fit->options.law;
    law->points = fit->used;
    for (size_t k = 0; k < MU_LAW_PARAMETERS; k++) {
        law->theta[k] = mu_estimate_of(NAN);
        law->profile_low[k] = law->profile_high[k] = NAN;
    }
    law->residual_sd = NAN;
    if (fit->options.without[MU_METHOD_PARAMETRIC])
        mu_refuse(&law->refusal, "%s", not_asked);
    else
        mu_parametric_check(w->kept, w->count, law->kind, &law->refusal);
    if (law->refusal.refused)
        return MU_OK;
    MU_TRY(mu_parametric_new(w->kept, w->count, law->kind, &w->problem), st, done);
    for (int k = 0; k < MU_OBJECTIVE_COUNT; k++)
        MU_TRY(mu_parametric_fit(w->problem,
                                 (struct mu_objective){.kind = (enum mu_objective_kind)k,
                                                       .delta = fit->options.objective.delta},
                                 NULL, NULL, &law->estimate[k]),
               st, done);
    for (size_t k = 0; k < parameters; k++)
        law->theta[k] = mu_estimate_of(chosen->theta[k]);
    for (size_t i = 0; i < fit->points->count; i++) {
        const struct mu_fit_point *p = &fit->points->point[i];

        fit->residual[i].predicted =
            mu_law_loss(law->kind, chosen->theta, p->n, p->d, p->c, p->unique);
    }
    law->residual_sd = residual_sd(w, parameters);
    MU_TRY(fit_undropped(w), st, done);
done:
    return st;
}

static void set_noise(struct mu_fit_work *w)
{
    struct mu_fit_noise *noise = &w->fit->noise;

    noise->sd = mu_noise_of_repeats(w->kept, w->count, &noise->degrees);
    noise->repeated = noise->degrees > 0;
    if (noise->repeated)
        return;
    noise->sd = isnan(w->fit->law.residual_sd) ? 0 : w->fit->law.residual_sd;
    noise->degrees =
        noise->sd > 0 ? w->resample.clusters - mu_law_of(w->fit->law.kind)->parameters : 0;
}

/* The vertex that a parabola through these sizes would have, were every loss as the law says. */
static enum mu_status measure_bias(struct mu_fit_work *w)
{
    struct mu_fit *fit = w->fit;
    const double *theta = fit->law.estimate[fit->options.objective.kind].theta;
    double *exact = malloc((w->count + 1) * sizeof *exact);
    struct mu_isoflop *found = malloc(sizeof *found);
    enum mu_status st = MU_OK;

    if (!exact || !found) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory for %zu points", w->count);
        goto done;
    }
    for (size_t i = 0; i < w->count; i++) {
        const struct mu_fit_point *p = &w->kept[i];

        exact[i] = mu_law_loss(fit->law.kind, theta, p->n, p->d, p->c, p->unique);
    }
    mu_isoflop_fit(w->kept, w->count, &w->vertices, &fit->flops, exact, false, NULL, found);
    for (size_t b = 0; b < found->count; b++) {
        const struct mu_best best =
            mu_best_of_budget(fit->law.kind, theta, &fit->flops, fit->budgets.c[b],
                              fit->options.unique, w->plan.n_low, w->plan.n_high);

        if (!found->budget[b].refusal.refused && best.inside)
            fit->isoflop_bias[b] = found->budget[b].n / best.n;
    }
done:
    free(exact);
    free(found);
    return st;
}

/* What replicates of the IsoFLOP method start from. */
static enum mu_status take_vertices(struct mu_fit_work *w)
{
    const struct mu_budgets *all = &w->fit->budgets;

    w->vertices = *all;
    w->vertices.of = malloc((w->count + 1) * sizeof *w->vertices.of);
    if (!w->vertices.of)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu points", w->count);
    for (size_t i = 0; i < w->count; i++)
        w->vertices.of[i] =
            all->of[i] == MU_FIT_NONE || w->fit->isoflop.budget[all->of[i]].refusal.refused
                ? MU_FIT_NONE
                : all->of[i];
    return MU_OK;
}

static enum mu_status fit_isoflop(struct mu_fit_work *w)
{
    struct mu_fit *fit = w->fit;
    enum mu_status st = MU_OK;

    for (size_t b = 0; b < MU_BUDGETS; b++) {
        fit->vertex_n[b] = fit->vertex_d[b] = fit->vertex_loss[b] = mu_estimate_of(NAN);
        fit->isoflop_bias[b] = NAN;
    }
    if (fit->points->single) {
        mu_refuse(&fit->isoflop.refusal, "needs parameters and tokens: the file has one of them");
        return MU_OK;
    }
    if (fit->options.without[MU_METHOD_ISOFLOP]) {
        mu_refuse(&fit->isoflop.refusal, "%s", not_asked);
        return MU_OK;
    }
    MU_TRY(mu_budgets_find(w->kept, w->count, &fit->budgets), st, done);
    if (fit->budgets.refusal.refused) {
        fit->isoflop.refusal = fit->budgets.refusal;
        return MU_OK;
    }
    w->residual = malloc((w->count + 1) * sizeof *w->residual);
    if (!w->residual)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu points", w->count);
    mu_isoflop_fit(w->kept, w->count, &fit->budgets, &fit->flops, NULL, true, w->residual,
                   &fit->isoflop);
    MU_TRY(take_vertices(w), st, done);
    for (size_t b = 0; b < fit->isoflop.count; b++) {
        const struct mu_isoflop_budget *budget = &fit->isoflop.budget[b];

        if (budget->refusal.refused)
            continue;
        fit->vertex_n[b] = mu_estimate_of(budget->n);
        fit->vertex_d[b] = mu_estimate_of(budget->d);
        fit->vertex_loss[b] = mu_estimate_of(budget->loss);
    }
    if (w->problem && !mu_law_is_of_one(fit->law.kind))
        st = measure_bias(w);
done:
    return st;
}

static enum mu_status fit_envelope(struct mu_fit_work *w)
{
    enum mu_status st = MU_OK;

    if (w->fit->points->single) {
        w->fit->envelope.refusal = w->fit->isoflop.refusal;
        return MU_OK;
    }
    if (w->fit->options.without[MU_METHOD_ENVELOPE]) {
        mu_refuse(&w->fit->envelope.refusal, "%s", not_asked);
        return MU_OK;
    }
    MU_TRY(mu_curves_new(w->kept, w->count, &w->curves), st, done);
    mu_envelope_fit(w->curves, NULL, &w->fit->envelope);
    if (w->fit->envelope.refusal.refused) {
        mu_curves_free(w->curves);
        w->curves = NULL;
    }
done:
    return st;
}

static void complete_plan(struct mu_fit_work *w)
{
    struct mu_fit *fit = w->fit;

    w->plan.point = w->kept;
    w->plan.count = w->count;
    w->plan.law = fit->options.law;
    w->plan.objective = fit->options.objective;
    w->plan.problem = w->problem;
    w->plan.budgets = &w->vertices;
    w->plan.residual = fit->isoflop.refusal.refused ? NULL : w->residual;
    w->plan.curves = w->curves;
    w->plan.flops = fit->flops;
    w->plan.unique = fit->options.unique;
}

static enum mu_status resample(struct mu_fit_work *w)
{
    const struct mu_fit_options *o = &w->fit->options;
    enum mu_status st = MU_OK;

    if (o->replicates > 0 && w->resample.clusters < 2)
        mu_fit_warn(w->fit, "there is one cluster (%s): nothing to resample, no intervals",
                    w->fit->points->cluster_kind);
    else if (o->replicates > 0 && w->resample.clusters < 5)
        mu_fit_warn(w->fit,
                    "there are %u clusters (%s) to resample: intervals from so few are a guess",
                    w->resample.clusters, w->fit->points->cluster_kind);
    MU_TRY(mu_bootstrap_run(&w->plan, &w->resample, w->whole->theta, o->seed, o->replicates,
                            o->threads, &w->bootstrap),
           st, done);
    MU_TRY(mu_fit_set_intervals(w), st, done);
done:
    return st;
}

static enum mu_status refuse_all(const struct mu_fit *fit)
{
    return MU_FAIL(
        MU_FAILED,
        "these points support no fit\n    parametric: %s\n    IsoFLOP: %s\n    envelope: %s",
        fit->law.refusal.why, fit->isoflop.refusal.why, fit->envelope.refusal.why);
}

static enum mu_status run(struct mu_fit_work *w)
{
    struct mu_fit *fit = w->fit;
    enum mu_status st = MU_OK;

    MU_TRY(mu_fit_keep(w), st, done);
    if (fit->used == 0)
        return MU_FAIL(MU_FAILED,
                       "there are no points to fit: of %zu rows none is a final loss with a weight "
                       "that --drop-top (%zu) leaves",
                       fit->points->count, fit->dropped);
    MU_TRY(mu_resample_init(w->kept, w->count, &w->resample), st, done);
    MU_TRY(mu_fit_plan(w), st, done);
    MU_TRY(fit_law(w), st, done);
    set_noise(w);
    MU_TRY(fit_isoflop(w), st, done);
    MU_TRY(fit_envelope(w), st, done);
    complete_plan(w);
    mu_fit_set_optima(w);
    MU_TRY(resample(w), st, done);
    MU_TRY(mu_fit_predict_future(w), st, done);
    MU_TRY(mu_fit_recount(w), st, done);
    MU_TRY(mu_fit_place_budgets(w), st, done);
    mu_fit_warn_all(w);
    if (fit->law.refusal.refused && fit->isoflop.refusal.refused && fit->envelope.refusal.refused &&
        !fit->options.may_refuse)
        st = refuse_all(fit);
done:
    return st;
}

enum mu_status mu_fit_run(const struct mu_fit_points *points, const struct mu_fit_options *options,
                          struct mu_fit **out)
{
    struct mu_fit_work w = {.fit = calloc(1, sizeof *w.fit), .whole = calloc(1, sizeof *w.whole)};
    enum mu_status st;

    *out = NULL;
    if (!w.fit || !w.whole) {
        free(w.fit);
        free(w.whole);
        return MU_FAIL(MU_NO_MEMORY, "no memory for a fit");
    }
    w.fit->options = *options;
    w.fit->points = points;
    if (w.fit->options.threads == 0)
        w.fit->options.threads = (unsigned)mu_cores_usable();
    st = run(&w);
    mu_bootstrap_deinit(&w.bootstrap);
    mu_resample_deinit(&w.resample);
    mu_curves_free(w.curves);
    mu_parametric_free(w.problem);
    free(w.vertices.of); /* the rest of it is the fit's */
    free(w.residual);
    free(w.kept);
    free(w.origin);
    free(w.whole);
    if (st == MU_OK)
        *out = w.fit;
    else
        mu_fit_free(w.fit);
    return st;
}

void mu_fit_free(struct mu_fit *fit)
{
    if (!fit)
        return;
    mu_budgets_free(&fit->budgets);
    free(fit->future);
    free(fit->residual);
    free(fit);
}
