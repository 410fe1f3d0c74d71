#include "worker/update.h"

#include <string.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/config/config.h"
#include "worker/prediction.h"
#include "worker/state_check.h"

struct mu_adamw mu_worker_adamw(const struct mu_worker *w, int64_t step, double norm, double *lr)
{
    const struct mu_settings *s = w->settings;
    const struct mu_schedule schedule = mu_settings_schedule(s);
    double t = (double)(step + 1);

    *lr = mu_schedule_rate(&schedule, step);
    return (struct mu_adamw){
        .gradient_scale =
            s->optim_clip > 0 && norm > s->optim_clip ? (float)(s->optim_clip / norm) : 1.0f,
        .lr = (float)*lr,
        .beta1 = (float)s->optim_betas[0],
        .beta2 = (float)s->optim_betas[1],
        .eps = (float)s->optim_eps,
        .bias1 = (float)(1 - mu_det_pow(s->optim_betas[0], t)),
        .bias2 = (float)(1 - mu_det_pow(s->optim_betas[1], t)),
    };
}

uint32_t mu_update_chunk(struct mu_worker *w, uint32_t chunk, int64_t step, uint32_t half,
                         struct mu_adamw adamw)
{
    const struct mu_layout *l = &w->workload->layout;
    const struct mu_chunk *c = &l->chunks[chunk];
    struct mu_segment *s = w->segment;
    const struct mu_state_view *from = &s->half[half];
    struct mu_state_view *to = &s->half[!half];
    uint32_t check = mu_state_check_begin(step + 1);

    adamw.check = &check;
    for (uint32_t i = c->first_span; i < c->first_span + c->span_count; i++) {
        const struct mu_span *span = &l->spans[i];
        uint64_t at = span->offset;

        adamw.count = (int64_t)span->count;
        adamw.weight = from->weight + at;
        adamw.m = from->m + at;
        adamw.v = from->v + at;
        adamw.gradient = s->total + at;
        adamw.weight_out = to->weight + at;
        adamw.m_out = to->m + at;
        adamw.v_out = to->v + at;
        adamw.weight_bf16 = s->weight_bf16[!half] ? s->weight_bf16[!half] + at : NULL;
        adamw.decay =
            l->tensors[span->tensor].spec.decay ? (float)w->settings->optim_weight_decay : 0.0f;
        w->device->ops->adamw(w->device, &adamw);
    }
    mu_predict_chunk(l, c, from->prediction, s->largest, w->tensor_max, to->prediction);
    return check + mu_state_check_predictions(to, c);
}

uint32_t mu_update_copy_chunk(struct mu_worker *w, uint32_t chunk, int64_t step, uint32_t half)
{
    const struct mu_chunk *c = &w->workload->layout.chunks[chunk];
    struct mu_segment *s = w->segment;
    const struct mu_state_view *from = &s->half[half];
    struct mu_state_view *to = &s->half[!half];
    uint64_t at = c->offset, bytes = c->count * sizeof(float);

    memcpy(to->weight + at, from->weight + at, bytes);
    memcpy(to->m + at, from->m + at, bytes);
    memcpy(to->v + at, from->v + at, bytes);
    memcpy(to->prediction + c->first_block, from->prediction + c->first_block,
           c->block_count * sizeof(int16_t));
    if (s->weight_bf16[half])
        memcpy(s->weight_bf16[!half] + at, s->weight_bf16[half] + at, c->count * sizeof(uint16_t));
    return s->chunk[chunk].check[half] - mu_state_check_begin(step) +
           mu_state_check_begin(step + 1);
}
