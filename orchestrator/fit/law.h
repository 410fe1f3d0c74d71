/* Laws of the loss, L(N, D, ...), as data: names, parameters, value.
 *
 *   chinchilla        L = E + A/N^alpha + B/D^beta
 *                     Hoffmann et al. 2022 (2203.15556), eq. 10
 *   over-training     the same with alpha = beta: then L depends on C and M = D/N as
 *                     E + (a M^eta + b M^-eta) C^-eta, eta = alpha/2
 *                     Gadre et al. 2024 (2403.08540), eq. 4
 *   data-constrained  N and D replaced by their worth when U of D tokens are distinct:
 *                     D' = U + U R_D (1 - exp(-(D/U - 1) / R_D)), N' likewise round the N that is
 *                     optimal for U tokens
 *                     Muennighoff et al. 2023 (2305.16264), eq. 5 and 6
 *   power-n, -d, -c   L = E + A/X^alpha in one variable
 *                     Kaplan et al. 2020 (2001.08361), with an offset */
#ifndef MUSTER_FIT_LAW_H
#define MUSTER_FIT_LAW_H

#include <stdbool.h>
#include <stddef.h>

enum mu_law_kind {
    MU_LAW_CHINCHILLA,
    MU_LAW_OVER_TRAINING,
    MU_LAW_DATA_CONSTRAINED,
    MU_LAW_POWER_N,
    MU_LAW_POWER_D,
    MU_LAW_POWER_C,
    MU_LAW_COUNT
};

enum { MU_LAW_PARAMETERS = 8 }; /* at most */

struct mu_law {
    const char *name;    /* as --law calls it */
    const char *formula; /* for people */
    const char *source;
    size_t parameters;
    const char *parameter[MU_LAW_PARAMETERS]; /* "E", "A", "B", "alpha", "beta", ... */
};

const struct mu_law *mu_law_of(enum mu_law_kind kind);
/* MU_LAW_COUNT: there is none of that name. */
enum mu_law_kind mu_law_named(const char *name);

static inline bool mu_law_is_of_one(enum mu_law_kind kind) /* variable */
{
    return kind == MU_LAW_POWER_N || kind == MU_LAW_POWER_D || kind == MU_LAW_POWER_C;
}

/* The variable of a law of one, N of the others. */
double mu_law_abscissa(enum mu_law_kind kind, double n, double d, double c);

/* Predicted loss. theta: in the order of `parameter`, in natural units (A, not ln A). n:
 * parameters, d: tokens, c: FLOPs, unique: distinct tokens (d where nothing is repeated). */
double mu_law_loss(enum mu_law_kind kind, const double theta[], double n, double d, double c,
                   double unique);

#endif
