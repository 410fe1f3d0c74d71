/* How fast a configuration trains here. */
#ifndef MUSTER_SWEEP_SPEED_H
#define MUSTER_SWEEP_SPEED_H

#include "orchestrator/base/status.h"
#include "orchestrator/config/settings.h"

/* Seconds that one worker takes for the gradients of a step: the best of a few shards, times the
 * shards. settings are resolved, of the CPU. */
enum mu_status mu_speed_measure(const struct mu_settings *settings, double *seconds) MU_CHECKED;

#endif
