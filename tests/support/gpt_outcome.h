/* All that a workload computes in two steps, wherever the device has its memory. Include after
 * cmocka.h. */
#ifndef MUSTER_TESTS_SUPPORT_GPT_OUTCOME_H
#define MUSTER_TESTS_SUPPORT_GPT_OUTCOME_H

#include "tests/support/gpt_fixture.h"

/* What came out of a device: all gradients of two steps, losses of all pieces. */
struct outcome {
    float *gradient; /* 2 steps x shards x elements; what no shard has touched is 0 */
    double loss[64]; /* shards, then pieces */
    uint32_t losses;
    uint64_t bytes;
};

/* Dense parts and rows where they belong in the layout; rows are added, and may be none. */
static inline void outcome_keep_gradient(struct mu_device *d, const struct mu_layout *l,
                                         const struct mu_shard_result *g, float *to)
{
    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];

        if (t->spec.dense)
            mu_device_download(d, to + t->offset, g->dense + t->offset,
                               t->spec.rows * t->spec.cols * sizeof *to);
    }
    for (uint32_t k = 0; k < g->row_count; k++) {
        const struct mu_tensor *t = &l->tensors[g->rows[k].tensor];
        float row[1024];

        assert_true(t->spec.cols <= 1024);
        for (uint32_t j = 0; j < g->rows[k].count; j++) {
            mu_device_download(d, row, g->rows[k].value + j * t->spec.cols,
                               t->spec.cols * sizeof *row);
            for (uint64_t c = 0; c < t->spec.cols; c++)
                to[t->offset + g->rows[k].row[j] * t->spec.cols + c] += row[c];
        }
    }
}

/* Weights in the device's own memory, so that a workload which reads them is seen. */
static inline struct mu_weights outcome_own_weights(struct mu_device *d,
                                                    const struct mu_workload *w,
                                                    const struct fixture_weights *x)
{
    const uint64_t n = w->layout.elements;
    float *f32 = mu_device_alloc(d, n * sizeof *f32);
    uint16_t *bf16 = mu_device_alloc(d, n * sizeof *bf16);

    mu_device_upload(d, f32, x->f32, n * sizeof *f32);
    mu_device_upload(d, bf16, x->bf16, n * sizeof *bf16);
    return (struct mu_weights){.f32 = f32, .bf16 = bf16};
}

static inline struct outcome outcome_of(const struct mu_settings *s, struct mu_device *d,
                                        enum mu_precision precision)
{
    struct mu_device *host = fixture_device(MU_DEVICE_REFERENCE, precision);
    struct outcome out = {.gradient = NULL};
    struct fixture_weights initial;
    struct mu_weights weights;
    struct mu_workload *w;
    uint64_t n;

    assert_int_equal(mu_workload_open(s, d, &w), MU_OK);
    n = w->layout.elements;
    initial = fixture_init(host, w, 0.2);
    weights = outcome_own_weights(d, w, &initial);
    out.bytes = 2 * w->facts.shards * n * sizeof(float);
    out.gradient = calloc(1, out.bytes);
    for (uint32_t k = 0; k < 2 * w->facts.shards; k++) {
        uint32_t shards = (uint32_t)w->facts.shards;
        struct mu_shard_result g;

        assert_int_equal(w->ops->shard_gradient(w, &weights, k / shards, k % shards, &g), MU_OK);
        outcome_keep_gradient(d, &w->layout, &g, out.gradient + k * n);
        out.loss[out.losses++] = g.loss_nats;
    }
    for (uint64_t p = 0; p < w->facts.eval_pieces; p++) {
        struct mu_piece_result r;

        assert_int_equal(w->ops->evaluate(w, &weights, 2, p, &r), MU_OK);
        out.loss[out.losses++] = r.loss_nats;
    }
    mu_device_free(d, (void *)(uintptr_t)weights.f32);
    mu_device_free(d, (void *)(uintptr_t)weights.bf16);
    fixture_free(host, &initial);
    mu_device_close(host);
    mu_workload_close(w);
    mu_device_close(d);
    return out;
}

#endif
