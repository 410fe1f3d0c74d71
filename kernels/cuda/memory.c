/* Memory of the GPU's, memory of the host's that the GPU may touch, and copies between them and all
 * other host memory, which go through page-locked stages: CUDA copies from pageable memory itself,
 * but blocks meanwhile, and nobody polls. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda.h"

static const size_t stage_bytes = (size_t)1 << 20;

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* for_what: an operation, or NULL */
static void tell_starved(const struct mu_cuda *c, size_t bytes, const char *for_what)
{
    size_t left = 0, total = 0;

    (void)cudaGetLastError();
    (void)cudaMemGetInfo(&left, &total);
    (void)MU_FAIL(MU_NO_MEMORY,
                  "%s is out of memory: %.1f MiB were wanted%s%s, %.1f of %.1f MiB are free; set "
                  "device.recompute = \"block\", lower batch.micro, take a smaller model, or see "
                  "in `nvidia-smi` who else uses it",
                  c->name, mib(bytes), for_what ? " for scratch of " : "", for_what ? for_what : "",
                  mib(left), mib(total));
}

/* CUDA gives memory in multiples of 512 bytes, from blocks of 2 MiB. The address is none: nothing
 * is done with it. */
static void *rehearse(struct mu_cuda *c, size_t bytes)
{
    const uint64_t first = 512, rounded = (bytes + first) / first * first;

    c->rehearsed += rounded;
    return (void *)(uintptr_t)(first + c->rehearsed - rounded); // NOLINT(performance-no-int-to-ptr)
}

struct mu_device_room mu_cuda_memory(const struct mu_device *d)
{
    const struct mu_cuda *c = (const struct mu_cuda *)d;
    size_t left = 0, total = 0;

    if (!d->options.rehearses && cudaMemGetInfo(&left, &total) != cudaSuccess)
        (void)cudaGetLastError();
    return (struct mu_device_room){left, total, c->rehearsed};
}

/* NULL is told, but breaks nothing: whoever asked may do without. */
static void *device_memory(struct mu_cuda *c, size_t bytes, const char *for_what)
{
    void *memory = NULL;
    cudaError_t error;

    if (c->base.options.rehearses)
        return rehearse(c, bytes);
    if (!mu_cuda_drain(c, "an allocation")) /* cudaMalloc may wait for the GPU, without polls */
        return NULL;
    error = cudaMalloc(&memory, bytes > 0 ? bytes : 1);
    if (error == cudaErrorMemoryAllocation) {
        tell_starved(c, bytes, for_what);
        return NULL;
    }
    if (error)
        mu_cuda_break(c, "an allocation", (int)error);
    return error ? NULL : memory;
}

/* Whether something may be freed: that waits for the GPU, without polls, and for ever for one that
 * hangs. */
static bool may_free(struct mu_cuda *c)
{
    if (!c->base.broken)
        mu_cuda_drain(c, "freeing memory");
    return !c->hangs;
}

static void release(struct mu_cuda *c, void *memory)
{
    if (memory && !c->base.options.rehearses && may_free(c))
        (void)cudaFree(memory);
}

void *mu_cuda_alloc(struct mu_device *d, size_t bytes)
{
    void *memory = device_memory(mu_cuda_of(d), bytes, NULL);

    if (memory)
        mu_cuda_clear(d, memory, bytes);
    return memory;
}

void mu_cuda_free(struct mu_device *d, void *memory)
{
    release(mu_cuda_of(d), memory);
}

void *mu_cuda_scratch(struct mu_cuda *c, size_t bytes, const char *operation)
{
    if (c->base.broken) {
        mu_cuda_break(c, operation, cudaSuccess);
        return NULL;
    }
    if (c->scratch && bytes <= c->scratch_bytes)
        return c->scratch;
    release(c, c->scratch);
    c->scratch = device_memory(c, bytes, operation);
    c->scratch_bytes = c->scratch ? bytes : 0;
    if (!c->scratch && !c->base.broken) { /* which is told */
        c->base.broken = true;
        c->base.status = c->failure = MU_NO_MEMORY;
    }
    return c->scratch;
}

/* ---- lent memory ---- */
bool mu_cuda_is_lent(const struct mu_cuda *c, const void *const *pointers, int count)
{
    for (int i = 0; i < count; i++)
        for (int l = 0; l < c->lent_count; l++)
            if ((uintptr_t)pointers[i] - (uintptr_t)c->lent[l].memory < c->lent[l].bytes)
                return true;
    return false;
}

static bool is_lent(const struct mu_cuda *c, const void *p)
{
    return mu_cuda_is_lent(c, &p, 1);
}

/* Room for one more. */
static bool reserve(struct mu_cuda *c)
{
    int capacity = 2 * c->lent_capacity + 8;
    struct mu_cuda_lent *lent;

    if (c->lent_count < c->lent_capacity)
        return true;
    lent = realloc(c->lent, (size_t)capacity * sizeof *lent);
    if (!lent)
        return false;
    c->lent = lent;
    c->lent_capacity = capacity;
    return true;
}

