/* Numbers for marked blocks, in order of block: a prefix sum over a map of bytes. */
#ifndef MUSTER_KERNELS_CUDA_NUMBERING_CUH
#define MUSTER_KERNELS_CUDA_NUMBERING_CUH

#include <stdint.h>

#include "kernels/cuda/platform.cuh"

/* Blocks that are marked, and not in `taken` when there is one, get the next numbers. */
struct mu_numbering {
    const uint8_t *marked; /* blocks: 0 or 1 */
    uint8_t *taken;        /* blocks, or NULL: becomes 1 where a number is given */
    uint32_t *number;      /* blocks: written where a number is given */
    int64_t blocks;
    uint32_t most;     /* numbers stay below; with taken */
    uint32_t *scratch; /* mu_cuda_sum_scratch(blocks) */
    uint32_t *total;   /* numbers given; with taken: those before too */
    uint8_t *full;     /* with taken: becomes 1 when there are not enough numbers */
};

cudaError_t mu_number(cudaStream_t stream, const mu_numbering &n);
/* Device memory, in scratch: what *total was before; until the next numbering. */
const uint32_t *mu_numbered_before(const mu_numbering &n);

#endif
