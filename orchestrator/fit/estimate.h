/* An estimate with its intervals. */
#ifndef MUSTER_FIT_ESTIMATE_H
#define MUSTER_FIT_ESTIMATE_H

#include <math.h>

#include "orchestrator/base/detmath.h"

/* Limits are NAN where there is no interval (no bootstrap, or too few replicates that gave one). */
struct mu_estimate {
    double value;
    double low80, high80, low95, high95;
};

static inline struct mu_estimate mu_estimate_of(double value)
{
    return (struct mu_estimate){value, NAN, NAN, NAN, NAN};
}

/* y = exp(ln_at_one) x^exponent, as N* and D* of a compute budget. */
struct mu_power {
    double exponent, ln_at_one;
};

static inline double mu_power_at(struct mu_power p, double x)
{
    return mu_det_exp(p.ln_at_one + p.exponent * mu_det_log(x));
}

#endif
