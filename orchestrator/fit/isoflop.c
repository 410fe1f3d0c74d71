/* Parabolas of the loss in ln N.
 *
 * For each budget weighted least squares in t = (ln N - centre) / half range, so that the normal
 * equations are of order one:
 *
 *     loss = p0 + p1 t + p2 t^2  [+ (g + h t) (ln C - ln c)]
 *
 * The bracket brings points whose C are not quite equal to the budget's common c: at a fixed N more
 * compute is more data, so the loss falls with ln C, faster for a large model. It is there when C
 * spreads over more than 1 % and there are enough points; the answer is the parabola at c. Its
 * coefficients have a prior, normal about 0 with sd .1 loss (the law's own are some hundredths of
 * the loss): where C hardly spreads and the losses are noisy, the bracket fades instead of fitting
 * noise at the parabola's cost. Losses are taken to be off the parabola by .3 % at least, the law
 * not being one: where C is a smooth function of N (runs of one 6N + 12LdT, read as 6N) the bracket
 * would otherwise spend itself on the law's third derivative and throw the vertex far off. */
#include <math.h>
#include <string.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/fit/isoflop.h"

enum {
    TERMS = 5, /* 1, t, t^2, ln C, t ln C */
    SIZES = 4, /* counted up to so many */
    SPARE = 3  /* points beyond the coefficients that a term for C asks for */
};
static const double SPREAD = 1.01; /* of C, below which it is taken as equal */
static const double SAME = 1e-3;   /* ln N */
static const double PRIOR = .1;    /* sd of the coefficients of ln C, of the loss */
static const double MISFIT = 3e-3; /* sd that the prior is weighed against at least, of the loss */
static const double LEAST_FREE = .05; /* of a residual's variance, by which it is scaled up */
static const double SINGULAR = 1e-8;  /* of a column's square that its predecessors leave */

/* One budget's points. */
struct tally {
    size_t points;
    double weight, ln_n_sum, loss_sum, ln_n_low, ln_n_high;
    double centre, half;
    double size[SIZES]; /* ln N that differ */
    size_t sizes;
    double ln_c;
    bool wide;   /* C spreads */
    double loss; /* mean, subtracted in what follows */
    double normal[TERMS][TERMS], right[TERMS], square;
};

/* What is fitted: see mu_isoflop_fit. */
struct task {
    const struct mu_fit_point *points;
    size_t count;
    const struct mu_budgets *budgets;
    const double *loss;
};

static double loss_of(const struct task *task, size_t k)
{
    return task->loss ? task->loss[k] : task->points[k].loss;
}

static void count_size(struct tally *t, double ln_n)
{
    for (size_t k = 0; k < t->sizes; k++)
        if (fabs(t->size[k] - ln_n) < SAME)
            return;
    if (t->sizes < SIZES)
        t->size[t->sizes++] = ln_n;
}

/* What must be known before the moments can be taken: centre, range, sizes. */
static void survey(const struct task *task, struct tally tally[])
{
    const struct mu_fit_point *points = task->points;
    const struct mu_budgets *budgets = task->budgets;

    for (size_t k = 0; k < task->count; k++) {
        const double w = points[k].weight;
        struct tally *t;
        double ln_n;

        if (budgets->of[k] == MU_FIT_NONE || w <= 0)
            continue;
        t = &tally[budgets->of[k]];
        ln_n = budgets->ln_n[k];
        if (t->points++ == 0)
            t->ln_n_low = t->ln_n_high = ln_n;
        t->ln_n_low = fmin(t->ln_n_low, ln_n);
        t->ln_n_high = fmax(t->ln_n_high, ln_n);
        t->weight += w;
        t->ln_n_sum += w * ln_n;
        t->loss_sum += w * loss_of(task, k);
        count_size(t, ln_n);
    }
    for (size_t b = 0; b < budgets->count; b++) {
        struct tally *t = &tally[b];

        if (t->points == 0)
            continue;
        t->centre = t->ln_n_sum / t->weight;
        t->loss = t->loss_sum / t->weight;
        t->half = (t->ln_n_high - t->ln_n_low) / 2;
        t->ln_c = mu_det_log(budgets->c[b]);
        t->wide = budgets->spread[b] > SPREAD;
    }
}

