#include "worker/device_weights.h"

#include <inttypes.h>
#include <string.h>

enum mu_status mu_device_weights_init(struct mu_device_weights *x, struct mu_device *device,
                                      uint64_t elements)
{
    bool bf16 = device->options.precision == MU_PRECISION_BF16;

    *x = (struct mu_device_weights){.device = device, .elements = elements};
    if (mu_device_has_host_memory(device))
        return MU_OK;
    x->f32 = mu_device_alloc(device, elements * sizeof *x->f32);
    if (bf16)
        x->bf16 = mu_device_alloc(device, elements * sizeof *x->bf16);
    if (x->f32 && (x->bf16 || !bf16))
        return MU_OK;
    mu_device_weights_deinit(x);
    return MU_FAIL(MU_NO_MEMORY,
                   "the device has no memory for the %" PRIu64
                   " weights: use a smaller model, or fewer ranks on one device",
                   elements);
}

void mu_device_weights_deinit(struct mu_device_weights *x)
{
    mu_device_free(x->device, x->f32);
    mu_device_free(x->device, x->bf16);
    memset(x, 0, sizeof *x);
}

void mu_device_weights_forget(struct mu_device_weights *x)
{
    x->is_current = false;
}

static enum mu_status upload(struct mu_device *d, void *to, const void *from, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes && mu_device_status(d) == MU_OK; at += MU_DEVICE_PIECE) {
        uint64_t n = bytes - at < MU_DEVICE_PIECE ? bytes - at : MU_DEVICE_PIECE;

        mu_device_upload(d, (char *)to + at, (const char *)from + at, n);
        mu_device_poll(d);
    }
    return mu_device_status(d);
}

enum mu_status mu_device_weights_take(struct mu_device_weights *x, const struct mu_segment *segment,
                                      uint64_t state, struct mu_weights *out)
{
    const float *f32 = segment->half[state & 1].weight;
    const uint16_t *bf16 = segment->weight_bf16[state & 1];
    enum mu_status st;

    *out = (struct mu_weights){f32, bf16};
    if (!x->f32)
        return MU_OK;
    *out = (struct mu_weights){x->f32, x->bf16};
    if (x->is_current && x->state == state)
        return MU_OK;
    x->is_current = false; /* until all of it is there */
    MU_TRY(upload(x->device, x->f32, f32, x->elements * sizeof *f32), st, failed);
    if (x->bf16)
        MU_TRY(upload(x->device, x->bf16, bf16, x->elements * sizeof *bf16), st, failed);
    x->is_current = true;
    x->state = state;
failed:
    return st;
}
