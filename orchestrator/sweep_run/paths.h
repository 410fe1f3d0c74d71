/* Where a sweep keeps its trials, and what they are told. */
#ifndef MUSTER_SWEEP_RUN_PATHS_H
#define MUSTER_SWEEP_RUN_PATHS_H

#include <stdbool.h>

#include "orchestrator/base/file.h"
#include "orchestrator/sweep/trials.h"

/* SWEEPDIR/trials/NAME; sweep_path: SWEEPDIR, or the folder of a part of it. */
enum mu_status mu_sweep_trial_path(char out[MU_PATH_MAX], const char *sweep_path,
                                   const char *name) MU_CHECKED;
/* Its settings, with that as its run directory, as malloc'ed text. */
enum mu_status mu_sweep_trial_config(const struct mu_sweep_trial *trial, const char *sweep_path,
                                     char **text) MU_CHECKED;
/* Whether it has a checkpoint of `step` or later. */
bool mu_sweep_trial_has(const char *sweep_path, const char *name, int64_t step);
/* What its trunk has left it is not needed any more. Failures are told. */
void mu_sweep_trial_drop(const char *sweep_path, const char *name, int64_t step);
/* What stands in its run directory already means the same: MU_CONFIG, told, when not. */
enum mu_status mu_sweep_trial_compare(const struct mu_sweep_trial *trial,
                                      const char *sweep_path) MU_CHECKED;

#endif
