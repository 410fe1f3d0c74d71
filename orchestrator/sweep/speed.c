#include "orchestrator/sweep/speed.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/bf16.h"
#include "orchestrator/base/clock.h"
#include "worker/workload.h"

enum { TRIES = 3, FILL = 1 << 16 };

struct weights {
    float *f32;
    uint16_t *bf16;
};

static void fill(const struct mu_workload *w, struct weights *to)
{
    const struct mu_layout *l = &w->layout;

    for (uint32_t t = 0; t < l->tensor_count; t++) {
        const struct mu_tensor *tensor = &l->tensors[t];
        const uint64_t count = tensor->spec.rows * tensor->spec.cols;

        for (uint64_t at = 0; at < count; at += FILL)
            w->ops->init_tensor(w, t, at, at + FILL < count ? at + FILL : count,
                                to->f32 + tensor->offset + at);
    }
    for (uint64_t i = 0; to->bf16 && i < l->elements; i++)
        to->bf16[i] = mu_bf16_from_f32(to->f32[i]);
}

static enum mu_status take_weights(const struct mu_workload *w, struct mu_device *d,
                                   struct weights *out)
{
    const bool bf16 = d->options.precision == MU_PRECISION_BF16;

    out->f32 = mu_device_alloc(d, w->layout.elements * sizeof *out->f32);
    out->bf16 = bf16 ? mu_device_alloc(d, w->layout.elements * sizeof *out->bf16) : NULL;
    if (!out->f32 || (bf16 && !out->bf16))
        return MU_FAIL(MU_NO_MEMORY, "no memory for the weights of a trial");
    fill(w, out);
    return MU_OK;
}

static enum mu_status time_shards(struct mu_workload *w, const struct weights *weights,
                                  double *seconds)
{
    const struct mu_weights read = {weights->f32, weights->bf16};
    struct mu_shard_result result;
    enum mu_status st = MU_OK;

    *seconds = INFINITY;
    for (int i = 0; i < TRIES && st == MU_OK; i++) {
        const uint64_t from = mu_clock_ns();

        st = w->ops->shard_gradient(w, &read, i, 0, &result);
        *seconds = fmin(*seconds, 1e-9 * (double)(mu_clock_ns() - from));
    }
    *seconds *= (double)w->facts.shards;
    return st;
}

enum mu_status mu_speed_measure(const struct mu_settings *settings, double *seconds)
{
    const struct mu_device_options options = {
        .kind = (enum mu_device_kind)settings->device_kind,
        .precision = (enum mu_precision)settings->device_precision,
        .isa = settings->device_isa == MU_ISA_AUTO ? mu_device_best_isa()
                                                   : (enum mu_isa)settings->device_isa,
        .threads = (int)settings->device_threads,
    };
    struct mu_device *device = NULL;
    struct mu_workload *workload = NULL;
    struct weights weights = {NULL, NULL};
    enum mu_status st;

    MU_TRY(mu_device_open(&options, &device), st, done);
    MU_TRY(mu_workload_open(settings, device, &workload), st, done);
    MU_TRY(take_weights(workload, device, &weights), st, done);
    st = time_shards(workload, &weights, seconds);
done:
    if (device) {
        mu_device_free(device, weights.f32);
        mu_device_free(device, weights.bf16);
    }
    mu_workload_close(workload);
    mu_device_close(device);
    return st;
}
