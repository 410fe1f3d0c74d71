/* Inside a parametric fit: the points of one call, and a law's parameters as the minimiser moves
 * them. Variable k stands for parameter k of the law:
 *
 *   E, exponents      as they are
 *   A, B              at the centre of the points: A exp(-alpha mean ln N); in the data-constrained
 *                     law the logarithm of that
 *   R_D, R_N          their logarithm
 */
#ifndef MUSTER_FIT_PARAMETRIC_WORK_H
#define MUSTER_FIT_PARAMETRIC_WORK_H

#include "orchestrator/fit/minimise.h"
#include "orchestrator/fit/parametric.h"
#include "orchestrator/fit/terms.h"

#define MU_EXPONENT_LOW  1e-3
#define MU_EXPONENT_HIGH 8.
/* Of R_D and R_N. */
#define MU_WORTH_LOW  1e-2
#define MU_WORTH_HIGH 1e4
/* What half the square is to Huber's function; what |r| delta is to it. */
#define MU_DELTA_SQUARES  1e300
#define MU_DELTA_ABSOLUTE 1e-150

struct mu_parametric {
    enum mu_law_kind law;
    size_t points, count; /* with `end` and a weight; that mu_parametric_new was given */
    uint32_t *origin;     /* [points]: which of `count` */
    double *x, *y, *ln_unique, *ln_loss, *weight; /* [points]; x, y: ln N and ln D, or ln X and 0 */
    double centre_x, centre_y;
    const struct mu_terms_variant *terms;
};

struct mu_work {
    const struct mu_parametric *problem;
    struct mu_terms_points points; /* of multiplicity > 0; x and y less their centres */
    const mu_lanes *ln_unique;
    double centre_x, centre_y;
    size_t count;  /* of points */
    double weight; /* their sum */
    double loss_low, loss_high;
    struct mu_minimise minimise;
    mu_lanes *columns; /* scratch of `room` columns of points.blocks */
    void *memory;
};

/* `room`: columns of scratch. Free with mu_work_free. */
enum mu_status mu_work_new(const struct mu_parametric *problem, const double *multiplicity,
                           size_t room, struct mu_work *out) MU_CHECKED;
void mu_work_free(struct mu_work *work);
/* Bounds of the variables, the function that is minimised. */
void mu_work_prepare(struct mu_work *work);

void mu_work_variables(const struct mu_work *work, const double theta[], double x[]);
void mu_work_theta(const struct mu_work *work, const double x[], double theta[]);

/* Huber's delta that stands for an objective, and what S is of the value under it. */
double mu_objective_delta(struct mu_objective objective);
double mu_objective_of(struct mu_objective objective, double value);
/* S at variables x. */
double mu_work_objective(const struct mu_work *work, struct mu_objective objective,
                         const double x[]);
/* To the stationary point of the objective next to x. Overwrites a column of scratch. */
bool mu_work_polish(const struct mu_work *work, struct mu_objective objective, double x[],
                    double *value);

/* ln of the predicted loss of point i less ln of its loss, and its slopes. */
double mu_work_residual(const struct mu_work *work, size_t i, const double x[], double slope[]);
double mu_constrained_residual(const struct mu_work *work, size_t i, const double x[],
                               double slope[]);

/* mu_minimise's function for the data-constrained law; context: struct mu_work. */
void mu_constrained_evaluate(const void *context, const double x[], double delta, bool metric,
                             struct mu_derivatives *out);

/* Starting points, best first, from the grid. polished: variables that are a minimum already,
 * beside which few cells are looked at; NULL: all. Returns how many. */
enum { MU_GRID_STARTS = 10 };
struct mu_start {
    double x[MU_LAW_PARAMETERS];
    double value; /* S of the linearised residuals */
};
size_t mu_grid_search(const struct mu_work *work, struct mu_objective objective,
                      const double *polished, struct mu_start starts[MU_GRID_STARTS]);
/* Columns that mu_grid_search needs. */
size_t mu_grid_room(enum mu_law_kind law, bool coarse);

#endif
