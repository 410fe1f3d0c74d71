/* What a rank will take of its device's memory, before any of it is taken: everything is opened as
 * it will be, on a device that only counts (kernels/device.h, rehearses). */
#ifndef MUSTER_WORKER_REHEARSE_H
#define MUSTER_WORKER_REHEARSE_H

#include <stdint.h>

#include "kernels/device.h"
#include "orchestrator/config/settings.h"

struct mu_worker_memory { /* bytes */
    uint64_t state;       /* weights, moments and sums; else a copy of the weights */
    uint64_t activations; /* of a micro-batch, and a shard's gradient */
    uint64_t logits;      /* of a block of tokens, which the first step takes */
};

/* Of a run of `ranks` ranks, on the one that takes most. All zero on devices that have no memory of
 * their own. The settings are resolved. */
enum mu_status mu_worker_rehearse(const struct mu_settings *settings,
                                  const struct mu_device_options *options, uint32_t ranks,
                                  struct mu_worker_memory *out) MU_CHECKED;

/* Of a rank's workload alone, on a device that is not opened and need not be here: activations and
 * logits, of the host's memory or of a GPU's. The settings are resolved; data are looked at as
 * mu_workload_open does. */
enum mu_status mu_worker_rehearse_workload(const struct mu_settings *settings,
                                           struct mu_worker_memory *out) MU_CHECKED;

/* Of a block of tokens' logits, on a device of that kind. */
uint64_t mu_worker_logits_bytes(const struct mu_settings *settings, enum mu_device_kind kind);

static inline uint64_t mu_worker_memory_sum(const struct mu_worker_memory *m)
{
    return m->state + m->activations + m->logits;
}

/* "61.2 GiB (44.0 of state, 16.2 of activations and gradients, 1.0 of logits) of 79.1 GiB" */
struct mu_memory_text {
    char text[192];
};
struct mu_memory_text mu_worker_memory_text(const struct mu_worker_memory *m, uint64_t total);

#endif
