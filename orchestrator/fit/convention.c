/* The same runs, counted otherwise: N under each count, C under each FLOP function, all of it
 * fitted again. Leaving out the head alone moves the exponent of N* from .71 to .84 (Porian et
 * al. 2024, 2406.19146); so a recommendation is worth as much as the convention that it names. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/fit/parts.h"

/* A point's model under another count: by its own shape, else by the rule. */
static double recount(const struct mu_fit_work *w, const struct mu_fit_point *p,
                      enum mu_count_kind to)
{
    if (p->shape.layers > 0)
        return mu_shape_size(&p->shape, to);
    return mu_shape_recount(&w->plan.flops.rule, p->n, w->plan.flops.count, to);
}

static double flops_of(const struct mu_flops *f, const struct mu_fit_point *p)
{
    const struct mu_gpt_shape *s = &p->shape;

    if (f->kind == MU_FLOPS_6N_ATTENTION && s->layers > 0)
        return 6 * p->n +
               mu_count_attention((double)s->layers, (double)s->width, (double)s->context);
    return mu_flops_per_token(f, p->n);
}

/* Points keep the budgets that they were trained for, whatever their C is called now. */
static void recount_points(const struct mu_fit_work *w, const struct mu_flops *flops,
                           struct mu_fit_point *out)
{
    for (size_t i = 0; i < w->count; i++) {
        out[i] = w->kept[i];
        out[i].n = recount(w, &w->kept[i], flops->count);
        out[i].c = flops_of(flops, &out[i]) * out[i].d;
        out[i].group = w->fit->budgets.of ? w->fit->budgets.of[i] : MU_FIT_NONE;
    }
}

static enum mu_status isoflop_exponent(const struct mu_fit_work *w, const struct mu_flops *flops,
                                       const struct mu_fit_point *points, double *a)
{
    struct mu_isoflop *found = malloc(sizeof *found);
    struct mu_budgets budgets = {0};
    enum mu_status st = MU_OK;

    *a = NAN;
    if (!found)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the IsoFLOP method");
    MU_TRY(mu_budgets_find(points, w->count, &budgets), st, done);
    if (!budgets.refusal.refused) {
        mu_isoflop_fit(points, w->count, &budgets, flops, NULL, true, NULL, found);
        if (!found->refusal.refused)
            *a = found->n_line.exponent;
    }
done:
    mu_budgets_free(&budgets);
    free(found);
    return st;
}

static enum mu_status fit_under(struct mu_fit_work *w, enum mu_count_kind count,
                                enum mu_flops_kind kind, struct mu_fit_point *points)
{
    struct mu_fit_convention *c = &w->fit->convention[w->fit->conventions];
    const struct mu_flops *own = &w->plan.flops;
    struct mu_measure_plan plan = w->plan;
    struct mu_parametric *problem = NULL;
    struct mu_measured_method *optima = malloc(sizeof *optima);
    struct mu_law_estimate estimate;
    enum mu_status st = MU_OK;

    if (!optima)
        return MU_FAIL(MU_NO_MEMORY, "no memory for another convention");
    *c = (struct mu_fit_convention){
        .count = count, .flops = kind, .own = count == own->count && kind == own->kind};
    plan.flops.kind = kind;
    plan.flops.count = count;
    recount_points(w, &plan.flops, points);
    MU_TRY(isoflop_exponent(w, &plan.flops, points, &c->a_isoflop), st, done);
    MU_TRY(mu_parametric_new(points, w->count, plan.law, &problem), st, done);
    MU_TRY(mu_parametric_fit(problem, plan.objective, NULL, NULL, &estimate), st, done);
    mu_measure_law_optima(&plan, estimate.theta, optima);
    c->a = optima->a;
    c->b = optima->b;
    for (size_t k = 0; k < plan.targets; k++) {
        c->target[k].n = optima->n[k];
        c->target[k].d = optima->d[k];
        c->target[k].n_own = isnan(optima->n[k])
                                 ? NAN
                                 : mu_shape_recount(&own->rule, optima->n[k], count, own->count);
    }
    w->fit->conventions++;
done:
    mu_parametric_free(problem);
    free(optima);
    return st;
}

static bool have_shapes(const struct mu_fit_work *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->kept[i].shape.layers == 0)
            return false;
    return true;
}

enum mu_status mu_fit_recount(struct mu_fit_work *w)
{
    static const enum mu_count_kind counts[] = {MU_COUNT_ALL, MU_COUNT_NON_EMBEDDING,
                                                MU_COUNT_NON_EMBEDDING_HEAD};
    static const enum mu_flops_kind kinds[] = {MU_FLOPS_6N, MU_FLOPS_6N_ATTENTION};
    struct mu_fit *fit = w->fit;
    struct mu_fit_point *points;
    enum mu_status st = MU_OK;

    if (!w->problem || mu_law_is_of_one(fit->options.law)) {
        snprintf(fit->conventions_missing, sizeof fit->conventions_missing,
                 "there is no law with an optimum to compare them by");
        return MU_OK;
    }
    if (w->plan.flops.count == MU_COUNT_AS_GIVEN ||
        (!have_shapes(w) && fit->rule_source != MU_RULE_GIVEN)) {
        snprintf(fit->conventions_missing, sizeof fit->conventions_missing,
                 "it is not known which parameters N counts, or how the models are built: columns "
                 "layers, width, context and vocab say so, or --count and --shape");
        return MU_OK;
    }
    points = malloc((w->count + 1) * sizeof *points);
    if (!points)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu points", w->count);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            MU_TRY(fit_under(w, counts[i], kinds[k], points), st, done);
done:
    free(points);
    return st;
}
