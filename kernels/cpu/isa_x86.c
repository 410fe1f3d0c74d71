/* x86-64: instruction sets by CPUID. */
#include "kernels/cpu/isa.h"

#include <cpuid.h>
#include <stdint.h>

/* Registers that the operating system saves (XCR0): the CPU's word alone is not enough. */
static uint32_t saved_registers(void)
{
    uint32_t a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

enum mu_isa mu_cpu_isa(void)
{
    /* CPUID leaf 7: AVX2 and FMA; AVX-512 F, DQ, BW, VL; subleaf 1 bit 5 AVX512_BF16; EDX bits 22
     * and 24 AMX-BF16 and AMX-TILE. XCR0: 0x6 AVX, 0xe6 AVX-512, 0x600e6 AMX. */
    const uint32_t avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31, amx = 1u << 22 | 1u << 24;
    uint32_t a, b1, c1, d, b7, c7, d7, a71 = 0, saved = saved_registers();

    if (!__get_cpuid(1, &a, &b1, &c1, &d) || !__get_cpuid_count(7, 0, &a, &b7, &c7, &d7))
        return MU_ISA_GENERIC;
    if ((saved & 0x6) != 0x6 || !(b7 & bit_AVX2) || !(c1 & bit_FMA))
        return MU_ISA_GENERIC;
    if ((saved & 0xe6) != 0xe6 || (b7 & avx512) != avx512)
        return MU_ISA_AVX2;
    if (a >= 1)
        __get_cpuid_count(7, 1, &a71, &b1, &c1, &d);
    if (!(a71 & 1u << 5))
        return MU_ISA_AVX512;
    return (saved & 0x600e6) == 0x600e6 && (d7 & amx) == amx ? MU_ISA_AMX : MU_ISA_AVX512_BF16;
}

const struct mu_vector_ops *mu_cpu_vector(enum mu_isa isa)
{
    if (isa > mu_cpu_isa())
        return NULL;
    if (isa >= MU_ISA_AVX512)
        return &mu_vector_avx512;
    return isa == MU_ISA_AVX2 ? &mu_vector_avx2 : &mu_vector_generic;
}
