/* The synthetic workload, see synthetic.c. */
#ifndef MUSTER_WORKER_WORKLOAD_SYNTHETIC_H
#define MUSTER_WORKER_WORKLOAD_SYNTHETIC_H

#include "worker/workload.h"

enum mu_status mu_synthetic_open(const struct mu_settings *settings, struct mu_device *device,
                                 struct mu_workload **out) MU_CHECKED;

#endif