static void columns_of(const struct task *task, const struct tally *t, size_t k,
                       double column[TERMS])
{
    column[0] = 1;
    column[1] = (task->budgets->ln_n[k] - t->centre) / t->half;
    column[2] = column[1] * column[1];
    column[3] = t->wide ? task->budgets->ln_c[k] - t->ln_c : 0;
    column[4] = column[1] * column[3];
}

static void take_moments(const struct task *task, struct tally tally[])
{
    for (size_t k = 0; k < task->count; k++) {
        const double w = task->points[k].weight;
        struct tally *t;
        double column[TERMS], loss;

        if (task->budgets->of[k] == MU_FIT_NONE || w <= 0)
            continue;
        t = &tally[task->budgets->of[k]];
        if (t->half <= 0)
            continue;
        columns_of(task, t, k, column);
        loss = loss_of(task, k) - t->loss;
        for (size_t i = 0; i < TERMS; i++) {
            for (size_t j = 0; j <= i; j++)
                t->normal[i][j] += w * column[i] * column[j];
            t->right[i] += w * column[i] * loss;
        }
        t->square += w * loss * loss;
    }
}

/* Least squares with some of the first columns. */
struct solution {
    size_t terms; /* columns; 0: they are dependent */
    double p[TERMS];
    double factor[TERMS][TERMS]; /* Cholesky's, of the normal equations */
};

/* factor z = x */
static void solve_lower(const struct solution *s, const double x[TERMS], double z[TERMS])
{
    for (size_t i = 0; i < s->terms; i++) {
        z[i] = x[i];
        for (size_t k = 0; k < i; k++)
            z[i] -= s->factor[i][k] * z[k];
        z[i] /= s->factor[i][i];
    }
}

/* ridge: added to the diagonal of the columns of C. False: the columns are dependent. */
static bool solve(const struct tally *t, size_t terms, double ridge, struct solution *s)
{
    double y[TERMS];

    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < terms; i++)
        for (size_t j = 0; j <= i; j++) {
            double left = t->normal[i][j] + (i == j && i > 2 ? ridge : 0);

            for (size_t k = 0; k < j; k++)
                left -= s->factor[i][k] * s->factor[j][k];
            if (i > j)
                s->factor[i][j] = left / s->factor[j][j];
            else if (left > SINGULAR * t->normal[i][i])
                s->factor[i][i] = sqrt(left);
            else
                return false;
        }
    s->terms = terms;
    solve_lower(s, t->right, y);
    for (size_t i = terms; i-- > 0;) {
        s->p[i] = y[i];
        for (size_t k = i + 1; k < terms; k++)
            s->p[i] -= s->factor[k][i] * s->p[k];
        s->p[i] /= s->factor[i][i];
    }
    return true;
}

/* x' (normal)^-1 x: the variance of x p per unit of the residuals' (weighted) variance. */
static double variance_along(const struct solution *s, const double x[TERMS])
{
    double z[TERMS], sum = 0;

    solve_lower(s, x, z);
    for (size_t i = 0; i < s->terms; i++)
        sum += z[i] * z[i];
    return sum;
}

/* Student's t that chance exceeds once in 20. */
static double student(size_t degrees)
{
    static const double T[] = {6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833};

    return degrees <= sizeof T / sizeof *T ? T[degrees - 1] : 1.645 + 1.67 / (double)degrees;
}

static void refuse_vertex(const struct tally *t, double ln_vertex, struct mu_isoflop_budget *out)
{
    const bool above = ln_vertex > t->ln_n_high;

    mu_refuse(&out->refusal,
              "the parabola's vertex (N = %.3g) lies %s the sizes tried (%.3g to %.3g): add "
              "%s models at this budget",
              mu_det_exp(ln_vertex), above ? "above" : "below", out->n_low, out->n_high,
              above ? "larger" : "smaller");
}

static double value_at(const struct tally *t, const struct solution *s, const double x[TERMS])
{
    double sum = t->loss;

    for (size_t i = 0; i < s->terms; i++)
        sum += s->p[i] * x[i];
    return sum;
}

/* The residuals' sum of squares comes from the points: the difference of moments would lose it to
 * rounding where there is no noise. */
static double residual_square(const struct task *task, size_t b, const struct tally *t,
                              const struct solution *s)
{
    double sum = 0, x[TERMS];

    for (size_t k = 0; k < task->count; k++)
        if (task->budgets->of[k] == b) {
            double r;

            columns_of(task, t, k, x);
            r = loss_of(task, k) - value_at(t, s, x);
            sum += task->points[k].weight * r * r;
        }
    return sum;
}

