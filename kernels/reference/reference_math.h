/* What the bodies share whatever their type. */
#ifndef MUSTER_KERNELS_REFERENCE_MATH_H
#define MUSTER_KERNELS_REFERENCE_MATH_H

#include "kernels/device.h"
#include "orchestrator/base/detmath.h"

static inline void reference_poll(struct mu_device *device)
{
    if (device)
        mu_device_poll(device);
}

#endif
