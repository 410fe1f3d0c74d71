/* Whether what a run needs of a host's and a GPU's memory is there, before any of it is taken. */
#include <stdio.h>

#include "orchestrator/base/log.h"
#include "orchestrator/base/memory_left.h"
#include "orchestrator/master/job.h"

enum { NCCL_BYTES = 512 << 20 }; /* its buffers are not counted; this is on the large side */

/* Weights and moments, in two halves (worker/segment.h): what else there is comes on top. */
static const double state_bytes_a_parameter = 2 * 3 * sizeof(float);

enum mu_status mu_job_check_host(const struct mu_settings *settings)
{
    const double has = (double)mu_memory_physical();
    double bytes;

    if (settings->model_kind == MU_MODEL_SYNTHETIC ||
        settings->device_collective == MU_COLLECTIVE_NCCL)
        return MU_OK;
    bytes = state_bytes_a_parameter * (double)mu_workload_counts(settings).all;
    /* How much is left now does not count: a state from before may be in it, and is used. */
    if (bytes <= has)
        return MU_OK;
    return MU_FAIL(MU_NO_MEMORY,
                   "the state of this model takes %.3g GiB or more, and this host has %.3g GiB of "
                   "memory: take a smaller model.width, fewer model.layers, or a larger host",
                   bytes / 0x1p30, has / 0x1p30);
}

/* What helps, in the order in which it is to be tried: what costs least first. */
static void advise(const struct mu_settings *s, int ranks, char *out, size_t capacity)
{
    const bool is_model = s->model_kind != MU_MODEL_SYNTHETIC;
    size_t used = 0;

    out[0] = 0;
    if (is_model && s->device_recompute != MU_RECOMPUTE_BLOCK)
        used += (size_t)snprintf(out + used, capacity - used, "device.recompute = \"block\", ");
    if (is_model && s->batch_micro > 1)
        used += (size_t)snprintf(out + used, capacity - used, "batch.micro = %lld, ",
                                 (long long)s->batch_micro / 2);
    if (s->device_collective == MU_COLLECTIVE_NCCL && s->optim_shard == MU_SWITCH_OFF && ranks > 2)
        used += (size_t)snprintf(out + used, capacity - used, "optim.shard = \"on\", ");
    if (s->device_collective == MU_COLLECTIVE_NCCL)
        used += (size_t)snprintf(out + used, capacity - used,
                                 "device.collective = \"mpi\" (the state in the host's memory), ");
    snprintf(out + used, capacity - used, "a smaller model");
}

static void warn_if_tight(const struct mu_job *job, uint64_t left)
{
    if (left < NCCL_BYTES && job->is_master && mu_comm_size(job->comm) > 1 &&
        job->settings.device_collective == MU_COLLECTIVE_NCCL)
        mu_log(MU_LOG_WARN,
               "GPU %d%s%s will have about %.0f MiB left for NCCL's buffers, which take some "
               "hundreds: if it runs out of memory, set device.collective = \"mpi\", or lower "
               "batch.micro",
               job->session->gpu.number, job->session->gpu.host[0] ? " of " : "",
               job->session->gpu.host, (double)left / 0x1p20);
}

enum mu_status mu_job_check_memory(struct mu_job *job, const struct mu_device_options *options)
{
    struct mu_worker_memory *m = &job->memory;
    const struct mu_device_room has = mu_device_memory(job->device);
    const int ranks = mu_comm_size(job->comm);
    char advice[256];
    enum mu_status st = mu_worker_rehearse(&job->settings, options, (uint32_t)ranks, m);

    if (st != MU_OK || has.total == 0)
        return st;
    if (mu_worker_memory_sum(m) <= has.free) {
        warn_if_tight(job, has.free - mu_worker_memory_sum(m));
        return MU_OK;
    }
    advise(&job->settings, ranks, advice, sizeof advice);
    return MU_FAIL(
        MU_NO_MEMORY,
        "GPU %d%s%s has too little memory: %.1f MiB are free, and needed are about %s, with "
        "batch.micro = %lld. Try, in this order: %s; or see in `nvidia-smi` who else uses it",
        job->session->gpu.number, job->session->gpu.host[0] ? " of " : "", job->session->gpu.host,
        (double)has.free / 0x1p20, mu_worker_memory_text(m, has.total).text,
        (long long)job->settings.batch_micro, advice);
}
