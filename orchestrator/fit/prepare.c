/* Before anything is fitted: which points are kept, what their FLOPs are made of, and for which
 * budgets an optimum will be wanted. */
#include <math.h>
#include <stdlib.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/fit/parts.h"

/* How far beyond the sizes that were tried an optimum is looked for; with more compute, further. */
static const double n_below = 1e-4, n_above = 1e4;

static const struct mu_shape_rule default_rule = {.known = true,
                                                  .aspect = 100,
                                                  .head_width = 64,
                                                  .width_step = 64,
                                                  .context = 2048,
                                                  .vocab = 32000};

struct by_loss {
    double loss;
    size_t index;
};

/* Highest first; of equal ones the later row. */
static int compare_losses(const void *a, const void *b)
{
    const struct by_loss *x = a, *y = b;

    if (x->loss != y->loss)
        return x->loss < y->loss ? 1 : -1;
    return x->index < y->index ? 1 : -1;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Marks the final losses that --drop-top leaves out. A curve goes with its end. */
static void drop(struct mu_fit *fit, struct by_loss *order, size_t finals, bool *dropped)
{
    const struct mu_fit_points *all = fit->points;

    qsort(order, finals, sizeof *order, compare_losses);
    fit->dropped = fit->options.drop_top < finals ? fit->options.drop_top : finals;
    for (size_t k = 0; k < fit->dropped; k++) {
        const struct mu_fit_point *p = &all->point[order[k].index];

        fit->residual[order[k].index].used = false;
        dropped[order[k].index] = true;
        if (k < sizeof fit->dropped_line / sizeof *fit->dropped_line)
            fit->dropped_line[k] = p->line;
        for (size_t i = 0; p->curve != MU_FIT_NONE && i < all->count; i++)
            dropped[i] = dropped[i] || all->point[i].curve == p->curve;
    }
}

/* To a mean of 1 over the final losses: only their ratios mean something, and sums of them neither
 * overflow nor vanish. */
static void scale_weights(struct mu_fit_work *w)
{
    double most = 0, sum = 0;
    size_t finals = 0;

    for (size_t i = 0; i < w->count; i++)
        if (w->kept[i].end)
            most = fmax(most, w->kept[i].weight);
    for (size_t i = 0; i < w->count; i++)
        if (w->kept[i].end) {
            sum += w->kept[i].weight / most;
            finals++;
        }
    for (size_t i = 0; i < w->count && finals > 0; i++)
        w->kept[i].weight = w->kept[i].weight / most / (sum / (double)finals);
}

enum mu_status mu_fit_keep(struct mu_fit_work *w)
{
    struct mu_fit *fit = w->fit;
    const struct mu_fit_points *all = fit->points;
    struct by_loss *order = malloc((all->count + 1) * sizeof *order);
    bool *dropped = calloc(all->count + 1, sizeof *dropped);
    size_t finals = 0, weightless = 0;
    enum mu_status st = MU_OK;

    fit->residual = calloc(all->count + 1, sizeof *fit->residual);
    w->kept = malloc((all->count + 1) * sizeof *w->kept);
    w->origin = malloc((all->count + 1) * sizeof *w->origin);
    if (!order || !dropped || !fit->residual || !w->kept || !w->origin) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory for %zu points", all->count);
        goto done;
    }
    for (size_t i = 0; i < all->count; i++) {
        dropped[i] = !(all->point[i].weight > 0);
        weightless += dropped[i];
        fit->residual[i].predicted = NAN;
        fit->residual[i].used = all->point[i].end && !dropped[i];
        if (fit->residual[i].used)
            order[finals++] = (struct by_loss){all->point[i].loss, i};
    }
    drop(fit, order, finals, dropped);
    fit->used = finals - fit->dropped;
    for (size_t i = 0; i < all->count; i++)
        if (!dropped[i]) {
            w->origin[w->count] = i;
            w->kept[w->count] = all->point[i];
            if (all->single) /* what compute is elsewhere: that by which points are ordered */
                w->kept[w->count].c = mu_law_abscissa(fit->options.law, all->point[i].n,
                                                      all->point[i].d, all->point[i].c);
            w->count++;
        }
    scale_weights(w);
    if (weightless > 0)
        mu_fit_warn(fit, "%zu row%s of weight 0 had no part in anything", weightless,
                    weightless == 1 ? "" : "s");
done:
    free(order);
    free(dropped);
    return st;
}

