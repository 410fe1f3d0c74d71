/* Whether points determine a law's parameters at all, told from their design alone. */
#include <math.h>

#include "orchestrator/fit/parametric.h"

enum { VALUES = 3 };
#define SAME_VALUE    0.01 /* in the logarithm */
#define MOVE_TOGETHER 1e-3 /* 1 - R^2 of ln D on ln N */

/* Values that differ, counted up to VALUES. */
struct values {
    size_t count;
    double value[VALUES];
};

static void note(struct values *v, double x)
{
    for (size_t k = 0; k < v->count; k++)
        if (fabs(log(x / v->value[k])) < SAME_VALUE)
            return;
    if (v->count < VALUES)
        v->value[v->count++] = x;
}

struct design {
    size_t points, repeated;
    struct values n, d, c, loss;
    double epochs; /* the most */
    double sum, x, y, xx, xy, yy;
};

static struct design design_of(const struct mu_fit_point *points, size_t count)
{
    struct design s = {.epochs = 1};
    double x0 = 0, y0 = 0;

    for (size_t i = 0; i < count; i++) {
        const struct mu_fit_point *p = &points[i];
        double x, y;

        if (!p->end || !(p->weight > 0))
            continue;
        if (s.points++ == 0) {
            x0 = log(p->n);
            y0 = log(p->d);
        }
        x = log(p->n) - x0;
        y = log(p->d) - y0;
        s.x += x;
        s.y += y;
        s.xx += x * x;
        s.xy += x * y;
        s.yy += y * y;
        note(&s.n, p->n);
        note(&s.d, p->d);
        note(&s.c, p->c);
        if (s.loss.count == 0 || p->loss != s.loss.value[0])
            s.loss.value[s.loss.count < VALUES ? s.loss.count++ : VALUES - 1] = p->loss;
        s.repeated += p->d > (1 + SAME_VALUE) * p->unique;
        s.epochs = fmax(s.epochs, p->d / p->unique);
    }
    return s;
}

static bool move_together(const struct design *s)
{
    const double n = (double)s->points, xx = s->xx - s->x * s->x / n, yy = s->yy - s->y * s->y / n,
                 xy = s->xy - s->x * s->y / n;

    return !(xx * yy - xy * xy > MOVE_TOGETHER * xx * yy);
}

static void refuse_few_values(const struct values *v, const char *name, const char *meaning,
                              struct mu_refusal *refusal)
{
    if (v->count < VALUES && !refusal->refused)
        mu_refuse(refusal,
                  "the points have %zu value%s of %s (%s): an offset and an exponent need at least "
                  "%d",
                  v->count, v->count == 1 ? "" : "s", name, meaning, VALUES);
}

static void check_repeats(const struct design *s, struct mu_refusal *refusal)
{
    if (refusal->refused)
        return;
    if (s->repeated < 4)
        mu_refuse(refusal,
                  "%zu point%s saw tokens more than once: R_D and R_N need at least 4 (a column of "
                  "distinct tokens tells them)",
                  s->repeated, s->repeated == 1 ? "" : "s");
    else if (s->epochs < 2)
        mu_refuse(refusal,
                  "no point saw its tokens more than %.3g times: what a repeated token is worth "
                  "shows from 2 epochs on",
                  s->epochs);
}

void mu_parametric_check(const struct mu_fit_point *points, size_t count, enum mu_law_kind law,
                         struct mu_refusal *refusal)
{
    const struct design s = design_of(points, count);
    const size_t parameters = mu_law_of(law)->parameters;

    *refusal = (struct mu_refusal){0};
    if (s.points <= parameters) {
        mu_refuse(refusal,
                  "%zu point%s with a final loss: the law's %zu parameters need at least %zu",
                  s.points, s.points == 1 ? "" : "s", parameters, parameters + 1);
        return;
    }
    if (s.loss.count < 2) {
        mu_refuse(refusal, "all losses are %g: there is nothing to explain", s.loss.value[0]);
        return;
    }
    if (law == MU_LAW_POWER_N) {
        refuse_few_values(&s.n, "N", "parameters", refusal);
        return;
    }
    if (law == MU_LAW_POWER_D) {
        refuse_few_values(&s.d, "D", "tokens", refusal);
        return;
    }
    if (law == MU_LAW_POWER_C) {
        refuse_few_values(&s.c, "C", "FLOPs", refusal);
        return;
    }
    refuse_few_values(&s.n, "N", "parameters", refusal);
    refuse_few_values(&s.d, "D", "tokens", refusal);
    if (!refusal->refused && move_together(&s))
        mu_refuse(refusal, "N and D move together (one D/N, or one budget): what is due to N "
                           "cannot be told from what is due to D; vary one at equal other");
    if (law == MU_LAW_DATA_CONSTRAINED)
        check_repeats(&s, refusal);
}
