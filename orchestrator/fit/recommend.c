#include "orchestrator/fit/recommend.h"

#include <math.h>

#include "orchestrator/base/detmath.h"

enum { SCAN = 32, ROOT_STEPS = 200, RANGE_STEPS = 60 };

static const double root_width = 1e-12, rough_root_width = 1e-9; /* in ln N */
static const double difference_step = 0x1.0p-16;                 /* in ln N */
static const double range_first = 0.25, range_most = 64;         /* in ln N */
static const double equal_loss = 1e-14;                          /* relative: rounding */
static const double flat_reach = 0.1, flat_loss = 1e-12;         /* in ln N; relative */

struct problem {
    enum mu_law_kind law;
    const double *theta;
    const struct mu_flops *flops;
    double c, unique;
    /* Of laws E + A/N^alpha + B/D^beta: */
    bool powers;
    double alpha, beta, ln_c, ln_ratio; /* ln_ratio: of beta B to alpha A */
};

/* Between ln N = low and high the loss along the budget falls, then rises. */
struct bracket {
    double low, high, at_low, at_high; /* at: the slope there */
    double seen, seen_ln_n;            /* lowest loss met on the way here; INFINITY: none */
};

static struct problem make_problem(enum mu_law_kind law, const double *theta,
                                   const struct mu_flops *flops, double c, double unique)
{
    struct problem p = {.law = law, .theta = theta, .flops = flops, .c = c, .unique = unique};

    p.powers = law == MU_LAW_CHINCHILLA || law == MU_LAW_OVER_TRAINING;
    if (p.powers) {
        p.alpha = theta[3];
        p.beta = law == MU_LAW_OVER_TRAINING ? theta[3] : theta[4];
        p.ln_c = mu_det_log(c);
        p.ln_ratio = mu_det_log(p.beta * theta[2]) - mu_det_log(p.alpha * theta[1]);
    }
    return p;
}

static double loss_of_size(const struct problem *p, double n)
{
    const double d = mu_flops_tokens(p->flops, p->c, n);

    return mu_law_loss(p->law, p->theta, n, d, p->c, fmin(p->unique, d));
}

/* Of the sign of d L / d ln N along the budget, and smooth. The minimum of a flat function is seen
 * to half of the digits only, a root of its slope to nearly all.
 *
 * Sums of powers: ln of (what is lost by fewer tokens / what is won by size), with D = C / F(N):
 *     ln(beta B / (alpha A)) + ln(d ln F / d ln N) - beta ln D + alpha ln N,
 * for C = 6 N D a straight line in ln N. Other laws, which have knees: a difference; at a knee the
 * root is off by no more than its step. */
static double slope_at(const struct problem *p, double ln_n)
{
    const double n = mu_det_exp(ln_n);
    double flops_slope;

    if (!p->powers)
        return loss_of_size(p, mu_det_exp(ln_n + difference_step)) -
               loss_of_size(p, mu_det_exp(ln_n - difference_step));
    flops_slope = mu_flops_slope(p->flops, n);
    if (!(flops_slope > 0)) /* larger models cost less: noise in what was measured */
        return -INFINITY;
    return p->ln_ratio + mu_det_log(flops_slope) -
           p->beta * (p->ln_c - mu_det_log(mu_flops_per_token(p->flops, n))) + p->alpha * ln_n;
}

/* False position with the Illinois halving, every fourth step a bisection, so that a corner costs
 * no more than that; never nearer to an end than the width that is asked, so that a root found is
 * soon enclosed. Where the ends do not enclose a root, an end or a turn within. */
static double root_of_slope(const struct problem *p, struct bracket b)
{
    const double width = p->powers ? root_width : rough_root_width;
    int side = 0; /* which end the last step moved */

    for (int i = 0; i < ROOT_STEPS && b.high - b.low > 2 * width; i++) {
        double x = (b.low + b.high) / 2, slope;

        if (i % 4 != 3 && b.at_low < 0 && b.at_high > 0 && isfinite(b.at_high - b.at_low)) {
            x = b.low - b.at_low * (b.high - b.low) / (b.at_high - b.at_low);
            x = fmin(fmax(x, b.low + width), b.high - width);
        }
        slope = slope_at(p, x);
        if (slope == 0)
            return x;
        if (slope < 0) {
            b.low = x;
            b.at_low = slope;
            b.at_high = side < 0 ? b.at_high / 2 : b.at_high;
            side = -1;
        } else {
            b.high = x;
            b.at_high = slope;
            b.at_low = side > 0 ? b.at_low / 2 : b.at_low;
            side = 1;
        }
    }
    return (b.low + b.high) / 2;
}

/* Does slope_at rise all along? Its derivative is s'/s + beta s + alpha, s = d ln F / d ln N. Along
 * shapes s'/s is never under -1/3 (N from rows to width^3, F ~ width^2), and s never under 1/2. */
