/* Memory of devices: the device's own, or plain host memory. Apart from device.c so that rooms can
 * use it without knowing how they are chosen. */
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
static void *alloc_host(size_t bytes)
{
    void *memory = mu_device_alloc_untouched(bytes);

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

void *mu_device_alloc(struct mu_device *d, size_t bytes)
{
    return mu_device_has_host_memory(d) ? alloc_host(bytes) : d->ops->alloc(d, bytes);
}

void mu_device_free(struct mu_device *d, void *memory)
{
    if (!memory || mu_device_has_host_memory(d))
        free(memory);
    else
        d->ops->free(d, memory);
}

void *mu_device_alloc_lent(struct mu_device *d, size_t bytes)
{
    return mu_device_has_host_memory(d) ? alloc_host(bytes) : d->ops->alloc_lent(d, bytes);
}

void mu_device_free_lent(struct mu_device *d, void *memory)
{
    if (!memory || mu_device_has_host_memory(d))
        free(memory);
    else
        d->ops->free_lent(d, memory);
}

enum mu_status mu_device_lend(struct mu_device *d, void *host, size_t bytes)
{
    return mu_device_has_host_memory(d) ? MU_OK : d->ops->lend(d, host, bytes);
}

void mu_device_take_back(struct mu_device *d, void *host)
{
    if (!mu_device_has_host_memory(d))
        d->ops->take_back(d, host);
}

void mu_device_upload(struct mu_device *d, void *to, const void *host, size_t bytes)
{
    if (mu_device_has_host_memory(d))
        memcpy(to, host, bytes);
    else
        d->ops->upload(d, to, host, bytes);
}

void mu_device_download(struct mu_device *d, void *host, const void *from, size_t bytes)
{
    if (mu_device_has_host_memory(d))
        memcpy(host, from, bytes);
    else
        d->ops->download(d, host, from, bytes);
}

void mu_device_clear(struct mu_device *d, void *to, size_t bytes)
{
    if (mu_device_has_host_memory(d))
        memset(to, 0, bytes);
    else
        d->ops->clear(d, to, bytes);
}

void mu_device_copy(struct mu_device *d, void *to, const void *from, size_t bytes)
{
    if (mu_device_has_host_memory(d))
        memcpy(to, from, bytes);
    else
        d->ops->copy(d, to, from, bytes);
}

const void *mu_device_view(struct mu_device *d, const void *memory, size_t bytes, void *copy)
{
    if (mu_device_has_host_memory(d))
        return memory;
    for (size_t at = 0; at < bytes; at += MU_DEVICE_PIECE) {
        size_t n = bytes - at < MU_DEVICE_PIECE ? bytes - at : MU_DEVICE_PIECE;

        d->ops->download(d, (char *)copy + at, (const char *)memory + at, n);
        mu_device_poll(d);
    }
    return copy;
}

void mu_device_wait(struct mu_device *d)
{
    if (d->ops->wait)
        d->ops->wait(d);
}

enum mu_status mu_device_verify(struct mu_device *d)
{
    mu_device_wait(d);
    return d->broken ? MU_FAILED : MU_OK;
}
