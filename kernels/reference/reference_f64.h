/* The plain operations in double: for tests, which check derivatives by finite differences
 * against them and compose whole models of them. Contracts: kernels/device.h. */
#ifndef MUSTER_KERNELS_REFERENCE_F64_H
#define MUSTER_KERNELS_REFERENCE_F64_H

#include "kernels/device.h"

#define real         double
#define MU_REF(name) mu_reference_f64_##name
#include "kernels/reference/reference_declare.h"
#undef real
#undef MU_REF

#endif
