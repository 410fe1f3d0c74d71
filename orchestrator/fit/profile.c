/* Profile-likelihood intervals: parameter k is held, the others are fitted again, and S rises.
 *
 * How far it may rise:
 *   squares           n ln(S / S_min) <= n ln(1 + t^2 / f): normal noise whose sd is fitted along
 *                     (Venzon and Moolgavkar 1988, "A method for computing
 *                     profile-likelihood-based confidence intervals"); t is Student's with the
 *                     points' f degrees of freedom, which is chi2 of many points, and exact of few
 *                     were the law linear (then this is the F test)
 *   Huber, absolute   2 kappa (S - S_min) <= t^2, kappa = E psi' / E psi^2 with psi = rho': the
 *                     drop test of M-estimates (Ronchetti's tau test; Hampel, Ronchetti, Rousseeuw
 *                     and Stahel 1986, "Robust Statistics", section 7.2), which assumes nothing of
 *                     the noise but that it is alike everywhere and independent. E psi' is
 *                     the share of residuals inside delta; where the residuals are far wider, their density near 0,
 *                     counted within a kernel's half-width h (Silverman's rule) instead, times
 *                     2 delta. E psi^2 is over the degrees of freedom.
 *
 * Points that share noise are worth fewer: the threshold is times their design effect. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/fit/parametric_work.h"

enum { N = MU_LAW_PARAMETERS, OUTWARD = 40, INWARD = 60 };
#define NO_NOISE 1e-10 /* residuals below this count as rounding */

struct profile {
    struct mu_work work;
    struct mu_objective objective;
    size_t k;
    bool logarithm;                 /* the search is in ln of variable k */
    double least, threshold, kappa; /* kappa: 0 for squares */
};

/* A fit with the parameter held: its coordinate (the variable or ln of it), all variables. */
struct held_fit {
    double at, x[N], rise; /* rise: the statistic less its threshold */
};

static double rise_of(const struct profile *p, double value)
{
    const double n = (double)p->work.count;
    const double excess = fmax(value - p->least, 0);

    if (p->kappa > 0)
        return 2 * p->kappa * excess - p->threshold;
    return n * log1p(excess / fmax(p->least, 0.5 * p->work.weight * NO_NOISE * NO_NOISE)) -
           p->threshold;
}

static void polish_held(struct profile *p, double at, struct held_fit *fit)
{
    struct mu_minimise *m = &p->work.minimise;
    double value;

    fit->at = at;
    m->low[p->k] = m->high[p->k] = fit->x[p->k] = p->logarithm ? exp(at) : at;
    if (!mu_work_polish(&p->work, p->objective, fit->x, &value) && !isfinite(value))
        value = INFINITY;
    fit->rise = rise_of(p, value);
}

/* From two fits to a third: the others start where the last one had them, and where the line
 * through both leads. */
static struct held_fit fit_held(struct profile *p, double at, const struct held_fit *before,
                                const struct held_fit *last)
{
    struct held_fit near = *last, ahead = *last;

    polish_held(p, at, &near);
    if (before->at == last->at)
        return near;
    for (size_t i = 0; i < p->work.minimise.variables; i++)
        ahead.x[i] += (last->x[i] - before->x[i]) * (at - last->at) / (last->at - before->at);
    polish_held(p, at, &ahead);
    return ahead.rise < near.rise ? ahead : near;
}

/* The crossing between a fit below the threshold and one above it. */
static double cross(struct profile *p, struct held_fit below, struct held_fit above, double exact)
{
    for (int i = 0; i < INWARD && fabs(above.at - below.at) > exact; i++) {
        /* the statistic's root is nearly straight in the parameter */
        const double a = sqrt(fmax(below.rise + p->threshold, 0)) - sqrt(p->threshold),
                     b = sqrt(above.rise + p->threshold) - sqrt(p->threshold);
        double share = i % 3 == 2 || !isfinite(b) ? 0.5 : -a / (b - a);
        struct held_fit next;

        share = fmin(fmax(share, 0.02), 0.98);
        next = fit_held(p, below.at + share * (above.at - below.at), &above, &below);
        if (next.rise > 0)
            above = next;
        else
            below = next;
    }
    return 0.5 * (below.at + above.at);
}

