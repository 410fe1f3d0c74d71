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
 * noise at the parabola's cost; without noise the prior has no weight. */
#include <math.h>
#include <string.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/fit/isoflop.h"

enum {
    TERMS = 5, /* 1, t, t^2, ln C, t ln C */
    SIZES = 4, /* counted up to so many */
    SPARE = 3  /* points beyond the coefficients that a term for C asks for */
};
static const double SPREAD = 1.01;   /* of C, below which it is taken as equal */
static const double SAME = 1e-3;     /* ln N */
static const double PRIOR = .1;      /* sd of the coefficients of ln C, of the loss */
static const double SINGULAR = 1e-8; /* of a column's square that its predecessors leave */

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

static double weight_of(const struct mu_fit_point *points, const double *multiplicity, size_t k)
{
    return points[k].weight * (multiplicity ? multiplicity[k] : 1);
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
static void survey(const struct mu_fit_point *points, size_t count,
                   const struct mu_budgets *budgets, const double *multiplicity,
                   struct tally tally[])
{
    for (size_t k = 0; k < count; k++) {
        const double w = weight_of(points, multiplicity, k);
        struct tally *t;
        double ln_n;

        if (budgets->of[k] == MU_FIT_NONE || w <= 0)
            continue;
        t = &tally[budgets->of[k]];
        ln_n = mu_det_log(points[k].n);
        if (t->points++ == 0)
            t->ln_n_low = t->ln_n_high = ln_n;
        t->ln_n_low = fmin(t->ln_n_low, ln_n);
        t->ln_n_high = fmax(t->ln_n_high, ln_n);
        t->weight += w;
        t->ln_n_sum += w * ln_n;
        t->loss_sum += w * points[k].loss;
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

static void take_moments(const struct mu_fit_point *points, size_t count,
                         const struct mu_budgets *budgets, const double *multiplicity,
                         struct tally tally[])
{
    for (size_t k = 0; k < count; k++) {
        const double w = weight_of(points, multiplicity, k);
        struct tally *t;
        double column[TERMS], loss;

        if (budgets->of[k] == MU_FIT_NONE || w <= 0)
            continue;
        t = &tally[budgets->of[k]];
        if (t->half <= 0)
            continue;
        column[0] = 1;
        column[1] = (mu_det_log(points[k].n) - t->centre) / t->half;
        column[2] = column[1] * column[1];
        column[3] = t->wide ? mu_det_log(points[k].c) - t->ln_c : 0;
        column[4] = column[1] * column[3];
        loss = points[k].loss - t->loss;
        for (size_t i = 0; i < TERMS; i++) {
            for (size_t j = 0; j <= i; j++)
                t->normal[i][j] += w * column[i] * column[j];
            t->right[i] += w * column[i] * loss;
        }
        t->square += w * loss * loss;
    }
}

/* Least squares with the first `terms` columns, by Cholesky's factor; ridge: added to the diagonal
 * of those of C. False: they are dependent. variance: of the coefficient of t^2 per unit of the
 * residuals' (weighted) variance. */
static bool solve(const struct tally *t, size_t terms, double ridge, double p[TERMS],
                  double *variance)
{
    double factor[TERMS][TERMS] = {{0}}, y[TERMS], z[TERMS] = {0};

    for (size_t i = 0; i < terms; i++)
        for (size_t j = 0; j <= i; j++) {
            double left = t->normal[i][j] + (i == j && i > 2 ? ridge : 0);

            for (size_t k = 0; k < j; k++)
                left -= factor[i][k] * factor[j][k];
            if (i > j)
                factor[i][j] = left / factor[j][j];
            else if (left > SINGULAR * t->normal[i][i])
                factor[i][i] = sqrt(left);
            else
                return false;
        }
    for (size_t i = 0; i < terms; i++) {
        y[i] = t->right[i];
        for (size_t k = 0; k < i; k++)
            y[i] -= factor[i][k] * y[k];
        y[i] /= factor[i][i];
    }
    for (size_t i = terms; i-- > 0;) {
        p[i] = y[i];
        for (size_t k = i + 1; k < terms; k++)
            p[i] -= factor[k][i] * p[k];
        p[i] /= factor[i][i];
    }
    *variance = 0; /* |factor^-1 e_2|^2 */
    for (size_t i = 2; i < terms; i++) {
        z[i] = i == 2 ? 1 : 0;
        for (size_t k = 2; k < i; k++)
            z[i] -= factor[i][k] * z[k];
        z[i] /= factor[i][i];
        *variance += z[i] * z[i];
    }
    return true;
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

/* The residuals' sum of squares comes from the points: the difference of moments would lose it to
 * rounding where there is no noise. */
static double residual_square(const struct mu_fit_point *points, size_t count,
                              const struct mu_budgets *budgets, const double *multiplicity,
                              size_t b, const struct tally *t, const double p[TERMS])
{
    double sum = 0;

    for (size_t k = 0; k < count; k++)
        if (budgets->of[k] == b) {
            const double x = (mu_det_log(points[k].n) - t->centre) / t->half;
            const double z = t->wide ? mu_det_log(points[k].c) - t->ln_c : 0;
            const double r =
                points[k].loss - (p[0] + x * (p[1] + x * p[2]) + z * (p[3] + x * p[4]));

            sum += weight_of(points, multiplicity, k) * r * r;
        }
    return sum;
}

/* The residuals' variance by the moments: to 1e-8 of the loss, which is enough to weigh a prior. */
static double variance_left(const struct tally *t, size_t terms, const double p[TERMS])
{
    double left = t->square;

    for (size_t i = 0; i < terms; i++)
        left -= p[i] * t->right[i];
    return fmax(left, 0) / (double)(t->points - terms);
}

/* The most terms that the points determine. p[0] is of the loss less its mean. */
static size_t fit_terms(const struct tally *t, double p[TERMS], double *variance)
{
    const double prior = PRIOR * t->loss;

    if (t->wide)
        for (size_t terms = TERMS; terms > 3; terms--)
            if (t->points >= terms + SPARE && solve(t, terms, 0, p, variance) &&
                solve(t, terms, variance_left(t, terms, p) / (prior * prior), p, variance))
                return terms;
    for (size_t i = 3; i < TERMS; i++)
        p[i] = 0;
    return solve(t, 3, 0, p, variance) ? 3 : 0;
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

void mu_isoflop_fit(const struct mu_fit_point *points, size_t count,
                    const struct mu_budgets *budgets, const struct mu_flops *flops,
                    const double *multiplicity, bool strict, struct mu_isoflop *out)
{
    struct tally tally[MU_BUDGETS];

    memset(out, 0, sizeof *out);
    if (budgets->refusal.refused) {
        out->refusal = budgets->refusal;
        return;
    }
    memset(tally, 0, budgets->count * sizeof *tally);
    survey(points, count, budgets, multiplicity, tally);
    take_moments(points, count, budgets, multiplicity, tally);
    out->count = budgets->count;
    for (size_t b = 0; b < budgets->count; b++) {
        const struct tally *t = &tally[b];
        struct mu_isoflop_budget *o = &out->budget[b];
        double p[TERMS] = {0}, variance = 0;
        size_t terms, degrees;

        o->points = t->points;
        o->residual_sd = NAN;
        if (t->points > 0) {
            o->n_low = mu_det_exp(t->ln_n_low);
            o->n_high = mu_det_exp(t->ln_n_high);
        }
        if (!enough_sizes(t, strict, o))
            continue;
        terms = fit_terms(t, p, &variance);
        if (terms == 0) {
            mu_refuse(&o->refusal, "the sizes tried (%.3g to %.3g) do not determine a parabola",
                      o->n_low, o->n_high);
            continue;
        }
        degrees = t->points - terms;
        p[0] += t->loss;
        o->ln_n_centre = t->centre;
        o->q[0] = p[0];
        o->q[1] = p[1] / t->half;
        o->q[2] = p[2] / (t->half * t->half);
        if (degrees > 0 && strict) {
            const double square =
                residual_square(points, count, budgets, multiplicity, b, t, p) / (double)degrees;

            o->residual_sd = sqrt(square * (double)t->points / t->weight);
            variance *= square;
        }
        if (bends_upwards(p[2], sqrt(variance), degrees, strict, o))
            find_vertex(t, p, budgets->c[b], flops, strict, o);
    }
    fit_lines(budgets, out);
}
