/* Approach 2 of Hoffmann et al. 2022: for each budget a parabola of the loss in ln N, its vertex,
 * and a line through the logarithms of the vertices. */
#ifndef MUSTER_FIT_ISOFLOP_H
#define MUSTER_FIT_ISOFLOP_H

#include <stddef.h>
#include <stdint.h>

#include "orchestrator/fit/budgets.h"
#include "orchestrator/fit/estimate.h"
#include "orchestrator/fit/flops.h"
#include "orchestrator/fit/points.h"
#include "orchestrator/fit/refusal.h"

struct mu_isoflop_budget {
    struct mu_refusal refusal; /* too few points, no curvature, vertex outside, ... */
    size_t points;             /* of weight > 0 */
    double n_low, n_high;      /* range of N tried */
    /* loss = q[0] + q[1] x + q[2] x^2, x = ln N - ln_n_centre, at the budget's c */
    double ln_n_centre, q[3];
    double n, d, loss;  /* at the vertex; D under the points' FLOP function */
    double residual_sd; /* of the loss about the parabola, nats; NAN with 3 points or not strict */
};

struct mu_isoflop {
    struct mu_refusal refusal; /* fewer than 2 vertices (then there is no line), ... */
    size_t count;
    struct mu_isoflop_budget budget[MU_BUDGETS];
    size_t vertices; /* budgets that were not refused */
    struct mu_power n_line, d_line,
        loss_line; /* of C; loss_line through ln loss, for display only */
};

/* What the parabolas leave of each point's loss, for replicates of the bootstrap. */
struct mu_isoflop_residual {
    double
        fitted; /* by the budget's parabola, and its term for C; NAN: in no budget with a vertex */
    double scaled; /* (loss - fitted) / (1 - leverage), HC3 of MacKinnon & White 1985 */
};

/* loss: [count], instead of the points' own; NULL: their own. residual: [count], or NULL. Strict:
 * what a user is told (at least 4 sizes, vertex inside the range tried). Not strict: for replicates
 * of a bootstrap, whose vertices may lie up to one range's width outside; take budgets that were
 * refused strictly out of `of` before, lest a replicate's line hold vertices that the estimate's
 * does not. No allocation; thread-safe. */
void mu_isoflop_fit(const struct mu_fit_point *points, size_t count,
                    const struct mu_budgets *budgets, const struct mu_flops *flops,
                    const double *loss, bool strict, struct mu_isoflop_residual *residual,
                    struct mu_isoflop *out);

/* Losses of a replicate: fitted + (multiplicity - 1) scaled. A wild bootstrap (Wu 1986) by
 * clusters: the sizes stay as they were designed, where drawing rows would leave parabolas with
 * three of them; multiplicities have mean 1 and variance 1, points of a cluster have one, and
 * the same replicate of another method moves with it. */
void mu_isoflop_resample(const struct mu_fit_point *points, size_t count,
                         const struct mu_isoflop_residual *residual, const double *multiplicity,
                         double *loss);

#endif
