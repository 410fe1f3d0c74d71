/* What a sweep will train, and what that takes: to stdout, warnings to the log. */
#ifndef MUSTER_PLAN_SHOW_SWEEP_H
#define MUSTER_PLAN_SHOW_SWEEP_H

#include "orchestrator/plan/sweep_estimate.h"

struct mu_plan_sweep_options {
    bool measure;
    bool all;        /* a line for each trial instead of one for a cell's seeds */
    bool json;       /* one object, with every trial and the warnings */
    int64_t workers; /* at least one */
};

/* file: for mistakes that only the trials show. MU_CONFIG, reported. */
enum mu_status mu_plan_show_sweep(const struct mu_sweep_spec *spec, const struct mu_settings *base,
                                  const char *file,
                                  const struct mu_plan_sweep_options *options) MU_CHECKED;
/* Its JSON. */
enum mu_status mu_plan_sweep_json(const struct mu_sweep_spec *spec,
                                  const struct mu_sweep_trials *trials,
                                  const struct mu_sweep_estimate *estimate,
                                  int64_t workers) MU_CHECKED;

#endif
