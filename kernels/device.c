/* Which room a device comes from, and the names of what it can do. */
#include "kernels/device.h"

#include <string.h>

#include "kernels/cpu/isa.h"
#include "kernels/cuda_module.h"
#include "kernels/device_kinds.h"

enum mu_status mu_device_open(const struct mu_device_options *options, struct mu_device **out)
{
    *out = NULL;
    if (options->threads < 1)
        return MU_FAIL(MU_CONFIG, "device.threads is %d; at least 1 is needed", options->threads);
    switch (options->kind) {
    case MU_DEVICE_REFERENCE:
        return mu_reference_open(options, out);
    case MU_DEVICE_CPU:
        return mu_cpu_open(options, out);
    case MU_DEVICE_CUDA:
        return mu_cuda_open(options, out);
    }
    return MU_FAIL(MU_CONFIG,
                   "device.kind %d is unknown; expected \"cpu\", \"reference\" or \"cuda\"",
                   (int)options->kind);
}

enum mu_status mu_device_check(const struct mu_device_options *options)
{
    return options->kind == MU_DEVICE_CUDA ? mu_cuda_check(options) : MU_OK;
}

enum mu_status mu_device_look(enum mu_device_kind kind, struct mu_device_gpus *out)
{
    memset(out, 0, sizeof *out);
    return kind == MU_DEVICE_CUDA ? mu_cuda_look(out) : MU_OK;
}

void mu_device_close(struct mu_device *device)
{
    if (device)
        device->ops->close(device);
}

enum mu_isa mu_device_best_isa(void)
{
    return mu_cpu_isa();
}

const char *mu_isa_name(enum mu_isa isa)
{
    switch (isa) {
#define NAME(list, identifier, word) \
    case MU_ISA_##identifier:        \
        return word;
        MU_CHOICE_ISA(NAME)
#undef NAME
    }
    return "unknown";
}

double mu_device_measure_peak(struct mu_device *device, double seconds)
{
    return device->ops->measure_peak(device, seconds);
}
