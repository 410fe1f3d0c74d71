/* What do:gpu-E (fault.h) has asked for: for kernels/emulate, which pretends the GPU, in C++. */
#ifndef MUSTER_BASE_FAULT_GPU_H
#define MUSTER_BASE_FAULT_GPU_H

#ifdef __cplusplus
extern "C" {
#endif

/* The error that a call of CUDA's runtime is to fail with, asked for since the last look; 0: none.
 * By any thread. */
int mu_fault_take_gpu_error(void);

#ifdef __cplusplus
}
#endif

#endif
