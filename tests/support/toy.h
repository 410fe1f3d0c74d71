/* A workload of four tensors, one of every kind, whose gradients are noise around the weights: for
 * tests of the whole step. A step may have a gradient of which nobody could know (it is redone),
 * one without a number (it is skipped), and has blocks that do not fit. */
#ifndef MUSTER_TESTS_TOY_H
#define MUSTER_TESTS_TOY_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/config/settings.h"
#include "worker/state_hash.h"
#include "worker/worker.h"

enum { TOY_SHARDS = 6, TOY_OUTLIERS_AT = 3, TOY_TOKENS = 10, TOY_TOUCHED = 3, TOY_NEVER = -1 };

struct toy {
    struct mu_workload base;
    struct mu_device *device;
    float *dense, *value[2];             /* the host's */
    float *dense_given, *value_given[2]; /* what is handed out: the same, or device memory */
    float *weight_copy;
    uint32_t row[2][TOY_TOUCHED];
    uint32_t plain, with_rows;                  /* the first of two tensors of the kind */
    int64_t nan_at, surprise_at;                /* steps, or TOY_NEVER */
    void (*pause)(uint64_t key, struct toy *t); /* in the middle of a shard; NULL: none */
    void *context;
};

/* In [-1, 1), of any three numbers. */
static inline float toy_noise(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t x = (a * 0x9e3779b97f4a7c15u + b) * 0xbf58476d1ce4e5b9u + c;

    x ^= x >> 29;
    x *= 0x94d049bb133111ebu;
    x ^= x >> 32;
    return (float)(int32_t)(uint32_t)x * 0x1p-31f;
}

static inline void toy_init(const struct mu_workload *w, uint32_t tensor, uint64_t from,
                            uint64_t to, float *out)
{
    (void)w;
    for (uint64_t i = from; i < to; i++)
        out[i - from] = toy_noise(1000 + tensor, i, 0);
}

/* A block of each kind of addend. */
static inline void toy_add_outliers(struct toy *t, uint32_t shard)
{
    const struct mu_tensor *first = &t->base.layout.tensors[t->plain];

    for (uint64_t i = 0; i < MU_BLOCK; i++) {
        if (shard == 2)
            t->dense[first->offset + 7 * first->spec.cols + i] *= 1e4f;
        if (shard == 4)
            t->value[0][i] *= 1e4f;
    }
}

static inline float *toy_take(struct toy *t, uint64_t count, float **given)
{
    float *host = malloc(count * sizeof *host);

    *given = mu_device_has_host_memory(t->device)
                 ? host
                 : mu_device_alloc(t->device, count * sizeof *host);
    MU_ASSERT(host && *given);
    return host;
}

static inline void toy_give_back(struct toy *t, float *host, float *given)
{
    if (given != host)
        mu_device_free(t->device, given);
    free(host);
}

static inline void toy_hand_out(struct toy *t, const float *host, float *given, uint64_t count)
{
    if (given != host)
        mu_device_upload(t->device, given, host, count * sizeof *host);
}

