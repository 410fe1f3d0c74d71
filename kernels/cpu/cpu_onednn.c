/* The only file that includes oneDNN. */
#include "kernels/device.h"

#include <stdio.h>

#include <oneapi/dnnl/dnnl.h>

#include "kernels/cpu/isa.h"

enum mu_isa mu_device_best_isa(void)
{
    return mu_cpu_isa();
}

void mu_device_set_isa(enum mu_isa isa)
{
    static const dnnl_cpu_isa_t cap[] = {
        [MU_ISA_AUTO] = dnnl_cpu_isa_all,
        [MU_ISA_GENERIC] = dnnl_cpu_isa_sse41,
        [MU_ISA_AVX2] = dnnl_cpu_isa_avx2,
        [MU_ISA_AVX512] = dnnl_cpu_isa_avx512_core,
        [MU_ISA_AVX512_BF16] = dnnl_cpu_isa_avx512_core_bf16,
        [MU_ISA_AMX] = dnnl_cpu_isa_avx512_core_amx,
    };

    /* Fails where the CPU has less, or no such sets at all: then there is nothing to cap. */
    (void)dnnl_set_max_cpu_isa(cap[isa]);
}

const char *mu_device_library_version(void)
{
    static char text[64];
    const dnnl_version_t *v = dnnl_version();

    snprintf(text, sizeof text, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return text;
}
