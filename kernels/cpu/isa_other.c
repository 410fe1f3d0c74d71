/* Any other CPU: plain C alone. */
#include "kernels/cpu/isa.h"

#include <string.h>

enum mu_isa mu_cpu_isa(void)
{
    return MU_ISA_GENERIC;
}

void mu_cpu_stream(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

void mu_cpu_stream_fence(void)
{
}
