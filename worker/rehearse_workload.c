/* Apart from rehearse.c, which knows of ranks and so of MPI. */
#include <string.h>

#include "worker/rehearse.h"
#include "worker/workload.h"

/* At most 2^28 of them (kernels/cuda/blas.h), in fp32. */
static uint64_t logits_of_gpu(const struct mu_settings *s)
{
    const uint64_t most = (uint64_t)1 << 28;
    const uint64_t n =
        (uint64_t)s->batch_micro * (uint64_t)s->model_context * (uint64_t)s->model_vocab;

    return 4 * (n < most ? n : most);
}

/* On a CPU logits are a block of rows (kernels/cpu/cpu_classifier.c), in fp32. */
static uint64_t logits_of_host(const struct mu_settings *s)
{
    const uint64_t all = (uint64_t)(s->batch_micro * s->model_context),
                   fit = ((uint64_t)1 << 24) / (uint64_t)s->model_vocab,
                   rows = fit > 512 ? 512 : (fit < 64 ? 64 : fit);

    return 4 * (rows < all ? rows : all) * (uint64_t)s->model_vocab;
}

uint64_t mu_worker_logits_bytes(const struct mu_settings *s, enum mu_device_kind kind)
{
    if (s->model_kind == MU_MODEL_SYNTHETIC)
        return 0;
    return kind == MU_DEVICE_CUDA ? logits_of_gpu(s) : logits_of_host(s);
}

/* A device that is none: it has memory of its own, of which it never gives any. */
struct counter {
    struct mu_device base;
    uint64_t held;
};

static struct mu_device_room count_memory(const struct mu_device *d)
{
    return (struct mu_device_room){.held = ((const struct counter *)d)->held};
}

static void *count_alloc(struct mu_device *d, size_t bytes)
{
    static _Alignas(64) char nothing[64]; /* nobody looks there: opening touches no memory */

    ((struct counter *)d)->held += bytes;
    return nothing;
}

static void count_free(struct mu_device *d, void *memory)
{
    (void)d;
    (void)memory;
}

static void count_upload(struct mu_device *d, void *to, const void *host, size_t bytes)
{
    (void)d;
    (void)to;
    (void)host;
    (void)bytes;
}

enum mu_status mu_worker_rehearse_workload(const struct mu_settings *settings,
                                           struct mu_worker_memory *out)
{
    static const struct mu_device_ops ops = {.name = "none",
                                             .memory = count_memory,
                                             .alloc = count_alloc,
                                             .free = count_free,
                                             .alloc_lent = count_alloc,
                                             .free_lent = count_free,
                                             .upload = count_upload};
    struct counter counter = {
        .base = {.ops = &ops,
                 .options = {.kind = (enum mu_device_kind)settings->device_kind,
                             .precision = (enum mu_precision)settings->device_precision,
                             .threads = 1}}};
    struct mu_workload *workload = NULL;
    enum mu_status st = mu_workload_open(settings, &counter.base, &workload);

    memset(out, 0, sizeof *out);
    if (st != MU_OK)
        return st;
    out->activations = counter.held;
    out->logits = mu_worker_logits_bytes(settings, (enum mu_device_kind)settings->device_kind);
    mu_workload_close(workload);
    return MU_OK;
}
