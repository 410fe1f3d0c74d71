/* The one symbol of muster-cuda.so, and what it says of this host. */
#include "kernels/cuda/module.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/name.h"

/* Both from the build (kernels/cuda.cmake); the emulated module has neither. */
#ifndef MUSTER_CUDA_BUILT
#define MUSTER_CUDA_BUILT "emulated on the host"
#endif

static void look_at_driver(struct mu_cuda_facts *f, cudaError_t error)
{
    int needed = f->needed / 1000, minor = f->needed % 1000 / 10;

    if (f->driver == 0)
        snprintf(f->problem, sizeof f->problem,
                 "this host has no NVIDIA driver, or none that this process sees (libcuda.so.1): "
                 "install one for CUDA %d.%d or newer, or set device.kind = \"cpu\"",
                 needed, minor);
    else if (error == cudaErrorInsufficientDriver || f->driver / 1000 < needed)
        snprintf(f->problem, sizeof f->problem,
                 "the NVIDIA driver of this host is for CUDA %d.%d, and this Muster needs %d.%d: "
                 "update the driver, or build Muster with an older CUDA",
                 f->driver / 1000, f->driver % 1000 / 10, needed, minor);
}

static void look_at_count(struct mu_cuda_facts *f, cudaError_t error)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");

    if (error == cudaSuccess && f->gpus > 0)
        return;
    f->gpus = 0;
    f->none = error == cudaSuccess || error == cudaErrorNoDevice;
    if (error != cudaSuccess && error != cudaErrorNoDevice)
        snprintf(f->problem, sizeof f->problem, "CUDA cannot start: %s (%s)",
                 cudaGetErrorString(error), cudaGetErrorName(error));
    else if (visible)
        snprintf(f->problem, sizeof f->problem,
                 "no GPU is visible: CUDA_VISIBLE_DEVICES is \"%.100s\"; set it to GPUs that "
                 "`nvidia-smi` lists, or unset it",
                 visible);
    else
        snprintf(f->problem, sizeof f->problem,
                 "no GPU is visible (CUDA_VISIBLE_DEVICES is not set): `nvidia-smi` tells what "
                 "this host has; a container or a batch system must be asked for GPUs");
}

static void look(struct mu_cuda_facts *f)
{
    cudaError_t error;

    memset(f, 0, sizeof *f);
    (void)cudaRuntimeGetVersion(&f->needed);
    if (cudaDriverGetVersion(&f->driver) != cudaSuccess)
        f->driver = 0;
    error = cudaGetDeviceCount(&f->gpus);
    look_at_driver(f, error);
    if (!f->problem[0])
        look_at_count(f, error);
    if (f->problem[0])
        f->gpus = 0;
    for (int i = 0; i < f->gpus && i < MU_CUDA_GPUS_MAX; i++) {
        struct cudaDeviceProp p;

        if (cudaGetDeviceProperties(&p, i) != cudaSuccess)
            continue;
        snprintf(f->gpu[i].name, sizeof f->gpu[i].name, "%.127s", p.name);
        memcpy(f->gpu[i].uuid, p.uuid.bytes, sizeof f->gpu[i].uuid);
        mu_cuda_print_pci(&p, f->gpu[i].pci, sizeof f->gpu[i].pci);
        f->gpu[i].memory_bytes = p.totalGlobalMem;
        f->gpu[i].multiprocessors = p.multiProcessorCount;
        f->gpu[i].major = p.major;
        f->gpu[i].minor = p.minor;
    }
    (void)cudaGetLastError();
}

extern const struct mu_cuda_module mu_cuda_module;
static struct mu_cuda_module_abi abi;

/* The text is made of sizes: it stands when dlopen returns. */
__attribute__((constructor)) static void name_abi(void)
{
    abi = mu_cuda_module_abi();
}

__attribute__((visibility("default"))) const struct mu_cuda_module mu_cuda_module = {
    .abi = abi.text,
    .built = MUSTER_CUDA_BUILT,
    .look = look,
    .open = mu_cuda_device_open,
};
