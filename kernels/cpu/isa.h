/* What the CPU at hand can do. isa_x86.c or isa_other.c, chosen by CMake. */
#ifndef MUSTER_KERNELS_CPU_ISA_H
#define MUSTER_KERNELS_CPU_ISA_H

#include "kernels/cpu/vector/vector_ops.h"
#include "orchestrator/config/settings.h"

enum mu_isa mu_cpu_isa(void);

/* The table compiled for at most this set; NULL when the CPU cannot run it. */
const struct mu_vector_ops *mu_cpu_vector(enum mu_isa isa);

#endif
