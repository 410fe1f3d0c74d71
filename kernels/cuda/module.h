/* What muster-cuda.so and the program know of each other. The module exports one symbol, the table
 * `mu_cuda_module`; kernels/cuda_module.h finds and loads it. The module calls what it needs of
 * orchestrator/base in the program, which exports its symbols. */
#ifndef MUSTER_KERNELS_CUDA_MODULE_H
#define MUSTER_KERNELS_CUDA_MODULE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "kernels/device.h"

#define MU_CUDA_MODULE_FILE   "muster-cuda.so"
#define MU_CUDA_MODULE_SYMBOL "mu_cuda_module"

enum { MU_CUDA_GPUS_MAX = 64 };

struct mu_cuda_gpu {
    char name[128];   /* "NVIDIA H100 80GB HBM3" */
    uint8_t uuid[16]; /* with MIG: the instance's */
    char pci[16];     /* "0000:1b:00.0", as nvidia-smi and the kernel's log write it */
    uint64_t memory_bytes;
    int multiprocessors;
    int major, minor; /* compute capability */
};

/* What CUDA finds on this host. Versions as CUDA writes them: 13000 is 13.0; 0: no driver. */
struct mu_cuda_facts {
    int driver, needed;
    int gpus; /* visible ones; the first MU_CUDA_GPUS_MAX are told */
    struct mu_cuda_gpu gpu[MU_CUDA_GPUS_MAX];
    char problem[512]; /* empty, or why no GPU can be used, and what to do */
    bool none;         /* that is all: CUDA works, and shows no GPU */
};

struct mu_cuda_module {
    const char *abi;   /* of mu_cuda_module_abi; compared before anything else is read */
    const char *built; /* "CUDA 13.0, cuBLASLt 13.1.0, NCCL 2.28.9, sm_80 sm_90" */
    void (*look)(struct mu_cuda_facts *);
    enum mu_status (*open)(const struct mu_device_options *options,
                           struct mu_device **out) MU_CHECKED;
};

/* The same text in a module and a program that can work together. */
struct mu_cuda_module_abi {
    char text[128];
};
static inline struct mu_cuda_module_abi mu_cuda_module_abi(void)
{
    struct mu_cuda_module_abi abi;

    snprintf(abi.text, sizeof abi.text, "muster %s %zu %zu %zu %zu %zu %zu %zu %zu", MUSTER_VERSION,
             sizeof(struct mu_cuda_module), sizeof(struct mu_cuda_facts),
             sizeof(struct mu_device_options), sizeof(struct mu_device),
             sizeof(struct mu_device_ops), sizeof(struct mu_quantise), sizeof(struct mu_adamw),
             sizeof(struct mu_attention) + sizeof(struct mu_linear));
    return abi;
}

#endif