static void set_residuals(const struct task *task, size_t b, const struct tally *t,
                          const struct solution *s, struct mu_isoflop_residual *out)
{
    double x[TERMS];

    for (size_t k = 0; k < task->count; k++)
        if (task->budgets->of[k] == b) {
            double leverage;

            columns_of(task, t, k, x);
            leverage = task->points[k].weight * variance_along(s, x);
            out[k].fitted = value_at(t, s, x);
            out[k].scaled = (loss_of(task, k) - out[k].fitted) / fmax(1 - leverage, LEAST_FREE);
        }
}

/* The residuals' variance by the moments: to 1e-8 of the loss, which is enough to weigh a prior. */
static double variance_left(const struct tally *t, const struct solution *s)
{
    double left = t->square;

    for (size_t i = 0; i < s->terms; i++)
        left -= s->p[i] * t->right[i];
    return fmax(left, 0) / (double)(t->points - s->terms);
}

/* With the most terms that the points determine. */
static void fit_terms(const struct tally *t, struct solution *s)
{
    const double prior = PRIOR * t->loss, misfit = MISFIT * t->loss,
                 least = misfit * misfit * t->weight / (double)t->points;

    if (t->wide)
        for (size_t terms = TERMS; terms > 3; terms--)
            if (t->points >= terms + SPARE && solve(t, terms, 0, s) &&
                solve(t, terms, fmax(variance_left(t, s), least) / (prior * prior), s))
                return;
    if (!solve(t, 3, 0, s))
        s->terms = 0;
}

static void find_vertex(const struct tally *t, const double p[3], double c,
                        const struct mu_flops *flops, bool strict, struct mu_isoflop_budget *out)
{
    const double vertex = -p[1] / (2 * p[2]), ln_vertex = t->centre + t->half * vertex;
    const double beyond = strict ? 0 : 2 * t->half;

    if (!(ln_vertex >= t->ln_n_low - beyond && ln_vertex <= t->ln_n_high + beyond)) {
        refuse_vertex(t, ln_vertex, out);
        return;
    }
    out->n = mu_det_exp(ln_vertex);
    out->d = mu_flops_tokens(flops, c, out->n);
    out->loss = p[0] + p[1] * vertex / 2;
}

static bool enough_sizes(const struct tally *t, bool strict, struct mu_isoflop_budget *out)
{
    const size_t needed = strict ? SIZES : 3;

    if (t->sizes >= needed)
        return true;
    mu_refuse(&out->refusal, "%zu size%s at this budget: a parabola needs at least %zu", t->sizes,
              t->sizes == 1 ? "" : "s", needed);
    return false;
}

static bool bends_upwards(double curvature, double sd, size_t degrees, bool strict,
                          struct mu_isoflop_budget *out)
{
    if (curvature <= 0)
        mu_refuse(&out->refusal,
                  "no minimum: the loss bends downwards over the sizes tried (%.3g to %.3g): add "
                  "sizes further apart",
                  out->n_low, out->n_high);
    else if (strict && degrees > 0 && curvature < student(degrees) * sd)
        mu_refuse(&out->refusal,
                  "no curvature beyond the noise: the scatter about the parabola, %.2g nats, could "
                  "make it (sizes %.3g to %.3g): add sizes further apart, or seeds",
                  out->residual_sd, out->n_low, out->n_high);
    return !out->refusal.refused;
}

static double line_of(const double x[], const double y[], size_t count, double *at_zero)
{
    double mean_x = 0, mean_y = 0, xx = 0, xy = 0;

    for (size_t k = 0; k < count; k++) {
        mean_x += x[k] / (double)count;
        mean_y += y[k] / (double)count;
    }
    for (size_t k = 0; k < count; k++) {
        xx += (x[k] - mean_x) * (x[k] - mean_x);
        xy += (x[k] - mean_x) * (y[k] - mean_y);
    }
    *at_zero = mean_y - xy / xx * mean_x;
    return xy / xx;
}

