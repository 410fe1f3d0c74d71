/* The best model of a compute budget. */
#ifndef MUSTER_FIT_RECOMMEND_H
#define MUSTER_FIT_RECOMMEND_H

#include "orchestrator/fit/estimate.h"
#include "orchestrator/fit/flops.h"
#include "orchestrator/fit/law.h"

struct mu_best {
    double n, d, loss;
    bool inside; /* the minimum is an interior one; false: the loss falls as far as was searched */
};

/* Minimises L(N, C / flops(N)) over ln N between n_low and n_high, numerically, whatever the FLOP
 * function (the closed form of C = 6 N D is a test's business). `unique`: distinct tokens there
 * are; INFINITY: as many as wanted. To 1e-10 of N for sums of powers, else 1e-7, at a knee 1e-5.
 * Where there is more compute than distinct tokens can use, losses are equal over a range of sizes:
 * the smallest of them. Where the law does not depend on N, and where theta is no number, n_low and
 * not inside. */
struct mu_best mu_best_of_budget(enum mu_law_kind law, const double theta[],
                                 const struct mu_flops *flops, double c, double unique,
                                 double n_low, double n_high);

/* The range of N round the optimum whose predicted loss at budget c is at most (1 + tolerance)
 * times the best one. Optima are flat: 0.1 % of loss is often a factor of two in N. 0 or INFINITY:
 * the loss never leaves the range on that side. */
void mu_best_range(enum mu_law_kind law, const double theta[], const struct mu_flops *flops,
                   double c, double unique, const struct mu_best *best, double tolerance,
                   double *n_low, double *n_high);

#endif
