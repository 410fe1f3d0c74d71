/* What the parts of a step take here: timed on this machine's CPU, by one worker, with weights of
 * the model's shape and its own data. Settings are resolved, and of the CPU. */
#ifndef MUSTER_PLAN_TIMING_H
#define MUSTER_PLAN_TIMING_H

#include "kernels/device.h"
#include "orchestrator/base/clock.h"
#include "orchestrator/base/status.h"
#include "orchestrator/config/settings.h"

/* Seconds. */
struct mu_timing {
    double gradient;   /* of a shard, as a run has it: the mean over half a second */
    double add;        /* a shard's gradient to the worker's sum */
    double sums;       /* adding up the sum of one worker, of all elements */
    double update;     /* total, norm, optimizer, of all elements */
    double evaluation; /* all pieces; 0: there are none */
};

/* MU_TIMEOUT (not reported): the deadline passed before. */
enum mu_status mu_timing_take(const struct mu_settings *settings, struct mu_deadline deadline,
                              struct mu_timing *out) MU_CHECKED;
/* Seconds that one worker takes for the gradients of a step: the best of a few shards, times the
 * shards. */
enum mu_status mu_timing_gradients(const struct mu_settings *settings, double *seconds) MU_CHECKED;

/* The device that settings ask for. */
struct mu_device_options mu_timing_device(const struct mu_settings *settings);

#endif
