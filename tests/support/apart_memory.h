/* Memory of the device of apart_device.h: an arena without any access outside of operations, and
 * ranges of lent memory. */
#ifndef MUSTER_TESTS_APART_MEMORY_H
#define MUSTER_TESTS_APART_MEMORY_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernels/device.h"
#include "orchestrator/base/clock.h"

enum { APART_RANGES = 512, APART_ARENA_BYTES = 1 << 28, APART_GAP = 64 };

enum apart_kind { APART_DEVICE, APART_LENT, APART_LENT_BY_OTHERS };

struct apart_range {
    char *at;
    size_t bytes;
    enum apart_kind kind;
};

struct apart {
    struct mu_device base; /* first: it is handed out */
    struct mu_device *inner;
    char *arena;
    size_t used;
    struct apart_range range[APART_RANGES];
    uint32_t count;
    uint64_t uploads; /* bytes so far */
};

static inline void apart_protect(const struct apart *a, int access)
{
    MU_ASSERT(a->used == 0 || mprotect(a->arena, a->used, access) == 0);
}

/* Between begin and end the arena can be touched. */
static inline struct apart *apart_begin(struct mu_device *d)
{
    struct apart *a = (struct apart *)d;

    apart_protect(a, PROT_READ | PROT_WRITE);
    return a;
}

static inline void apart_end(struct apart *a)
{
    apart_protect(a, PROT_NONE);
    if (a->base.status == MU_OK)
        a->base.status = a->inner->status;
    a->inner->status = MU_OK;
}

static inline void apart_check(const struct apart *a, const void *memory, int64_t bytes)
{
    uintptr_t at = (uintptr_t)memory;
    bool inside = bytes == 0;

    for (uint32_t i = 0; i < a->count && !inside; i++) {
        uintptr_t from = (uintptr_t)a->range[i].at;

        inside = at >= from && at + (size_t)bytes <= from + a->range[i].bytes;
    }
    MU_ASSERT(inside); /* neither device memory nor lent memory */
}

static inline void apart_check_if(const struct apart *a, const void *memory, int64_t bytes)
{
    if (memory)
        apart_check(a, memory, bytes);
}

/* What is called the host's is not the device's. */
static inline void apart_check_host(const struct apart *a, const void *memory)
{
    MU_ASSERT((const char *)memory < a->arena ||
              (const char *)memory >= a->arena + APART_ARENA_BYTES);
}

static inline int64_t apart_act(const struct apart *a)
{
    return (int64_t)mu_device_act_bytes(&a->base);
}

/* ---- memory ---- */
static inline void *apart_note(struct apart *a, void *at, size_t bytes, enum apart_kind kind)
{
    MU_ASSERT(a->count < APART_RANGES);
    if (at) {
        struct apart_range *r = &a->range[a->count++];

        r->at = at;
        r->bytes = bytes;
        r->kind = kind;
    }
    return at;
}

static inline void apart_forget(struct apart *a, const void *at, enum apart_kind kind)
{
    uint32_t i = 0;

    while (i < a->count && (a->range[i].at != at || a->range[i].kind != kind))
        i++;
    MU_ASSERT(i < a->count); /* not given out, or given back as something else */
    a->range[i] = a->range[--a->count];
}

static inline void *apart_alloc(struct mu_device *d, size_t bytes)
{
    struct apart *a = (struct apart *)d;
    char *at = a->arena + a->used;

    if (bytes > APART_ARENA_BYTES - a->used - 2 * APART_GAP)
        return NULL;
    a->used += (bytes + APART_GAP) / 64 * 64 + APART_GAP; /* never given out again: zeros */
    apart_protect(a, PROT_NONE);
    return apart_note(a, at, bytes, APART_DEVICE);
}

static inline void apart_free(struct mu_device *d, void *memory)
{
    apart_forget((struct apart *)d, memory, APART_DEVICE);
}

static inline void *apart_alloc_lent(struct mu_device *d, size_t bytes)
{
    size_t whole = (bytes + 64) / 64 * 64;
    void *at = aligned_alloc(64, whole);

    if (at)
        memset(at, 0, whole);
    return apart_note((struct apart *)d, at, bytes, APART_LENT);
}

static inline void apart_free_lent(struct mu_device *d, void *memory)
{
    apart_forget((struct apart *)d, memory, APART_LENT);
    free(memory);
}

static inline enum mu_status apart_lend(struct mu_device *d, void *host, size_t bytes)
{
    MU_ASSERT((uintptr_t)host % 4096 == 0);
    apart_note((struct apart *)d, host, bytes, APART_LENT_BY_OTHERS);
    return MU_OK;
}

static inline void apart_take_back(struct mu_device *d, void *host)
{
    (void)*(volatile char *)host; /* still mapped */
    apart_forget((struct apart *)d, host, APART_LENT_BY_OTHERS);
}

static inline void apart_move(struct mu_device *d, void *to, const void *from, size_t bytes)
{
    struct apart *a = apart_begin(d);

    memcpy(to, from, bytes);
    apart_end(a);
    mu_device_poll(d);
}

static inline void apart_upload(struct mu_device *d, void *to, const void *host, size_t bytes)
{
    struct apart *a = (struct apart *)d;

    apart_check(a, to, (int64_t)bytes);
    apart_check_host(a, host);
    a->uploads += bytes;
    apart_move(d, to, host, bytes);
}

static inline void apart_download(struct mu_device *d, void *host, const void *from, size_t bytes)
{
    apart_check((struct apart *)d, from, (int64_t)bytes);
    apart_check_host((struct apart *)d, host);
    apart_move(d, host, from, bytes);
}

static inline void apart_copy(struct mu_device *d, void *to, const void *from, size_t bytes)
{
    apart_check((struct apart *)d, to, (int64_t)bytes);
    apart_check((struct apart *)d, from, (int64_t)bytes);
    apart_move(d, to, from, bytes);
}

static inline void apart_clear(struct mu_device *d, void *to, size_t bytes)
{
    struct apart *a = apart_begin(d);

    apart_check(a, to, (int64_t)bytes);
    memset(to, 0, bytes);
    apart_end(a);
    mu_device_poll(d);
}

/* Long enough for a death to be heard of. */
static inline void apart_wait(struct mu_device *d)
{
    mu_clock_sleep_us(50);
    mu_device_poll(d);
}

#endif