static void fit_lines(const struct mu_budgets *budgets, struct mu_isoflop *out)
{
    double x[MU_BUDGETS], n[MU_BUDGETS], d[MU_BUDGETS], loss[MU_BUDGETS];
    size_t k = 0;
    const struct mu_isoflop_budget *refused = NULL;
    double c_refused = 0;

    for (size_t b = 0; b < out->count; b++) {
        const struct mu_isoflop_budget *budget = &out->budget[b];

        if (budget->refusal.refused) {
            refused = budget;
            c_refused = budgets->c[b];
            continue;
        }
        x[k] = mu_det_log(budgets->c[b]);
        n[k] = mu_det_log(budget->n);
        d[k] = mu_det_log(budget->d);
        loss[k++] = mu_det_log(fmax(budget->loss, 1e-300));
    }
    out->vertices = k;
    if (k < 2 && refused)
        mu_refuse(&out->refusal, "%zu of %zu budgets %s a vertex, a line needs 2 (%.3g: %.150s)", k,
                  out->count, k == 1 ? "has" : "have", c_refused, refused->refusal.why);
    else if (k < 2)
        mu_refuse(&out->refusal, "there is one budget, a line needs 2");
    else if (x[k - 1] - x[0] < SAME)
        mu_refuse(&out->refusal, "all budgets are of the same C (%.3g): a line needs 2",
                  budgets->c[0]);
    if (out->refusal.refused)
        return;
    out->n_line.exponent = line_of(x, n, k, &out->n_line.ln_at_one);
    out->d_line.exponent = line_of(x, d, k, &out->d_line.ln_at_one);
    out->loss_line.exponent = line_of(x, loss, k, &out->loss_line.ln_at_one);
}

static void fit_budget(const struct task *task, size_t b, const struct tally *t,
                       const struct mu_flops *flops, bool strict,
                       struct mu_isoflop_residual *residual, struct mu_isoflop_budget *out)
{
    static const double square_term[TERMS] = {0, 0, 1, 0, 0};
    struct solution s;
    double square = 0, p[3];
    size_t degrees;

    out->points = t->points;
    out->residual_sd = NAN;
    if (t->points > 0) {
        out->n_low = mu_det_exp(t->ln_n_low);
        out->n_high = mu_det_exp(t->ln_n_high);
    }
    if (!enough_sizes(t, strict, out))
        return;
    fit_terms(t, &s);
    if (s.terms == 0) {
        mu_refuse(&out->refusal, "the sizes tried (%.3g to %.3g) do not determine a parabola",
                  out->n_low, out->n_high);
        return;
    }
    degrees = t->points - s.terms;
    p[0] = s.p[0] + t->loss;
    p[1] = s.p[1];
    p[2] = s.p[2];
    out->ln_n_centre = t->centre;
    out->q[0] = p[0];
    out->q[1] = p[1] / t->half;
    out->q[2] = p[2] / (t->half * t->half);
    if (degrees > 0 && strict) {
        square = residual_square(task, b, t, &s) / (double)degrees;
        out->residual_sd = sqrt(square * (double)t->points / t->weight);
    }
    if (bends_upwards(p[2], sqrt(variance_along(&s, square_term) * square), degrees, strict, out))
        find_vertex(t, p, task->budgets->c[b], flops, strict, out);
    if (residual && !out->refusal.refused)
        set_residuals(task, b, t, &s, residual);
}

void mu_isoflop_fit(const struct mu_fit_point *points, size_t count,
                    const struct mu_budgets *budgets, const struct mu_flops *flops,
                    const double *loss, bool strict, struct mu_isoflop_residual *residual,
                    struct mu_isoflop *out)
{
    const struct task task = {points, count, budgets, loss};
    struct tally tally[MU_BUDGETS];

    memset(out, 0, sizeof *out);
    for (size_t k = 0; residual && k < count; k++)
        residual[k] = (struct mu_isoflop_residual){NAN, 0};
    if (budgets->refusal.refused) {
        out->refusal = budgets->refusal;
        return;
    }
    memset(tally, 0, budgets->count * sizeof *tally);
    survey(&task, tally);
    take_moments(&task, tally);
    out->count = budgets->count;
    for (size_t b = 0; b < budgets->count; b++)
        fit_budget(&task, b, &tally[b], flops, strict, residual, &out->budget[b]);
    fit_lines(budgets, out);
}

void mu_isoflop_resample(const struct mu_fit_point *points, size_t count,
                         const struct mu_isoflop_residual *residual, const double *multiplicity,
                         double *loss)
{
    for (size_t k = 0; k < count; k++)
        loss[k] = isnan(residual[k].fitted)
                      ? points[k].loss
                      : residual[k].fitted + (multiplicity[k] - 1) * residual[k].scaled;
}
