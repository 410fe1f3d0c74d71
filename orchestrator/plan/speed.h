/* How fast a configuration trains here, from what a part of it takes (timing.h). */
#ifndef MUSTER_PLAN_SPEED_H
#define MUSTER_PLAN_SPEED_H

#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/config/settings.h"

/* What a run's steps are made of, in seconds of one worker. */
struct mu_speed {
    double shard;      /* a shard: its gradient, and adding that to the worker's sum */
    double sums;       /* a step: adding up the sum of *each* worker, of all elements */
    double update;     /* a step: total, norm, optimizer, of all elements */
    double evaluation; /* all pieces; 0: there are none */
    /* That were timed; fewer than the model's: its time follows from theirs. */
    int64_t layers, context;
    uint32_t beside; /* other workers that computed at the same time */
};

/* Bounded: of a large model a part is timed, a micro-batch, a sequence, or one and two layers, and
 * the whole follows from it. beside: so many processes compute the same meanwhile, as the other
 * workers of a host do, which share its memory and clock. MU_TIMEOUT (not reported): not even that
 * was done within `seconds`; MU_NO_MEMORY (not reported): there is too little to try. */
enum mu_status mu_speed_measure_parts(const struct mu_settings *settings, uint32_t beside,
                                      double seconds, struct mu_speed *out) MU_CHECKED;

#endif
