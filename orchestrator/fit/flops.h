/* FLOPs of training: (N, D) -> C, and back.
 *
 * The optimum of a budget is found under the same FLOP function and shape rule as the points were
 * computed with: N* = G (C/6)^a holds for C = 6 N D only (attention is 57 % of 6 N at width 8). */
#ifndef MUSTER_FIT_FLOPS_H
#define MUSTER_FIT_FLOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/fit/points.h"
#include "orchestrator/fit/shape_rule.h"

/* X(name, word, meaning): FLOPs of training on one token. */
#define MU_FLOPS_TABLE(X)                                                 \
    X(6N, "6N", "6 N")                                                    \
    X(6N_ATTENTION, "6N+12LdT", "6 N + 12 L d T (Chowdhery et al. 2022)") \
    X(MEASURED, "points", "interpolated between the points' own C / D over N")

enum mu_flops_kind {
#define MU_FLOPS_ENUM(name, word, meaning) MU_FLOPS_##name,
    MU_FLOPS_TABLE(MU_FLOPS_ENUM)
#undef MU_FLOPS_ENUM
        MU_FLOPS_KINDS
};

enum { MU_FLOPS_KNOTS = 256 };

struct mu_flops {
    enum mu_flops_kind kind;
    enum mu_count_kind count; /* what the N given to mu_flops_per_token counts */
    struct mu_shape_rule rule;
    struct { /* MEASURED: by ln N ascending; beyond the ends the last slope goes on */
        size_t count;
        double ln_n[MU_FLOPS_KNOTS], ln_flops[MU_FLOPS_KNOTS];
    } knots;
};

/* FLOPs of a token of a model of size n (a real number: shapes between those that can be built). */
double mu_flops_per_token(const struct mu_flops *f, double n);
/* d ln(FLOPs) / d ln N there: 1 for 6 N; at a knot that of the interval below. */
double mu_flops_slope(const struct mu_flops *f, double n);
/* Tokens that budget c buys at size n. */
static inline double mu_flops_tokens(const struct mu_flops *f, double c, double n)
{
    return c / mu_flops_per_token(f, n);
}

/* How the points' C follows from N and D: 6N where C = 6 N D (within 1 %, at all points), 6N+12LdT
 * where this says C of all from N and the rule of their shapes, else as measured. MU_FAILED without
 * points; MU_NO_MEMORY. */
enum mu_status mu_flops_of_points(const struct mu_fit_point *points, size_t count,
                                  struct mu_flops *out) MU_CHECKED;

#endif