static bool turns_once(const struct problem *p)
{
    return p->powers &&
           (p->flops->kind == MU_FLOPS_6N ||
            (p->flops->kind == MU_FLOPS_6N_ATTENTION && p->alpha + p->beta / 2 > 1.0 / 3));
}

/* The whole range where there is one turn, else the neighbours of the best of a scan. */
static struct bracket find_bracket(const struct problem *p, double low, double high)
{
    struct bracket b = {.low = low, .high = high, .seen = INFINITY};

    if (!turns_once(p)) {
        const double step = (high - low) / SCAN;

        for (int i = 0; i <= SCAN; i++) {
            const double ln_n = low + i * step, loss = loss_of_size(p, mu_det_exp(ln_n));

            if (loss < b.seen) {
                b.seen = loss;
                b.seen_ln_n = ln_n;
                b.low = i > 0 ? ln_n - step : low;
                b.high = i < SCAN ? ln_n + step : high;
            }
        }
    }
    b.at_low = slope_at(p, b.low);
    b.at_high = slope_at(p, b.high);
    return b;
}

static struct mu_best best_at(const struct problem *p, double n, bool inside)
{
    return (struct mu_best){.n = n,
                            .d = mu_flops_tokens(p->flops, p->c, n),
                            .loss = loss_of_size(p, n),
                            .inside = inside};
}

/* Along sign = -1 or 1 from ln_n to where the loss reaches `most`; 0 or INFINITY where it never
 * does. */
static double end_of_range(const struct problem *p, double ln_n, double sign, double most)
{
    double inside = 0, outside = range_first;

    while (loss_of_size(p, mu_det_exp(ln_n + sign * outside)) <= most) {
        inside = outside;
        outside *= 2;
        if (outside > range_most)
            return sign < 0 ? 0 : INFINITY;
    }
    for (int i = 0; i < RANGE_STEPS; i++) {
        const double middle = (inside + outside) / 2;

        if (loss_of_size(p, mu_det_exp(ln_n + sign * middle)) <= most)
            inside = middle;
        else
            outside = middle;
    }
    return mu_det_exp(ln_n + sign * inside);
}

/* Where all that distinct tokens can give has been taken from them, a larger model on fewer of them
 * loses as much, to rounding. Of such a plateau the smallest size is the best, rather than the one
 * met first. Sums of powers have none, and their optimum is no matter of such differences. */
static struct mu_best smallest_of_plateau(const struct problem *p, struct mu_best best)
{
    const double most = best.loss * (1 + flat_loss), reach = mu_det_exp(flat_reach);
    double n;

    if (p->powers || loss_of_size(p, best.n / reach) > most ||
        loss_of_size(p, best.n * reach) > most)
        return best;
    n = end_of_range(p, mu_det_log(best.n), -1, most);
    return best_at(p, n > 0 ? n : best.n, n > 0);
}

static struct mu_best search(const struct problem *p, double n_low, double n_high)
{
    const double low = mu_det_log(n_low), high = mu_det_log(n_high);
    struct bracket b;
    struct mu_best best;

    if (!(n_high > n_low))
        return best_at(p, n_low, false);
    b = find_bracket(p, low, high);
    if (b.low == low && !(b.at_low < 0))
        return best_at(p, n_low, false);
    if (b.high == high && !(b.at_high > 0))
        return best_at(p, n_high, false);
    best = best_at(p, mu_det_exp(root_of_slope(p, b)), true);
    if (best.loss > b.seen * (1 + equal_loss))
        best = best_at(p, mu_det_exp(b.seen_ln_n), true);
    return smallest_of_plateau(p, best);
}

struct mu_best mu_best_of_budget(enum mu_law_kind law, const double theta[],
                                 const struct mu_flops *flops, double c, double unique,
                                 double n_low, double n_high)
{
    const struct problem p = make_problem(law, theta, flops, c, unique);

    if (law == MU_LAW_DATA_CONSTRAINED) {
        /* nowhere below the law without the constraint: where that one's optimum is not touched by
         * the constraint, it is this one's, on a knee of N' where U = D */
        const struct problem free = make_problem(MU_LAW_CHINCHILLA, theta, flops, c, unique);
        struct mu_best best = search(&free, n_low, n_high);
        const double loss = loss_of_size(&p, best.n);

        if (loss <= best.loss * (1 + equal_loss)) {
            best.loss = loss;
            return best;
        }
    }
    return search(&p, n_low, n_high);
}

void mu_best_range(enum mu_law_kind law, const double theta[], const struct mu_flops *flops,
                   double c, double unique, const struct mu_best *best, double tolerance,
                   double *n_low, double *n_high)
{
    const struct problem p = make_problem(law, theta, flops, c, unique);
    const double ln_n = mu_det_log(best->n), most = best->loss * (1 + tolerance);

    *n_low = end_of_range(&p, ln_n, -1, most);
    *n_high = end_of_range(&p, ln_n, 1, most);
}
