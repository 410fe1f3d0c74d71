/* CUDA kernels on the host: the part of CUDA's C++ that kernels/cuda/ is written in, as plain C++.
 * It needs no CUDA toolkit.
 *
 * It proves the logic of a kernel: indices, barriers, shuffles, races between threads, reads and
 * writes out of bounds (under AddressSanitizer). It never proves a GPU's bits: expf, fused
 * multiply-adds and the order within an instruction are the host's. And it is slow.
 *
 * Blocks run one after the other; each thread of a block is a fibre (fibre.h), which runs until it
 * waits at a barrier or in a warp operation. Stricter than the hardware, so that what passes here
 * is defined there:
 *  - every thread of a block comes to the same __syncthreads (same file and line), none has
 *    returned; all lanes that a mask names exist and come to the same warp operation with the same
 *    mask; a shuffle reads only from lanes that the mask names. Else the launch fails, and says
 *    which thread waits where (control.h);
 *  - shared memory is filled with 0xff (NaNs) before each block, and is an allocation of its exact
 *    size; more than 48 KiB only for launches that ask (MU_LAUNCH_WIDE), 227 KiB at most;
 *  - copies in the background (cp.async) are made at once in the forward order of threads, and not
 *    before they are waited for in the others: reading and overwriting too early both show;
 *  - there are no atomics on floats.
 *
 * A launch on an idle stream runs at once, and returns what it did wrong; one behind something
 * unfinished is kept, and fails the calls after it (include/cuda_runtime_api.h).
 *
 * Not here: the memory model (a fibre sees every store at once). Kernels run one at a time. */
#ifndef MUSTER_KERNELS_EMULATE_H
#define MUSTER_KERNELS_EMULATE_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>

#include "kernels/emulate/include/cuda_runtime_api.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

/* ---- types ---- */
struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

/* bf16: the upper half of a float. As CUDA's: round to nearest even, one NaN. */
struct __nv_bfloat16 {
    std::uint16_t bits;
};

inline unsigned __float_as_uint(float x)
{
    unsigned u;

    std::memcpy(&u, &x, sizeof u);
    return u;
}

inline float __uint_as_float(unsigned u)
{
    float x;

    std::memcpy(&x, &u, sizeof x);
    return x;
}

inline __nv_bfloat16 __float2bfloat16_rn(float x)
{
    unsigned u = __float_as_uint(x);

    if (std::isnan(x))
        return {0x7fff};
    return {static_cast<std::uint16_t>((u + 0x7fff + (u >> 16 & 1)) >> 16)};
}

inline float __bfloat162float(__nv_bfloat16 x)
{
    return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
}

/* ---- where a thread is ---- */
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

/* ---- arithmetic ---- */
inline float rsqrtf(float x)
{
    return 1 / sqrtf(x);
}

inline float __fdividef(float x, float y)
{
    return x / y;
}

inline int min(int a, int b)
{
    return a < b ? a : b;
}

template <class T> T __ldg(const T *p)
{
    return *p;
}

/* ---- integer atomics: whatever the order, the same result ---- */
template <class T> T atomicAdd(T *at, T value)
{
    static_assert(sizeof(T) >= 4 && static_cast<T>(0.5) == 0, "no atomics on floats");
    T old = *at;

    *at = static_cast<T>(static_cast<std::uint64_t>(old) + static_cast<std::uint64_t>(value));
    return old;
}

template <class T> T atomicMax(T *at, T value)
{
    static_assert(sizeof(T) >= 4 && static_cast<T>(0.5) == 0, "no atomics on floats");
    T old = *at;

    *at = old > value ? old : value;
    return old;
}

/* ---- barriers and warps ---- */
enum { MU_EMULATE_WARP = 32 };

/* A place in a source: what has to be the same for threads that meet. */
struct mu_emulate_site {
    const char *what, *file;
    int line;
};
/* Waits for all threads of the block; whether any of them brought true. */
bool mu_emulate_barrier(mu_emulate_site site, bool predicate);
/* Waits for all lanes of the mask; returns the values that they brought, by lane. Valid until the
 * caller's next warp operation. With an operation, instead: it is called once, with these values,
 * when all have come and before any goes on, so that they may point to lanes' own variables. */
const std::uint64_t *mu_emulate_meet(mu_emulate_site site, unsigned mask, std::uint64_t value,
                                     void (*operation)(const std::uint64_t *brought) = nullptr);
/* The lane of this thread in its warp. */
unsigned mu_emulate_lane();
/* Ends the launch: the thread that runs has done what `why` says. */
[[noreturn]] void mu_emulate_fail(mu_emulate_site site, const char *why);

inline void __syncthreads(const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    mu_emulate_barrier({"__syncthreads", file, line}, false);
}

inline int __syncthreads_or(int predicate, const char *file = __builtin_FILE(),
                            int line = __builtin_LINE())
{
    return mu_emulate_barrier({"__syncthreads_or", file, line}, predicate != 0);
}

