/* The plain operations in float: what the "reference" device runs. Contracts: kernels/device.h. */
#ifndef MUSTER_KERNELS_REFERENCE_F32_H
#define MUSTER_KERNELS_REFERENCE_F32_H

#include "kernels/device.h"

#define real         float
#define MU_REF(name) mu_reference_f32_##name
#include "kernels/reference/reference_declare.h"
#undef real
#undef MU_REF

#endif
