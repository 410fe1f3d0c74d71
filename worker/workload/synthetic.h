/* The synthetic workload, see synthetic.c. */
#ifndef MUSTER_WORKER_WORKLOAD_SYNTHETIC_H
#define MUSTER_WORKER_WORKLOAD_SYNTHETIC_H

#include "worker/workload.h"

enum mu_status mu_synthetic_open(const struct mu_settings *settings, struct mu_device *device,
                                 struct mu_workload **out) MU_CHECKED;

/* Loss after `steps` steps: E + A / N^alpha + B / D^beta + noise, D the tokens of that many
 * steps. */
double mu_synthetic_loss(const struct mu_settings *settings, int64_t steps);

#endif
