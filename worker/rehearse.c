#include "worker/rehearse.h"

#include <stdio.h>
#include <string.h>

#include "kernels/resident.h"
#include "worker/device_weights.h"
#include "worker/parts.h"
#include "worker/resident.h"
#include "worker/workload.h"

static uint64_t held(const struct mu_device *d)
{
    return mu_device_memory(d).held;
}

/* As mu_resident_init. */
static enum mu_status open_resident(const struct mu_resident_options *options, struct mu_device *d)
{
    struct mu_resident *state = NULL;
    enum mu_status st = d->ops->resident->open(d, options, &state);

    if (st != MU_OK)
        return st;
    if (options->parts > 0)
        mu_device_free(d, mu_device_alloc(d, mu_parts_bytes(options->layout, options->parts)));
    d->ops->resident->close(state);
    return MU_OK;
}

/* Where the state is to lie in the device's memory. */
static enum mu_status open_state(const struct mu_settings *s, const struct mu_workload *workload,
                                 uint32_t ranks, struct mu_device *d)
{
    const struct mu_resident_options options = mu_resident_options_of(s, workload, ranks);
    struct mu_device_weights weights;
    enum mu_status st;

    if (s->device_collective == MU_COLLECTIVE_NCCL && d->ops->resident)
        return open_resident(&options, d);
    st = mu_device_weights_init(&weights, d, workload->layout.elements);
    if (st == MU_OK)
        mu_device_weights_deinit(&weights);
    return st;
}

enum mu_status mu_worker_rehearse(const struct mu_settings *settings,
                                  const struct mu_device_options *options, uint32_t ranks,
                                  struct mu_worker_memory *out)
{
    struct mu_device_options rehearsal = *options;
    struct mu_workload *workload = NULL;
    struct mu_device *d = NULL;
    enum mu_status st = MU_OK;

    memset(out, 0, sizeof *out);
    if (options->kind != MU_DEVICE_CUDA)
        goto done;
    rehearsal.rehearses = true;
    MU_TRY(mu_device_open(&rehearsal, &d), st, done);
    MU_TRY(mu_workload_open(settings, d, &workload), st, done);
    out->activations = held(d);
    MU_TRY(open_state(settings, workload, ranks, d), st, done);
    out->state = held(d) - out->activations;
    out->logits = mu_worker_logits_bytes(settings, options->kind);
done:
    mu_workload_close(workload);
    mu_device_close(d);
    return st;
}

static double unit_of(uint64_t bytes, const char **name)
{
    const bool is_large = bytes >= (uint64_t)1 << 30;

    *name = is_large ? "GiB" : "MiB";
    return is_large ? 0x1p30 : 0x1p20;
}

struct mu_memory_text mu_worker_memory_text(const struct mu_worker_memory *m, uint64_t total)
{
    const char *name, *total_name;
    const double unit = unit_of(mu_worker_memory_sum(m), &name);
    const double total_unit = unit_of(total, &total_name);
    struct mu_memory_text t;

    snprintf(t.text, sizeof t.text,
             "%.1f %s (%.1f of state, %.1f of activations and gradients, %.1f of logits) of %.1f "
             "%s",
             (double)mu_worker_memory_sum(m) / unit, name, (double)m->state / unit,
             (double)m->activations / unit, (double)m->logits / unit, (double)total / total_unit,
             total_name);
    return t;
}
