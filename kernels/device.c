/* Which room a device comes from, and what all devices share: names and memory. */
#include "kernels/device.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernels/cpu/isa.h"
#include "kernels/device_kinds.h"

/* From here on an allocation begins on a huge page and asks for them: fewer page faults and TLB
 * misses in weights and activations. */
static const size_t huge_page_bytes = (size_t)2 << 20;

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

void *mu_device_alloc_untouched(size_t bytes)
{
    size_t align = bytes >= 2 * huge_page_bytes ? huge_page_bytes : 64;
    void *memory;

    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + align) / align * align; /* at least one byte more: never empty */
    memory = aligned_alloc(align, bytes);
    if (!memory)
        return NULL;
    if (align == huge_page_bytes)
        (void)madvise(memory, bytes, MADV_HUGEPAGE); /* a wish: small pages are right too */
    return memory;
}

void *mu_device_alloc(struct mu_device *device, size_t bytes)
{
    void *memory = mu_device_alloc_untouched(bytes);

    (void)device;
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

void mu_device_free(struct mu_device *device, void *memory)
{
    (void)device;
    free(memory);
}

double mu_device_measure_peak(struct mu_device *device, double seconds)
{
    return device->ops->measure_peak(device, seconds);
}
