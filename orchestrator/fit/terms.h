/* The hot loops of a parametric fit: S, its gradient and its Hessian for
 *
 *     L = E + A exp(-alpha x) + B exp(-beta y),   r = ln L - ln loss,   S = sum w huber_delta(r)
 *
 * over points in blocks of MU_LANES, and the linear part of it for a grid of exponents. Compiled
 * for several instruction sets; all give the same bits. */
#ifndef MUSTER_FIT_TERMS_H
#define MUSTER_FIT_TERMS_H

#include <stdbool.h>
#include <stddef.h>

#include "orchestrator/fit/batch_math.h"

enum { MU_TERMS_PARAMETERS = 5 }; /* E, A, B, alpha, beta: in this order everywhere */

/* Arrays of `blocks` * MU_LANES; what is past the last point has weight 0 and finite values. */
struct mu_terms_points {
    size_t blocks;
    const mu_lanes *x, *y, *ln_loss, *inverse_loss, *weight;
    double shift_x, shift_y; /* are added to every x and y */
};

enum mu_terms_second {
    MU_TERMS_HESSIAN,
    /* sum w J J', as if delta were infinite: how a step changes the residuals */
    MU_TERMS_METRIC
};

struct mu_terms_sums {
    double value, gradient[MU_TERMS_PARAMETERS], hessian[MU_TERMS_PARAMETERS][MU_TERMS_PARAMETERS];
};

/* Of one cell of the grid: residuals of E + A u + B v against the loss, relative to it. */
struct mu_terms_moments {
    double value; /* sum w huber_delta */
    double product[3][3] /* sum w' c c' over columns c = (1, u, v) / loss */, target[3]; /* w' c */
};

enum mu_terms_set { MU_TERMS_PLAIN, MU_TERMS_AVX2, MU_TERMS_AVX512, MU_TERMS_SETS };

/* One instruction set's functions. */
struct mu_terms_variant {
    const char *name;
    enum mu_terms_set set;
    /* theta: E, A, B, alpha, beta. */
    void (*evaluate)(const struct mu_terms_points *points, const double theta[], double delta,
                     enum mu_terms_second second, struct mu_terms_sums *out);
    /* amplitude: E, A, B at which residuals are taken; w' = w min(1, delta / |r|). u, v:
     * exp(-alpha x), exp(-beta y). */
    void (*moments)(const struct mu_terms_points *points, const mu_lanes *u, const mu_lanes *v,
                    const double amplitude[3], double delta, struct mu_terms_moments *out);
    void (*exp)(const mu_lanes *x, double factor, size_t blocks, mu_lanes *out); /* of factor x */
    void (*log)(const mu_lanes *x, size_t blocks, mu_lanes *out);
};

/* NULL: there are no more. Those that this CPU can run; the last is the fastest. */
const struct mu_terms_variant *mu_terms_variant_at(size_t k);
const struct mu_terms_variant *mu_terms_fastest(void);

#endif
