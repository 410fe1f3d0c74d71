/* The rooms that implement kernels/device.h; only mu_device_open asks for them by name. Each gives
 * a new device whose options the caller has filled in. */
#ifndef MUSTER_KERNELS_DEVICE_KINDS_H
#define MUSTER_KERNELS_DEVICE_KINDS_H

#include "kernels/device.h"

enum mu_status mu_reference_open(const struct mu_device_options *options,
                                 struct mu_device **out) MU_CHECKED;
enum mu_status mu_cpu_open(const struct mu_device_options *options,
                           struct mu_device **out) MU_CHECKED;

#endif
