/* Which room a device comes from, and the names of what it can do. */
#include "kernels/device.h"

#include "kernels/cpu/isa.h"
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
        return MU_FAIL(MU_CONFIG, "device.kind = \"cuda\" is not there yet");
    }
    return MU_FAIL(MU_CONFIG, "device.kind %d is unknown; expected \"cpu\" or \"reference\"",
                   (int)options->kind);
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