/* Both sides must use the same pointers. */
static cudaError_t check_address(void *memory)
{
    void *seen = NULL;
    cudaError_t error = cudaHostGetDevicePointer(&seen, memory, 0);

    return error ? error : seen == memory ? cudaSuccess : cudaErrorNotSupported;
}

static void remember(struct mu_cuda *c, void *memory, size_t bytes)
{
    c->lent[c->lent_count++] = (struct mu_cuda_lent){memory, bytes};
}

static bool forget(struct mu_cuda *c, const void *memory)
{
    for (int i = 0; i < c->lent_count; i++)
        if (c->lent[i].memory == memory) {
            c->lent[i] = c->lent[--c->lent_count];
            return true;
        }
    return false;
}

/* Page-locked memory that cannot be had is no fault of the GPU; other errors come from it. */
static void break_unless_short(struct mu_cuda *c, const char *operation, cudaError_t error)
{
    if (error != cudaErrorMemoryAllocation && error != cudaErrorNotSupported &&
        error != cudaErrorInvalidValue && error != cudaErrorOperatingSystem &&
        error != cudaErrorHostMemoryAlreadyRegistered)
        mu_cuda_break(c, operation, (int)error);
}

void *mu_cuda_alloc_lent(struct mu_device *d, size_t bytes)
{
    struct mu_cuda *c = mu_cuda_of(d);
    void *memory = NULL;
    cudaError_t error = cudaSuccess;

    bytes = bytes > 0 ? bytes : 1;
    if (d->options.rehearses)
        return calloc(1, bytes);
    if (!reserve(c) || !mu_cuda_drain(c, "an allocation"))
        return NULL;
    error = cudaHostAlloc(&memory, bytes, cudaHostAllocMapped | cudaHostAllocPortable);
    if (!error && (error = check_address(memory)) != cudaSuccess)
        (void)cudaFreeHost(memory);
    if (error) {
        (void)cudaGetLastError();
        break_unless_short(c, "an allocation of the host's memory", error);
        if (!c->base.broken)
            (void)MU_FAIL(MU_NO_MEMORY,
                          "%.1f MiB of memory that %s can reach cannot be had: %s (%s)", mib(bytes),
                          c->name, cudaGetErrorString(error), cudaGetErrorName(error));
        return NULL;
    }
    memset(memory, 0, bytes);
    remember(c, memory, bytes);
    return memory;
}

void mu_cuda_free_lent(struct mu_device *d, void *memory)
{
    struct mu_cuda *c = mu_cuda_of(d);

    if (d->options.rehearses)
        free(memory);
    else if (forget(c, memory) && may_free(c))
        (void)cudaFreeHost(memory);
}

enum mu_status mu_cuda_lend(struct mu_device *d, void *host, size_t bytes)
{
    struct mu_cuda *c = mu_cuda_of(d);
    cudaError_t error;

    if (!reserve(c))
        return MU_FAIL(MU_NO_MEMORY, "no memory to lend memory");
    if (!mu_cuda_drain(c, "lending memory"))
        return MU_FAILED;
    error = cudaHostRegister(host, bytes, cudaHostRegisterMapped | cudaHostRegisterPortable);
    if (!error && (error = check_address(host)) != cudaSuccess)
        (void)cudaHostUnregister(host);
    if (error) {
        (void)cudaGetLastError();
        break_unless_short(c, "lending memory", error);
        if (c->base.broken)
            return MU_FAILED;
        return MU_FAIL(MU_FAILED,
                       "%.1f MiB of shared memory cannot be lent to %s: %s (%s). The limit of "
                       "locked memory (`ulimit -l`) must allow it, and the GPU must see host "
                       "memory at the host's addresses",
                       mib(bytes), c->name, cudaGetErrorString(error), cudaGetErrorName(error));
    }
    remember(c, host, bytes);
    return MU_OK;
}

void mu_cuda_take_back(struct mu_device *d, void *host)
{
    struct mu_cuda *c = mu_cuda_of(d);

    if (forget(c, host) && may_free(c))
        (void)cudaHostUnregister(host);
}

/* ---- copies ---- */
static void copy_on_stream(struct mu_cuda *c, void *to, const void *from, size_t bytes,
                           const char *operation, bool wait)
{
    mu_cuda_queued(c, operation,
                   (int)cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, c->stream), wait);
}

/* Once what was copied through it last has arrived. */
static char *wait_for_stage(struct mu_cuda *c, unsigned i, const char *operation)
{
    if (c->stage[i].used && !mu_cuda_await(c, c->stage[i].copied, operation))
        return NULL;
    c->stage[i].used = false;
    return c->stage[i].memory;
}

/* The next in turn. */
static char *take_stage(struct mu_cuda *c, unsigned *i, const char *operation)
{
    *i = c->next_stage++ % MU_CUDA_STAGES;
    return wait_for_stage(c, *i, operation);
}

static void leave_stage(struct mu_cuda *c, unsigned i, const char *operation)
{
    cudaError_t error = cudaEventRecord(c->stage[i].copied, c->stream);

    c->stage[i].used = true;
    if (error)
        mu_cuda_break(c, operation, (int)error);
}

