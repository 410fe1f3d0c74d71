/* What this thread's GPU is called in lines about it, for what fails without knowing its device
 * (cuBLASLt, NCCL). A device is used by the thread that opened it. */
#ifndef MUSTER_KERNELS_CUDA_NAME_H
#define MUSTER_KERNELS_CUDA_NAME_H

#include <cuda_runtime_api.h>
#include <stddef.h>

/* "a GPU" before any was named. */
const char *mu_cuda_gpu_name(void);
void mu_cuda_name_gpu(const char *name); /* copied */

/* "0000:1b:00.0", as nvidia-smi and the kernel's log (Xid) write it. */
void mu_cuda_print_pci(const struct cudaDeviceProp *p, char *out, size_t capacity);

/* What to do about a cudaError_t, to stand behind it in a line. */
const char *mu_cuda_advice(int error);

#endif
