/* What resident.c lets resident_parts.c see of a state. */
#ifndef MUSTER_KERNELS_CUDA_RESIDENT_INNER_H
#define MUSTER_KERNELS_CUDA_RESIDENT_INNER_H

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/sums.h"
#include "kernels/resident.h"

struct mu_cuda_resident_inner {
    struct mu_cuda *cuda;
    const struct mu_cuda_span *host_spans, *device_spans; /* the layout's */
    struct mu_cuda_sum sum;
    struct mu_cuda_total total; /* dense: NULL in parts */
    const int16_t *prediction;
    uint32_t *check;      /* a word */
    uint32_t *part_check; /* one for each part */
};
struct mu_cuda_resident_inner mu_cuda_resident_inner(struct mu_resident *r);

#endif
