/* Memory of all devices: plain host memory, apart from device.c so that rooms can use it without
 * knowing how they are chosen. */
#include "kernels/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernels/device.h"

/* From here on an allocation begins on a huge page and asks for them: fewer page faults and TLB
 * misses in weights and activations. */
static const size_t huge_page_bytes = (size_t)2 << 20;

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

/* Large memory is given as pages that the kernel clears when they are touched, by whoever works on
 * them: clearing all of it here would hold up a start by most of a second for a model of 100
 * million parameters. */
void *mu_device_alloc(struct mu_device *device, size_t bytes)
{
    void *memory = mu_device_alloc_untouched(bytes);

    (void)device;
    if (!memory)
        return NULL;
    if (bytes < 2 * huge_page_bytes ||
        madvise(memory, bytes / huge_page_bytes * huge_page_bytes, MADV_DONTNEED) != 0)
        memset(memory, 0, bytes);
    else
        memset((char *)memory + bytes / huge_page_bytes * huge_page_bytes, 0,
               bytes % huge_page_bytes);
    return memory;
}

void mu_device_free(struct mu_device *device, void *memory)
{
    (void)device;
    free(memory);
}
