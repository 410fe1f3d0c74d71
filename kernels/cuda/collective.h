/* kernels/collective.h on CUDA. */
#ifndef MUSTER_KERNELS_CUDA_COLLECTIVE_H
#define MUSTER_KERNELS_CUDA_COLLECTIVE_H

#include "kernels/collective.h"

/* NULL when the module was built without NCCL. */
const struct mu_collective_ops *mu_cuda_collective(void);
/* "NCCL 2.28.9"; NULL likewise. */
const char *mu_cuda_collective_version(void);

#endif
