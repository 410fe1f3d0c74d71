/* What a test asks of the emulation: in which order threads run, what machine is pretended, what
 * goes wrong there, and what went wrong.
 *
 * The machine is described by the environment, read at a process's first call:
 *
 *   MUSTER_EMULATE_DEVICES=8         GPUs of the host; CUDA_VISIBLE_DEVICES chooses of them
 *   MUSTER_EMULATE_MEMORY=4294967296 bytes that each has
 *   MUSTER_EMULATE_DRIVER=13000      its version; less than the runtime's: refused; 0: none
 *   MUSTER_EMULATE_CAPABILITY=90     compute capability 9.0
 *   MUSTER_EMULATE_MIG=1             so many of the GPUs are MIG instances of one
 *   MUSTER_EMULATE_LAZY=1            operations run only where somebody waits or asks, one by one
 *                                    in an odd order of streams: shows what was not waited for;
 *                                    2: of the streams that can go on always the newest does: shows
 *                                    what it should have waited for
 *   MUSTER_EMULATE_OPEN=1            the host may touch device memory: faster where there are no
 *                                    huge pages
 *   MUSTER_EMULATE_WAIT_S=120        a wait that takes longer ends the process in words
 *   MUSTER_EMULATE_FAIL=k:e          the k-th call of the CUDA runtime (queries and cudaGet... do
 *                                    not count, launches do) returns the cudaError_t of number e;
 *                                    700 and more, and 214, are sticky. At a point of a step:
 *                                    MUSTER_FAULT, do:gpu-e (orchestrator/base/fault.h)
 *   MUSTER_EMULATE_NCCL_REMOTE=1     a peer's death is an asynchronous error, ncclRemoteError; else
 *                                    nobody says anything
 *   MUSTER_EMULATE_NCCL_ERROR=k:e    the k-th collective that this process begins never ends, and
 *                                    ncclCommGetAsyncError says e from then on
 *   MUSTER_EMULATE_NCCL_TORN=k       in its k-th collective this process is killed (SIGKILL) when
 *                                    ranks of even number have its part, the others not
 *   MUSTER_EMULATE_NCCL_FORM=k:e     the k-th communicator of this process is never formed, and
 *                                    ncclCommGetAsyncError says e; 7 (ncclInProgress): it hangs
 *   MUSTER_EMULATE_NCCL_END_HANGS=1  ncclCommDestroy never returns
 *   MUSTER_EMULATE_NCCL_ABORT_HANGS=k  the k-th ncclCommAbort never returns
 *   MUSTER_EMULATE_NCCL_ABORT_MS=n   each takes so long, and each ncclCommDestroy: NCCL's own threads look at its flag twice a
 *                                    second
 *   MUSTER_EMULATE_NCCL_ORDER=n      floats are summed in another order of ranks; 0: 0, 1, 2 ...
 *   MUSTER_EMULATE_BLAS_FIRST=a      algorithm a (enum mu_emulate_blas_algorithm) is the heuristics'
 *                                    first choice
 *   MUSTER_EMULATE_BLAS_SLOW=a:us,.. products by algorithm a take so much longer
 *   MUSTER_EMULATE_BLAS_VERSION=v    of cuBLASLt, as it writes it: 130200 is 13.2.0
 *   MUSTER_EMULATE_RANK=r            FAIL, NCCL_ERROR, NCCL_FORM, NCCL_TORN, NCCL_END_...,
 *                                    NCCL_ABORT_... and BLAS_...
 *                                    concern only the process whose PMIX_RANK is r */
#ifndef MUSTER_KERNELS_EMULATE_CONTROL_H
#define MUSTER_KERNELS_EMULATE_CONTROL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The order of blocks, and of a block's threads between two barriers. A kernel without races gives
 * the same bits under all of them. */
enum mu_emulate_order {
    MU_EMULATE_FORWARD,
    MU_EMULATE_REVERSE,
    MU_EMULATE_SHUFFLED, /* by the seed; another order after each barrier */
};
void mu_emulate_set_order(enum mu_emulate_order order, uint64_t seed);

/* What the first faulty launch since the last clear did wrong, in words; NULL: nothing. A launch
 * that is at fault also returns an error, and leaves its outputs unfinished. */
const char *mu_emulate_fault(void);
/* Forgets it, and heals the device, so that calls work again. */
void mu_emulate_clear(void);

/* As in a new process: no memory, streams, communicators or errors; the environment is read anew.
 * What the old ones were called is gone: they must not be used, nor destroyed. */
void mu_emulate_restart(void);
/* Calls that MUSTER_EMULATE_FAIL has counted. */
uint64_t mu_emulate_calls(void);

#ifdef __cplusplus
}
#endif

#endif
