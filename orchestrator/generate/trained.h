/* A trained model, from a checkpoint: the configuration that it was saved with, its weights (no
 * moments are read), a device, and a decoder. */
#ifndef MUSTER_GENERATE_TRAINED_H
#define MUSTER_GENERATE_TRAINED_H

#include <stdbool.h>

#include "orchestrator/base/file.h"
#include "orchestrator/config/settings.h"
#include "worker/workload/decoder.h"

struct mu_trained {
    struct mu_settings settings;
    struct mu_device *device;
    struct mu_decoder *decoder;
    struct mu_weights weights;
    void *host[2], *on_device[2]; /* the weights' memory: lent, and the device's own */

    char vocabulary[64]; /* "bytes", "llm.c gpt-2" */
    bool is_bytes;       /* a token is a byte of text */
    int64_t drawable;    /* tokens from here on were never trained: models pad their vocabulary */
    int32_t end_of_text; /* stands between documents; -1: there is none */
};

/* Where a model is taken from. */
struct mu_trained_source {
    const char *name;       /* as for mu_which_checkpoint */
    char *const *overrides; /* device.KEY=VALUE */
    int override_count;
    enum mu_status (*poll)(void *context); /* of the device; NULL: none */
    void *poll_context;
};

/* Of a run the newest good checkpoint: damaged ones are named in a warning. Computes on the CPU
 * unless device.kind is among the overrides. All errors are reported. */
enum mu_status mu_trained_open(const struct mu_trained_source *source,
                               struct mu_trained *out) MU_CHECKED;
void mu_trained_close(struct mu_trained *t);

#endif
