#include "kernels/cuda/name.h"

#include <stdio.h>

static _Thread_local char gpu_name[256] = "a GPU";

const char *mu_cuda_gpu_name(void)
{
    return gpu_name;
}

void mu_cuda_name_gpu(const char *name)
{
    snprintf(gpu_name, sizeof gpu_name, "%s", name);
}

void mu_cuda_print_pci(const struct cudaDeviceProp *p, char *out, size_t capacity)
{
    snprintf(out, capacity, "%04x:%02x:%02x.0", (unsigned)p->pciDomainID & 0xffffu,
             (unsigned)p->pciBusID & 0xffu, (unsigned)p->pciDeviceID & 0xffu);
}

const char *mu_cuda_advice(int error)
{
    switch ((cudaError_t)error) {
    case cudaErrorMemoryAllocation:
        return "; see in `nvidia-smi` who else uses it";
    case cudaErrorDevicesUnavailable:
        return ": another process has it for itself (`nvidia-smi`, compute mode)";
    case cudaErrorInsufficientDriver:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorSystemDriverMismatch:
        return ": the driver and its libraries must be of one version, and not older than this "
               "Muster's CUDA (`muster --version`); update the driver, and restart the host";
    case cudaErrorECCUncorrectable:
        return ": its memory is faulty. Reset it (`nvidia-smi --gpu-reset`) before it is used "
               "again, leave it out by CUDA_VISIBLE_DEVICES until then, and have it replaced when "
               "it happens again";
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
        return "; the kernel's log (`dmesg`, Xid) says whether it was the hardware. A GPU to which "
               "that happens again needs a reset (`nvidia-smi --gpu-reset`), or a replacement";
    default:
        return "; `nvidia-smi` and the kernel's log (Xid) may say why";
    }
}
