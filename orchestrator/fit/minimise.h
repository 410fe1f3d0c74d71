/* Newton's method with a trust region, for a few variables between bounds.
 *
 * The region is measured by how far a step moves the residuals (the metric G = sum w J J'), so that
 * nearly collinear parameters cost nothing; what is solved for is (H + mu G) step = -gradient, with
 * mu as Levenberg (1944) and Marquardt (1963) choose it and variables at their bounds left out.
 * Sums of Huber's function with a small delta are nearly kinked: they are reached through larger
 * deltas (mu_minimise_through). */
#ifndef MUSTER_FIT_MINIMISE_H
#define MUSTER_FIT_MINIMISE_H

#include <stdbool.h>
#include <stddef.h>

enum { MU_MINIMISE_VARIABLES = 8 }; /* at most */

struct mu_derivatives {
    double value, gradient[MU_MINIMISE_VARIABLES],
        second[MU_MINIMISE_VARIABLES][MU_MINIMISE_VARIABLES];
};

struct mu_minimise {
    size_t variables;
    double low[MU_MINIMISE_VARIABLES], high[MU_MINIMISE_VARIABLES]; /* equal: held */
    double weight; /* sum of the points' weights: residuals below 1e-15 count as none */
    const void *context;
    /* At x: value and gradient under `delta`; second: the Hessian, or G. */
    void (*evaluate)(const void *context, const double x[], double delta, bool metric,
                     struct mu_derivatives *out);
};

/* From x, which is taken into the bounds. false: steps ran out before a stationary point. */
bool mu_minimise(const struct mu_minimise *problem, double delta, double x[], double *value);
/* The same by way of deltas that shrink from `first` to `delta`. */
bool mu_minimise_through(const struct mu_minimise *problem, double first, double delta, double x[],
                         double *value);

/* Solves a x = b for symmetric a (n x n, rows of `stride`), by Cholesky's decomposition in place.
 * false: not positive definite. */
bool mu_cholesky_solve(double *a, size_t stride, size_t n, double *x);
/* Solves a x = b for any a, by Gauss's elimination with pivots in place. false: singular. */
bool mu_gauss_solve(double *a, size_t stride, size_t n, double *x);

#endif
