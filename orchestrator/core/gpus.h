/* Which rank takes which GPU. Pure: from what every rank sees.
 *
 * Batch systems and wrappers show each rank one GPU, mpirun alone shows all ranks all of their
 * host's, and both may come together. So GPUs are known by their identity, never by the number that
 * a rank sees them under. As many ranks as possible get one of their own; whoever sees fewest
 * chooses first, then the lower rank, and takes the first that is free: where all ranks of a host
 * see the same, rank i of the host takes the i-th. */
#ifndef MUSTER_CORE_GPUS_H
#define MUSTER_CORE_GPUS_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

enum { MU_GPU_NONE = -1 };

/* Of a GPU, or of a MIG instance of one, which is a GPU of its own here. */
struct mu_gpu_id {
    uint8_t byte[16];
};

/* What a rank sees, in its own order. */
struct mu_gpu_sight {
    const struct mu_gpu_id *gpu;
    uint32_t count;
};

/* taken[rank]: which of those that it sees, or MU_GPU_NONE. share: who would have none takes one
 * that others have, those in turn. */
enum mu_status mu_gpus_deal(const struct mu_gpu_sight *sight, uint32_t ranks, bool share,
                            int32_t *taken) MU_CHECKED;

/* The lowest rank that took the GPU that `rank` sees as its first one; `ranks`: nobody did. */
uint32_t mu_gpus_owner(const struct mu_gpu_sight *sight, uint32_t ranks, const int32_t *taken,
                       uint32_t rank);

#endif
