/* A block's quantum is 2^mu_quantum_exponent: worker/exact_sum.h says why. */
#ifndef MUSTER_KERNELS_QUANTUM_H
#define MUSTER_KERNELS_QUANTUM_H

#include <stdint.h>

#include "orchestrator/core/layout.h"

#ifdef __CUDACC__ /* the same formula on the device */
#define MU_QUANTUM_FUNCTION static inline __host__ __device__
#else
#define MU_QUANTUM_FUNCTION static inline
#endif

enum { MU_QUANTUM_HEADROOM_BITS = 2 };

/* c + L - 31 with c = ceil(prediction / 8) + headroom; prediction is in eighths of a bit. */
MU_QUANTUM_FUNCTION int mu_quantum_exponent(int16_t prediction, int log2_addends)
{
    int ceiling = prediction >= 0 ? (prediction + 7) / 8 : -(-prediction / 8);

    return ceiling + MU_QUANTUM_HEADROOM_BITS + log2_addends - 31;
}

#endif
