/* What every kernel includes first: CUDA where nvcc compiles it, the emulation elsewhere. The only
 * place that knows which, beside instructions.cuh. What the two spell differently has a macro here:
 *
 *   MU_LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...)   a cudaError_t; a kernel
 *       with commas goes in parentheses: MU_LAUNCH((copy<float, 4>), ...)
 *   MU_LAUNCH_WIDE(...)                the same, and may take more than 48 KiB of shared memory:
 *       up to 163 KiB on every architecture that we name
 *   MU_SHARED(type, name, count)       an array of static shared memory
 *   MU_SHARED_DYNAMIC(type, name)      a pointer to the dynamic shared memory of the launch
 *   MU_ALIGNED(p, bytes)               an address that a GPU takes for so many bytes at once, which
 *       is a multiple of them; looked at in the emulation
 *   MU_EACH(i, n)                      for (int i = 0; i < n; i++), unrolled: arrays that are in
 *       registers want indices that the compiler knows */
#ifndef MUSTER_KERNELS_CUDA_PLATFORM_CUH
#define MUSTER_KERNELS_CUDA_PLATFORM_CUH

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_runtime.h>

/* It would take <<< apart. */
/* clang-format off */
#define MU_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
    ((kernel)<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__), cudaGetLastError())
/* clang-format on */
#define MU_LAUNCH_WIDE(kernel, grid, block, shared_bytes, stream, ...)           \
    (cudaFuncSetAttribute((kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, \
                          int(shared_bytes)) == cudaSuccess                      \
         ? MU_LAUNCH(kernel, grid, block, shared_bytes, stream, __VA_ARGS__)     \
         : cudaGetLastError())
#define MU_ALIGNED(p, bytes)         ((void)0)
#define MU_EACH(i, n)                _Pragma("unroll") for (int i = 0; i < (n); i++)
#define MU_SHARED(type, name, count) __shared__ type name[count]
#define MU_SHARED_DYNAMIC(type, name)                          \
    extern __shared__ __align__(16) unsigned char mu_shared[]; \
    type *name = reinterpret_cast<type *>(mu_shared)
#else
#include "kernels/emulate/emulate.h"

#define MU_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
    mu_emulate_launch(#kernel, (kernel), (grid), (block), (shared_bytes), (stream), __VA_ARGS__)
#define MU_LAUNCH_WIDE(kernel, grid, block, shared_bytes, stream, ...)                    \
    mu_emulate_launch<true>(#kernel, (kernel), (grid), (block), (shared_bytes), (stream), \
                            __VA_ARGS__)
#define MU_ALIGNED(p, bytes) mu_emulate_aligned((p), (bytes))
#define MU_EACH(i, n)        for (int i = 0; i < (n); i++)
#define MU_SHARED(type, name, count)                   \
    static const char name##_declaration = 0;          \
    type(&name)[count] = *static_cast<type(*)[count]>( \
        mu_emulate_shared(&name##_declaration, sizeof(type) * (count)))
#define MU_SHARED_DYNAMIC(type, name) type *name = static_cast<type *>(mu_emulate_shared_dynamic())
#endif

#endif
