/* An estimate with its intervals. */
#ifndef MUSTER_FIT_NUMBER_H
#define MUSTER_FIT_NUMBER_H

#include <math.h>
#include <stdbool.h>

#include "orchestrator/base/detmath.h"

/* Limits are NAN where there is no interval (no bootstrap, or too few replicates that gave one). */
struct mu_number {
    double value;
    double low80, high80, low95, high95;
};

static inline struct mu_number mu_number_of(double value)
{
    return (struct mu_number){value, NAN, NAN, NAN, NAN};
}

/* y = exp(ln_at_one) x^exponent, as N* and D* of a compute budget. */
struct mu_power {
    double exponent, ln_at_one;
};

static inline double mu_power_at(struct mu_power p, double x)
{
    return mu_det_exp(p.ln_at_one + p.exponent * mu_det_log(x));
}

/* Why a method, or a part of one, gives nothing. A refusal is an answer to the user, not an error:
 * what was found, what would be needed. */
struct mu_refusal {
    bool refused;
    char why[240];
};

void mu_refuse(struct mu_refusal *refusal, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
