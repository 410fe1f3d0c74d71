/* Gradients to integers, plainly. Contract: kernels/device.h; arithmetic: worker/exact_sum.h. */
#ifndef MUSTER_KERNELS_REFERENCE_QUANTISE_H
#define MUSTER_KERNELS_REFERENCE_QUANTISE_H

#include "kernels/device.h"

void mu_reference_quantise_add(struct mu_device *device, const struct mu_quantise *q);

#endif
