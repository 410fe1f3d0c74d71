/* The shapes between those that can be built, for flops.c. */
#ifndef MUSTER_FIT_SHAPE_RULE_H
#define MUSTER_FIT_SHAPE_RULE_H

#include "orchestrator/fit/flops.h"

struct mu_real_shape {
    double layers, width;
    double layers_slope; /* d layers / d width along the rule */
    double n_slope;      /* d N / d width along the rule */
};

/* The shape along the rule whose size is n under a count, n > 0. */
struct mu_real_shape mu_shape_between(const struct mu_shape_rule *rule, double n,
                                      enum mu_count_kind count);

#endif