static inline enum mu_status toy_gradient(struct mu_workload *workload, const struct mu_weights *w,
                                          int64_t step, uint32_t shard, struct mu_shard_result *out)
{
    struct toy *t = (struct toy *)workload;
    const struct mu_layout *l = &workload->layout;
    const uint64_t key = (uint64_t)step * TOY_SHARDS + shard;
    const float scale = step == t->surprise_at ? 1e6f : 1,
                *weight =
                    mu_device_view(t->device, w->f32, l->elements * sizeof(float), t->weight_copy);

    for (uint64_t i = 0; i < l->elements; i++) {
        if (t->pause && i == l->elements / 2)
            t->pause(key, t);
        t->dense[i] = scale * (weight[i] + toy_noise(key, i, 1)) / TOY_SHARDS;
    }
    if (step == t->nan_at && shard == 3)
        t->dense[l->tensors[t->with_rows].offset + 5] = NAN;
    for (uint32_t k = 0; k < 2; k++) {
        const struct mu_tensor_spec *spec = &l->tensors[t->with_rows + k].spec;

        for (uint32_t j = 0; j < TOY_TOUCHED; j++)
            t->row[k][j] = shard % 2 + (uint32_t)(spec->rows / TOY_TOUCHED) * j;
        for (uint64_t i = 0; i < TOY_TOUCHED * spec->cols; i++)
            t->value[k][i] = toy_noise(key, i, 2 + k);
        out->rows[k] = (struct mu_row_gradient){.tensor = t->with_rows + k,
                                                .count = TOY_TOUCHED,
                                                .row = t->row[k],
                                                .value = t->value_given[k]};
    }
    if (step == TOY_OUTLIERS_AT)
        toy_add_outliers(t, shard);
    toy_hand_out(t, t->dense, t->dense_given, l->elements);
    for (uint32_t i = l->tensor_count; i-- > 0;)
        mu_workload_tell_ready(workload, t->dense_given, i);
    if (t->pause)
        t->pause(key + 1, t);
    for (uint32_t k = 0; k < 2; k++)
        toy_hand_out(t, t->value[k], t->value_given[k],
                     TOY_TOUCHED * l->tensors[t->with_rows + k].spec.cols);
    out->dense = t->dense_given;
    out->row_count = 2;
    out->loss_nats = 20 + (double)toy_noise(key, 0, 9);
    out->tokens = TOY_TOKENS;
    return MU_OK;
}

static const struct mu_workload_ops toy_ops = {
    .name = "toy", .init_tensor = toy_init, .shard_gradient = toy_gradient};

/* specs: four; two have row addends, the last two or the first two; the first of the others has 8
 * rows of a block or more. The device is closed after it. */
static inline bool toy_open(struct toy *t, struct mu_device *device,
                            const struct mu_tensor_spec *specs, int64_t nan_at, int64_t surprise_at)
{
    *t = (struct toy){.device = device, .nan_at = nan_at, .surprise_at = surprise_at};
    t->base.ops = &toy_ops;
    t->plain = specs[0].row_addends ? 2 : 0;
    t->with_rows = 2 - t->plain;
    t->base.facts.shards = TOY_SHARDS;
    if (mu_layout_init(&t->base.layout, specs, 4) != MU_OK)
        return false;
    t->dense = toy_take(t, t->base.layout.elements, &t->dense_given);
    for (int k = 0; k < 2; k++)
        t->value[k] =
            toy_take(t, TOY_TOUCHED * specs[t->with_rows + (uint32_t)k].cols, &t->value_given[k]);
    t->weight_copy = malloc(t->base.layout.elements * sizeof(float));
    return t->weight_copy != NULL;
}

static inline void toy_close(struct toy *t)
{
    toy_give_back(t, t->dense, t->dense_given);
    for (int k = 0; k < 2; k++)
        toy_give_back(t, t->value[k], t->value_given[k]);
    free(t->weight_copy);
    mu_layout_deinit(&t->base.layout);
}

static inline struct mu_settings toy_settings(int64_t steps)
{
    return (struct mu_settings){.run_steps = steps,
                                .run_on_nonfinite = MU_NONFINITE_SKIP,
                                .batch_shards = TOY_SHARDS,
                                .batch_reduce = MU_REDUCE_EXACT,
                                .optim_lr = 0.01,
                                .optim_betas = {0.9, 0.95},
                                .optim_eps = 1e-8,
                                .optim_weight_decay = 0.1,
                                .optim_clip = 1,
                                .schedule_kind = MU_SCHEDULE_WSD,
                                .schedule_floor = 0.1};
}

/* Of the state as it stands in the segment, by this rank alone. */
static inline struct mu_hash toy_hash(const struct mu_segment *s, const struct mu_layout *l)
{
    uint64_t pieces = mu_state_hash_pieces(l);
    struct mu_hash *piece = calloc(pieces, sizeof *piece), hash;

    MU_ASSERT(piece);
    for (uint64_t p = 0; p < pieces; p++)
        piece[p] = mu_state_hash_piece(&s->half[mu_segment_half(s)], p);
    hash = mu_state_hash_combine(piece, pieces, mu_segment_step(s));
    free(piece);
    return hash;
}

#endif
