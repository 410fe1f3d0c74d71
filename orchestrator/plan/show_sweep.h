/* What a sweep will train, and what that takes: to stdout, warnings to the log. */
#ifndef MUSTER_PLAN_SHOW_SWEEP_H
#define MUSTER_PLAN_SHOW_SWEEP_H

#include "orchestrator/sweep/spec.h"

/* file: for mistakes that only the trials show. all: a line for each trial instead of one for a
 * cell's seeds. MU_CONFIG, reported. */
enum mu_status mu_plan_show_sweep(const struct mu_sweep_spec *spec, const struct mu_settings *base,
                                  const char *file, bool measure, bool all,
                                  int64_t workers) MU_CHECKED;

#endif
