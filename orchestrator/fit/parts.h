/* The parts that a fit is put together from, once the law and the methods are there. Private to
 * fit.c and the files named here. */
#ifndef MUSTER_FIT_PARTS_H
#define MUSTER_FIT_PARTS_H

#include "orchestrator/fit/bootstrap.h"
#include "orchestrator/fit/fit.h"

/* A fit under way. */
struct mu_fit_work {
    struct mu_fit *fit;
    struct mu_fit_point
        *kept;      /* the points of some weight that --drop-top leaves, weights of mean 1 */
    size_t *origin; /* [count]: which of the caller's points each of them is */
    size_t count;
    double c_least;                /* of the final losses kept */
    struct mu_parametric *problem; /* NULL: refused */
    struct mu_curves *curves;      /* NULL: refused */
    struct mu_budgets vertices;    /* the budgets, without points of those that were refused */
    struct mu_isoflop_residual *residual; /* [count] */
    struct mu_measure_plan plan;
    struct mu_resample resample;
    struct mu_bootstrap bootstrap;
    struct mu_measured *whole; /* of the points as they are */
};

/* warnings.c: a sentence for the user; all that is to be said at the end. */
void mu_fit_warn(struct mu_fit *fit, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* prepare.c: what --drop-top leaves; then FLOP function, shape rule, targets, budgets to look
 * at. */
enum mu_status mu_fit_keep(struct mu_fit_work *w) MU_CHECKED;
enum mu_status mu_fit_plan(struct mu_fit_work *w) MU_CHECKED;
/* Last of all: fit->budgets.of, by then one of each point kept, becomes one of each of the caller's
 * points. */
enum mu_status mu_fit_place_budgets(struct mu_fit_work *w) MU_CHECKED;
void mu_fit_warn_all(struct mu_fit_work *w);
/* optima.c: scaling[] of each method; the largest compute that a method has seen. */
void mu_fit_set_optima(struct mu_fit_work *w);
double mu_fit_largest_of(const struct mu_fit_work *w, enum mu_method method);
/* future.c: fitted up to each budget, predicted for those above. */
enum mu_status mu_fit_predict_future(struct mu_fit_work *w) MU_CHECKED;
/* convention.c: recounted, fitted again. */
enum mu_status mu_fit_recount(struct mu_fit_work *w) MU_CHECKED;
/* limits.c: limits for everything that has a value; which parameters are weakly identified; which
 * methods disagree. */
enum mu_status mu_fit_set_intervals(struct mu_fit_work *w) MU_CHECKED;

#endif
