/* Instructions that CUDA's C++ has no name for, as functions; beside each the plain twin that the
 * emulation runs (kernels/emulate/instructions.h), which has the same contract. PTX ISA 8: "Warp
 * Level Matrix Instructions", "Data Movement and Conversion", "Memory Consistency Model".
 *
 * All lanes of a warp call what says "warp". With g = lane / 4 and t = lane % 4:
 *
 *   an accumulator, 16 x 8 f32     at[i]: row g + 8 (i / 2), column 2t + i % 2
 *   A, 16 x 16 bf16 (rows, k)      a[i]: row g + 8 (i % 2), k = 2t + 8 (i / 2) and the next
 *   B, 16 x 8 bf16 (k, columns)    b[i]: k = 2t + 8i and the next, column g
 *
 * Two bf16 in a register: the lower half comes first. */
#ifndef MUSTER_KERNELS_CUDA_INSTRUCTIONS_CUH
#define MUSTER_KERNELS_CUDA_INSTRUCTIONS_CUH

#include <stdint.h>

#include "kernels/cuda/platform.cuh"

#ifdef __CUDACC__

/* Warp: d += A B, products exact, sums in f32 in the hardware's order (mma.m16n8k16). */
__device__ inline void mu_multiply_add(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                       uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Warp: four 8 x 8 matrices of 16-bit elements from shared memory. Lane l brings the address of row
 * l % 8 of matrix l / 8: 16 bytes, aligned to 16. r[i]: of matrix i, row g, columns 2t and the
 * next. */
__device__ inline void mu_load_matrices(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
                 : "memory");
}

/* Transposed. r[i]: of matrix i, rows 2t and the next, column g. */
__device__ inline void mu_load_matrices_transposed(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
                 : "memory");
}

/* Two floats as two bf16, rounded to nearest even. */
__device__ inline uint32_t mu_two_bf16(float first, float second)
{
    uint32_t two;

    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(two) : "f"(second), "f"(first));
    return two;
}

/* 2^x, to 2 units in the last place; results below 2^-126 are 0. */
__device__ inline float mu_exp2(float x)
{
    float y;

    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* Four floats to global memory, aligned to 16, by one instruction: nvcc makes four of such a store
 * where each float was chosen among expressions. */
__device__ inline void mu_store_four(float *to, const float (&four)[4])
{
    asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)),
                 "f"(four[0]), "f"(four[1]), "f"(four[2]), "f"(four[3])
                 : "memory");
}

/* 16 bytes on their way from global to shared memory, both aligned to 16; zeros when not `inside`
 * (`from` is then not read, but is an address still). They have arrived, for this thread, once it
 * has waited. */
__device__ inline void mu_copy_start(void *to, const void *from, bool inside)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                     static_cast<uint32_t>(__cvta_generic_to_shared(to))),
                 "l"(__cvta_generic_to_global(from)), "r"(inside ? 16 : 0)
                 : "memory");
}

/* Until all copies that this thread started have arrived. */
__device__ inline void mu_copy_wait()
{
    asm volatile("cp.async.wait_all;" ::: "memory");
}

/* Brings what lies there (global memory) into the L2 cache; nothing waits for it. */
__device__ inline void mu_prefetch(const void *p)
{
    asm volatile("prefetch.global.L2 [%0];" ::"l"(__cvta_generic_to_global(p)));
}

/* Turns, between blocks of a launch; one thread of a block sets and waits. A block that sets *turn
 * after a barrier hands over what all of it wrote before the barrier. A block that has waited, or
 * has looked and then (the same thread) set a turn itself, sees that after its next barrier. */
__device__ inline int mu_turn_look(const int *turn)
{
    int seen;

    asm volatile("ld.relaxed.gpu.global.s32 %0, [%1];"
                 : "=r"(seen)
                 : "l"(__cvta_generic_to_global(turn))
                 : "memory");
    return seen;
}

/* The fence speaks for the block's other threads too: the barrier came before it. */
__device__ inline void mu_turn_set(int *turn, int value)
{
    asm volatile("fence.acq_rel.gpu;\n\tst.relaxed.gpu.global.s32 [%0], %1;" ::"l"(
                     __cvta_generic_to_global(turn)),
                 "r"(value)
                 : "memory");
}

/* For blocks that surely run or have run (mu_turn_take): until it is `value`. */
__device__ inline void mu_turn_wait(const int *turn, int value)
{
    while (mu_turn_look(turn) != value)
        ;
    asm volatile("fence.acq_rel.gpu;" ::: "memory");
}

#else
#include "kernels/emulate/instructions.h"
#endif

/* How many blocks asked before: a block's number by when it began. Those with lower numbers run or
 * have run, whatever the order in which the GPU begins them. One thread of the block calls it. */
__device__ inline int mu_turn_take(int *counter)
{
    return atomicAdd(counter, 1);
}

#endif
