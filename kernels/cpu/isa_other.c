/* Any other CPU: plain C alone. */
#include "kernels/cpu/isa.h"

enum mu_isa mu_cpu_isa(void)
{
    return MU_ISA_GENERIC;
}

const struct mu_vector_ops *mu_cpu_vector(enum mu_isa isa)
{
    return isa <= MU_ISA_GENERIC ? &mu_vector_generic : NULL;
}
