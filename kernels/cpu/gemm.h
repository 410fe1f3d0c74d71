/* Matrix products of one thread on plain row-major views: C (m, n) f32 (+)= A (m, k) B (k, n), A
 * and B f32 or both bf16, each stored as it is or transposed, with any row stride.
 *
 * A product here is one primitive of the library, made for one thread: its bits are a function of
 * its shape, strides and types alone. Whoever wants several threads cuts a product into tiles whose
 * shapes do not depend on the threads (tiles.h).
 *
 * Products are made (mu_gemm_get) by the device's caller while no task runs, kept for the life of
 * the engine, and run by any worker, several workers at once. */
#ifndef MUSTER_KERNELS_CPU_GEMM_H
#define MUSTER_KERNELS_CPU_GEMM_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

struct mu_gemm_shape {
    int64_t m, n, k;
    int64_t lda, ldb, ldc;   /* elements from one stored row to the next */
    bool a_is_kxm, b_is_nxk; /* stored transposed */
    bool bf16;               /* A and B; C is f32 */
    bool accumulate;         /* C += */
};

struct mu_gemm_engine;
struct mu_gemm;

/* MU_CONFIG when this library cannot compute for one thread, or not in bf16 on this CPU. */
enum mu_status mu_gemm_engine_open(int workers, bool bf16, struct mu_gemm_engine **out) MU_CHECKED;
void mu_gemm_engine_close(struct mu_gemm_engine *engine); /* NULL is allowed */

/* Every thread that runs products calls this first: the library's own threading off. */
void mu_gemm_enter_thread(void);

/* Made at the first call, then found. A shape that cannot be made is a bug of ours (MU_ASSERT): the
 * engine's opening tried the types. */
const struct mu_gemm *mu_gemm_get(struct mu_gemm_engine *engine, const struct mu_gemm_shape *shape);
void mu_gemm_run(const struct mu_gemm *gemm, int worker, const void *a, const void *b, float *c);

#endif