static size_t chunk_bytes(size_t bytes, size_t chunk)
{
    size_t left = bytes - chunk * stage_bytes;

    return left < stage_bytes ? left : stage_bytes;
}

/* What is short goes through a stage even from lent memory, which the GPU could read by itself:
 * that would have to be waited for, and with it all that is queued. */
void mu_cuda_upload(struct mu_device *d, void *to, const void *host, size_t bytes)
{
    struct mu_cuda *c = mu_cuda_of(d);
    size_t chunks = (bytes + stage_bytes - 1) / stage_bytes;

    if (d->options.rehearses)
        return;
    if (chunks > 1 && is_lent(c, host)) {
        copy_on_stream(c, to, host, bytes, "an upload", true);
        return;
    }
    for (size_t k = 0; k < chunks; k++) {
        unsigned i;
        char *stage = take_stage(c, &i, "an upload");
        size_t n = chunk_bytes(bytes, k);

        if (!stage)
            return;
        memcpy(stage, (const char *)host + k * stage_bytes, n);
        copy_on_stream(c, (char *)to + k * stage_bytes, stage, n, "an upload", false);
        leave_stage(c, i, "an upload");
    }
    if (is_lent(c, to))
        mu_cuda_drain(c, "an upload");
}

void mu_cuda_download(struct mu_device *d, void *host, const void *from, size_t bytes)
{
    struct mu_cuda *c = mu_cuda_of(d);
    size_t chunks = (bytes + stage_bytes - 1) / stage_bytes;
    unsigned at[2] = {0, 0}; /* stages of an even chunk and of an odd one */

    if (is_lent(c, host)) {
        copy_on_stream(c, host, from, bytes, "a download", true);
        chunks = 0;
    }
    /* Chunk k is on its way while chunk k - 1 is taken out of its stage. */
    for (size_t k = 0; !c->base.broken && k < chunks + (chunks > 0); k++) {
        char *stage;

        if (k < chunks && (stage = take_stage(c, &at[k % 2], "a download")) != NULL) {
            copy_on_stream(c, stage, (const char *)from + k * stage_bytes, chunk_bytes(bytes, k),
                           "a download", false);
            leave_stage(c, at[k % 2], "a download");
        }
        stage = k > 0 ? wait_for_stage(c, at[(k - 1) % 2], "a download") : NULL;
        if (stage)
            memcpy((char *)host + (k - 1) * stage_bytes, stage, chunk_bytes(bytes, k - 1));
    }
    if (c->base.broken) {
        mu_cuda_break(c, "a download", cudaSuccess);
        memset(host, 0, bytes);
    }
}

void mu_cuda_clear(struct mu_device *d, void *to, size_t bytes)
{
    struct mu_cuda *c = mu_cuda_of(d);

    if (bytes > 0 && !d->options.rehearses)
        mu_cuda_queued(c, "clear", (int)cudaMemsetAsync(to, 0, bytes, c->stream), is_lent(c, to));
}

void mu_cuda_copy(struct mu_device *d, void *to, const void *from, size_t bytes)
{
    struct mu_cuda *c = mu_cuda_of(d);

    if (bytes > 0)
        copy_on_stream(c, to, from, bytes, "copy", is_lent(c, to) || is_lent(c, from));
}

uint32_t mu_cuda_take_word(struct mu_cuda *c, const char *operation)
{
    uint32_t value = 0;

    mu_cuda_download(&c->base, &value, c->word, sizeof value);
    mu_cuda_queued(c, operation, (int)cudaMemsetAsync(c->word, 0, sizeof value, c->stream), false);
    return value;
}

enum mu_status mu_cuda_memory_init(struct mu_cuda *c)
{
    cudaError_t error = cudaSuccess;

    for (int i = 0; !error && i < MU_CUDA_STAGES; i++) {
        void *memory = NULL;

        error = cudaHostAlloc(&memory, stage_bytes, cudaHostAllocPortable);
        c->stage[i].memory = memory;
        if (!error)
            error = cudaEventCreateWithFlags(&c->stage[i].copied, cudaEventDisableTiming);
    }
    if (error) {
        (void)cudaGetLastError();
        break_unless_short(c, "an allocation of the host's memory", error);
        if (c->base.broken)
            return MU_FAILED;
        return MU_FAIL(MU_NO_MEMORY, "%s: page-locked memory cannot be had: %s (%s)", c->name,
                       cudaGetErrorString(error), cudaGetErrorName(error));
    }
    c->word = mu_cuda_alloc(&c->base, 256);
    if (!c->word)
        return MU_NO_MEMORY;
    return c->base.broken ? MU_FAILED : MU_OK;
}

void mu_cuda_memory_deinit(struct mu_cuda *c)
{
    while (c->lent_count > 0) /* what nobody took back; none is alloc_lent's by contract */
        mu_cuda_take_back(&c->base, c->lent[0].memory);
    free(c->lent);
    release(c, c->scratch);
    release(c, c->word);
    for (int i = 0; i < MU_CUDA_STAGES; i++) {
        if (c->stage[i].copied)
            (void)cudaEventDestroy(c->stage[i].copied);
        if (c->stage[i].memory)
            (void)cudaFreeHost(c->stage[i].memory);
    }
}