/* The budgets were found among the points kept; the caller knows its own points. */
enum mu_status mu_fit_place_budgets(struct mu_fit_work *w)
{
    struct mu_fit *fit = w->fit;
    const size_t count = fit->points->count;
    uint32_t *of = malloc((count + 1) * sizeof *of);

    if (!of)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu points", count);
    for (size_t i = 0; i < count; i++)
        of[i] = MU_FIT_NONE;
    for (size_t i = 0; fit->budgets.of && i < w->count; i++)
        of[w->origin[i]] = fit->budgets.of[i];
    free(fit->budgets.of);
    free(fit->budgets.ln_n); /* the points' too, and done with */
    fit->budgets.ln_n = fit->budgets.ln_c = NULL;
    fit->budgets.of = of;
    fit->budgets.points = count;
    return MU_OK;
}

/* FLOP function, shape rule, count: as given, else as the points have them. */
static enum mu_status set_conventions(struct mu_fit_work *w)
{
    struct mu_fit *fit = w->fit;
    struct mu_fit_options *o = &fit->options;
    const struct mu_shape_rule own = mu_shape_rule_of_points(w->kept, w->count);
    const enum mu_count_kind counted = mu_count_of_points(w->kept, w->count);
    enum mu_status st = MU_OK;

    MU_TRY(mu_flops_of_points(w->kept, w->count, &fit->flops), st, done);
    if (o->flops_given)
        fit->flops.kind = o->flops;
    fit->rule_source = o->rule.known ? MU_RULE_GIVEN : own.known ? MU_RULE_POINTS : MU_RULE_DEFAULT;
    if (!o->rule.known)
        o->rule = own.known ? own : default_rule;
    if (o->count == MU_COUNT_AS_GIVEN)
        o->count = counted;
    fit->flops.rule = o->rule;
    fit->flops.count = o->count;
    o->flops = fit->flops.kind;
done:
    return st;
}

static void set_targets(struct mu_fit *fit)
{
    static const double factors[] = {1, 3, 10, 30};
    struct mu_fit_options *o = &fit->options;

    if (fit->points->single && o->law != MU_LAW_POWER_C)
        o->targets = 0; /* there is no compute to be given */
    else if (o->targets == 0)
        for (size_t k = 0; k < sizeof factors / sizeof *factors; k++)
            o->target[o->targets++] = factors[k] * fit->c_largest;
    qsort(o->target, o->targets, sizeof *o->target, ascending);
}

/* Budgets at which optima are given, and the range of sizes to look in. */
static void plan_optima(struct mu_fit_work *w)
{
    struct mu_measure_plan *plan = &w->plan;
    const struct mu_fit_options *o = &w->fit->options;
    double n_least = INFINITY, n_most = 0, c_least = INFINITY, c_most;

    for (size_t i = 0; i < w->count; i++) {
        if (!w->kept[i].end)
            continue;
        n_least = fmin(n_least, w->kept[i].n);
        n_most = fmax(n_most, w->kept[i].n);
        c_least = fmin(c_least, w->kept[i].c);
        w->fit->c_largest = fmax(w->fit->c_largest, w->kept[i].c);
    }
    set_targets(w->fit);
    c_most = w->fit->c_largest;
    if (o->targets > 0)
        c_most = fmax(c_most, o->target[o->targets - 1]);
    w->c_least = c_least;
    plan->c_largest = w->fit->c_largest;
    plan->n_low = n_least * n_below * (o->targets > 0 ? fmin(1, o->target[0] / c_least) : 1);
    plan->n_high = n_most * n_above * (c_most / w->fit->c_largest);
    plan->targets = o->targets;
    plan->optima = o->targets + MU_FIT_PATH;
    for (size_t k = 0; k < o->targets; k++)
        plan->c[k] = o->target[k];
    for (size_t k = 0; k < MU_FIT_PATH; k++)
        plan->c[o->targets + k] =
            c_least * mu_det_pow(c_most / c_least, (double)k / (MU_FIT_PATH - 1));
}

enum mu_status mu_fit_plan(struct mu_fit_work *w)
{
    enum mu_status st = set_conventions(w);

    if (st == MU_OK)
        plan_optima(w);
    return st;
}