/* Outward from the best fit in growing steps. false: never over the threshold up to `limit`. */
static bool search(struct profile *p, const struct held_fit *best, double limit, double step,
                   double *end)
{
    struct held_fit before = *best, last = *best;

    if (best->at == limit)
        return false;
    for (int i = 0; i < OUTWARD; i++) {
        double at = last.at + (limit > best->at ? step : -step);
        struct held_fit next;

        if (fabs(at - best->at) >= fabs(limit - best->at))
            at = limit;
        next = fit_held(p, at, &before, &last);
        if (next.rise > 0) {
            *end = cross(p, last, next, 1e-7 * fabs(next.at - best->at));
            return true;
        }
        if (at == limit)
            return false;
        before = last;
        last = next;
        step *= 1.6;
    }
    return false;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double degrees_of(const struct mu_work *work)
{
    return fmax((double)work->count - (double)work->minimise.variables, 1);
}

static double kappa_of(const struct mu_work *work, struct mu_objective objective, const double x[])
{
    const double n = (double)work->count,
                 delta = objective.kind == MU_OBJECTIVE_HUBER ? objective.delta : 0;
    double *r = (double *)work->columns, slope[N], width, inside = 0, squares = 0;

    for (size_t i = 0; i < work->count; i++)
        r[i] = fabs(mu_work_residual(work, i, x, slope));
    qsort(r, work->count, sizeof *r, ascending);
    /* half the width of a flat kernel as wide as Silverman's normal one; sd by the median */
    width = sqrt(3) * 1.06 * 1.4826 * r[work->count / 2] * pow(n, -0.2);
    width = fmax(fmax(width, delta), NO_NOISE);
    for (size_t i = 0; i < work->count; i++) {
        const double w = work->points.weight[i / MU_LANES][i % MU_LANES];
        const double residual = fmax(fabs(mu_work_residual(work, i, x, slope)), NO_NOISE),
                     psi = delta > 0 ? fmin(residual, delta) : 1;

        inside += residual <= width ? w : 0;
        squares += w * w * psi * psi;
    }
    return inside * (delta > 0 ? delta : 1) / width / squares * degrees_of(work) / n;
}

/* What Student's t exceeds in size with probability 1 - level: by Cornish and Fisher from the
 * normal quantile (Abramowitz and Stegun 26.7.5), to 1 % from 2 degrees on. */
static double student(double level, double degrees)
{
    double low = 0, high = 40, z2, first, second, third, fourth;

    for (int i = 0; i < 200; i++) {
        const double z = 0.5 * (low + high);

        if (erf(z / sqrt(2)) < level)
            low = z;
        else
            high = z;
    }
    z2 = low * low;
    first = (z2 + 1) / 4;
    second = ((5 * z2 + 16) * z2 + 3) / 96;
    third = (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384;
    fourth = ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160;
    return low *
           (1 + (first + (second + (third + fourth / degrees) / degrees) / degrees) / degrees);
}

static double threshold_of(const struct mu_work *work, struct mu_objective objective, double level)
{
    const double t = student(level, degrees_of(work));

    return objective.kind == MU_OBJECTIVE_SQUARES
               ? (double)work->count * log1p(t * t / degrees_of(work))
               : t * t;
}

/* Natural amplitudes, and ln of them in the search. */
static void hold_naturally(struct profile *p)
{
    struct mu_work *work = &p->work;
    const bool terms = work->problem->law != MU_LAW_DATA_CONSTRAINED;

    p->logarithm = terms && (p->k == 1 || (p->k == 2 && work->minimise.variables > 3));
    if (p->k == 1) {
        work->centre_x = 0;
        work->points.shift_x = terms ? work->problem->centre_x : 0;
    } else if (p->k == 2 && (p->logarithm || !terms)) {
        work->centre_y = 0;
        work->points.shift_y = terms ? work->problem->centre_y : 0;
    }
}

enum mu_status mu_parametric_profile(const struct mu_parametric *problem,
                                     struct mu_objective objective,
                                     const struct mu_law_estimate *best, size_t k, double level,
                                     double design_effect, double *low, double *high)
{
    struct profile p = {.objective = objective, .k = k};
    struct held_fit from = {0};
    enum mu_status st = MU_OK;
    double least, most, step = 1e-3;
    bool logarithm;

    *low = *high = NAN;
    MU_ASSERT(k < mu_law_of(problem->law)->parameters);
    MU_TRY(mu_work_new(problem, NULL, 1, &p.work), st, done);
    p.threshold = design_effect * threshold_of(&p.work, objective, level);
    from.rise = -p.threshold;
    hold_naturally(&p);
    mu_work_variables(&p.work, best->theta, from.x);
    logarithm =
        p.logarithm || (problem->law == MU_LAW_DATA_CONSTRAINED && (k == 1 || k == 2 || k >= 5));
    from.at = p.logarithm ? log(fmax(from.x[k], 1e-100)) : from.x[k];
    least = p.work.minimise.low[k];
    most = p.work.minimise.high[k];
    if (logarithm && k <= 2) {
        least = from.at - 200;
        most = from.at + 200;
    }
    p.least = best->objective;
    if (objective.kind != MU_OBJECTIVE_SQUARES)
        p.kappa = kappa_of(&p.work, objective, from.x);
    if (!search(&p, &from, least, step, low))
        *low = logarithm ? -INFINITY : 0;
    if (!search(&p, &from, most, step, high))
        *high = INFINITY;
    if (logarithm) {
        *low = exp(*low);
        *high = exp(*high);
    }
done:
    mu_work_free(&p.work);
    return st;
}
