/* Approach 3 of Hoffmann et al. 2022: a law's parameters from points, by minimising
 *
 *     S(theta) = sum_i w_i rho(ln L(theta; N_i, D_i) - ln L_i)
 *
 * a sum and not a mean, over the logarithm of the loss; rho is Huber's function (delta 1e-3 unless
 * given), the absolute value, or half the square. */
#ifndef MUSTER_FIT_PARAMETRIC_H
#define MUSTER_FIT_PARAMETRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/fit/estimate.h"
#include "orchestrator/fit/law.h"
#include "orchestrator/fit/points.h"
#include "orchestrator/fit/refusal.h"

/* X(name, word of the command line and of files, for people) */
#define MU_OBJECTIVE_TABLE(X)                            \
    X(HUBER, "huber", "Huber's function")                \
    X(ABSOLUTE, "absolute", "least absolute deviations") \
    X(SQUARES, "squares", "least squares")

enum mu_objective_kind {
#define MU_OBJECTIVE_ENUM(name, word, text) MU_OBJECTIVE_##name,
    MU_OBJECTIVE_TABLE(MU_OBJECTIVE_ENUM)
#undef MU_OBJECTIVE_ENUM
        MU_OBJECTIVE_COUNT
};

struct mu_objective {
    enum mu_objective_kind kind;
    double delta; /* of Huber's function */
};

struct mu_law_estimate {
    double theta[MU_LAW_PARAMETERS]; /* as mu_law_loss takes them */
    double objective;                /* S at theta */
    bool converged;    /* a stationary point was reached, not just the last step allowed */
    uint32_t at_bound; /* bit k: parameter k lies at the edge of what is searched (E = 0, ...) */
};

/* The points as the minimiser reads them: made once, read by all threads. */
struct mu_parametric;
/* Only points with `end` are taken; `weight` of each counts. */
enum mu_status mu_parametric_new(const struct mu_fit_point *points, size_t count,
                                 enum mu_law_kind law, struct mu_parametric **out) MU_CHECKED;
void mu_parametric_free(struct mu_parametric *problem);

/* Too few points, fewer than 3 values of N or D, N and D that move together, ...: the law's
 * parameters are not determined. */
void mu_parametric_check(const struct mu_fit_point *points, size_t count, enum mu_law_kind law,
                         struct mu_refusal *refusal);

/* The global minimum: variable projection on a grid, then polish from the best cells. multiplicity:
 * of each of the `count` points that mu_parametric_new was given (times their own weight), NULL: 1.
 * start: a theta that is polished as well, NULL: none; with it the grid is searched more coarsely,
 * which is what a replicate of a bootstrap wants. Deterministic; takes no lock; allocates nothing
 * but its scratch. */
enum mu_status mu_parametric_fit(const struct mu_parametric *problem, struct mu_objective objective,
                                 const double *multiplicity, const double *start,
                                 struct mu_law_estimate *out) MU_CHECKED;

/* S at any theta. */
double mu_parametric_objective(const struct mu_parametric *problem, struct mu_objective objective,
                               const double *multiplicity, const double *theta);

/* The profile-likelihood interval of parameter k at `level` (.95): all values for which the
 * minimum over the others stays under the threshold that chi-squared with one degree of freedom
 * sets (for each objective: profile.c), times design_effect: 1 of independent points, more of
 * points that share noise (noise.h). An end is INFINITY, or 0, when S never rises over it: not
 * identified. */
enum mu_status mu_parametric_profile(const struct mu_parametric *problem,
                                     struct mu_objective objective,
                                     const struct mu_law_estimate *best, size_t k, double level,
                                     double design_effect, double *low, double *high) MU_CHECKED;

#endif
