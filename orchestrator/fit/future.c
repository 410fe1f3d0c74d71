/* Would this fit have foretold what came after? Fitted to all points up to a budget, asked for
 * those of every budget above it. The last row, all but the largest budget, is the hold-out. */
#include <math.h>
#include <stdlib.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/fit/parts.h"

enum { PARTS = 5 }; /* of points without budgets, of equal numbers */

/* Steps of compute: budgets where they were found, else equal parts of the points. */
struct steps {
    size_t count;
    double c[MU_BUDGETS], most[MU_BUDGETS]; /* how it is called; the largest C in it */
    uint32_t *of;                           /* [points]; MU_FIT_NONE: none */
    bool budgets;
};

static int by_c(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static bool is_final(const struct mu_fit_point *p)
{
    return p->end;
}

static enum mu_status cut_evenly(const struct mu_fit_work *w, struct steps *s)
{
    double *c = malloc((w->count + 1) * sizeof *c);
    size_t n = 0;

    if (!c)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu points", w->count);
    for (size_t i = 0; i < w->count; i++)
        if (is_final(&w->kept[i]))
            c[n++] = w->kept[i].c;
    qsort(c, n, sizeof *c, by_c);
    for (size_t k = 0; k < PARTS && n >= PARTS; k++) {
        const double most = c[(k + 1) * n / PARTS - 1];

        if (s->count == 0 || most > s->most[s->count - 1]) {
            s->most[s->count] = most;
            s->c[s->count++] = most;
        }
    }
    free(c);
    for (size_t i = 0; i < w->count; i++) {
        s->of[i] = MU_FIT_NONE;
        for (size_t k = s->count; is_final(&w->kept[i]) && k-- > 0;)
            if (w->kept[i].c <= s->most[k])
                s->of[i] = (uint32_t)k;
    }
    return MU_OK;
}

static void take_budgets(const struct mu_fit_work *w, struct steps *s)
{
    const struct mu_budgets *b = &w->fit->budgets;

    s->count = b->count;
    s->budgets = true;
    for (size_t k = 0; k < b->count; k++)
        s->c[k] = b->c[k];
    for (size_t i = 0; i < w->count; i++) {
        s->of[i] = b->of[i];
        if (b->of[i] != MU_FIT_NONE)
            s->most[b->of[i]] = fmax(s->most[b->of[i]], w->kept[i].c);
    }
}

static void predict(const struct mu_fit_work *w, const struct steps *s, size_t step,
                    const double theta[], struct mu_fit_future *row)
{
    const enum mu_law_kind law = w->plan.law;
    double sum = 0, squares = 0, weight = 0;
    struct mu_best best;

    for (size_t i = 0; i < w->count; i++) {
        const struct mu_fit_point *p = &w->kept[i];
        double error;

        if (s->of[i] != step || !(p->weight > 0))
            continue;
        row->predicted++;
        error = mu_det_log(mu_law_loss(law, theta, p->n, p->d, p->c, p->unique) / p->loss);
        sum += p->weight * error;
        squares += p->weight * error * error;
        weight += p->weight;
    }
    if (row->predicted == 0) {
        mu_refuse(&row->refusal, "the points there have no weight");
        return;
    }
    row->bias = sum / weight;
    row->rms = sqrt(squares / weight);
    if (!s->budgets || w->fit->isoflop.budget[step].refusal.refused || law == MU_LAW_POWER_C)
        return;
    best = mu_best_of_budget(law, theta, &w->plan.flops, s->c[step], w->plan.unique, w->plan.n_low,
                             w->plan.n_high);
    if (best.inside)
        row->n_ratio = best.n / w->fit->isoflop.budget[step].n;
}

/* All rows that are fitted to the points up to `last`. */
static enum mu_status fit_up_to(struct mu_fit_work *w, const struct steps *s, size_t last,
                                struct mu_fit_point *early)
{
    struct mu_parametric *problem = NULL;
    struct mu_refusal refusal = {0};
    struct mu_law_estimate estimate;
    size_t n = 0, finals = 0;
    enum mu_status st = MU_OK;

    for (size_t i = 0; i < w->count; i++)
        if (s->of[i] == MU_FIT_NONE ? w->kept[i].c <= s->most[last] : s->of[i] <= last) {
            early[n++] = w->kept[i];
            finals += w->kept[i].end;
        }
    mu_parametric_check(early, n, w->plan.law, &refusal);
    if (!refusal.refused) {
        MU_TRY(mu_parametric_new(early, n, w->plan.law, &problem), st, done);
        MU_TRY(mu_parametric_fit(problem, w->plan.objective, NULL, NULL, &estimate), st, done);
    }
    for (size_t step = last + 1; step < s->count; step++) {
        struct mu_fit_future *row = &w->fit->future[w->fit->futures++];

        *row = (struct mu_fit_future){.c_fitted = s->c[last],
                                      .c_predicted = s->c[step],
                                      .fitted = finals,
                                      .refusal = refusal,
                                      .bias = NAN,
                                      .rms = NAN,
                                      .n_ratio = NAN};
        if (!refusal.refused)
            predict(w, s, step, estimate.theta, row);
    }
done:
    mu_parametric_free(problem);
    return st;
}

enum mu_status mu_fit_predict_future(struct mu_fit_work *w)
{
    struct steps *s = calloc(1, sizeof *s);
    struct mu_fit_point *early = malloc((w->count + 1) * sizeof *early);
    enum mu_status st = MU_OK;

    if (!s || !early || !(s->of = malloc((w->count + 1) * sizeof *s->of))) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory for %zu points", w->count);
        goto done;
    }
    if (w->fit->budgets.refusal.refused || w->fit->budgets.count < 2)
        MU_TRY(cut_evenly(w, s), st, done);
    else
        take_budgets(w, s);
    w->fit->future = calloc(s->count * s->count / 2 + 1, sizeof *w->fit->future);
    if (!w->fit->future) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory for the predictions");
        goto done;
    }
    for (size_t last = 0; last + 1 < s->count; last++)
        MU_TRY(fit_up_to(w, s, last, early), st, done);
done:
    if (s)
        free(s->of);
    free(s);
    free(early);
    return st;
}