inline void __syncwarp(unsigned mask = 0xffffffffu, const char *file = __builtin_FILE(),
                       int line = __builtin_LINE())
{
    mu_emulate_meet({"__syncwarp", file, line}, mask, 0);
}

template <class T>
T mu_emulate_shuffle(mu_emulate_site site, unsigned mask, T value, unsigned source)
{
    static_assert(sizeof(T) <= 8, "a shuffle moves 8 bytes at most");
    std::uint64_t raw = 0;

    std::memcpy(&raw, &value, sizeof value);
    raw = mu_emulate_meet(site, mask, raw)[source];
    if (!(mask >> source & 1))
        mu_emulate_fail(site, "reads from a lane that the mask does not name");
    std::memcpy(&value, &raw, sizeof value);
    return value;
}

/* In segments of `width` lanes; a source beyond the segment is the lane itself. */
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    unsigned lane = mu_emulate_lane(), within = static_cast<unsigned>(width) - 1;

    return mu_emulate_shuffle({"__shfl_sync", file, line}, mask, value,
                              (lane & ~within) | (static_cast<unsigned>(source) & within));
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32,
                  const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    unsigned lane = mu_emulate_lane(), source = lane ^ static_cast<unsigned>(lanes);
    unsigned within = static_cast<unsigned>(width) - 1;

    return mu_emulate_shuffle({"__shfl_xor_sync", file, line}, mask, value,
                              source > (lane | within) ? lane : source);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned lanes, int width = 32,
                   const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    unsigned lane = mu_emulate_lane(), last = lane | (static_cast<unsigned>(width) - 1);

    return mu_emulate_shuffle({"__shfl_down_sync", file, line}, mask, value,
                              lane + lanes > last ? lane : lane + lanes);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned lanes, int width = 32,
                 const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    unsigned lane = mu_emulate_lane(), first = lane & ~(static_cast<unsigned>(width) - 1);

    return mu_emulate_shuffle({"__shfl_up_sync", file, line}, mask, value,
                              lane < first + lanes ? lane : lane - lanes);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, const char *file = __builtin_FILE(),
                              int line = __builtin_LINE())
{
    const std::uint64_t *votes =
        mu_emulate_meet({"__ballot_sync", file, line}, mask, predicate != 0);
    unsigned ballot = 0;

    for (unsigned lane = 0; lane < MU_EMULATE_WARP; lane++)
        if (mask >> lane & 1)
            ballot |= static_cast<unsigned>(votes[lane]) << lane;
    return ballot;
}

inline int __all_sync(unsigned mask, int predicate, const char *file = __builtin_FILE(),
                      int line = __builtin_LINE())
{
    return __ballot_sync(mask, predicate, file, line) == mask;
}

inline int __any_sync(unsigned mask, int predicate, const char *file = __builtin_FILE(),
                      int line = __builtin_LINE())
{
    return __ballot_sync(mask, predicate, file, line) != 0;
}

inline int __ffs(int x)
{
    return __builtin_ffs(x);
}

inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}

/* ---- shared memory: what stands behind MU_SHARED and MU_SHARED_DYNAMIC ---- */
/* The block's memory of this declaration; all threads get the same. */
void *mu_emulate_shared(const void *declaration, std::size_t size_bytes);
void *mu_emulate_shared_dynamic();

/* A GPU ends a kernel that loads or stores elsewhere; what runs here may not notice. */
inline void mu_emulate_aligned(const void *p, std::size_t size_bytes)
{
    if (reinterpret_cast<std::uintptr_t>(p) % size_bytes != 0)
        mu_emulate_fail({"a load or store", "", 0}, "is not aligned to its size");
}

/* ---- copies in the background: 16 bytes each, both sides aligned to 16 ---- */
/* from NULL: zeros. */
void mu_emulate_copy(mu_emulate_site site, void *to, const void *from);
/* Until those that this thread started are made. */
void mu_emulate_copy_wait();

/* ---- launches ---- */
/* Whether a GPU takes such a launch; else a fault. wide: it may take more shared memory than every
 * launch may. */
bool mu_emulate_possible(const char *kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
                         bool wide);
/* Runs a possible launch: body once in each thread. */
cudaError_t mu_emulate_run(const char *kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
                           bool wide, const std::function<void()> &body);
/* Puts it on the stream; what cudaGetLastError says then. */
cudaError_t mu_emulate_submit(const char *kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
                              cudaStream_t stream, bool wide, std::function<void()> body);

/* Arguments are converted once, here; each thread gets copies. */
template <bool WIDE = false, class... P, class... A>
cudaError_t mu_emulate_launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block,
                              std::size_t shared_bytes, cudaStream_t stream, A... arguments)
{
    return mu_emulate_submit(name, grid, block, shared_bytes, stream, WIDE,
                             [kernel, given = std::tuple<P...>(static_cast<P>(arguments)...)] {
                                 std::apply(kernel, given);
                             });
}

#endif
